/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* IPv4's slow paths: ARP (RFC 826), echo and errors (RFC 792, RFC 1812). */
#ifndef ROUTER_IPV4_H
#define ROUTER_IPV4_H

#include "slow.h"

#define RT_ARP_REQUEST 1
#define RT_ARP_REPLY 2
#define RT_TTL 64

IKV_INLINE struct rt_route4 *rt_route4_of(__be32 address)
{
	struct rt_key4 key = {.bits = 32, .prefix = address};

	return bpf_map_lookup_elem(&routes4, &key);
}

/* Only a neighbour that the routes put on this port may say where it is. */
IKV_INLINE void rt_learn4(__be32 address, const __u8 *mac, __u32 port)
{
	struct rt_next4 next = {.address = address, .port = port};
	struct rt_route4 *route = rt_route4_of(address);
	struct rt_neighbour *known, neighbour = {};

	if (!route || route->kind != RT_UNICAST || route->via || route->port != port)
		return;
	known = bpf_map_lookup_elem(&neighbours4, &next);
	if (known && known->is_static)
		return;
	ikv_copy_mac(neighbour.mac, mac);
	neighbour.seen = bpf_ktime_get_ns();
	bpf_map_update_elem(&neighbours4, &next, &neighbour, BPF_ANY);
}

IKV_INLINE int rt_is_own4(__be32 address, __u32 port)
{
	struct rt_route4 *route = rt_route4_of(address);

	return route && route->kind == RT_LOCAL_ADDRESS && route->port == port;
}

RT_SLOW rt_arp(ikv_ctx *ctx, __u32 port, __u32 where)
{
	const struct rt_interface *interface;
	struct ikv_packet pkt;
	struct ikv_arp *arp;
	struct ikv_eth *eth;
	__be32 asked;

	port = RT_PORT(port);
	rt_look(&pkt, ctx, IKV_ETHER_ARP, where);
	eth = rt_frame(&pkt, sizeof(*arp));
	if (!eth)
		return ikv_drop(&pkt, IKV_DROP_MALFORMED);
	arp = (void *)(eth + 1);
	interface = rt_interface_of(port);
	if (!interface)
		return ikv_drop(&pkt, IKV_DROP_MALFORMED);
	rt_learn4(arp->sender_ip, arp->sender_mac, port);
	asked = arp->target_ip;
	if (arp->operation != bpf_htons(RT_ARP_REQUEST) || !rt_is_own4(asked, port))
		return ikv_drop(&pkt, RT_NO_SERVICE);

	arp->operation = bpf_htons(RT_ARP_REPLY);
	arp->target_ip = arp->sender_ip;
	ikv_copy_mac(arp->target_mac, arp->sender_mac);
	arp->sender_ip = asked;
	ikv_copy_mac(arp->sender_mac, interface->mac);
	ikv_copy_mac(eth->dst, eth->src);
	ikv_copy_mac(eth->src, interface->mac);
	return ikv_forward(&pkt, port);
}

/* Turn the packet into the question who has `address`, to go out of `port`. */
RT_SLOW rt_ask4(ikv_ctx *ctx, __u32 port, __u32 where, __be32 address)
{
	static const __u8 everybody[6] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff};
	const struct rt_interface *interface;
	struct ikv_packet pkt;
	struct ikv_arp *arp;
	struct ikv_eth *eth;

	port = RT_PORT(port);
	rt_look(&pkt, ctx, IKV_ETHER_IPV4, where);
	interface = rt_interface_of(port);
	if (!interface || !interface->ipv4 || ikv_set_length(&pkt, sizeof(*eth) + sizeof(*arp)))
		return ikv_drop(&pkt, IKV_DROP_NO_NEIGHBOUR);
	eth = pkt.data;
	arp = (void *)(eth + 1);
	if ((void *)(arp + 1) > pkt.end)
		return ikv_drop(&pkt, IKV_DROP_NO_NEIGHBOUR);

	ikv_copy_mac(eth->dst, everybody);
	ikv_copy_mac(eth->src, interface->mac);
	eth->type = bpf_htons(IKV_ETHER_ARP);
	arp->hardware = bpf_htons(1);
	arp->protocol = bpf_htons(IKV_ETHER_IPV4);
	arp->hardware_bytes = 6;
	arp->protocol_bytes = 4;
	arp->operation = bpf_htons(RT_ARP_REQUEST);
	ikv_copy_mac(arp->sender_mac, interface->mac);
	arp->sender_ip = interface->ipv4;
	__builtin_memset(arp->target_mac, 0, sizeof(arp->target_mac));
	arp->target_ip = address;
	return ikv_forward(&pkt, port);
}

