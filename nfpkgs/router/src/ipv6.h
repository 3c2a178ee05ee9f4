/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* IPv6's slow paths: neighbour discovery (RFC 4861), echo and errors (RFC 4443). */
#ifndef ROUTER_IPV6_H
#define ROUTER_IPV6_H

#include "slow.h"

#define RT_HOP_LIMIT 64
#define RT_ND_HOP_LIMIT 255
#define RT_OPTION_SOURCE 1
#define RT_OPTION_TARGET 2

/* A solicitation or advertisement with one link-layer address option. */
struct rt_nd {
	__u8 type;
	__u8 code;
	__sum16 checksum;
	__be32 flags;
	__u8 target[16];
	__u8 option;
	__u8 option_length; /* in units of 8 bytes */
	__u8 mac[6];
} IKV_PACKED;

_Static_assert(sizeof(struct rt_nd) == 32, "RFC 4861, 4.3 and 4.6.1");

#define RT_ND_ROUTER_SOLICITED_OVERRIDE 0xe0000000

struct rt_pseudo6 {
	__be32 src[4];
	__be32 dst[4];
	__be32 length;
	__be32 next_header;
};

IKV_INLINE struct rt_route6 *rt_route6_of(const void *address)
{
	struct rt_key6 key = {.bits = 128};

	__builtin_memcpy(key.prefix, address, sizeof(key.prefix));
	return bpf_map_lookup_elem(&routes6, &key);
}

IKV_INLINE __u32 rt_sum_pseudo6(const void *src, const void *dst, __u32 protocol, __u32 bytes)
{
	struct rt_pseudo6 pseudo = {
		.length = bpf_htonl(bytes),
		.next_header = bpf_htonl(protocol),
	};

	__builtin_memcpy(pseudo.src, src, sizeof(pseudo.src));
	__builtin_memcpy(pseudo.dst, dst, sizeof(pseudo.dst));
	return (__u32)bpf_csum_diff(0, 0, (void *)&pseudo, sizeof(pseudo), 0);
}

/* Only a neighbour that the routes put on this port may say where it is. */
IKV_INLINE void rt_learn6(const void *address, const __u8 *mac, __u32 port)
{
	struct rt_next6 next = {.port = port};
	struct rt_route6 *route = rt_route6_of(address);
	struct rt_neighbour *known, neighbour = {};

	if (!route || route->kind != RT_UNICAST || !rt_is_zero6(route->via) || route->port != port)
		return;
	__builtin_memcpy(next.address, address, sizeof(next.address));
	known = bpf_map_lookup_elem(&neighbours6, &next);
	if (known && known->is_static)
		return;
	ikv_copy_mac(neighbour.mac, mac);
	neighbour.seen = bpf_ktime_get_ns();
	bpf_map_update_elem(&neighbours6, &next, &neighbour, BPF_ANY);
}

IKV_INLINE int rt_is_own6(const void *address, __u32 port)
{
	struct rt_route6 *route = rt_route6_of(address);

	return route && route->kind == RT_LOCAL_ADDRESS && route->port == port;
}

/* The message of neighbour discovery behind the IPv6 header; NULL where it is not sound (RFC 4861, 7.1). */
IKV_INLINE struct rt_nd *rt_nd_of(struct ikv_packet *pkt, const struct ikv_ipv6 *ip)
{
	struct rt_nd *nd = pkt->l4;

	if (ip->hop_limit != RT_ND_HOP_LIMIT || ip->next_header != IKV_PROTO_ICMPV6 ||
	    !(pkt->flags & IKV_HAS_L4) || (void *)(nd + 1) > pkt->end || nd->code)
		return (void *)0;
	return nd;
}

IKV_INLINE void rt_sign_nd(struct ikv_ipv6 *ip, struct rt_nd *nd)
{
	__u32 pseudo = rt_sum_pseudo6(ip->src, ip->dst, IKV_PROTO_ICMPV6, sizeof(*nd));

	nd->checksum = 0;
	nd->checksum =
		(__sum16)~ikv_sum_fold((__u32)bpf_csum_diff(0, 0, (void *)nd, sizeof(*nd), pseudo));
}

