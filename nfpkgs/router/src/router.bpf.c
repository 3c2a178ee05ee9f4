// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * router: IPv4 and IPv6 forwarding (RFC 1812, RFC 8200) between eight ports.
 *
 * Routes come from the tables, and where `host` is set from the host's own for what the tables lack. The fast path
 * is here; ARP, neighbour discovery, echo and errors are functions of their own in ipv4.h and ipv6.h.
 */
#include "tables.h"
#include "host.h"
#include "ipv4.h"
#include "ipv6.h"

/* A slow path has had the packet: what is known of it is gone. */
IKV_INLINE int rt_after(struct ikv_packet *pkt, int verdict, __u32 metric)
{
	ikv_refresh(pkt);
	ikv_forget(pkt);
	if (verdict >> 16 == IKV_VERDICT_FORWARD)
		ikv_count(pkt, metric);
	return verdict;
}

IKV_INLINE int rt_error4_or_drop(struct ikv_packet *pkt, __u32 type, __u32 code, __u32 rest,
				 __u32 reason)
{
	if (config.host)
		return rt_via_host(pkt);
	if (!config.errors)
		return ikv_drop(pkt, reason);
	return rt_after(
		pkt,
		rt_error4(pkt->ctx, pkt->in_port, rt_where(pkt), type << 8 | code, bpf_htonl(rest)),
		RT_ERRORS_SENT);
}

IKV_INLINE int rt_error6_or_drop(struct ikv_packet *pkt, __u32 type, __u32 code, __u32 rest,
				 __u32 reason)
{
	if (config.host)
		return rt_via_host(pkt);
	if (!config.errors)
		return ikv_drop(pkt, reason);
	return rt_after(
		pkt,
		rt_error6(pkt->ctx, pkt->in_port, rt_where(pkt), type << 8 | code, bpf_htonl(rest)),
		RT_ERRORS_SENT);
}

/* True where the frame is addressed to the port, or to a group. */
IKV_INLINE int rt_is_for_us(const struct ikv_eth *eth, const struct rt_interface *interface)
{
	if (eth->dst[0] & 1 || !rt_has_mac(interface))
		return 1;
	return *(const ikv_word *)eth->dst == *(const ikv_word *)interface->mac &&
	       *(const ikv_half *)(eth->dst + 4) == *(const ikv_half *)(interface->mac + 4);
}

IKV_INLINE int rt_is_stale(const struct rt_neighbour *neighbour)
{
	return config.neighbour_timeout && !neighbour->is_static &&
	       bpf_ktime_get_ns() - neighbour->seen > config.neighbour_timeout;
}

IKV_INLINE int rt_is_too_big(struct ikv_packet *pkt, const struct rt_interface *interface)
{
	return interface->mtu && ikv_segment_length(pkt) > interface->mtu + sizeof(struct ikv_eth);
}

IKV_INLINE int rt_forward_host4(struct ikv_packet *pkt, const struct ikv_ipv4 *ip)
{
	struct bpf_fib_lookup fib = {
		.family = RT_AF_INET,
		.l4_protocol = ip->protocol,
		.tos = ip->tos,
		.ipv4_src = ip->src,
		.ipv4_dst = ip->dst,
	};
	__u32 port;

	if (ip->ttl <= 1 || rt_fib_forward(pkt, &fib))
		return rt_via_host(pkt);
	port = rt_port_of(fib.ifindex);
	if (port == RT_PORTS || ikv_ipv4_decrease_ttl(pkt) || rt_set_fib_macs(pkt, &fib))
		return rt_via_host(pkt);
	ikv_count(pkt, RT_FORWARDED);
	return ikv_forward_to(pkt, port, fib.ifindex);
}

IKV_INLINE int rt_forward_host6(struct ikv_packet *pkt, const struct ikv_ipv6 *ip)
{
	struct bpf_fib_lookup fib = {
		.family = RT_AF_INET6,
		.l4_protocol = pkt->l4_protocol,
		.flowinfo = ip->version_class_flow & bpf_htonl(0x0fffffff),
	};
	__u32 port;

	__builtin_memcpy(fib.ipv6_src, ip->src, sizeof(fib.ipv6_src));
	__builtin_memcpy(fib.ipv6_dst, ip->dst, sizeof(fib.ipv6_dst));
	if (ip->hop_limit <= 1 || rt_fib_forward(pkt, &fib))
		return rt_via_host(pkt);
	port = rt_port_of(fib.ifindex);
	if (port == RT_PORTS || ikv_ipv6_decrease_hop_limit(pkt) || rt_set_fib_macs(pkt, &fib))
		return rt_via_host(pkt);
	ikv_count(pkt, RT_FORWARDED);
	return ikv_forward_to(pkt, port, fib.ifindex);
}

