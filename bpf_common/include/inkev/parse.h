/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Where the headers are. The first who asks parses; what was found stays in struct ikv_packet for the rest of the
 * segment, and later questions fold away once the entries are inlined.
 *
 * What the parser found goes through memory once (ikv_settle), so that the verifier forgets by which of its paths it
 * came: the code behind is checked once, not once for every kind of packet. So nothing but the flags tells what is at
 * `l3` and `l4`, which always point into the packet, and each accessor checks its own bounds. That is also the state
 * behind a stitch point, where the walk makes the pointers again from saved offsets.
 */
#ifndef INKEV_PARSE_H
#define INKEV_PARSE_H

#include <inkev/context.h>

#define IKV_EXTENSION_DEPTH 6

/* Extension headers that are stepped over, as bits of a 64-bit word. */
#define IKV_EXTENSION_BITS                                                                       \
	(1ULL << IKV_PROTO_HOP_BY_HOP | 1ULL << IKV_PROTO_ROUTING | 1ULL << IKV_PROTO_FRAGMENT | \
	 1ULL << IKV_PROTO_AH | 1ULL << IKV_PROTO_DESTINATION)

/* What the parser knows so far; becomes fields of struct ikv_packet. */
struct ikv_found {
	__u16 ether_type;
	__u16 vlan;
	__u16 l3_offset;
	__u16 l4_offset;
	__u8 l4_protocol;
	__u8 flags;
};

IKV_INLINE int ikv_is_vlan_type(__be16 type)
{
	return type == bpf_htons(IKV_ETHER_VLAN) || type == bpf_htons(IKV_ETHER_QINQ);
}

/* 1 where the type is a VLAN tag's, else 0; without a branch. */
IKV_INLINE __u32 ikv_count_vlan_type(__be16 type)
{
	__u32 vlan = type ^ bpf_htons(IKV_ETHER_VLAN), qinq = type ^ bpf_htons(IKV_ETHER_QINQ);

	vlan = (vlan - 1) >> 31;
	qinq = (qinq - 1) >> 31;
	IKV_OPAQUE(vlan);
	return vlan | qinq;
}

/* Step over one tag or two (802.1Q, 802.1ad); the outermost id is kept. */
IKV_INLINE int ikv_parse_tags(struct ikv_packet *pkt, struct ikv_found *found)
{
	struct ikv_vlan_tag *outer = pkt->data + sizeof(struct ikv_eth), *inner;
	__u32 deeper;

	if ((void *)(outer + 1) > pkt->end)
		return -IKV_DROP_MALFORMED;
	if (!found->vlan)
		found->vlan = bpf_ntohs(outer->tci) & 0x0fff;
	deeper = ikv_count_vlan_type(outer->type);
	inner = outer + (deeper & 1);
	if ((void *)(inner + 1) > pkt->end)
		return -IKV_DROP_MALFORMED;
	found->ether_type = bpf_ntohs(inner->type);
	found->l3_offset += sizeof(*outer) * (1 + (deeper & 1));
	return 0;
}

IKV_INLINE int ikv_parse_link(struct ikv_packet *pkt, struct ikv_found *found)
{
	struct ikv_eth *eth = pkt->data;

	if ((void *)(eth + 1) > pkt->end)
		return -IKV_DROP_MALFORMED;
	found->flags |= (eth->dst[0] & 1) * IKV_BROADCAST;
	found->ether_type = bpf_ntohs(eth->type);
	if (IKV_LIKELY(!ikv_is_vlan_type(eth->type)))
		return 0;
	return ikv_parse_tags(pkt, found);
}

/* `left`: bytes from the transport header to the end of the datagram. */
IKV_INLINE int ikv_parse_tcp(struct ikv_packet *pkt, const struct ikv_tcp *tcp, __u32 left)
{
	__u32 bytes;

	if ((void *)(tcp + 1) > pkt->end)
		return -IKV_DROP_MALFORMED;
	bytes = (tcp->data_offset >> 4) * 4;
	return bytes < sizeof(*tcp) || bytes > left ? -IKV_DROP_MALFORMED : 0;
}

IKV_INLINE int ikv_parse_transport(struct ikv_packet *pkt, struct ikv_found *found, __u32 left)
{
	void *l4 = pkt->data + (found->l4_offset & IKV_OFFSET_MASK);
	int failed = 0;

	if (found->flags & IKV_LATER_FRAGMENT)
		return 0;
	if (found->l4_protocol == IKV_PROTO_TCP)
		failed = ikv_parse_tcp(pkt, l4, left);
	else if (found->l4_protocol == IKV_PROTO_UDP || found->l4_protocol == IKV_PROTO_ICMP ||
		 found->l4_protocol == IKV_PROTO_ICMPV6)
		failed = left < sizeof(struct ikv_udp) || l4 + sizeof(struct ikv_udp) > pkt->end;
	else
		return 0;
	if (failed)
		return -IKV_DROP_MALFORMED;
	found->flags |= IKV_HAS_L4;
	return 0;
}

