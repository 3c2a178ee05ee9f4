// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* The first program counts and jumps where its loader put the second, which drops, or writes the type of service. */
#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/ip.h>
#include <bpf/bpf_helpers.h>

struct {
	__uint(type, BPF_MAP_TYPE_PROG_ARRAY);
	__uint(max_entries, 4);
	__uint(key_size, sizeof(__u32));
	__uint(value_size, sizeof(__u32));
} stages SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 3);
	__type(key, __u32);
	__type(value, __u64);
} seen SEC(".maps");

__u64 jumps;

static void count(__u32 stage)
{
	__u64 *number = bpf_map_lookup_elem(&seen, &stage);

	if (number)
		__sync_fetch_and_add(number, 1);
}

SEC("xdp/first")
int first_stage(struct xdp_md *ctx)
{
	count(0);
	jumps++;
	bpf_tail_call(ctx, &stages, 1);
	count(2);
	return XDP_PASS;
}

SEC("xdp/second")
int second_stage(struct xdp_md *ctx)
{
	void *data = (void *)(long)ctx->data, *end = (void *)(long)ctx->data_end;
	struct iphdr *ip = data + sizeof(struct ethhdr);

	count(1);
	if ((void *)(ip + 1) > end)
		return XDP_PASS;
	if (ip->ttl < 2)
		return XDP_DROP;
	ip->tos = 0x20;
	return XDP_PASS;
}

char _license[] SEC("license") = "Dual BSD/GPL";
