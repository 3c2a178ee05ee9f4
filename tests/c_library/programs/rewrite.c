// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Each program changes one thing of a packet; a failure of the library is a drop for its reason. */
#include "driver.h"

#define ADDRESS4 bpf_htonl(0xc6336407) /* 198.51.100.7 */
#define PORT bpf_htons(4242)

static const __be32 address6[4] = {bpf_htonl(0x20010db8), 0, bpf_htonl(0xffff0000), bpf_htonl(7)};

IKV_INLINE int judge(struct ikv_packet *pkt, int status)
{
	return status ? ikv_drop(pkt, -status) : ikv_forward(pkt, 0);
}

#define CHANGE(name, expression)                         \
	IKV_INLINE int do_##name(struct ikv_packet *pkt) \
	{                                                \
		return judge(pkt, expression);           \
	}                                                \
	DRIVE(name, do_##name)

IKV_INLINE int set_macs(struct ikv_packet *pkt)
{
	const __u8 dst[6] = {2, 0, 0, 0, 0, 0xd}, src[6] = {2, 0, 0, 0, 0, 0xe};

	return ikv_writable(pkt, 14) ?: ikv_set_macs(pkt, dst, src);
}

IKV_INLINE int store(struct ikv_packet *pkt)
{
	__u8 bytes[4];

	return ikv_load(pkt, 6, bytes, sizeof(bytes)) ?: ikv_store(pkt, 0, bytes, sizeof(bytes));
}

/* What was found before a change can be asked for after it. */
IKV_INLINE int translate(struct ikv_packet *pkt)
{
	int status = ikv_ipv4_set_src(pkt, ADDRESS4) ?: ikv_l4_set_src_port(pkt, PORT);

	status = status ?: ikv_ipv4_decrease_ttl(pkt);
	if (status)
		return status;
	return ikv_ports(pkt).src == PORT ? 0 : -IKV_DROP_MALFORMED;
}

CHANGE(macs, set_macs(pkt))
CHANGE(ttl, ikv_ipv4_decrease_ttl(pkt))
CHANGE(hop_limit, ikv_ipv6_decrease_hop_limit(pkt))
CHANGE(src4, ikv_ipv4_set_src(pkt, ADDRESS4))
CHANGE(dst4, ikv_ipv4_set_dst(pkt, ADDRESS4))
CHANGE(src6, ikv_ipv6_set_src(pkt, address6))
CHANGE(dst6, ikv_ipv6_set_dst(pkt, address6))
CHANGE(sport, ikv_l4_set_src_port(pkt, PORT))
CHANGE(dport, ikv_l4_set_dst_port(pkt, PORT))
CHANGE(nat, translate(pkt))
CHANGE(push, ikv_vlan_push(pkt, 77))
CHANGE(pop, ikv_vlan_pop(pkt))
CHANGE(push_pop, ikv_vlan_push(pkt, 77) ?: ikv_vlan_pop(pkt))
CHANGE(grow, ikv_adjust_head(pkt, -14))
CHANGE(shrink, ikv_adjust_head(pkt, 20))
CHANGE(copy, store(pkt))