/* Learn from what a neighbour says, and answer who asks for us. */
RT_SLOW rt_discovery(ikv_ctx *ctx, __u32 port, __u32 where)
{
	const struct rt_interface *interface;
	struct ikv_packet pkt;
	struct ikv_ipv6 *ip;
	struct ikv_eth *eth;
	struct rt_nd *nd;

	port = RT_PORT(port);
	rt_look(&pkt, ctx, IKV_ETHER_IPV6, where);
	eth = rt_frame(&pkt, sizeof(*ip));
	if (!eth)
		return ikv_drop(&pkt, IKV_DROP_MALFORMED);
	ip = (void *)(eth + 1);
	nd = rt_nd_of(&pkt, ip);
	if (!nd)
		return ikv_drop(&pkt, RT_NO_SERVICE);
	interface = rt_interface_of(port);
	if (!interface || nd->option_length != 1)
		return ikv_drop(&pkt, RT_NO_SERVICE);
	if (nd->type == RT_ND_ADVERT && nd->option == RT_OPTION_TARGET)
		rt_learn6(nd->target, nd->mac, port);
	if (nd->type != RT_ND_SOLICIT || nd->option != RT_OPTION_SOURCE)
		return ikv_drop(&pkt, RT_NO_SERVICE);
	rt_learn6(ip->src, nd->mac, port);
	if (!rt_is_own6(nd->target, port))
		return ikv_drop(&pkt, RT_NO_SERVICE);

	ip->payload_length = bpf_htons(sizeof(*nd));
	__builtin_memcpy(ip->dst, ip->src, sizeof(ip->dst));
	__builtin_memcpy(ip->src, nd->target, sizeof(ip->src));
	nd->type = RT_ND_ADVERT;
	nd->flags = bpf_htonl(RT_ND_ROUTER_SOLICITED_OVERRIDE);
	nd->option = RT_OPTION_TARGET;
	ikv_copy_mac(nd->mac, interface->mac);
	rt_sign_nd(ip, nd);
	ikv_copy_mac(eth->dst, eth->src);
	ikv_copy_mac(eth->src, interface->mac);
	return ikv_forward(&pkt, port);
}

/* The solicited-node group of an address: ff02::1:ffXX:XXXX on 33:33:ff:XX:XX:XX (RFC 4291, 2.7.1; RFC 2464, 7). */
IKV_INLINE void rt_solicited_node(struct ikv_eth *eth, struct ikv_ipv6 *ip, const __u8 *address)
{
	__u8 *group = (void *)ip->dst;

	ip->dst[0] = bpf_htonl(0xff020000);
	ip->dst[1] = 0;
	ip->dst[2] = bpf_htonl(1);
	group[12] = 0xff;
	eth->dst[0] = eth->dst[1] = 0x33;
	eth->dst[2] = 0xff;
	for (int i = 0; i < 3; i++)
		eth->dst[3 + i] = group[13 + i] = address[13 + i];
}

/* Turn the packet into a solicitation for its next hop, to go out of `port`. */
RT_SLOW rt_ask6(ikv_ctx *ctx, __u32 port, __u32 where)
{
	const struct rt_interface *interface;
	struct ikv_packet pkt;
	struct rt_route6 *route;
	__u8 address[16] RT_WORDS;
	struct ikv_ipv6 *ip;
	struct ikv_eth *eth;
	struct rt_nd *nd;

	port = RT_PORT(port);
	rt_look(&pkt, ctx, IKV_ETHER_IPV6, where);
	eth = rt_frame(&pkt, sizeof(*ip));
	if (!eth)
		return ikv_drop(&pkt, IKV_DROP_MALFORMED);
	ip = (void *)(eth + 1);
	interface = rt_interface_of(port);
	if (!interface || rt_is_zero6(interface->ipv6))
		return ikv_drop(&pkt, IKV_DROP_NO_NEIGHBOUR);
	route = rt_route6_of(ip->dst);
	if (!route)
		return ikv_drop(&pkt, IKV_DROP_NO_ROUTE);
	if (rt_is_zero6(route->via))
		__builtin_memcpy(address, ip->dst, sizeof(address));
	else
		__builtin_memcpy(address, route->via, sizeof(address));

	if (ikv_set_length(&pkt, sizeof(*eth) + sizeof(*ip) + sizeof(*nd)))
		return ikv_drop(&pkt, IKV_DROP_NO_NEIGHBOUR);
	eth = pkt.data;
	ip = (void *)(eth + 1);
	nd = (void *)(ip + 1);
	if ((void *)(nd + 1) > pkt.end)
		return ikv_drop(&pkt, IKV_DROP_NO_NEIGHBOUR);
	*ip = (struct ikv_ipv6){
		.version_class_flow = bpf_htonl(0x60000000),
		.payload_length = bpf_htons(sizeof(*nd)),
		.next_header = IKV_PROTO_ICMPV6,
		.hop_limit = RT_ND_HOP_LIMIT,
	};
	__builtin_memcpy(ip->src, interface->ipv6, sizeof(ip->src));
	rt_solicited_node(eth, ip, address);
	ikv_copy_mac(eth->src, interface->mac);
	eth->type = bpf_htons(IKV_ETHER_IPV6);
	*nd = (struct rt_nd){.type = RT_ND_SOLICIT, .option = RT_OPTION_SOURCE, .option_length = 1};
	__builtin_memcpy(nd->target, address, sizeof(nd->target));
	ikv_copy_mac(nd->mac, interface->mac);
	rt_sign_nd(ip, nd);
	return ikv_forward(&pkt, port);
}

