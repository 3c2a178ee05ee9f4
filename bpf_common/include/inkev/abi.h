/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What crosses between network functions and the generated walk.
 *
 * The linker (inkev/toolchain) writes the walk as LLVM IR against exactly these offsets; the assertions at the end
 * are its contract. Nothing here is for authors: they include <inkev/nf.h>.
 */
#ifndef INKEV_ABI_H
#define INKEV_ABI_H

#include <linux/types.h>

/*
 * A verdict is (kind << 16) | argument. Zero is a drop without a reason, so forgetting to decide is safe.
 */
enum ikv_verdict_kind {
	IKV_VERDICT_DROP = 0,	  /* argument: drop reason */
	IKV_VERDICT_FORWARD = 1,  /* argument: output port number */
	IKV_VERDICT_PASS = 2,	  /* to the host's stack */
	IKV_VERDICT_TRANSMIT = 3, /* out of the interface it came in by */
	IKV_VERDICT_REDIRECT = 4, /* out of pkt->out_ifindex, whatever that is */
	IKV_VERDICT_PUNT = 5,	  /* argument: code for the control part */
	/*
	 * A copy out of every flood port but the one it entered by; argument: bit mask of the ports
	 * (0 to 15) to choose from, 0 for all.
	 */
	IKV_VERDICT_FLOOD = 6,
};

/* Drop reasons that every instance has. Append only: the number is the metric's label for ever. */
enum ikv_drop_reason {
	IKV_DROP_UNSPECIFIED = 0,
	IKV_DROP_MALFORMED = 1,
	IKV_DROP_TTL_EXPIRED = 2,
	IKV_DROP_NO_ROUTE = 3,
	IKV_DROP_NO_NEIGHBOUR = 4,
	IKV_DROP_POLICY = 5,
	IKV_DROP_RATE = 6,
	IKV_DROP_TABLE_FULL = 7,
	IKV_DROP_UNSUPPORTED = 8,
	IKV_DROP_NO_MEMORY = 9,
	IKV_DROP_TOO_BIG = 10,
	IKV_DROP_NO_CONTROL = 11,
	IKV_DROP_LOOP = 12,
	IKV_DROP_FIRST_PRIVATE = 16, /* an NF's own, in the order of [reasons] */
};

/* Drop counters of the whole graph, in the block's header. */
enum ikv_graph_reason {
	IKV_GRAPH_MISSED_TAIL_CALL = 0, /* a slot was empty */
	IKV_GRAPH_HOP_LIMIT = 1,	/* a cycle ran past the kernel's tail call limit */
	IKV_GRAPH_UNWIRED = 2,		/* forwarded to a port that leads nowhere */
	IKV_GRAPH_NO_DEVICE = 3,	/* the interface behind an edge is gone */
	IKV_GRAPH_NO_CONTROL = 4,	/* punted with no control part */
	IKV_GRAPH_ESCAPED = 5,
	IKV_GRAPH_BAD_VERDICT = 6,
	IKV_GRAPH_DECLARED = 7,	  /* an edge written `-> drop` */
	IKV_GRAPH_NOT_MEMBER = 8, /* pkt->out_ifindex is not in the interface set */
	IKV_GRAPH_REASONS = 16,
};

/* pkt->flags */
#define IKV_PARSED 0x01		/* ether_type, vlan, l3, l4, protocol below are known */
#define IKV_FRAGMENT 0x02	/* part of a fragmented datagram */
#define IKV_LATER_FRAGMENT 0x04 /* not the first: there is no L4 header */
#define IKV_MALFORMED 0x08	/* a length or a bound was wrong: no accessor gives a header */
#define IKV_HAS_L4 0x10	   /* l4 points to a header of l4_protocol that lies within the packet */
#define IKV_BROADCAST 0x20 /* destination MAC is a group address */
#define IKV_CARRIED 0x40   /* only in struct ikv_saved: a packet has crossed a stitch point */

#ifdef IKV_HOOK_TC
typedef struct __sk_buff ikv_ctx;
#else
typedef struct xdp_md ikv_ctx;
#endif

/*
 * A packet on its way through one segment. Lives on the stack of the walk, where LLVM dissolves it into registers once
 * the entries are inlined: never take its address across a helper call.
 */
struct ikv_packet {
	ikv_ctx *ctx;
	void *data; /* start of the frame; ikv_refresh() after anything that moves it */
	void *end;
	void *l3; /* always a packet pointer; the network header where flags say so */
	void *l4;
	__u8 *block; /* the graph's per-CPU block: a map value of IKV_BLOCK_BYTES */
	__u32 in_ifindex;
	__u16 ether_type; /* host order, of the innermost header after VLAN tags */
	__u16 vlan;	  /* outermost VLAN id in host order (12 bits), 0 where untagged */
	__u16 l3_offset;  /* bytes from data */
	__u16 l4_offset;
	__u8 l4_protocol;
	__u8 flags;
	__u8 in_port; /* the port number it entered this instance by */
	__u8 zero;
};

/*
 * What of a packet lives in the block, one per program type, and so crosses a stitch point for nothing: see ikv_kept().
 * The parser leaves its findings here; the walk writes the flags when it leaves a segment.
 */
struct ikv_saved {
	__u32 out_ifindex; /* for an interface set or a redirect: where to */
	__u32 mark;
	__u32 tenant;
	__u32 hash; /* flow hash, 0 until somebody asks */
	__u16 ether_type;
	__u16 vlan;
	__u16 l3_offset;
	__u16 l4_offset;
	__u8 l4_protocol;
	__u8 flags; /* with IKV_CARRIED from just before the tail call until the reader has it */
	__u8 zero[6];
};

#define IKV_BLOCK_BYTES 32768
#define IKV_BLOCK_SAVED_XDP 0
#define IKV_BLOCK_SAVED_TC 64
#define IKV_BLOCK_GRAPH_DROPS 128 /* __u64[IKV_GRAPH_REASONS] */
#define IKV_BLOCK_COUNTERS 512

/*
 * Who an instance is; the linker defines it per instance as a constant. Its region in the block, 8 bytes a counter:
 * packets, IKV_DROP_FIRST_PRIVATE common drops, `reasons` private drops, `metrics` metrics.
 */
struct ikv_self {
	__u32 counters; /* byte offset of the region in the block */
	__u32 reasons;
	__u32 metrics;
	__u32 set_ports; /* bit mask of ports (0 to 31) that lead to an interface set */
	__u64 seed;	 /* not 0 only in tests: time and random become functions of it */
};

_Static_assert(sizeof(struct ikv_packet) == 64, "the walk allocates 64 bytes");
_Static_assert(__builtin_offsetof(struct ikv_packet, block) == 40, "walk ABI");
_Static_assert(__builtin_offsetof(struct ikv_packet, in_ifindex) == 48, "walk ABI");
_Static_assert(__builtin_offsetof(struct ikv_packet, ether_type) == 52, "walk ABI");
_Static_assert(__builtin_offsetof(struct ikv_packet, l4_protocol) == 60, "walk ABI");
_Static_assert(__builtin_offsetof(struct ikv_packet, in_port) == 62, "walk ABI");
_Static_assert(sizeof(struct ikv_saved) == 32, "walk ABI");
_Static_assert(__builtin_offsetof(struct ikv_saved, ether_type) == 16, "walk ABI");
_Static_assert(__builtin_offsetof(struct ikv_saved, flags) == 25, "walk ABI");
_Static_assert(sizeof(struct ikv_self) == 24, "walk ABI");

#endif