IKV_INLINE int ikv_parse_ipv4(struct ikv_packet *pkt, struct ikv_found *found, void *l3)
{
	struct ikv_ipv4 *ip = l3;
	__u32 header, total;

	if ((void *)(ip + 1) > pkt->end)
		return -IKV_DROP_MALFORMED;
	header = (ip->version_ihl & 0x0f) * 4;
	total = bpf_ntohs(ip->total_length);
	if (!total && ikv_is_jumbo(pkt))
		total = ikv_length(pkt) - found->l3_offset;
	if (ip->version_ihl >> 4 != 4 || header < sizeof(*ip) || total < header ||
	    !ikv_holds(pkt, l3, found->l3_offset, total))
		return -IKV_DROP_MALFORMED;
	if (ip->fragment & bpf_htons(IKV_IPV4_MORE_FRAGMENTS | IKV_IPV4_FRAGMENT_OFFSET))
		found->flags |= IKV_FRAGMENT;
	if (ip->fragment & bpf_htons(IKV_IPV4_FRAGMENT_OFFSET))
		found->flags |= IKV_LATER_FRAGMENT;
	found->l4_protocol = ip->protocol;
	found->l4_offset = found->l3_offset + header;
	return ikv_parse_transport(pkt, found, total - header);
}

IKV_INLINE int ikv_is_extension(__u8 protocol)
{
	return protocol < 64 && (IKV_EXTENSION_BITS >> protocol & 1);
}

/* 1 where `protocol` is `wanted`, else 0; without a branch. */
IKV_INLINE __u32 ikv_equals(__u8 protocol, __u8 wanted)
{
	__u32 difference = protocol ^ wanted;

	difference = (difference - 1) >> 31;
	IKV_OPAQUE(difference);
	return difference & 1;
}

/*
 * Bytes of an extension header: its length counts words of 8 bytes beyond the first (RFC 8200, 4), for AH words of 4
 * beyond the second (RFC 4302, 2.2); a fragment header has 8 bytes and that byte is reserved.
 */
IKV_INLINE __u32 ikv_extension_bytes(const struct ikv_ipv6_extension *header, __u32 is_fragment,
				     __u32 is_ah)
{
	__u32 length = header->length & (is_fragment - 1);

	return (length + 1 + is_ah) << (3 - is_ah);
}

/* What a fragment header says. Not a fragment at all where offset and more flag are 0 (RFC 6946). */
IKV_INLINE __u8 ikv_fragment_flags(const struct ikv_ipv6_extension *header)
{
	__u16 fragment = bpf_ntohs(header->fragment);
	__u8 flags = 0;

	if (fragment & 0xfff9)
		flags |= IKV_FRAGMENT;
	if (fragment & 0xfff8)
		flags |= IKV_LATER_FRAGMENT;
	return flags;
}

/*
 * Step over extension headers (RFC 8200, 4); more than IKV_EXTENSION_DEPTH of them is malformed. A later fragment's
 * header is the last that can be read. Written with few branches, for the verifier follows every round.
 */
IKV_INLINE int ikv_parse_extensions(struct ikv_packet *pkt, struct ikv_found *found, __u32 *left)
{
	__u32 offset = found->l4_offset;
	__u8 protocol = found->l4_protocol;

#pragma clang loop unroll(disable)
	for (int depth = 0; depth < IKV_EXTENSION_DEPTH && ikv_is_extension(protocol); depth++) {
		struct ikv_ipv6_extension *header = pkt->data + (offset & IKV_OFFSET_MASK);
		__u32 is_fragment = ikv_equals(protocol, IKV_PROTO_FRAGMENT), bytes;

		if ((void *)(header + 1) > pkt->end)
			return -IKV_DROP_MALFORMED;
		bytes = ikv_extension_bytes(header, is_fragment,
					    ikv_equals(protocol, IKV_PROTO_AH));
		if (bytes > *left || offset + bytes > IKV_OFFSET_MASK)
			return -IKV_DROP_MALFORMED;
		*left -= bytes;
		offset = (offset + bytes) & IKV_OFFSET_MASK;
		protocol = header->next_header;
		if (is_fragment) {
			found->flags |= ikv_fragment_flags(header);
			if (found->flags & IKV_LATER_FRAGMENT)
				break;
		}
	}
	found->l4_offset = offset;
	found->l4_protocol = protocol;
	if (ikv_is_extension(protocol) && !(found->flags & IKV_LATER_FRAGMENT))
		return -IKV_DROP_MALFORMED;
	return 0;
}

