/* The few things of the platform that Swift cannot do: CPUID, variadic macros, a message for each thread,
 * locks that survive fork, memory when there is none. */
#ifndef CAROUSEL_PLATFORM_H
#define CAROUSEL_PLATFORM_H

#include <stddef.h>
#include <stdint.h>

/* Instruction sets that the processor and the operating system both support. */
enum carousel_cpu_features {
    CAROUSEL_CPU_AVX2_FMA = 1 << 0,    /* x86-64-v3 */
    CAROUSEL_CPU_AVX512 = 1 << 1,      /* x86-64-v4: F, BW, CD, DQ, VL */
    CAROUSEL_CPU_AVX512_BF16 = 1 << 2,
    CAROUSEL_CPU_AVX512_VNNI = 1 << 3
};

uint32_t carousel_cpu_features(void);

/* Processors that this process may run on (its affinity, not the machine's); at least 1. */
int carousel_processor_count(void);
/* The processor that the caller runs on, at this moment; negative if it cannot be told. */
int carousel_current_processor(void);
/* Moves the calling thread to another one of those that it may run on, and lets it run on all of them again; 0 if
 * there is no other. */
int carousel_leave_processor(int processor);

/* Tells the processor that the caller waits in a loop for another one. */
static inline void carousel_spin_hint(void) {
#if defined(__x86_64__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ volatile("yield");
#endif
}

/* The thread's last error message; a copy of `text` is kept, as much as fits in 2 KiB. If there is no
 * memory for it the message stays as it was (empty at first). */
void carousel_platform_set_message(const char *text, size_t length);
const char *carousel_platform_message(void);
/* "FUNCTION: memory is too short to begin" */
void carousel_platform_set_out_of_memory_message(const char *function, size_t length);

/* The locks of the process, which fork leaves in order. A thread that holds one may take later ones
 * only. */
enum carousel_lock {
    CAROUSEL_LOCK_FILES,   /* libhdf5 */
    CAROUSEL_LOCK_ZIP,     /* the opening of libzip */
    CAROUSEL_LOCK_CACHES,  /* what networks keep from call to call */
    CAROUSEL_LOCK_HANDLES,
    CAROUSEL_LOCK_RESERVE,
    CAROUSEL_LOCKS
};
void carousel_platform_lock(enum carousel_lock lock);
void carousel_platform_unlock(enum carousel_lock lock);

/* Memory for arrays, to be freed with `free`; NULL if there is none. `alignment` is a power of two. */
void *carousel_platform_allocate(size_t size, size_t alignment);

/* 0: the system has refused memory, and the reserve for that (reserve.c) is half used up. */
int carousel_platform_has_reserve(void);

/* The folder of the library (or program) that this code is in, without symbolic links; its length, 0 if
 * it cannot be told or is longer than `capacity`. */
size_t carousel_library_folder(char *folder, size_t capacity);

/* The environment's value; NULL if there is none, or in a program with more privileges than its user. */
const char *carousel_secure_environment(const char *name);

/* ---- A process of its own for a file that is not trusted (Sources/ModelFiles/Untrusted) ---- */

enum { CAROUSEL_CHILD_FILE = 3 }; /* the child's descriptor of the file */

typedef struct carousel_child {
    int socket;
    int pid;
    int pidfd; /* -1: the system has none */
} carousel_child;

/* Starts `program` with one end of a socket as its standard input and output, the file, and nothing else
 * of this process's: no descriptor, no handler, hardly any environment. 0, or an errno. */
int carousel_child_start(const char *program, int file, carousel_child *child);
/* Both move exactly `size` bytes before the deadline (carousel_milliseconds()). 0, or an errno: EPIPE if
 * the child has ended, ETIMEDOUT. SIGPIPE is not raised. */
int carousel_child_write(
    const carousel_child *child, const void *data, size_t size, int64_t deadline);
int carousel_child_read(const carousel_child *child, void *data, size_t size, int64_t deadline);
/* Ends it if it has not ended, and waits for it. The signal that ended it; 0: none, or the host has
 * waited for it. */
int carousel_child_end(carousel_child *child);
/* Of a clock that is never set. */
int64_t carousel_milliseconds(void);

/* In the child, before anything of the file is parsed: bytes of address space, seconds of processor time (and
 * five more of any time), no files written, no core dump, no new privileges, death with the parent, all other
 * descriptors closed. 0, or an errno. */
int carousel_limit_resources(uint64_t memory, uint32_t seconds);
/* Last: only computing, memory that cannot be executed, and the open descriptors. ENOSYS: the system has
 * no such thing. */
int carousel_limit_system_calls(void);

#endif
