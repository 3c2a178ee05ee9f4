// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Lets in what was spoken to from inside before: one program for each way, as two classifiers of one object. */
#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/in.h>
#include <linux/ip.h>
#include <linux/pkt_cls.h>
#include <linux/udp.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

const volatile __be16 open_port;

struct peer {
	struct bpf_spin_lock lock;
	__u64 packets;
};

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 128);
	__type(key, __be32);
	__type(value, struct peer);
} known SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 2);
	__type(key, __u32);
	__type(value, __u64);
} totals SEC(".maps");

__u32 strangers;

static void count(__u32 way)
{
	__u64 *total = bpf_map_lookup_elem(&totals, &way);

	if (total)
		*total += 1;
}

static int find_ip(struct __sk_buff *skb, struct iphdr *ip)
{
	if (skb->protocol != bpf_htons(ETH_P_IP))
		return -1;
	return bpf_skb_load_bytes(skb, ETH_HLEN, ip, sizeof(*ip));
}

static int is_open(struct __sk_buff *skb, const struct iphdr *ip)
{
	__be16 port;

	if (!open_port || ip->protocol != IPPROTO_UDP)
		return 0;
	return !bpf_skb_load_bytes(skb, ETH_HLEN + sizeof(*ip) + 2, &port, sizeof(port)) &&
	       port == open_port;
}

SEC("border_outward")
int border_out(struct __sk_buff *skb)
{
	struct iphdr ip;
	struct peer fresh = {.packets = 1}, *peer;

	count(1);
	if (find_ip(skb, &ip))
		return TC_ACT_OK;
	peer = bpf_map_lookup_elem(&known, &ip.daddr);
	if (!peer) {
		bpf_map_update_elem(&known, &ip.daddr, &fresh, BPF_ANY);
		return TC_ACT_OK;
	}
	bpf_spin_lock(&peer->lock);
	peer->packets++;
	bpf_spin_unlock(&peer->lock);
	return TC_ACT_OK;
}

SEC("border_inward")
int border_in(struct __sk_buff *skb)
{
	struct iphdr ip;

	count(0);
	if (find_ip(skb, &ip) || is_open(skb, &ip))
		return TC_ACT_UNSPEC;
	if (bpf_map_lookup_elem(&known, &ip.saddr))
		return TC_ACT_OK;
	__sync_fetch_and_add(&strangers, 1);
	return TC_ACT_SHOT;
}

char _license[] SEC("license") = "GPL";