IKV_INLINE int ikv_parse_ipv6(struct ikv_packet *pkt, struct ikv_found *found, void *l3)
{
	struct ikv_ipv6 *ip = l3;
	__u32 payload;

	if ((void *)(ip + 1) > pkt->end)
		return -IKV_DROP_MALFORMED;
	payload = bpf_ntohs(ip->payload_length);
	if (!payload && ikv_is_jumbo(pkt))
		payload = ikv_length(pkt) - found->l3_offset - sizeof(*ip);
	if (*(__u8 *)ip >> 4 != 6 || !ikv_holds(pkt, l3, found->l3_offset, sizeof(*ip) + payload))
		return -IKV_DROP_MALFORMED;
	found->l4_protocol = ip->next_header;
	found->l4_offset = found->l3_offset + sizeof(*ip);
	if (IKV_UNLIKELY(ikv_is_extension(ip->next_header)) &&
	    ikv_parse_extensions(pkt, found, &payload))
		return -IKV_DROP_MALFORMED;
	return ikv_parse_transport(pkt, found, payload);
}

IKV_INLINE int ikv_parse_network(struct ikv_packet *pkt, struct ikv_found *found)
{
	void *l3 = pkt->data + (found->l3_offset & IKV_OFFSET_MASK);

	if (found->ether_type == IKV_ETHER_IPV4)
		return ikv_parse_ipv4(pkt, found, l3);
	if (found->ether_type == IKV_ETHER_IPV6)
		return ikv_parse_ipv6(pkt, found, l3);
	if (found->ether_type == IKV_ETHER_ARP && l3 + sizeof(struct ikv_arp) > pkt->end)
		return -IKV_DROP_MALFORMED;
	return 0;
}

/* Note what was found where it crosses a stitch point from; what is read back has no history for the verifier. */
IKV_INLINE void ikv_settle(struct ikv_packet *pkt, const struct ikv_found *found)
{
	volatile struct ikv_saved *settled = ikv_kept(pkt);

	settled->ether_type = found->ether_type;
	settled->vlan = found->vlan;
	settled->l3_offset = found->l3_offset;
	settled->l4_offset = found->l4_offset;
	settled->l4_protocol = found->l4_protocol;
	settled->flags = found->flags;
	pkt->ether_type = settled->ether_type;
	pkt->vlan = settled->vlan;
	pkt->l3_offset = settled->l3_offset;
	pkt->l4_offset = settled->l4_offset;
	pkt->l4_protocol = settled->l4_protocol;
	pkt->flags = settled->flags;
	pkt->l3 = pkt->data + (pkt->l3_offset & IKV_OFFSET_MASK);
	pkt->l4 = pkt->data + (pkt->l4_offset & IKV_OFFSET_MASK);
}

IKV_INLINE void ikv_parse_all(struct ikv_packet *pkt)
{
	struct ikv_found found = {.l3_offset = sizeof(struct ikv_eth)};

	ikv_linearise(pkt);
	found.vlan = ikv_offloaded_vlan(pkt);
	if (ikv_parse_link(pkt, &found) || ikv_parse_network(pkt, &found))
		found = (struct ikv_found){.vlan = found.vlan,
					   .flags = found.flags | IKV_MALFORMED};
	ikv_settle(pkt, &found);
}

/* All of struct ikv_packet that comes from headers is known afterwards. 0, or -IKV_DROP_MALFORMED. */
IKV_INLINE int ikv_parse(struct ikv_packet *pkt)
{
	if (IKV_UNLIKELY(!(pkt->flags & IKV_PARSED)))
		ikv_parse_all(pkt);
	pkt->flags |=
		IKV_PARSED; /* now known on all paths, which the optimiser does not see by itself */
	return pkt->flags & IKV_MALFORMED ? -IKV_DROP_MALFORMED : 0;
}

/* The network header where it is of `ether_type`, in bounds and not malformed; otherwise NULL. */
IKV_INLINE void *ikv_network(struct ikv_packet *pkt, __u16 ether_type, __u32 bytes)
{
	ikv_parse(pkt);
	if (pkt->ether_type != ether_type || pkt->l3 + bytes > pkt->end)
		return (void *)0;
	__builtin_assume(pkt->l3 != (void *)0);
	return pkt->l3;
}

/* The transport header where it is of `protocol` and in bounds; otherwise NULL. */
IKV_INLINE void *ikv_transport(struct ikv_packet *pkt, __u8 protocol, __u32 bytes)
{
	ikv_parse(pkt);
	if (!(pkt->flags & IKV_HAS_L4) || pkt->l4_protocol != protocol ||
	    pkt->l4 + bytes > pkt->end)
		return (void *)0;
	__builtin_assume(pkt->l4 != (void *)0);
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
