/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Changing headers with their checksums. All return 0 or a negative drop reason, and leave the packet as it was where
 * they fail. On tc a checksum change moves the packet's bounds: take header pointers again afterwards.
 */
#ifndef INKEV_REWRITE_H
#define INKEV_REWRITE_H

#include <inkev/parse.h>

/* Make the first `bytes` writable through pointers; header pointers taken before are dead. */
IKV_INLINE int ikv_writable(struct ikv_packet *pkt, __u32 bytes)
{
	return ikv_pull(pkt, bytes);
}

IKV_INLINE int ikv_set_macs(struct ikv_packet *pkt, const __u8 dst[6], const __u8 src[6])
{
	struct ikv_eth *eth = ikv_eth(pkt);

	if (!eth)
		return -IKV_DROP_MALFORMED;
	ikv_copy_mac(eth->dst, dst);
	ikv_copy_mac(eth->src, src);
	return 0;
}

/* -IKV_DROP_TTL_EXPIRED where it would reach 0. The header's checksum absorbs the change, so tc needs no helper. */
IKV_INLINE int ikv_ipv4_decrease_ttl(struct ikv_packet *pkt)
{
	struct ikv_ipv4 *ip = ikv_ipv4(pkt);

	if (!ip)
		return -IKV_DROP_UNSUPPORTED;
	if (ip->ttl <= 1)
		return -IKV_DROP_TTL_EXPIRED;
	ip->checksum =
		ikv_checksum_apply(ip->checksum, ikv_sum_change(bpf_htons(ip->ttl << 8),
								bpf_htons((ip->ttl - 1) << 8)));
	ip->ttl--;
	return 0;
}

IKV_INLINE int ikv_ipv6_decrease_hop_limit(struct ikv_packet *pkt)
{
	struct ikv_ipv6 *ip = ikv_ipv6(pkt);

	if (!ip)
		return -IKV_DROP_UNSUPPORTED;
	if (ip->hop_limit <= 1)
		return -IKV_DROP_TTL_EXPIRED;
	ip->hop_limit--;
	ikv_note_change(pkt, ikv_sum_change(bpf_htons(1), 0)); /* the low byte of its 16-bit word */
	return 0;
}

/* Where the checksum stands in the transport header; -1 where there is none to change. */
IKV_INLINE int ikv_l4_checksum_at(struct ikv_packet *pkt)
{
	if (!(pkt->flags & IKV_HAS_L4))
		return -1;
	if (pkt->l4_protocol == IKV_PROTO_TCP)
		return __builtin_offsetof(struct ikv_tcp, checksum);
	if (pkt->l4_protocol == IKV_PROTO_UDP)
		return __builtin_offsetof(struct ikv_udp, checksum);
	if (pkt->l4_protocol == IKV_PROTO_ICMPV6)
		return __builtin_offsetof(struct ikv_icmpv6, checksum);
	return -1;
}

IKV_INLINE __u32 ikv_udp_flags(struct ikv_packet *pkt)
{
	return pkt->l4_protocol == IKV_PROTO_UDP ? BPF_F_MARK_MANGLED_0 : 0;
}

IKV_INLINE int ikv_ipv4_set_address(struct ikv_packet *pkt, __u32 offset, __be32 address)
{
	struct ikv_ipv4 *ip = ikv_ipv4(pkt);
	__be32 *field = (void *)ip + offset;
	__u32 change;
	int at;

	if (!ip)
		return -IKV_DROP_UNSUPPORTED;
	change = ikv_sum_change(*field, address);
	ip->checksum = ikv_checksum_apply(ip->checksum, change);
	*field = address;
	ikv_kept(pkt)->hash = 0;
	at = ikv_l4_checksum_at(pkt);
	if (at < 0 || pkt->l4_protocol == IKV_PROTO_ICMPV6)
		return 0;
	return ikv_l4_checksum_change(pkt, at, change, BPF_F_PSEUDO_HDR | ikv_udp_flags(pkt));
}

IKV_INLINE int ikv_ipv4_set_src(struct ikv_packet *pkt, __be32 address)
{
	return ikv_ipv4_set_address(pkt, __builtin_offsetof(struct ikv_ipv4, src), address);
}

IKV_INLINE int ikv_ipv4_set_dst(struct ikv_packet *pkt, __be32 address)
{
	return ikv_ipv4_set_address(pkt, __builtin_offsetof(struct ikv_ipv4, dst), address);
}

/* Write an IPv6 address; returns the change of the sum over it. */
IKV_INLINE __u32 ikv_ipv6_write(__be32 field[4], const __be32 address[4])
{
	__u32 change = 0;

	for (int i = 0; i < 4; i++) {
		change = ikv_sum_add(change, ikv_sum_change(field[i], address[i]));
		field[i] = address[i];
	}
	return change;
}

IKV_INLINE int ikv_ipv6_set_address(struct ikv_packet *pkt, __u32 offset, const __be32 address[4])
{
	struct ikv_ipv6 *ip = ikv_ipv6(pkt);
	__u32 change;
	int at;

	if (!ip)
		return -IKV_DROP_UNSUPPORTED;
	change = ikv_ipv6_write((void *)ip + offset, address);
	ikv_kept(pkt)->hash = 0;
	at = ikv_l4_checksum_at(pkt);
	if (at < 0) {
		ikv_note_change(pkt, change);
		return 0;
	}
	return ikv_l4_checksum_change(pkt, at, change, BPF_F_PSEUDO_HDR | ikv_udp_flags(pkt));
}

IKV_INLINE int ikv_ipv6_set_src(struct ikv_packet *pkt, const __be32 address[4])
{
	return ikv_ipv6_set_address(pkt, __builtin_offsetof(struct ikv_ipv6, src), address);
}

IKV_INLINE int ikv_ipv6_set_dst(struct ikv_packet *pkt, const __be32 address[4])
{
	return ikv_ipv6_set_address(pkt, __builtin_offsetof(struct ikv_ipv6, dst), address);
}

/* Change a port of TCP or UDP, whose headers begin alike; others are -IKV_DROP_UNSUPPORTED. */
IKV_INLINE int ikv_l4_set_port(struct ikv_packet *pkt, __u32 offset, __be16 port)
{
	int at;
	__be16 *field;
	__u32 change;

	ikv_parse(pkt);
	at = ikv_l4_checksum_at(pkt);
	if (at < 0 || pkt->l4_protocol == IKV_PROTO_ICMPV6 ||
	    pkt->l4 + sizeof(struct ikv_udp) > pkt->end)
		return -IKV_DROP_UNSUPPORTED;
	field = pkt->l4 + offset;
	change = ikv_sum_change(*field, port);
	*field = port;
	ikv_kept(pkt)->hash = 0;
	return ikv_l4_checksum_change(pkt, at, change, ikv_udp_flags(pkt));
}

IKV_INLINE int ikv_l4_set_src_port(struct ikv_packet *pkt, __be16 port)
{
	return ikv_l4_set_port(pkt, __builtin_offsetof(struct ikv_udp, src), port);
}

IKV_INLINE int ikv_l4_set_dst_port(struct ikv_packet *pkt, __be16 port)
{
	return ikv_l4_set_port(pkt, __builtin_offsetof(struct ikv_udp, dst), port);
}

#endif
