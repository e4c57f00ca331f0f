#ifndef CAROUSEL_INSTRUCTIONS_H
#define CAROUSEL_INSTRUCTIONS_H

/* Instructions that Swift's Builtin module has no name for, or that LLVM does not leave as they are. Operands come
   through pointers, because Swift's types are its own; the compiler keeps all of it in registers. */

#if defined(__AVX512BF16__) && defined(__AVX512VNNI__)

typedef float carousel_floats __attribute__((vector_size(64)));
typedef int carousel_integers __attribute__((vector_size(64)));
typedef __bf16 carousel_brain_floats __attribute__((vector_size(64)));

#define CAROUSEL_INSTRUCTION static inline __attribute__((always_inline)) void

/* VDPBF16PS: each of 16 sums += a[2i+1] b[2i+1], then += a[2i] b[2i], rounded to nearest even each time, with
   denormal numbers as 0. */
CAROUSEL_INSTRUCTION carousel_vdpbf16ps(void *sums, const void *a, const void *b) {
    *(carousel_floats *)sums = (carousel_floats)__builtin_ia32_dpbf16ps_512(
        *(const carousel_floats *)sums, *(const carousel_brain_floats *)a,
        *(const carousel_brain_floats *)b);
}

/* VPDPWSSD: each of 16 sums += a[2i] b[2i] + a[2i+1] b[2i+1], of 16-bit whole numbers. In assembly, because LLVM
   makes two instructions of its intrinsic where sums form a chain: less latency, but half as many products. */
CAROUSEL_INSTRUCTION carousel_vpdpwssd(void *sums, const void *a, const void *b) {
    carousel_integers c = *(const carousel_integers *)sums;
    __asm__("vpdpwssd %2, %1, %0"
            : "+v"(c)
            : "v"(*(const carousel_integers *)a), "v"(*(const carousel_integers *)b));
    *(carousel_integers *)sums = c;
}

#endif
#endif
