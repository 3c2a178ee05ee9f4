/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Drives and swallows packets at tc hooks; see traffic.h. */
#include <linux/pkt_cls.h>

#include "traffic.h"

SEC("tc")
int drive(struct __sk_buff *skb)
{
	if (fill((void *)(long)skb->data, (void *)(long)skb->data_end))
		bpf_tail_call(skb, &target, 0);
	return TC_ACT_SHOT;
}

SEC("tc")
int empty(struct __sk_buff *skb)
{
	return TC_ACT_OK;
}

SEC("tc")
int swallow(struct __sk_buff *skb)
{
	return count((void *)(long)skb->data, (void *)(long)skb->data_end) ? TC_ACT_OK
									   : TC_ACT_SHOT;
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
