/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* How the library's functions are compiled: into their callers, so that what is constant there folds. */
#ifndef INKEV_INLINE_H
#define INKEV_INLINE_H

#define IKV_INLINE static inline __attribute__((always_inline, unused))
#define IKV_LIKELY(condition) __builtin_expect(!!(condition), 1)
#define IKV_UNLIKELY(condition) __builtin_expect(!!(condition), 0)

/* Hide from the compiler what it knows of a value: it may then neither narrow it nor make a branch of it. */
#define IKV_OPAQUE(value) asm("" : "+r"(value))

#endif
