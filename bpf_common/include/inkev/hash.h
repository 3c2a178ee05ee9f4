/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Spreads keys. One multiplication a word; no defence against somebody who chooses keys to collide. */
#ifndef INKEV_HASH_H
#define INKEV_HASH_H

#include <inkev/context.h>

/* Odd, with about as many ones as zeros: 2^64 divided by the golden ratio. */
#define IKV_HASH_MULTIPLIER 0x9e3779b97f4a7c15ULL

/* Fold one more word into a hash. The upper half of a product is the well mixed one, so it is brought down. */
IKV_INLINE __u64 ikv_mix(__u64 hash, __u64 word)
{
	hash = (hash ^ word) * IKV_HASH_MULTIPLIER;
	return hash ^ hash >> 32;
}

#endif
