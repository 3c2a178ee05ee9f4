/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Where the headers are. The first who asks parses; what was found stays in struct ikv_packet for the rest of the
 * segment, and LLVM folds every later question whose answer is known on all paths.
 *
 * Two rules keep the verifier content on merged paths. After ikv_parse() `l3` and `l4` are always packet pointers, so
 * what is at them is told by the flags alone; and each accessor checks its own bounds, so that it does not matter
 * whether the verifier still knows what the parser proved. That also holds after a stitch point, where the walk makes
 * the pointers again from saved offsets.
 */
#ifndef INKEV_PARSE_H
#define INKEV_PARSE_H

#include <inkev/context.h>

#define IKV_VLAN_DEPTH 2
#define IKV_EXTENSION_DEPTH 6

/* Extension headers that are stepped over, as bits of a 64-bit word. */
#define IKV_EXTENSION_BITS                                                                       \
	(1ULL << IKV_PROTO_HOP_BY_HOP | 1ULL << IKV_PROTO_ROUTING | 1ULL << IKV_PROTO_FRAGMENT | \
	 1ULL << IKV_PROTO_AH | 1ULL << IKV_PROTO_DESTINATION)

IKV_INLINE int ikv_malformed(struct ikv_packet *pkt)
{
	pkt->flags |= IKV_MALFORMED;
	return -IKV_DROP_MALFORMED;
}

IKV_INLINE int ikv_is_vlan_type(__be16 type)
{
	return type == bpf_htons(IKV_ETHER_VLAN) || type == bpf_htons(IKV_ETHER_QINQ);
}

/* Step over up to IKV_VLAN_DEPTH tags; the outermost one's id is kept. */
IKV_INLINE int ikv_parse_tags(struct ikv_packet *pkt, __be16 type)
{
	struct ikv_vlan_tag *tag = pkt->data + sizeof(struct ikv_eth);

	for (int depth = 0; depth < IKV_VLAN_DEPTH; depth++, tag++) {
		if (!ikv_is_vlan_type(type))
			break;
		if ((void *)(tag + 1) > pkt->end)
			return ikv_malformed(pkt);
		if (depth == 0 && !pkt->vlan)
			pkt->vlan = bpf_ntohs(tag->tci) & 0x0fff;
		type = tag->type;
		pkt->l3_offset += sizeof(*tag);
	}
	pkt->ether_type = bpf_ntohs(type);
	return 0;
}

IKV_INLINE int ikv_parse_link(struct ikv_packet *pkt)
{
	struct ikv_eth *eth = pkt->data;

	pkt->l3 = pkt->data;
	pkt->l4 = pkt->data;
	pkt->l3_offset = sizeof(*eth);
	pkt->l4_offset = 0;
	pkt->l4_protocol = 0;
	pkt->ether_type = 0;
	pkt->vlan = ikv_offloaded_vlan(pkt) & 0x0fff;
	if ((void *)(eth + 1) > pkt->end)
		return ikv_malformed(pkt);
	if (eth->dst[0] & 1)
		pkt->flags |= IKV_BROADCAST;
	if (IKV_LIKELY(!ikv_is_vlan_type(eth->type))) {
		pkt->ether_type = bpf_ntohs(eth->type);
		return 0;
	}
	return ikv_parse_tags(pkt, eth->type);
}

/* `left`: bytes from the transport header to the end of the datagram. */
IKV_INLINE int ikv_parse_tcp(struct ikv_packet *pkt, __u32 left)
{
	struct ikv_tcp *tcp = pkt->l4;
	__u32 bytes;

	if ((void *)(tcp + 1) > pkt->end)
		return ikv_malformed(pkt);
	bytes = (tcp->data_offset >> 4) * 4;
	if (bytes < sizeof(*tcp) || bytes > left)
		return ikv_malformed(pkt);
	pkt->flags |= IKV_HAS_L4;
	return 0;
}

IKV_INLINE int ikv_parse_short(struct ikv_packet *pkt, __u32 left)
{
	if (left < sizeof(struct ikv_udp) || pkt->l4 + sizeof(struct ikv_udp) > pkt->end)
		return ikv_malformed(pkt);
	pkt->flags |= IKV_HAS_L4;
	return 0;
}

