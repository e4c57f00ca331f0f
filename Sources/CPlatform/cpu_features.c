#include "CPlatform.h"

#if defined(__x86_64__)
#include <cpuid.h>

static uint64_t enabled_register_state(void) {
    uint32_t low, high;
    __asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
    return ((uint64_t)high << 32) | low;
}

uint32_t carousel_cpu_features(void) {
    unsigned a, b, c, d;
    /* Each CPUID takes 30 us in a virtual machine, so each leaf is read once. */
    if (__get_cpuid_max(0, NULL) < 7) return 0;
    __cpuid(1, a, b, c, d);
    const unsigned osxsave = 1u << 27, avx = 1u << 28, fma = 1u << 12, f16c = 1u << 29;
    if ((c & (osxsave | avx | fma | f16c)) != (osxsave | avx | fma | f16c)) return 0;
    const uint64_t state = enabled_register_state();
    if ((state & 0x6) != 0x6) return 0; /* XMM and YMM are saved by the system */

    unsigned subleaves, b7, c7, d7;
    __cpuid_count(7, 0, subleaves, b7, c7, d7);
    const unsigned bmi1 = 1u << 3, avx2 = 1u << 5, bmi2 = 1u << 8;
    if ((b7 & (bmi1 | avx2 | bmi2)) != (bmi1 | avx2 | bmi2)) return 0;
    uint32_t features = CAROUSEL_CPU_AVX2_FMA;
#ifdef CAROUSEL_AVX512_ON_AVX2
    features |= CAROUSEL_CPU_AVX512; /* its kernels are compiled for AVX2 in this build (Package.swift) */
#endif

    const unsigned f = 1u << 16, dq = 1u << 17, cd = 1u << 28, bw = 1u << 30, vl = 1u << 31;
    const unsigned v4 = f | dq | cd | bw | vl;
    if ((state & 0xe0) == 0xe0 && (b7 & v4) == v4) { /* opmask and ZMM are saved, too */
        features |= CAROUSEL_CPU_AVX512;
        if (c7 & (1u << 11)) features |= CAROUSEL_CPU_AVX512_VNNI;
        if (subleaves >= 1) {
            __cpuid_count(7, 1, a, b, c, d);
            if (a & (1u << 5)) features |= CAROUSEL_CPU_AVX512_BF16;
        }
    }
    return features;
}

#else

uint32_t carousel_cpu_features(void) { return 0; }

#endif
