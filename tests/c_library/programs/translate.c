// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* For tc: one server stands behind a virtual address and port, translated there and back. */
#include "driver.h"

#define VIRTUAL4 bpf_htonl(0x0a4d0063) /* 10.77.0.99 */
#define SERVER4 bpf_htonl(0x0a4d0002)  /* 10.77.0.2 */
#define VIRTUAL_PORT bpf_htons(8080)
#define SERVER_PORT bpf_htons(80)
#define ETHERNET_BYTES 1514

enum { PACKETS, GSO, BEYOND_LINEAR };

static const __be32 virtual6[4] = {bpf_htonl(0xfd770000), 0, 0, bpf_htonl(0x99)};
static const __be32 server6[4] = {bpf_htonl(0xfd770000), 0, 0, bpf_htonl(2)};

IKV_INLINE void count(struct ikv_packet *pkt)
{
	ikv_count(pkt, PACKETS);
	if (ikv_length(pkt) > ETHERNET_BYTES)
		ikv_count(pkt, GSO);
	if (pkt->data + sizeof(struct ikv_eth) + sizeof(struct ikv_ipv4) > pkt->end)
		ikv_count(pkt, BEYOND_LINEAR);
}

IKV_INLINE int finish(struct ikv_packet *pkt, int failed)
{
	return failed ? ikv_drop(pkt, -failed) : ikv_forward(pkt, 0);
}

IKV_INLINE int there(struct ikv_packet *pkt)
{
	const struct ikv_ipv4 *ip;
	const struct ikv_ipv6 *ip6;

	count(pkt);
	ip = ikv_ipv4(pkt);
	ip6 = ikv_ipv6(pkt);
	if (ip && ip->dst == VIRTUAL4)
		return finish(pkt, ikv_ipv4_set_dst(pkt, SERVER4)
					   ?: ikv_l4_set_dst_port(pkt, SERVER_PORT));
	if (ip6 && !ikv_compare6(ip6->dst, virtual6))
		return finish(pkt, ikv_ipv6_set_dst(pkt, server6)
					   ?: ikv_l4_set_dst_port(pkt, SERVER_PORT));
	return ikv_forward(pkt, 0);
}

IKV_INLINE int back(struct ikv_packet *pkt)
{
	const struct ikv_ipv4 *ip = ikv_ipv4(pkt);
	const struct ikv_ipv6 *ip6 = ikv_ipv6(pkt);

	if (ikv_ports(pkt).src != SERVER_PORT)
		return ikv_forward(pkt, 0);
	if (ip && ip->src == SERVER4)
		return finish(pkt, ikv_ipv4_set_src(pkt, VIRTUAL4)
					   ?: ikv_l4_set_src_port(pkt, VIRTUAL_PORT));
	if (ip6 && !ikv_compare6(ip6->src, server6))
		return finish(pkt, ikv_ipv6_set_src(pkt, virtual6)
					   ?: ikv_l4_set_src_port(pkt, VIRTUAL_PORT));
	return ikv_forward(pkt, 0);
}

DRIVE_LIVE(egress, there)
DRIVE_LIVE(ingress, back)
