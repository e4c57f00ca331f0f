#define _GNU_SOURCE
#include "CPlatform.h"

/* The Swift runtime ends the process when it cannot get memory for an object, and a library must not
 * end its host. The shipping library is linked with --wrap (cmake/Library.cmake), so that the runtime's
 * calls of malloc and its kin come here; what the system refuses is taken from a block of memory that
 * was set aside. Arrays, whose sizes callers and files decide, do not come this way, and may fail.
 *
 * So a call that has begun can finish, or fail in an orderly way; none begins while less than half of the
 * block is free (carousel_platform_has_reserve, asked in Entry.swift). */

#include <stdlib.h>
#include <sys/mman.h>

#ifdef CAROUSEL_MEMORY_RESERVE

#include <errno.h>
#include <stdatomic.h>
#include <string.h>

/* What the linker calls the C library's functions, and what it calls instead of them. */
void *__real_malloc(size_t size);
void *__real_calloc(size_t count, size_t size);
void *__real_realloc(void *memory, size_t size);
int __real_posix_memalign(void **memory, size_t alignment, size_t size);
void __real_free(void *memory);
size_t __real_malloc_usable_size(void *memory);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t count, size_t size);
void *__wrap_realloc(void *memory, size_t size);
int __wrap_posix_memalign(void **memory, size_t alignment, size_t size);
void __wrap_free(void *memory);
size_t __wrap_malloc_usable_size(void *memory);

/* Untouched, the block takes address space only. Pieces, and what is in front of them, are multiples of
 * the widest alignment that is asked for. */
enum { RESERVE_SIZE = 1 << 20, LARGEST_REQUEST = RESERVE_SIZE / 4, UNIT = 64 };

typedef struct piece {
    _Alignas(UNIT) size_t size; /* of what follows */
    int is_taken;
} piece;

static _Alignas(UNIT) unsigned char reserve[RESERVE_SIZE];
static _Atomic size_t taken;

static int is_from_reserve(const void *memory) {
    return (uintptr_t)memory - (uintptr_t)reserve < RESERVE_SIZE;
}
static piece *piece_of(void *memory) { return (piece *)memory - 1; }
static piece *piece_after(piece *p) { return (piece *)((unsigned char *)(p + 1) + p->size); }
static piece *end(void) { return (piece *)(reserve + RESERVE_SIZE); }

/* The first free piece that is large enough, cut to size; free neighbours are joined on the way. */
static void *take(size_t size) {
    void *found = NULL;
    if (size > LARGEST_REQUEST) return NULL;
    size = size == 0 ? UNIT : (size + UNIT - 1) & ~(size_t)(UNIT - 1);
    carousel_platform_lock(CAROUSEL_LOCK_RESERVE);
    piece *p = (piece *)reserve;
    if (p->size == 0) p->size = RESERVE_SIZE - sizeof(piece); /* the first call of all */
    for (; p < end(); p = piece_after(p)) {
        if (p->is_taken) continue;
        for (piece *next = piece_after(p); next < end() && !next->is_taken; next = piece_after(p))
            p->size += sizeof(piece) + next->size;
        if (p->size < size) continue;
        if (p->size - size > sizeof(piece)) {
            piece *rest = (piece *)((unsigned char *)(p + 1) + size);
            rest->size = p->size - size - sizeof(piece);
            rest->is_taken = 0;
            p->size = size;
        }
        p->is_taken = 1;
        atomic_fetch_add_explicit(&taken, p->size + sizeof(piece), memory_order_relaxed);
        found = p + 1;
        break;
    }
    carousel_platform_unlock(CAROUSEL_LOCK_RESERVE);
    return found;
}

static void give_back(void *memory) {
    carousel_platform_lock(CAROUSEL_LOCK_RESERVE);
    piece_of(memory)->is_taken = 0;
    atomic_fetch_sub_explicit(
        &taken, piece_of(memory)->size + sizeof(piece), memory_order_relaxed);
    carousel_platform_unlock(CAROUSEL_LOCK_RESERVE);
}

void *__wrap_malloc(size_t size) {
    void *memory = __real_malloc(size);
    return memory ? memory : take(size);
}

void *__wrap_calloc(size_t count, size_t size) {
    void *memory = __real_calloc(count, size);
    if (memory || (size && count > LARGEST_REQUEST / size)) return memory;
    memory = take(count * size);
    return memory ? memset(memory, 0, count * size) : NULL;
}

void *__wrap_realloc(void *memory, size_t size) {
    if (!is_from_reserve(memory)) {
        void *larger = __real_realloc(memory, size);
        if (larger || size == 0) return larger;
    }
    void *copy = __wrap_malloc(size);
    if (!memory || !copy) return copy;
    const size_t old = __wrap_malloc_usable_size(memory);
    memcpy(copy, memory, old < size ? old : size);
    __wrap_free(memory);
    return copy;
}

int __wrap_posix_memalign(void **memory, size_t alignment, size_t size) {
    const int status = __real_posix_memalign(memory, alignment, size);
    if (status != ENOMEM || alignment > UNIT) return status;
    *memory = take(size);
    return *memory ? 0 : ENOMEM;
}

void __wrap_free(void *memory) {
    if (is_from_reserve(memory)) give_back(memory);
    else __real_free(memory);
}

size_t __wrap_malloc_usable_size(void *memory) {
    return is_from_reserve(memory) ? piece_of(memory)->size : __real_malloc_usable_size(memory);
}

int carousel_platform_has_reserve(void) {
    return atomic_load_explicit(&taken, memory_order_relaxed) <= RESERVE_SIZE / 2;
}

#else

#define __real_posix_memalign posix_memalign

int carousel_platform_has_reserve(void) { return 1; }

#endif

/* Large arrays lie on large pages where the system has them: a product walks over more small pages than the
 * processor remembers the addresses of. */
void *carousel_platform_allocate(size_t size, size_t alignment) {
    enum { LARGE_PAGE = 2 << 20 };
    void *memory = NULL;
    const size_t boundary = size < LARGE_PAGE ? alignment : LARGE_PAGE;
    if (__real_posix_memalign(&memory, boundary, size) != 0) return NULL;
#ifdef MADV_HUGEPAGE
    if (boundary == LARGE_PAGE) madvise(memory, size & ~(size_t)(LARGE_PAGE - 1), MADV_HUGEPAGE);
#endif
    return memory;
}
