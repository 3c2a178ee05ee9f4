/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Yardstick for the stitch point: eight functions chained as a patch panel does it at run time. Each parses for itself,
 * counts, looks up who is next and calls it through a prog array with the index it found.
 *
 * `joined` is the same eight in one program: what is left of the chain's cost when it is taken away is the hops'.
 */
#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/ip.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#define FUNCTIONS 8

struct {
	__uint(type, BPF_MAP_TYPE_PROG_ARRAY);
	__uint(max_entries, 64);
	__type(key, __u32);
	__type(value, __u32);
} programs SEC(".maps");

/* Where the output of each function leads: written by whoever patches, so the compiler knows nothing of it. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 64);
	__type(key, __u32);
	__type(value, __u32);
} wires SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 64);
	__type(key, __u32);
	__type(value, __u64[2]);
} counters SEC(".maps");

static __always_inline int look(struct xdp_md *ctx, __u32 self)
{
	struct ethhdr *eth = (void *)(long)ctx->data;
	struct iphdr *ip = (void *)(eth + 1);
	__u64 *counted = bpf_map_lookup_elem(&counters, &self);

	if (!counted || (void *)(ip + 1) > (void *)(long)ctx->data_end)
		return -1;
	counted[0] += 1;
	if (eth->h_proto != bpf_htons(ETH_P_IP) || ip->ihl < 5)
		return -1;
	if (ip->protocol == 17)
		counted[1] += 1;
	return 0;
}

static __always_inline int hop(struct xdp_md *ctx, __u32 self)
{
	__u32 *next;

	if (look(ctx, self))
		return XDP_DROP;
	next = bpf_map_lookup_elem(&wires, &self);
	if (!next)
		return XDP_DROP;
	bpf_tail_call(ctx, &programs, *next);
	return XDP_PASS;
}

#define FUNCTION(n)                                     \
	SEC("xdp") int function_##n(struct xdp_md *ctx) \
	{                                               \
		return hop(ctx, n);                     \
	}

FUNCTION(0)
FUNCTION(1)
FUNCTION(2)
FUNCTION(3)
FUNCTION(4)
FUNCTION(5)
FUNCTION(6)
FUNCTION(7)

SEC("xdp")
int joined(struct xdp_md *ctx)
{
#pragma unroll
	for (__u32 self = 0; self < FUNCTIONS; self++)
		if (look(ctx, self))
			return XDP_DROP;
	return XDP_PASS;
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
