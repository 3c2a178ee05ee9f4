/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What belongs to something accepted without being of its flow: ICMP errors about it, and its later fragments. */
#ifndef FIREWALL_RELATED_H
#define FIREWALL_RELATED_H

#include "track.h"

#define FW_ICMP_UNREACHABLE 3
#define FW_ICMP_TIME_EXCEEDED 11
#define FW_ICMP_PARAMETER 12
#define FW_ICMPV6_FIRST_INFORMATIVE 128
#define FW_ND_FIRST 133 /* router solicitation (RFC 4861) */
#define FW_ND_LAST 137	/* redirect */
#define FW_ND_HOPS 255	/* nobody beyond the link can have sent it */

IKV_INLINE int fw_is_error4(const struct ikv_icmp *icmp)
{
	return icmp->type == FW_ICMP_UNREACHABLE || icmp->type == FW_ICMP_TIME_EXCEEDED ||
	       icmp->type == FW_ICMP_PARAMETER;
}

/* Ports out of the first bytes of a quoted transport header, as the flow key has them. */
IKV_INLINE struct ikv_ports fw_quoted_ports(const struct ikv_udp *quoted, __u8 protocol)
{
	struct ikv_ports ports = {};

	if (protocol == IKV_PROTO_TCP || protocol == IKV_PROTO_UDP)
		ports = (struct ikv_ports){.src = quoted->src, .dst = quoted->dst};
	if (protocol == IKV_PROTO_ICMP || protocol == IKV_PROTO_ICMPV6)
		ports.src = ports.dst = quoted->length; /* where an echo has its id */
	return ports;
}

IKV_INLINE int fw_has_connection(struct ikv_packet *pkt, void *map, const void *key, __u8 protocol)
{
	const struct fw_connection *connection = bpf_map_lookup_elem(map, key);

	return connection && fw_is_live(connection, protocol, fw_now(pkt));
}

/* True for an error about a live connection, sent to the end whose packet it quotes. */
IKV_INLINE int fw_is_related4(struct ikv_packet *pkt, const struct ikv_ipv4 *ip)
{
	const struct ikv_icmp *icmp = ikv_icmp(pkt);
	const struct ikv_ipv4 *quoted = (const void *)(icmp + 1);
	const struct ikv_udp *transport;
	struct ikv_flow4 key;
	struct ikv_ports ports;

	if (!icmp || !fw_is_error4(icmp) || (const void *)(quoted + 1) > pkt->end)
		return 0;
	transport = (const void *)quoted + (quoted->version_ihl & 0x0f) * 4;
	if ((quoted->version_ihl & 0x0f) < 5 || (const void *)(transport + 1) > pkt->end ||
	    quoted->fragment & bpf_htons(IKV_IPV4_FRAGMENT_OFFSET) || quoted->src != ip->dst)
		return 0;
	ports = fw_quoted_ports(transport, quoted->protocol);
	key = (struct ikv_flow4){.src = quoted->src,
				 .dst = quoted->dst,
				 .src_port = ports.src,
				 .dst_port = ports.dst,
				 .protocol = quoted->protocol};
	ikv_flow4_normalise(&key);
	return fw_has_connection(pkt, &connections, &key, key.protocol);
}

/* The same for ICMPv6; a quoted packet with extension headers is for the rules. */
IKV_INLINE int fw_is_related6(struct ikv_packet *pkt, const struct ikv_ipv6 *ip)
{
	const struct ikv_icmpv6 *icmp = ikv_icmpv6(pkt);
	const struct ikv_ipv6 *quoted = (const void *)(icmp + 1);
	const struct ikv_udp *transport = (const void *)(quoted + 1);
	struct ikv_flow6 key;
	struct ikv_ports ports;

	if (!icmp || icmp->type >= FW_ICMPV6_FIRST_INFORMATIVE ||
	    (const void *)(transport + 1) > pkt->end || ikv_compare6(quoted->src, ip->dst))
		return 0;
	ports = fw_quoted_ports(transport, quoted->next_header);
	key = (struct ikv_flow6){
		.src_port = ports.src, .dst_port = ports.dst, .protocol = quoted->next_header};
	__builtin_memcpy(key.src, quoted->src, sizeof(key.src));
	__builtin_memcpy(key.dst, quoted->dst, sizeof(key.dst));
	ikv_flow6_normalise(&key);
	return fw_has_connection(pkt, &connections6, &key, key.protocol);
}

IKV_INLINE int fw_is_discovery(struct ikv_packet *pkt, const struct ikv_ipv6 *ip)
{
	const struct ikv_icmpv6 *icmp = ikv_icmpv6(pkt);

	return icmp && ip->hop_limit == FW_ND_HOPS && icmp->type >= FW_ND_FIRST &&
	       icmp->type <= FW_ND_LAST;
}

/*
 * The datagram that a fragment is of. In IPv6 the fragment header is taken to be the last before the transport
 * header, as it is in what hosts send; a datagram built otherwise is not recognised, and left to `fragments`.
 */
IKV_INLINE int fw_datagram_of(struct ikv_packet *pkt, struct fw_datagram *datagram)
{
	const struct ikv_ipv4 *ip = ikv_ipv4(pkt);
	const struct ikv_ipv6 *ip6 = ikv_ipv6(pkt);
	const struct ikv_ipv6_extension *header;

	*datagram = (struct fw_datagram){.protocol = pkt->l4_protocol};
	if (ip) {
		datagram->src[0] = ip->src;
		datagram->dst[0] = ip->dst;
		datagram->id = ip->id;
		return 0;
	}
	header = pkt->data + ((pkt->l4_offset - sizeof(*header)) & IKV_OFFSET_MASK);
	if (!ip6 || (const void *)(header + 1) > pkt->end)
		return -IKV_DROP_UNSUPPORTED;
	__builtin_memcpy(datagram->src, ip6->src, sizeof(datagram->src));
	__builtin_memcpy(datagram->dst, ip6->dst, sizeof(datagram->dst));
	datagram->id = header->id;
	return 0;
}

/* A first fragment was accepted: those that follow may pass. Without room they are left to `fragments`. */
IKV_INLINE void fw_remember_datagram(struct ikv_packet *pkt)
{
	struct fw_datagram datagram;
	__u32 now = fw_now(pkt);

	if (!fw_datagram_of(pkt, &datagram))
		bpf_map_update_elem(&datagrams, &datagram, &now, BPF_ANY);
}

IKV_INLINE int fw_knows_datagram(struct ikv_packet *pkt)
{
	struct fw_datagram datagram;
	const __u32 *seen;

	if (fw_datagram_of(pkt, &datagram))
		return 0;
	seen = bpf_map_lookup_elem(&datagrams, &datagram);
	return seen && fw_now(pkt) - *seen <= FW_DATAGRAM_LIFE;
}

#endif
