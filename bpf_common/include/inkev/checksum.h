/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Internet checksums, changed without reading what they cover (RFC 1624). A change is a one's complement sum of
 * ~old + new over 16-bit words in memory order, so values are taken as they lie in the packet.
 */
#ifndef INKEV_CHECKSUM_H
#define INKEV_CHECKSUM_H

#include <linux/types.h>

#include <inkev/inline.h>

IKV_INLINE __u32 ikv_sum_add(__u32 sum, __u32 value)
{
	__u64 wide = (__u64)sum + value;

	return (__u32)wide + (__u32)(wide >> 32);
}

/* The change when 32 or fewer bits go from `from` to `to`. */
IKV_INLINE __u32 ikv_sum_change(__u32 from, __u32 to)
{
	return ikv_sum_add(~from, to);
}

IKV_INLINE __u16 ikv_sum_fold(__u32 sum)
{
	sum = (sum & 0xffff) + (sum >> 16);
	sum = (sum & 0xffff) + (sum >> 16);
	return (__u16)sum;
}

/* The checksum after a change. */
IKV_INLINE __sum16 ikv_checksum_apply(__sum16 checksum, __u32 change)
{
	return (__sum16)~ikv_sum_fold(ikv_sum_add((__u16)~checksum, change));
}

#endif