RT_SLOW rt_echo4(ikv_ctx *ctx, __u32 port, __u32 where)
{
	struct ikv_packet pkt;
	struct ikv_icmp *icmp;
	struct ikv_ipv4 *ip;
	struct ikv_eth *eth;
	__be32 address;
	__u32 change;

	rt_look(&pkt, ctx, IKV_ETHER_IPV4, where);
	eth = rt_frame(&pkt, sizeof(*ip));
	if (!eth)
		return ikv_drop(&pkt, IKV_DROP_MALFORMED);
	ip = (void *)(eth + 1);
	icmp = ikv_icmp(&pkt);
	if (!icmp)
		return ikv_drop(&pkt, RT_NO_SERVICE);
	if (icmp->type != IKV_ICMP_ECHO || pkt.flags & IKV_FRAGMENT)
		return ikv_drop(&pkt, RT_NO_SERVICE);

	icmp->type = IKV_ICMP_ECHO_REPLY;
	change = ikv_sum_change(bpf_htons(IKV_ICMP_ECHO << 8), 0);
	icmp->checksum = ikv_checksum_apply(icmp->checksum, change);
	address = ip->dst;
	ip->dst = ip->src;
	ip->src = address;
	change = ikv_sum_change(bpf_htons(ip->ttl << 8), bpf_htons(RT_TTL << 8));
	ip->checksum = ikv_checksum_apply(ip->checksum, change);
	ip->ttl = RT_TTL;
	rt_swap_macs(eth);
	return ikv_forward(&pkt, RT_PORT(port));
}

IKV_INLINE int rt_is_error4(struct ikv_packet *pkt)
{
	const struct ikv_icmp *icmp = ikv_icmp(pkt);

	return icmp && !ikv_is_echo(icmp);
}

/* RFC 1812, 4.3.2.7: no errors about errors, later fragments, group or broadcast packets, or nobody's. */
IKV_INLINE int rt_may_complain4(struct ikv_packet *pkt, const struct ikv_ipv4 *ip)
{
	__u8 first = bpf_ntohl(ip->src) >> 24;

	return !(pkt->flags & (IKV_BROADCAST | IKV_LATER_FRAGMENT)) && !rt_is_error4(pkt) &&
	       first != 0 && first != 127 && first < 224;
}

IKV_INLINE void rt_write_header4(struct ikv_ipv4 *ip, __be32 src, __be32 dst, __u32 bytes)
{
	__s64 sum;

	*ip = (struct ikv_ipv4){
		.version_ihl = 0x45,
		.tos = 0xc0, /* internetwork control (RFC 1812, 4.3.2.5) */
		.total_length = bpf_htons(sizeof(*ip) + bytes),
		.ttl = RT_TTL,
		.protocol = IKV_PROTO_ICMP,
		.src = src,
		.dst = dst,
	};
	sum = bpf_csum_diff(0, 0, (void *)ip, sizeof(*ip), 0);
	ip->checksum = (__sum16)~ikv_sum_fold((__u32)sum);
}

IKV_INLINE __u32 rt_sum_pseudo4(const struct ikv_packet *pkt, const struct ikv_ipv4 *ip)
{
	__be32 pseudo[3] = {
		ip->src,
		ip->dst,
		bpf_htonl(pkt->l4_protocol << 16 | (bpf_ntohs(ip->total_length) - sizeof(*ip))),
	};

	return (__u32)bpf_csum_diff(0, 0, pseudo, sizeof(pseudo), 0);
}

/* Turn the packet into an ICMP error to its sender. `what` is (type << 8) | code; `rest` the header's second word. */
RT_SLOW rt_error4(ikv_ctx *ctx, __u32 port, __u32 where, __u32 what, __be32 rest)
{
	const __u32 grow = sizeof(struct ikv_ipv4) + 8;
	const struct rt_interface *interface;
	struct rt_message *message;
	struct rt_scratch *own;
	struct ikv_packet pkt;
	struct ikv_ipv4 *ip;
	struct ikv_eth *eth, old;
	__u32 quoted, pseudo;
	__be32 to;

	port = RT_PORT(port);
	rt_look(&pkt, ctx, IKV_ETHER_IPV4, where);
	eth = rt_frame(&pkt, sizeof(*ip));
	if (!eth)
		return ikv_drop(&pkt, IKV_DROP_MALFORMED);
	ip = (void *)(eth + 1);
	interface = rt_interface_of(port);
	own = rt_scratch_of();
	if (!interface || !own)
		return ikv_drop(&pkt, IKV_DROP_MALFORMED);
	if (!interface->ipv4 || !rt_may_complain4(&pkt, ip) || !rt_may_send_error(own))
		return ikv_drop(&pkt, RT_ERROR_LIMIT);

	old = *eth;
	to = ip->src;
	pseudo = rt_sum_pseudo4(&pkt, ip);
	quoted = bpf_ntohs(ip->total_length);
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
	message->checksum = rt_sum_message(message, 0);

	if (ikv_set_length(&pkt, sizeof(*eth) + quoted) || ikv_adjust_head(&pkt, -(int)grow))
		return ikv_drop(&pkt, IKV_DROP_NO_MEMORY);
	eth = pkt.data;
	ip = (void *)(eth + 1);
	if ((void *)(ip + 1) + 8 > pkt.end)
		return ikv_drop(&pkt, IKV_DROP_NO_MEMORY);
	*eth = old;
	rt_swap_macs(eth);
	rt_write_header4(ip, interface->ipv4, to, 8 + quoted);
	__builtin_memcpy(ip + 1, message, 8);
	return ikv_forward(&pkt, port);
}

#endif