IKV_INLINE int rt_local4(struct ikv_packet *pkt)
{
	if (config.host)
		return rt_via_host(pkt);
	if (!config.echo)
		return ikv_drop(pkt, RT_NO_SERVICE);
	return rt_after(pkt, rt_echo4(pkt->ctx, pkt->in_port, rt_where(pkt)), RT_LOCAL);
}

IKV_INLINE int rt_local6(struct ikv_packet *pkt)
{
	if (config.host)
		return rt_via_host(pkt);
	if (!config.echo)
		return ikv_drop(pkt, RT_NO_SERVICE);
	return rt_after(pkt, rt_echo6(pkt->ctx, pkt->in_port, rt_where(pkt)), RT_LOCAL);
}

IKV_INLINE int rt_not_unicast4(struct ikv_packet *pkt, __u32 kind)
{
	if (kind == RT_LOCAL_ADDRESS)
		return rt_local4(pkt);
	if (kind == RT_BLACKHOLE)
		return ikv_drop(pkt, RT_PROHIBITED);
	return rt_error4_or_drop(pkt, RT_ICMP_UNREACHABLE, 13, 0, RT_PROHIBITED);
}

IKV_INLINE int rt_not_unicast6(struct ikv_packet *pkt, __u32 kind)
{
	if (kind == RT_LOCAL_ADDRESS)
		return rt_local6(pkt);
	if (kind == RT_BLACKHOLE)
		return ikv_drop(pkt, RT_PROHIBITED);
	return rt_error6_or_drop(pkt, RT_ICMP6_UNREACHABLE, 1, 0, RT_PROHIBITED);
}

IKV_INLINE int rt_no_neighbour4(struct ikv_packet *pkt, const struct rt_next4 *next)
{
	if (config.host)
		return rt_via_host(pkt);
	if (!config.resolve)
		return ikv_drop(pkt, IKV_DROP_NO_NEIGHBOUR);
	return rt_after(pkt, rt_ask4(pkt->ctx, next->port, rt_where(pkt), next->address), RT_ASKED);
}

IKV_INLINE int rt_no_neighbour6(struct ikv_packet *pkt, __u32 port)
{
	if (config.host)
		return rt_via_host(pkt);
	if (!config.resolve)
		return ikv_drop(pkt, IKV_DROP_NO_NEIGHBOUR);
	return rt_after(pkt, rt_ask6(pkt->ctx, port, rt_where(pkt)), RT_ASKED);
}

IKV_INLINE int rt_ipv4(struct ikv_packet *pkt)
{
	const struct rt_neighbour *neighbour;
	const struct rt_interface *out;
	struct ikv_ipv4 *ip = ikv_ipv4(pkt);
	struct rt_route4 *route;
	struct rt_next4 next;

	if (!ip)
		return ikv_drop(pkt, IKV_DROP_MALFORMED);
	route = rt_route4_of(ip->dst);
	if (!route && config.host)
		return rt_forward_host4(pkt, ip);
	if (!route)
		return rt_error4_or_drop(pkt, RT_ICMP_UNREACHABLE, 0, 0, IKV_DROP_NO_ROUTE);
	if (route->kind != RT_UNICAST)
		return rt_not_unicast4(pkt, route->kind);
	if (ip->ttl <= 1)
		return rt_error4_or_drop(pkt, RT_ICMP_TIME_EXCEEDED, 0, 0, IKV_DROP_TTL_EXPIRED);

	next.port = RT_PORT(route->port);
	next.address = route->via ? route->via : ip->dst;
	neighbour = bpf_map_lookup_elem(&neighbours4, &next);
	if (!neighbour || rt_is_stale(neighbour))
		return rt_no_neighbour4(pkt, &next);
	out = rt_interface_of(next.port);
	if (!out)
		return ikv_drop(pkt, IKV_DROP_NO_ROUTE);
	if (rt_is_too_big(pkt, out))
		return rt_error4_or_drop(pkt, RT_ICMP_UNREACHABLE, 4, out->mtu, IKV_DROP_TOO_BIG);

	if (ikv_ipv4_decrease_ttl(pkt) || ikv_set_macs(pkt, neighbour->mac, out->mac))
		return ikv_drop(pkt, IKV_DROP_MALFORMED);
	ikv_count(pkt, RT_FORWARDED);
	return ikv_forward(pkt, next.port);
}

