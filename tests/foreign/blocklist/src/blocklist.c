// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Looks a source address up among prefixes: those of kind 1 are dropped, those of kind 2 are for somebody to look at. */
#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/ip.h>
#include <bpf/bpf_helpers.h>

enum { REVIEW = 7, BLOCK = 8 };

struct prefix {
	__u32 length;
	__be32 address;
};

struct {
	__uint(type, BPF_MAP_TYPE_LPM_TRIE);
	__uint(max_entries, 1);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, struct prefix);
	__type(value, __u64);
} blocked SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 4);
	__type(key, __u32);
	__type(value, __u64);
} hits SEC(".maps");

SEC("xdp/blocklist")
int blocklist(struct xdp_md *ctx)
{
	void *data = (void *)(long)ctx->data, *end = (void *)(long)ctx->data_end;
	struct iphdr *ip = data + sizeof(struct ethhdr);
	struct prefix key = {.length = 32};
	__u64 *kind, *hit;
	__u32 number;

	if ((void *)(ip + 1) > end)
		return XDP_PASS;
	key.address = ip->saddr;
	kind = bpf_map_lookup_elem(&blocked, &key);
	number = kind ? *kind : 0;
	hit = bpf_map_lookup_elem(&hits, &number);
	if (hit)
		*hit += 1;
	return number == 1 ? BLOCK : number == 2 ? REVIEW : XDP_PASS;
}

char _license[] SEC("license") = "Dual BSD/GPL";