RT_SLOW rt_echo6(ikv_ctx *ctx, __u32 port, __u32 where)
{
	struct ikv_packet pkt;
	struct ikv_icmpv6 *icmp;
	struct ikv_ipv6 *ip;
	struct ikv_eth *eth;
	__be32 address[4];
	__u32 change;

	rt_look(&pkt, ctx, IKV_ETHER_IPV6, where);
	eth = rt_frame(&pkt, sizeof(*ip));
	if (!eth)
		return ikv_drop(&pkt, IKV_DROP_MALFORMED);
	ip = (void *)(eth + 1);
	icmp = ikv_icmpv6(&pkt);
	if (!icmp)
		return ikv_drop(&pkt, RT_NO_SERVICE);
	if (icmp->type != IKV_ICMPV6_ECHO || pkt.flags & IKV_FRAGMENT)
		return ikv_drop(&pkt, RT_NO_SERVICE);

	icmp->type = IKV_ICMPV6_ECHO_REPLY;
	change = ikv_sum_change(bpf_htons(IKV_ICMPV6_ECHO << 8),
				bpf_htons(IKV_ICMPV6_ECHO_REPLY << 8));
	icmp->checksum = ikv_checksum_apply(icmp->checksum, change);
	__builtin_memcpy(address, ip->dst, sizeof(address));
	__builtin_memcpy(ip->dst, ip->src, sizeof(address));
	__builtin_memcpy(ip->src, address, sizeof(address));
	ip->hop_limit = RT_HOP_LIMIT;
	rt_swap_macs(eth);
	return ikv_forward(&pkt, RT_PORT(port));
}

/* RFC 4443, 2.4 e: no errors about errors, group addresses, later fragments, or nobody's packets. */
IKV_INLINE int rt_may_complain6(struct ikv_packet *pkt, struct ikv_ipv6 *ip)
{
	const struct ikv_icmpv6 *icmp = ikv_icmpv6(pkt);
	const __u8 *src = (void *)ip->src;

	return !(pkt->flags & (IKV_BROADCAST | IKV_LATER_FRAGMENT)) &&
	       !(icmp && icmp->type < 128) && src[0] != 0xff && !rt_is_zero6(src);
}

/* Turn the packet into an ICMPv6 error to its sender. `what` is (type << 8) | code; `rest` the header's second word. */
RT_SLOW rt_error6(ikv_ctx *ctx, __u32 port, __u32 where, __u32 what, __be32 rest)
{
	const __u32 grow = sizeof(struct ikv_ipv6) + 8;
	const struct rt_interface *interface;
	struct rt_message *message;
	struct rt_scratch *own;
	struct ikv_packet pkt;
	struct ikv_ipv6 *ip;
	struct ikv_eth *eth, old;
	__be32 to[4];
	__u32 quoted, pseudo;

	port = RT_PORT(port);
	rt_look(&pkt, ctx, IKV_ETHER_IPV6, where);
	eth = rt_frame(&pkt, sizeof(*ip));
	if (!eth)
		return ikv_drop(&pkt, IKV_DROP_MALFORMED);
	ip = (void *)(eth + 1);
	interface = rt_interface_of(port);
	own = rt_scratch_of();
	if (!interface || !own)
		return ikv_drop(&pkt, IKV_DROP_MALFORMED);
	if (rt_is_zero6(interface->ipv6) || !rt_may_complain6(&pkt, ip) || !rt_may_send_error(own))
		return ikv_drop(&pkt, RT_ERROR_LIMIT);

	old = *eth;
	__builtin_memcpy(to, ip->src, sizeof(to));
	quoted = bpf_ntohs(ip->payload_length);
	pseudo = rt_sum_pseudo6(ip->src, ip->dst, pkt.l4_protocol, quoted);
	quoted += sizeof(*ip);
	if (quoted > RT_QUOTE)
		quoted = RT_QUOTE;
	message = &own->message;
	message->type = what >> 8;
	message->code = what;
	message->checksum = 0;
	message->rest = rest;
	if (rt_quote(&pkt, message, quoted) ||
	    rt_settle_checksum(&pkt, message, sizeof(*ip), quoted, pseudo))
		return ikv_drop(&pkt, IKV_DROP_MALFORMED);
	message->checksum = rt_sum_message(
		message, rt_sum_pseudo6(interface->ipv6, to, IKV_PROTO_ICMPV6, 8 + quoted));

	if (ikv_set_length(&pkt, sizeof(*eth) + quoted) || ikv_adjust_head(&pkt, -(int)grow))
		return ikv_drop(&pkt, IKV_DROP_NO_MEMORY);
	eth = pkt.data;
	ip = (void *)(eth + 1);
	if ((void *)(ip + 1) + 8 > pkt.end)
		return ikv_drop(&pkt, IKV_DROP_NO_MEMORY);
	*eth = old;
	rt_swap_macs(eth);
	*ip = (struct ikv_ipv6){
		.version_class_flow = bpf_htonl(0x60000000),
		.payload_length = bpf_htons(8 + quoted),
		.next_header = IKV_PROTO_ICMPV6,
		.hop_limit = RT_HOP_LIMIT,
	};
	__builtin_memcpy(ip->src, interface->ipv6, sizeof(ip->src));
	__builtin_memcpy(ip->dst, to, sizeof(ip->dst));
	__builtin_memcpy(ip + 1, message, 8);
	return ikv_forward(&pkt, port);
}

#endif
