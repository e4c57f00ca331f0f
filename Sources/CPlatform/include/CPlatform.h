/* The few things of the platform that Swift cannot do: CPUID, variadic macros, a message for each thread. */
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

#endif
