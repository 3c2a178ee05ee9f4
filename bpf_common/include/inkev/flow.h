/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What a packet belongs to: keys for tables of connections, and one hash for both directions. */
#ifndef INKEV_FLOW_H
#define INKEV_FLOW_H

#include <inkev/hash.h>
#include <inkev/parse.h>

#define IKV_ICMP_ECHO_REPLY 0
#define IKV_ICMP_ECHO 8
#define IKV_ICMPV6_ECHO 128
#define IKV_ICMPV6_ECHO_REPLY 129

/* Ports are 0 where there are none (later fragments, other protocols); an echo's id stands in both. */
struct ikv_flow4 {
	__be32 src;
	__be32 dst;
	__be16 src_port;
	__be16 dst_port;
	__u8 protocol;
	__u8 zero[3];
};

struct ikv_flow6 {
	__be32 src[4];
	__be32 dst[4];
	__be16 src_port;
	__be16 dst_port;
	__u8 protocol;
	__u8 zero[3];
};

_Static_assert(sizeof(struct ikv_flow4) == 16, "a key without padding");
_Static_assert(sizeof(struct ikv_flow6) == 40, "a key without padding");

struct ikv_ports {
	__be16 src;
	__be16 dst;
};

IKV_INLINE int ikv_is_echo(const struct ikv_icmp *icmp)
{
	return icmp->type == IKV_ICMP_ECHO || icmp->type == IKV_ICMP_ECHO_REPLY;
}

IKV_INLINE int ikv_is_echo6(const struct ikv_icmpv6 *icmp)
{
	return icmp->type == IKV_ICMPV6_ECHO || icmp->type == IKV_ICMPV6_ECHO_REPLY;
}

IKV_INLINE struct ikv_ports ikv_echo_ports(struct ikv_packet *pkt)
{
	const struct ikv_icmp *icmp = ikv_icmp(pkt);
	const struct ikv_icmpv6 *icmpv6 = ikv_icmpv6(pkt);
	struct ikv_ports ports = {};

	if (icmp && ikv_is_echo(icmp))
		ports.src = ports.dst = icmp->id;
	if (icmpv6 && ikv_is_echo6(icmpv6))
		ports.src = ports.dst = icmpv6->id;
	return ports;
}

/* Ports of a TCP or UDP packet, whose headers begin alike. */
IKV_INLINE struct ikv_ports ikv_ports(struct ikv_packet *pkt)
{
	struct ikv_ports ports = {};
	const struct ikv_udp *udp = pkt->l4;

	ikv_parse(pkt);
	if (!(pkt->flags & IKV_HAS_L4))
		return ports;
	if (pkt->l4_protocol != IKV_PROTO_TCP && pkt->l4_protocol != IKV_PROTO_UDP)
		return ikv_echo_ports(pkt);
	udp = pkt->l4;
	if ((void *)(udp + 1) > pkt->end)
		return ports;
	ports.src = udp->src;
	ports.dst = udp->dst;
	return ports;
}

/* 0, or -IKV_DROP_UNSUPPORTED where the packet is no sound IPv4. */
IKV_INLINE int ikv_flow4(struct ikv_packet *pkt, struct ikv_flow4 *key)
{
	const struct ikv_ipv4 *ip = ikv_ipv4(pkt);
	struct ikv_ports ports;

	if (!ip)
		return -IKV_DROP_UNSUPPORTED;
	ports = ikv_ports(pkt);
	*key = (struct ikv_flow4){.src = ip->src,
				  .dst = ip->dst,
				  .src_port = ports.src,
				  .dst_port = ports.dst,
				  .protocol = pkt->l4_protocol};
	return 0;
}

/* 0, or -IKV_DROP_UNSUPPORTED where the packet is no sound IPv6. */
IKV_INLINE int ikv_flow6(struct ikv_packet *pkt, struct ikv_flow6 *key)
{
	const struct ikv_ipv6 *ip = ikv_ipv6(pkt);
	struct ikv_ports ports;

	if (!ip)
		return -IKV_DROP_UNSUPPORTED;
	ports = ikv_ports(pkt);
	*key = (struct ikv_flow6){
		.src_port = ports.src, .dst_port = ports.dst, .protocol = pkt->l4_protocol};
	__builtin_memcpy(key->src, ip->src, sizeof(key->src));
	__builtin_memcpy(key->dst, ip->dst, sizeof(key->dst));
	return 0;
}

/* Put the lower end first, so that both directions have one key. 1 where the ends were swapped. */
IKV_INLINE int ikv_flow4_normalise(struct ikv_flow4 *key)
{
	struct ikv_flow4 old = *key;

	if (old.src < old.dst || (old.src == old.dst && old.src_port <= old.dst_port))
		return 0;
	key->src = old.dst;
	key->dst = old.src;
	key->src_port = old.dst_port;
	key->dst_port = old.src_port;
	return 1;
}

/* Below 0, 0 or above 0 as `a` comes before, is, or comes after `b`, in an order that means nothing but is total. */
IKV_INLINE int ikv_compare6(const __be32 a[4], const __be32 b[4])
{
	for (int i = 0; i < 4; i++) {
		if (a[i] != b[i])
			return a[i] < b[i] ? -1 : 1;
	}
	return 0;
}

IKV_INLINE int ikv_flow6_normalise(struct ikv_flow6 *key)
{
	struct ikv_flow6 old = *key;
	int order = ikv_compare6(old.src, old.dst);

	if (order < 0 || (order == 0 && old.src_port <= old.dst_port))
		return 0;
	__builtin_memcpy(key->src, old.dst, sizeof(key->src));
	__builtin_memcpy(key->dst, old.src, sizeof(key->dst));
	key->src_port = old.dst_port;
	key->dst_port = old.src_port;
	return 1;
}

/* The sum of two mixed ends does not change when they are swapped. */
IKV_INLINE __u32 ikv_hash_ends(__u64 one, __u64 other, __u8 protocol)
{
	__u64 hash = ikv_mix(ikv_mix(0, one) + ikv_mix(0, other), protocol);

	return (__u32)hash ? (__u32)hash : 1;
}

IKV_INLINE __u32 ikv_hash4(const struct ikv_flow4 *key)
{
	return ikv_hash_ends((__u64)key->src << 16 | key->src_port,
			     (__u64)key->dst << 16 | key->dst_port, key->protocol);
}

IKV_INLINE __u64 ikv_fold6(const __be32 address[4], __be16 port)
{
	__u64 hash = ikv_mix(port, (__u64)address[0] << 32 | address[1]);

	return ikv_mix(hash, (__u64)address[2] << 32 | address[3]);
}

IKV_INLINE __u32 ikv_hash6(const struct ikv_flow6 *key)
{
	return ikv_hash_ends(ikv_fold6(key->src, key->src_port), ikv_fold6(key->dst, key->dst_port),
			     key->protocol);
}

/* The same for both directions of a flow, never 0 for IP; kept in the packet. 0 for what is not IP. */
IKV_INLINE __u32 ikv_flow_hash(struct ikv_packet *pkt)
{
	struct ikv_flow4 key4;
	struct ikv_flow6 key6;

	if (ikv_kept(pkt)->hash)
		return ikv_kept(pkt)->hash;
	if (!ikv_flow4(pkt, &key4))
		ikv_kept(pkt)->hash = ikv_hash4(&key4);
	else if (!ikv_flow6(pkt, &key6))
		ikv_kept(pkt)->hash = ikv_hash6(&key6);
	return ikv_kept(pkt)->hash;
}

#endif
