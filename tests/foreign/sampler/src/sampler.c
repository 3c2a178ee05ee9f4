// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Takes every n-th packet, and every one from a watched address. What libbpf programs do with globals, all in one. */
#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/ip.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#include "sampler.h"

const volatile __u32 every = 1;
const volatile __be32 watched;
const volatile __u32 weights[2] = {1, 1};
static const volatile __u16 limit = 9;

struct sample_state state;
__u64 next_sample = 1;
static int last_length SEC(".data.last");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 64);
	__type(key, __u32);
	__type(value, __u64);
} sizes SEC(".maps");

__attribute__((noinline)) int sample_weight(__u32 length)
{
	return length > limit ? 0 : weights[length >= 64] << SAMPLER_SHIFT;
}

static __attribute__((noinline)) void take(__u32 length)
{
	__u64 one = 1, *count = bpf_map_lookup_elem(&sizes, &length);

	if (count)
		__sync_fetch_and_add(count, 1);
	else
		bpf_map_update_elem(&sizes, &length, &one, BPF_ANY);
	state.taken++;
	state.weight += sample_weight(length);
	last_length = length;
}

SEC("sampler/ingress")
int sample(struct xdp_md *ctx)
{
	void *data = (void *)(long)ctx->data, *end = (void *)(long)ctx->data_end;
	struct iphdr *ip = data + sizeof(struct ethhdr);
	int is_watched = (void *)(ip + 1) <= end && ip->saddr == watched;

	state.seen++;
	if (is_watched || --next_sample == 0) {
		next_sample = every;
		take(end - data);
	}
	return XDP_PASS;
}

char _license[] SEC("license") = "Dual BSD/GPL";