IKV_INLINE int ikv_parse_transport(struct ikv_packet *pkt, __u32 left)
{
	pkt->l4 = pkt->data + (pkt->l4_offset & IKV_OFFSET_MASK);
	if (pkt->flags & IKV_LATER_FRAGMENT)
		return 0;
	if (pkt->l4_protocol == IKV_PROTO_TCP)
		return ikv_parse_tcp(pkt, left);
	if (pkt->l4_protocol == IKV_PROTO_UDP || pkt->l4_protocol == IKV_PROTO_ICMP ||
	    pkt->l4_protocol == IKV_PROTO_ICMPV6)
		return ikv_parse_short(pkt, left);
	return 0;
}

/* Bytes that the frame holds from the network header on. */
IKV_INLINE __u32 ikv_bytes_after_link(struct ikv_packet *pkt)
{
	return ikv_length(pkt) - pkt->l3_offset;
}

IKV_INLINE int ikv_parse_ipv4(struct ikv_packet *pkt)
{
	struct ikv_ipv4 *ip = pkt->l3;
	__u32 left = ikv_bytes_after_link(pkt), header, total;

	if ((void *)(ip + 1) > pkt->end)
		return ikv_malformed(pkt);
	header = (ip->version_ihl & 0x0f) * 4;
	total = bpf_ntohs(ip->total_length);
	if (!total && ikv_is_jumbo(pkt))
		total = left;
	if (ip->version_ihl >> 4 != 4 || header < sizeof(*ip) || total < header || total > left)
		return ikv_malformed(pkt);
	if (ip->fragment & bpf_htons(IKV_IPV4_MORE_FRAGMENTS | IKV_IPV4_FRAGMENT_OFFSET))
		pkt->flags |= IKV_FRAGMENT;
	if (ip->fragment & bpf_htons(IKV_IPV4_FRAGMENT_OFFSET))
		pkt->flags |= IKV_LATER_FRAGMENT;
	pkt->l4_protocol = ip->protocol;
	pkt->l4_offset = pkt->l3_offset + header;
	return ikv_parse_transport(pkt, total - header);
}

IKV_INLINE int ikv_is_extension(__u8 protocol)
{
	return protocol < 64 && (IKV_EXTENSION_BITS >> protocol & 1);
}

/* Note what a fragment header says. Not a fragment at all where both offset and more flag are 0 (RFC 6946). */
IKV_INLINE void ikv_parse_fragment(struct ikv_packet *pkt, const struct ikv_ipv6_extension *header)
{
	__u16 fragment = bpf_ntohs(header->fragment);

	if (fragment & 0xfff9)
		pkt->flags |= IKV_FRAGMENT;
	if (fragment & 0xfff8)
		pkt->flags |= IKV_LATER_FRAGMENT;
}

IKV_INLINE __u32 ikv_extension_bytes(__u8 protocol, const struct ikv_ipv6_extension *header)
{
	if (protocol == IKV_PROTO_FRAGMENT)
		return sizeof(*header);
	if (protocol == IKV_PROTO_AH)
		return (header->length + 2) * 4; /* RFC 4302, 2.2 */
	return (header->length + 1) * 8;
}

/* Step over extension headers (RFC 8200, 4); more than IKV_EXTENSION_DEPTH of them is malformed. */
IKV_INLINE int ikv_parse_extensions(struct ikv_packet *pkt, __u32 *left)
{
	__u32 offset = pkt->l4_offset;
	__u8 protocol = pkt->l4_protocol;

#pragma clang loop unroll(disable)
	for (int depth = 0; depth < IKV_EXTENSION_DEPTH; depth++) {
		struct ikv_ipv6_extension *header = pkt->data + (offset & IKV_OFFSET_MASK);
		__u32 bytes;

		if (!ikv_is_extension(protocol) || pkt->flags & IKV_LATER_FRAGMENT)
			break;
		if ((void *)(header + 1) > pkt->end)
			return ikv_malformed(pkt);
		bytes = ikv_extension_bytes(protocol, header);
		if (bytes > *left || offset + bytes > IKV_OFFSET_MASK)
			return ikv_malformed(pkt);
		if (protocol == IKV_PROTO_FRAGMENT)
			ikv_parse_fragment(pkt, header);
		*left -= bytes;
		offset += bytes;
		protocol = header->next_header;
	}
	pkt->l4_offset = offset;
	pkt->l4_protocol = protocol;
	if (ikv_is_extension(protocol) && !(pkt->flags & IKV_LATER_FRAGMENT))
		return ikv_malformed(pkt);
	return 0;
}

