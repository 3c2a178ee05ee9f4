/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What the tables lack, the host's own routes and neighbours may know (bpf_fib_lookup). */
#ifndef ROUTER_HOST_H
#define ROUTER_HOST_H

#include "tables.h"

#define RT_AF_INET 2
#define RT_AF_INET6 10

/*
 * Make `fib` answer for the packet. 0 where it may be forwarded; otherwise the host does better: it resolves
 * neighbours, answers for itself, and sends errors.
 */
IKV_INLINE int rt_fib_forward(struct ikv_packet *pkt, struct bpf_fib_lookup *fib)
{
	fib->ifindex = pkt->in_ifindex;
	fib->tot_len = 0; /* the MTU is checked by segment size where there is one */
	return bpf_fib_lookup(pkt->ctx, fib, sizeof(*fib), 0);
}

/*
 * The addresses that the lookup left in `fib`. Read by halves: it is on the stack, where the verifier takes no access
 * across words ("misaligned stack access", 6.18; tests/nfpkgs/test_router.py).
 */
IKV_INLINE int rt_set_fib_macs(struct ikv_packet *pkt, const struct bpf_fib_lookup *fib)
{
	const volatile ikv_half *from = (const void *)fib->smac, *to = (const void *)fib->dmac;
	ikv_half src[4] __attribute__((aligned(8))), dst[4] __attribute__((aligned(8)));

	for (int i = 0; i < 3; i++) {
		src[i] = from[i];
		dst[i] = to[i];
	}
	return ikv_set_macs(pkt, (const __u8 *)dst, (const __u8 *)src);
}

IKV_INLINE int rt_via_host(struct ikv_packet *pkt)
{
	ikv_count(pkt, RT_VIA_HOST);
	return ikv_pass(pkt);
}

/* The port that the host's interface belongs to; RT_PORTS where none does. */
IKV_INLINE __u32 rt_port_of(__u32 ifindex)
{
	__u32 *port = bpf_map_lookup_elem(&links, &ifindex);

	return port ? *port & (RT_PORTS - 1) : RT_PORTS;
}

#endif
