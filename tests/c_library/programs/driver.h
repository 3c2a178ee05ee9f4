/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* A walk of one instance, in C: what the linker generates, reduced to what a test of the library needs. */
#ifndef DRIVER_H
#define DRIVER_H

#include <inkev/nf.h>

const struct ikv_self ikv_self = {.counters = IKV_BLOCK_COUNTERS, .reasons = 4, .metrics = 8};

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u8[IKV_BLOCK_BYTES]);
} ikv_block SEC(".maps");

char _license[] SEC("license") = "Dual BSD/GPL";

/* 0 where the packet can be looked at. */
IKV_INLINE int begin(struct ikv_packet *pkt, ikv_ctx *ctx)
{
	__u32 zero = 0;

	pkt->ctx = ctx;
	pkt->block = bpf_map_lookup_elem(&ikv_block, &zero);
	ikv_refresh(pkt);
	if (!pkt->block)
		return -1;
	__builtin_memset(ikv_kept(pkt), 0, sizeof(struct ikv_saved)); /* as the walk begins */
	return 0;
}

/* A program that returns the entry's verdict. */
#define DRIVE(name, entry)                                  \
	SEC("segment/" #name) int name(ikv_ctx *ctx)        \
	{                                                   \
		struct ikv_packet pkt = {};                 \
                                                            \
		return begin(&pkt, ctx) ? -1 : entry(&pkt); \
	}

/* A program for tc that lets through what is forwarded. */
#define DRIVE_LIVE(name, entry)                                          \
	SEC("segment/" #name) int name(ikv_ctx *ctx)                     \
	{                                                                \
		struct ikv_packet pkt = {};                              \
                                                                         \
		if (begin(&pkt, ctx))                                    \
			return 2;                                        \
		return entry(&pkt) >> 16 == IKV_VERDICT_FORWARD ? 0 : 2; \
	}

#endif
