/* unroll: loops over registers. Such a loop must vanish, or its vectors would live in memory; gcc and clang are asked
 * differently. */
#ifndef KERNEL_UNROLL_H
#define KERNEL_UNROLL_H

#define INLINE static inline __attribute__((always_inline))

#define PRAGMA(x) _Pragma(#x)
#if defined(__clang__)
#define UNROLL(n) PRAGMA(clang loop unroll(full))
#else
#define UNROLL(n) PRAGMA(GCC unroll n)
#endif

#endif
