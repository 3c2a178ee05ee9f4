// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* counter: packets and bytes by protocol. Nothing is looked up: the numbers lie in the graph's per-CPU block. */
#include <inkev/nf.h>

enum ctr_port { CTR_IN, CTR_OUT };

/* Each is followed by the same in bytes. */
enum ctr_metric {
	CTR_IPV4 = 0,
	CTR_IPV6 = 2,
	CTR_ARP = 4,
	CTR_OTHER = 6,
	CTR_TCP = 8,
	CTR_UDP = 10,
	CTR_ICMP = 12,
	CTR_MALFORMED = 14,
};

static __always_inline void ctr_add(struct ikv_packet *pkt, enum ctr_metric metric)
{
	ikv_count(pkt, metric);
	ikv_add(pkt, metric + 1, ikv_length(pkt));
}

static __always_inline void ctr_count_transport(struct ikv_packet *pkt)
{
	if (pkt->l4_protocol == IKV_PROTO_TCP)
		ctr_add(pkt, CTR_TCP);
	else if (pkt->l4_protocol == IKV_PROTO_UDP)
		ctr_add(pkt, CTR_UDP);
	else if (pkt->l4_protocol == IKV_PROTO_ICMP || pkt->l4_protocol == IKV_PROTO_ICMPV6)
		ctr_add(pkt, CTR_ICMP);
}

static __always_inline void ctr_count_network(struct ikv_packet *pkt)
{
	if (pkt->ether_type == IKV_ETHER_IPV4)
		ctr_add(pkt, CTR_IPV4);
	else if (pkt->ether_type == IKV_ETHER_IPV6)
		ctr_add(pkt, CTR_IPV6);
	else if (pkt->ether_type == IKV_ETHER_ARP)
		ctr_add(pkt, CTR_ARP);
	else
		ctr_add(pkt, CTR_OTHER);
}

IKV_NF int count_packet(struct ikv_packet *pkt)
{
	int malformed = ikv_parse(pkt);

	ctr_count_network(pkt);
	if (malformed)
		ikv_count(pkt, CTR_MALFORMED);
	else
		ctr_count_transport(pkt);
	return ikv_forward(pkt, CTR_OUT);
}
