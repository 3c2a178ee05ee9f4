/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Time and chance. Where the instance has a seed (in tests) both are functions of it, so that runs can be compared. */
#ifndef INKEV_TIME_H
#define INKEV_TIME_H

#include <inkev/count.h>
#include <inkev/hash.h>

/* Nanoseconds since boot, suspended time left out; a clock that stands at the seed in tests. */
IKV_INLINE __u64 ikv_now_ns(struct ikv_packet *pkt)
{
	(void)pkt;
	return ikv_self.seed ? ikv_self.seed : bpf_ktime_get_ns();
}

/*
 * Ticks of the kernel's timer, 100 to 1,000 a second: read in place, where a clock costs a call and 25 to 50 ns. For
 * questions like "was this looked at about a second ago".
 */
IKV_INLINE __u64 ikv_ticks(struct ikv_packet *pkt)
{
	(void)pkt;
	return ikv_self.seed ? ikv_self.seed : bpf_jiffies64();
}

/* Not for secrets. */
IKV_INLINE __u32 ikv_random(struct ikv_packet *pkt)
{
	if (!ikv_self.seed)
		return bpf_get_prandom_u32();
	return (__u32)ikv_mix(ikv_self.seed + ikv_self.counters, ikv_length(pkt));
}

#endif
