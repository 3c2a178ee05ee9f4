/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* @name@: what network functions may include. */
#ifndef @IDENT@_H
#define @IDENT@_H

#include <linux/types.h>

/* Return the larger of two numbers. */
static inline __attribute__((always_inline)) __u32 @ident@_max(__u32 a, __u32 b)
{
	return a > b ? a : b;
}

#endif
