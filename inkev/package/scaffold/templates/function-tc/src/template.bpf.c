// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* @name@: drops IPv4 packets whose time to live is nearly over. An ordinary tc program: nothing of inkev is in it. */
#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/ip.h>
#include <linux/pkt_cls.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#define MIN_TTL 2

SEC("tc")
int @ident@(struct __sk_buff *skb)
{
	void *data = (void *)(long)skb->data;
	void *end = (void *)(long)skb->data_end;
	struct ethhdr *eth = data;
	struct iphdr *ip = (void *)(eth + 1);

	if ((void *)(ip + 1) > end || eth->h_proto != bpf_htons(ETH_P_IP))
		return TC_ACT_OK; /* leaves by the port `out` */
	return ip->ttl < MIN_TTL ? TC_ACT_SHOT : TC_ACT_OK;
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
