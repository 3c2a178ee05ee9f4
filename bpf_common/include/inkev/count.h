/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The instance's own numbers in the graph's per-CPU block. No lookup: the offset is a constant once linked, and nobody
 * else runs on this CPU's block at the same time.
 */
#ifndef INKEV_COUNT_H
#define INKEV_COUNT_H

#include <inkev/context.h>

/* Who this instance is; the linker defines it. */
extern const struct ikv_self ikv_self;

#define IKV_COUNTER_MASK (IKV_BLOCK_BYTES - 8)

/* Add `n` to a metric, numbered as in [metrics]. */
IKV_INLINE void ikv_add(struct ikv_packet *pkt, __u32 metric, __u64 n)
{
	__u32 index = 1 + IKV_DROP_FIRST_PRIVATE + ikv_self.reasons + metric;

	*(__u64 *)(pkt->block + ((ikv_self.counters + 8 * index) & IKV_COUNTER_MASK)) += n;
}

/* Add one to a metric. */
IKV_INLINE void ikv_count(struct ikv_packet *pkt, __u32 metric)
{
	ikv_add(pkt, metric, 1);
}

#endif
