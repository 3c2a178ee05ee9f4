/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * All that differs between xdp and tc. The toolchain defines IKV_HOOK_XDP or IKV_HOOK_TC; no other header asks which.
 *
 * Whatever moves or may move the packet's bytes ends with ikv_refresh(): pointers taken before it are dead.
 */
#ifndef INKEV_CONTEXT_H
#define INKEV_CONTEXT_H

#include <linux/bpf.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#include <inkev/abi.h>
#include <inkev/headers.h>

#define IKV_INLINE static inline __attribute__((always_inline, unused))
#define IKV_LIKELY(condition) __builtin_expect(!!(condition), 1)
#define IKV_UNLIKELY(condition) __builtin_expect(!!(condition), 0)

/* Read the packet's bounds from the context again. Headers stay where they were: see ikv_rederive(). */
IKV_INLINE void ikv_refresh(struct ikv_packet *pkt)
{
	pkt->data = (void *)(long)pkt->ctx->data;
	pkt->end = (void *)(long)pkt->ctx->data_end;
}

#ifdef IKV_HOOK_TC

#define IKV_PULL_BYTES 256 /* link, network, extension and transport headers together */

/* Whole packet in bytes, GSO and paged data included. */
IKV_INLINE __u32 ikv_length(struct ikv_packet *pkt)
{
	return pkt->ctx->len;
}

/* Bring the headers into the linear part, where a program can reach them. */
IKV_INLINE void ikv_linearise(struct ikv_packet *pkt)
{
	__u32 linear = (__u32)((long)pkt->end - (long)pkt->data);
	__u32 length = pkt->ctx->len;

	if (IKV_LIKELY(linear >= IKV_PULL_BYTES || linear >= length))
		return;
	if (length > IKV_PULL_BYTES)
		length = IKV_PULL_BYTES;
	bpf_skb_pull_data(pkt->ctx, length);
	ikv_refresh(pkt);
}

/* The tag that the device took off the frame: its id with bit 12 set, or 0 where there is none. */
IKV_INLINE __u16 ikv_offloaded_vlan(struct ikv_packet *pkt)
{
	if (!pkt->ctx->vlan_present)
		return 0;
	return (pkt->ctx->vlan_tci & 0x0fff) | 0x1000;
}

/* True where a length field of 0 means more than 65,535 bytes (BIG TCP), which only a GSO packet can carry. */
IKV_INLINE int ikv_is_jumbo(struct ikv_packet *pkt)
{
	return pkt->ctx->len > 0xffff;
}

#else

IKV_INLINE __u32 ikv_length(struct ikv_packet *pkt)
{
	return (__u32)((long)pkt->end - (long)pkt->data);
}

/* A frame lies in one piece here. */
IKV_INLINE void ikv_linearise(struct ikv_packet *pkt)
{
	(void)pkt;
}

IKV_INLINE __u16 ikv_offloaded_vlan(struct ikv_packet *pkt)
{
	(void)pkt;
	return 0;
}

IKV_INLINE int ikv_is_jumbo(struct ikv_packet *pkt)
{
	(void)pkt;
	return 0;
}

#endif

#endif
