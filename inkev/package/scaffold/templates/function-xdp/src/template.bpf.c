// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* @name@: drops IPv4 packets whose time to live is nearly over. An ordinary XDP program: nothing of inkev is in it. */
#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/ip.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#define MIN_TTL 2

SEC("xdp")
int @ident@(struct xdp_md *ctx)
{
	void *data = (void *)(long)ctx->data;
	void *end = (void *)(long)ctx->data_end;
	struct ethhdr *eth = data;
	struct iphdr *ip = (void *)(eth + 1);

	if ((void *)(ip + 1) > end || eth->h_proto != bpf_htons(ETH_P_IP))
		return XDP_PASS; /* leaves by the port `out` */
	return ip->ttl < MIN_TTL ? XDP_DROP : XDP_PASS;
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
