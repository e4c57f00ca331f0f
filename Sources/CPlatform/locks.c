#include "CPlatform.h"

#include <pthread.h>

/* A child of fork has one thread and a copy of everybody's locks: one that another thread held stays locked
 * for ever. So whoever forks waits for all of ours first, and lets go of them on both sides.
 * (Swift's Mutex knows its owner by a thread number that is another one in the child.) */

static pthread_mutex_t locks[CAROUSEL_LOCKS] = {
    PTHREAD_MUTEX_INITIALIZER, PTHREAD_MUTEX_INITIALIZER, PTHREAD_MUTEX_INITIALIZER,
    PTHREAD_MUTEX_INITIALIZER, PTHREAD_MUTEX_INITIALIZER};

void carousel_platform_lock(enum carousel_lock lock) { pthread_mutex_lock(&locks[lock]); }
void carousel_platform_unlock(enum carousel_lock lock) { pthread_mutex_unlock(&locks[lock]); }

static void lock_all(void) {
    for (int i = 0; i < CAROUSEL_LOCKS; i++) pthread_mutex_lock(&locks[i]);
}
static void unlock_all(void) {
    for (int i = CAROUSEL_LOCKS - 1; i >= 0; i--) pthread_mutex_unlock(&locks[i]);
}

__attribute__((constructor)) static void register_handlers(void) {
    pthread_atfork(lock_all, unlock_all, unlock_all);
}
