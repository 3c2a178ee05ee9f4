// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Writes down all that the library says of a packet. */
#include "driver.h"

enum { ETH, ARP, IPV4, IPV6, TCP, UDP, ICMP, ICMPV6 };

struct report {
	__u32 present; /* a bit for each accessor that found its header */
	__u32 length;
	__u32 hash;
	__s32 flow4_status;
	__s32 flow6_status;
	__u16 ether_type;
	__u16 vlan;
	__u16 l3_offset;
	__u16 l4_offset;
	__u8 l4_protocol;
	__u8 flags;
	__u8 swapped;
	__u8 zero;
	struct ikv_flow4 flow4;
	struct ikv_flow6 flow6;
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct report);
} reports SEC(".maps");

IKV_INLINE __u32 present(struct ikv_packet *pkt)
{
	return !!ikv_eth(pkt) << ETH | !!ikv_arp(pkt) << ARP | !!ikv_ipv4(pkt) << IPV4 |
	       !!ikv_ipv6(pkt) << IPV6 | !!ikv_tcp(pkt) << TCP | !!ikv_udp(pkt) << UDP |
	       !!ikv_icmp(pkt) << ICMP | !!ikv_icmpv6(pkt) << ICMPV6;
}

IKV_INLINE int report(struct ikv_packet *pkt)
{
	__u32 zero = 0;
	struct report *to = bpf_map_lookup_elem(&reports, &zero);

	if (!to)
		return -1;
	__builtin_memset(to, 0, sizeof(*to));
	to->present = present(pkt);
	to->length = ikv_length(pkt);
	to->hash = ikv_flow_hash(pkt);
	to->flow4_status = ikv_flow4(pkt, &to->flow4);
	to->flow6_status = ikv_flow6(pkt, &to->flow6);
	to->ether_type = pkt->ether_type;
	to->vlan = pkt->vlan;
	to->l3_offset = pkt->l3_offset;
	to->l4_offset = pkt->l4_offset;
	to->l4_protocol = pkt->l4_protocol;
	to->flags = pkt->flags;
	to->swapped = !to->flow4_status	  ? ikv_flow4_normalise(&to->flow4)
		      : !to->flow6_status ? ikv_flow6_normalise(&to->flow6)
					  : 0;
	return ikv_forward(pkt, 0);
}

IKV_INLINE int tag_and_report(struct ikv_packet *pkt)
{
	return ikv_vlan_push(pkt, 77) ? -1 : report(pkt);
}

DRIVE(plain, report)
DRIVE(tagged, tag_and_report)
