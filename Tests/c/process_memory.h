/* What tests of memory look at. It needs no libcarousel. */
#ifndef CAROUSEL_TESTS_PROCESS_MEMORY_H
#define CAROUSEL_TESTS_PROCESS_MEMORY_H

#include <stddef.h>
#include <stdio.h>

/* Behind an allocator of a test's own. */
extern void *__libc_malloc(size_t);
extern void *__libc_calloc(size_t, size_t);
extern void *__libc_realloc(void *, size_t);
extern void *__libc_memalign(size_t, size_t);
extern void __libc_free(void *);

/* Pages of this process in memory; -1 if the system does not say. */
static inline long resident(void) {
    long size = 0, pages = 0;
    FILE *file = fopen("/proc/self/statm", "r");
    if (!file || fscanf(file, "%ld %ld", &size, &pages) != 2) pages = -1;
    if (file) fclose(file);
    return pages;
}

#endif