IKV_INLINE int ikv_parse_ipv6(struct ikv_packet *pkt)
{
	struct ikv_ipv6 *ip = pkt->l3;
	__u32 left = ikv_bytes_after_link(pkt) - sizeof(*ip), payload;

	if ((void *)(ip + 1) > pkt->end)
		return ikv_malformed(pkt);
	payload = bpf_ntohs(ip->payload_length);
	if (!payload && ikv_is_jumbo(pkt))
		payload = left;
	if (*(__u8 *)ip >> 4 != 6 || payload > left)
		return ikv_malformed(pkt);
	pkt->l4_protocol = ip->next_header;
	pkt->l4_offset = pkt->l3_offset + sizeof(*ip);
	if (IKV_UNLIKELY(ikv_is_extension(ip->next_header)) && ikv_parse_extensions(pkt, &payload))
		return -IKV_DROP_MALFORMED;
	return ikv_parse_transport(pkt, payload);
}

IKV_INLINE int ikv_parse_network(struct ikv_packet *pkt)
{
	pkt->l3 = pkt->data + (pkt->l3_offset & IKV_OFFSET_MASK);
	if (pkt->ether_type == IKV_ETHER_IPV4)
		return ikv_parse_ipv4(pkt);
	if (pkt->ether_type == IKV_ETHER_IPV6)
		return ikv_parse_ipv6(pkt);
	if (pkt->ether_type == IKV_ETHER_ARP && pkt->l3 + sizeof(struct ikv_arp) > pkt->end)
		return ikv_malformed(pkt);
	return 0;
}

/* All of struct ikv_packet that comes from headers is known afterwards. 0, or -IKV_DROP_MALFORMED. */
IKV_INLINE int ikv_parse(struct ikv_packet *pkt)
{
	if (!(pkt->flags & IKV_PARSED)) {
		pkt->flags = IKV_PARSED;
		ikv_linearise(pkt);
		if (!ikv_parse_link(pkt))
			ikv_parse_network(pkt);
	}
	/* Said once more where all paths meet: LLVM then knows it without looking back, and the next NF's parser vanishes. */
	pkt->flags |= IKV_PARSED;
	return pkt->flags & IKV_MALFORMED ? -IKV_DROP_MALFORMED : 0;
}

/* The network header where it is of `ether_type`, in bounds and not malformed; otherwise NULL. */
IKV_INLINE void *ikv_network(struct ikv_packet *pkt, __u16 ether_type, __u32 bytes)
{
	if (ikv_parse(pkt) || pkt->ether_type != ether_type || pkt->l3 + bytes > pkt->end)
		return (void *)0;
	return pkt->l3;
}

/* The transport header where it is of `protocol` and in bounds; otherwise NULL. */
IKV_INLINE void *ikv_transport(struct ikv_packet *pkt, __u8 protocol, __u32 bytes)
{
	ikv_parse(pkt);
	if (!(pkt->flags & IKV_HAS_L4) || pkt->l4_protocol != protocol ||
	    pkt->l4 + bytes > pkt->end)
		return (void *)0;
	return pkt->l4;
}

IKV_INLINE struct ikv_eth *ikv_eth(struct ikv_packet *pkt)
{
	struct ikv_eth *eth = pkt->data;

	return (void *)(eth + 1) > pkt->end ? (void *)0 : eth;
}

IKV_INLINE struct ikv_arp *ikv_arp(struct ikv_packet *pkt)
{
	return ikv_network(pkt, IKV_ETHER_ARP, sizeof(struct ikv_arp));
}

IKV_INLINE struct ikv_ipv4 *ikv_ipv4(struct ikv_packet *pkt)
{
	return ikv_network(pkt, IKV_ETHER_IPV4, sizeof(struct ikv_ipv4));
}

IKV_INLINE struct ikv_ipv6 *ikv_ipv6(struct ikv_packet *pkt)
{
	return ikv_network(pkt, IKV_ETHER_IPV6, sizeof(struct ikv_ipv6));
}

IKV_INLINE struct ikv_tcp *ikv_tcp(struct ikv_packet *pkt)
{
	return ikv_transport(pkt, IKV_PROTO_TCP, sizeof(struct ikv_tcp));
}

IKV_INLINE struct ikv_udp *ikv_udp(struct ikv_packet *pkt)
{
	return ikv_transport(pkt, IKV_PROTO_UDP, sizeof(struct ikv_udp));
}

IKV_INLINE struct ikv_icmp *ikv_icmp(struct ikv_packet *pkt)
{
	return ikv_transport(pkt, IKV_PROTO_ICMP, sizeof(struct ikv_icmp));
}

IKV_INLINE struct ikv_icmpv6 *ikv_icmpv6(struct ikv_packet *pkt)
{
	return ikv_transport(pkt, IKV_PROTO_ICMPV6, sizeof(struct ikv_icmpv6));
}

#endif
