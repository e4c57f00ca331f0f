#include "CPlatform.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A pthread key, not _Thread_local: the memory of a thread-local array is allocated by the dynamic
 * linker when a thread first touches it, which ends the process if that fails. */

enum { MESSAGE_CAPACITY = 2048 };

static pthread_key_t key;
static pthread_once_t once = PTHREAD_ONCE_INIT;
static int key_exists;

static void make_key(void) { key_exists = pthread_key_create(&key, free) == 0; }

void carousel_platform_set_message(const char *text, size_t length) {
    pthread_once(&once, make_key);
    if (!key_exists) return;
    char *message = pthread_getspecific(key);
    if (!message) {
        message = malloc(MESSAGE_CAPACITY);
        if (!message || pthread_setspecific(key, message) != 0) {
            free(message);
            return;
        }
    }
    if (length >= MESSAGE_CAPACITY) {
        length = MESSAGE_CAPACITY - 1;
        /* Never half a character: step back over UTF-8 continuation bytes. */
        while (length > 0 && ((unsigned char)text[length] & 0xC0) == 0x80) length--;
    }
    memcpy(message, text, length);
    message[length] = 0;
}

void carousel_platform_set_out_of_memory_message(const char *function, size_t length) {
    char text[256];
    const int written = snprintf(
        text, sizeof text, "%.*s: memory is too short to begin", (int)length, function);
    carousel_platform_set_message(text, (size_t)written);
}

const char *carousel_platform_message(void) {
    pthread_once(&once, make_key);
    const char *message = key_exists ? pthread_getspecific(key) : NULL;
    return message ? message : "";
}

/* When the library is unloaded no thread may call its destructor any more. */
__attribute__((destructor)) static void delete_key(void) {
    if (!key_exists) return;
    free(pthread_getspecific(key));
    pthread_setspecific(key, NULL);
    pthread_key_delete(key);
    key_exists = 0;
}
