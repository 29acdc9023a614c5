/* AL_SIMD in front of a function: one clone a vector width, chosen at load time, so that the baseline build runs
 * everywhere and uses what the CPU has. Sums are spread over AL_LANES fixed partial sums, so that the order of
 * additions is the source's own. Bits may differ between CPU kinds (fused multiply-add), never between runs on one. */
#ifndef AL_BASE_SIMD_H
#define AL_BASE_SIMD_H

#if defined(__x86_64__) && defined(__GNUC__) && !defined(__clang__) && !defined(__SANITIZE_ADDRESS__)
#define AL_SIMD __attribute__((target_clones("arch=x86-64-v4", "arch=x86-64-v3", "default")))
#else
#define AL_SIMD
#endif

enum { AL_LANES = 16 };

#endif