IKV_INLINE int rt_is_discovery(struct ikv_packet *pkt)
{
	const struct ikv_icmpv6 *icmp = ikv_icmpv6(pkt);

	return icmp && (icmp->type == RT_ND_SOLICIT || icmp->type == RT_ND_ADVERT);
}

IKV_INLINE int rt_ipv6(struct ikv_packet *pkt)
{
	const struct rt_neighbour *neighbour;
	const struct rt_interface *out;
	struct ikv_ipv6 *ip = ikv_ipv6(pkt);
	struct rt_route6 *route;
	struct rt_next6 next;

	if (!ip)
		return ikv_drop(pkt, IKV_DROP_MALFORMED);
	if (!config.host && ip->hop_limit == RT_ND_HOP_LIMIT && rt_is_discovery(pkt))
		return rt_after(pkt, rt_discovery(pkt->ctx, pkt->in_port, rt_where(pkt)), RT_LOCAL);
	route = rt_route6_of(ip->dst);
	if (!route && config.host)
		return rt_forward_host6(pkt, ip);
	if (!route)
		return rt_error6_or_drop(pkt, RT_ICMP6_UNREACHABLE, 0, 0, IKV_DROP_NO_ROUTE);
	if (route->kind != RT_UNICAST)
		return rt_not_unicast6(pkt, route->kind);
	if (ip->hop_limit <= 1)
		return rt_error6_or_drop(pkt, RT_ICMP6_TIME_EXCEEDED, 0, 0, IKV_DROP_TTL_EXPIRED);

	next.port = RT_PORT(route->port);
	if (rt_is_zero6(route->via))
		__builtin_memcpy(next.address, ip->dst, sizeof(next.address));
	else
		__builtin_memcpy(next.address, route->via, sizeof(next.address));
	neighbour = bpf_map_lookup_elem(&neighbours6, &next);
	if (!neighbour || rt_is_stale(neighbour))
		return rt_no_neighbour6(pkt, next.port);
	out = rt_interface_of(next.port);
	if (!out)
		return ikv_drop(pkt, IKV_DROP_NO_ROUTE);
	if (rt_is_too_big(pkt, out))
		return rt_error6_or_drop(pkt, RT_ICMP6_TOO_BIG, 0, out->mtu, IKV_DROP_TOO_BIG);

	if (ikv_ipv6_decrease_hop_limit(pkt) || ikv_set_macs(pkt, neighbour->mac, out->mac))
		return ikv_drop(pkt, IKV_DROP_MALFORMED);
	ikv_count(pkt, RT_FORWARDED);
	return ikv_forward(pkt, next.port);
}

IKV_NF int route_packet(struct ikv_packet *pkt)
{
	const struct rt_interface *in = rt_interface_of(RT_PORT(pkt->in_port));
	const struct ikv_eth *eth;

	if (ikv_parse(pkt))
		return ikv_drop(pkt, IKV_DROP_MALFORMED);
	eth = ikv_eth(pkt);
	if (!eth || !in)
		return ikv_drop(pkt, IKV_DROP_MALFORMED);
	if (!rt_is_for_us(eth, in))
		return config.host ? rt_via_host(pkt) : ikv_drop(pkt, RT_NOT_FOR_US);
	if (pkt->l3_offset != sizeof(*eth) || pkt->vlan)
		return config.host ? rt_via_host(pkt) : ikv_drop(pkt, RT_TAGGED);

	switch (pkt->ether_type) {
	case IKV_ETHER_IPV4:
		return rt_ipv4(pkt);
	case IKV_ETHER_IPV6:
		if (!config.ipv6)
			return config.host ? rt_via_host(pkt) : ikv_drop(pkt, IKV_DROP_UNSUPPORTED);
		return rt_ipv6(pkt);
	case IKV_ETHER_ARP:
		if (config.host)
			return rt_via_host(pkt);
		return rt_after(pkt, rt_arp(pkt->ctx, pkt->in_port, rt_where(pkt)), RT_LOCAL);
	default:
		return config.host ? rt_via_host(pkt) : ikv_drop(pkt, IKV_DROP_UNSUPPORTED);
	}
}
