/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What the slow paths share. Each is a function of its own, verified once and never inlined, that looks at the packet
 * afresh: the fast path's registers stay its own. They return verdicts.
 */
#ifndef ROUTER_SLOW_H
#define ROUTER_SLOW_H

#include "tables.h"

#define RT_SLOW __attribute__((noinline)) int

#define RT_ICMP_UNREACHABLE 3
#define RT_ICMP_TIME_EXCEEDED 11
#define RT_ICMP6_UNREACHABLE 1
#define RT_ICMP6_TOO_BIG 2
#define RT_ICMP6_TIME_EXCEEDED 3
#define RT_ND_SOLICIT 135
#define RT_ND_ADVERT 136

#define RT_PORT(port) ((port) & (RT_PORTS - 1))

#define RT_QUOTE 120 /* bytes of the offending packet that an error quotes */

struct rt_message {
	__u8 type;
	__u8 code;
	__sum16 checksum;
	__be32 rest;
	__u8 quote[RT_QUOTE];
};

/*
 * What an error needs: how many were sent in this window, and room to sum a message in. Packets may end before it does,
 * and what is missing counts as zeros.
 */
struct rt_scratch {
	__u64 window;
	__u64 sent;
	struct rt_message message;
};

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct rt_scratch);
} scratch SEC(".maps");

/* What the fast path found out, in one word. */
IKV_INLINE __u32 rt_where(const struct ikv_packet *pkt)
{
	return pkt->l4_offset | (__u32)pkt->l4_protocol << 16 | (__u32)pkt->flags << 24;
}

/* The packet as the fast path knew it, without parsing again: untagged, of `ether_type`. */
IKV_INLINE void rt_look(struct ikv_packet *pkt, ikv_ctx *ctx, __u16 ether_type, __u32 where)
{
	__builtin_memset(pkt, 0, sizeof(*pkt));
	pkt->ctx = ctx;
	pkt->ether_type = ether_type;
	pkt->l3_offset = sizeof(struct ikv_eth);
	pkt->l4_offset = where & 0xffff;
	pkt->l4_protocol = where >> 16;
	pkt->flags = ((where >> 24) & ~IKV_MALFORMED) | IKV_PARSED;
	ikv_refresh(pkt);
}

/*
 * The frame, where `bytes` of its network header are there; otherwise NULL. One check for both headers: where each is
 * asked for and all are tested together, LLVM may test a bound twice with others in between, of which the verifier
 * remembers only the last.
 */
IKV_INLINE struct ikv_eth *rt_frame(struct ikv_packet *pkt, __u32 bytes)
{
	struct ikv_eth *eth = pkt->data;

	return (void *)(eth + 1) + bytes > pkt->end ? (void *)0 : eth;
}

/* Send it back to where it came from. */
IKV_INLINE void rt_swap_macs(struct ikv_eth *eth)
{
	__u8 mac[6];

	ikv_copy_mac(mac, eth->dst);
	ikv_copy_mac(eth->dst, eth->src);
	ikv_copy_mac(eth->src, mac);
}

/* Errors are rationed per CPU in windows of 2^30 ns (RFC 1812, 4.3.2.8; RFC 4443, 2.4 f). */
IKV_INLINE int rt_may_send_error(struct rt_scratch *own)
{
	__u64 window = bpf_ktime_get_ns() >> 30;

	if (own->window != window) {
		own->window = window;
		own->sent = 0;
	}
	return own->sent++ < config.errors;
}

IKV_INLINE struct rt_scratch *rt_scratch_of(void)
{
	__u32 zero = 0;

	return bpf_map_lookup_elem(&scratch, &zero);
}

/* Copy `bytes` of the packet from its network header on into the quotation; 0 or negative. */
IKV_INLINE int rt_quote(struct ikv_packet *pkt, struct rt_message *message, __u32 bytes)
{
	if (bytes < 20 || bytes > RT_QUOTE)
		return -IKV_DROP_MALFORMED;
	__builtin_memset(message->quote, 0, sizeof(message->quote));
	return ikv_load(pkt, sizeof(struct ikv_eth), message->quote, bytes);
}

/*
 * A sender may leave its TCP or UDP checksum to the device (CHECKSUM_PARTIAL): what is quoted is then the pseudo header's
 * sum, and a device on the way back that finishes it, with ~(field + rest), spoils the error's own checksum. So the field
 * becomes the one value that finishing leaves as it is: half of ~rest, in arithmetic modulo 0xffff, and not 0
 * (skb_checksum_help). `header` is the length of an IP header without options, `pseudo` the sum that gives it away.
 */
IKV_INLINE int rt_settle_checksum(struct ikv_packet *pkt, struct rt_message *message, __u32 header,
				  __u32 quoted, __u32 pseudo)
{
	__u32 at = header + (pkt->l4_protocol == IKV_PROTO_TCP ? 16 : 6), rest;
	ikv_half *field = (void *)(message->quote + at);
	__u16 settled;
	__s64 sum;

	if (pkt->l4_protocol != IKV_PROTO_TCP && pkt->l4_protocol != IKV_PROTO_UDP)
		return 0;
	if (pkt->l4_offset != sizeof(struct ikv_eth) + header || quoted < at + sizeof(*field) ||
	    *field != (__u16)ikv_sum_fold(pseudo))
		return 0;
	sum = bpf_csum_diff(0, 0, (void *)(message->quote + header), RT_QUOTE - header, 0);
	rest = ikv_sum_fold((__u32)sum) + (__u16) ~*field;
	rest = (__u16)~ikv_sum_fold(rest);
	settled = (rest & 1 ? rest + 0xffff : rest) / 2;
	if (!settled)
		settled = 0xffff;
	*field = settled;
	return ikv_store(pkt, sizeof(struct ikv_eth) + at, &settled, sizeof(settled));
}

IKV_INLINE __sum16 rt_sum_message(struct rt_message *message, __u32 start)
{
	__s64 sum = bpf_csum_diff(0, 0, (void *)message, sizeof(*message), start);

	return (__sum16)~ikv_sum_fold((__u32)sum);
}

#endif
