#include "CPlatform.h"

#include <pthread.h>
#include <stdatomic.h>

/* A child of fork has one thread and a copy of everybody's locks: one that another thread held stays locked
 * for ever. So whoever forks waits for all of ours first, and lets go of them on both sides.
 * (Swift's Mutex knows its owner by a thread number that is another one in the child.)
 *
 * The thread that forks may be inside a call of ours: in a signal handler that writes a crash report, in
 * a plug-in of libhdf5, in the host's malloc. What it holds already it keeps, on both sides, until the
 * call gives it back. */

static struct {
    pthread_mutex_t mutex;
    /* pthread_self() of the holder, which is the same in a child; 0: nobody. */
    _Atomic uintptr_t holder;
    int is_taken_for_fork;
} locks[CAROUSEL_LOCKS] = {
    {.mutex = PTHREAD_MUTEX_INITIALIZER}, {.mutex = PTHREAD_MUTEX_INITIALIZER},
    {.mutex = PTHREAD_MUTEX_INITIALIZER}, {.mutex = PTHREAD_MUTEX_INITIALIZER},
    {.mutex = PTHREAD_MUTEX_INITIALIZER}};

static uintptr_t this_thread(void) { return (uintptr_t)pthread_self(); }

void carousel_platform_lock(enum carousel_lock lock) {
    pthread_mutex_lock(&locks[lock].mutex);
    atomic_store_explicit(&locks[lock].holder, this_thread(), memory_order_relaxed);
}
void carousel_platform_unlock(enum carousel_lock lock) {
    atomic_store_explicit(&locks[lock].holder, 0, memory_order_relaxed);
    pthread_mutex_unlock(&locks[lock].mutex);
}

static int is_mine(int lock) {
    return atomic_load_explicit(&locks[lock].holder, memory_order_relaxed) == this_thread();
}

static void lock_all(void) {
    int last = -1;
    for (int i = 0; i < CAROUSEL_LOCKS; i++)
        if (is_mine(i)) last = i;
    for (int i = 0; i < CAROUSEL_LOCKS; i++) {
        if (is_mine(i)) continue;
        /* Against the order of the locks nobody may wait: one that is not to be had at once stays locked
         * in the child. Libhdf5's is the first, so whoever holds that gets all others. */
        if (i > last) pthread_mutex_lock(&locks[i].mutex);
        else if (pthread_mutex_trylock(&locks[i].mutex) != 0) continue;
        locks[i].is_taken_for_fork = 1;
    }
}
static void unlock_all(void) {
    for (int i = CAROUSEL_LOCKS - 1; i >= 0; i--) {
        if (!locks[i].is_taken_for_fork) continue;
        locks[i].is_taken_for_fork = 0;
        pthread_mutex_unlock(&locks[i].mutex);
    }
}

__attribute__((constructor)) static void register_handlers(void) {
    pthread_atfork(lock_all, unlock_all, unlock_all);
}
