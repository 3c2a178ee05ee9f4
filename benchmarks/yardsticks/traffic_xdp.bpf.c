/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Drives, sends and swallows packets at XDP hooks; see traffic.h. */
#include "traffic.h"

SEC("xdp")
int drive(struct xdp_md *ctx)
{
	if (fill((void *)(long)ctx->data, (void *)(long)ctx->data_end))
		bpf_tail_call(ctx, &target, 0);
	return XDP_ABORTED;
}

SEC("xdp")
int empty(struct xdp_md *ctx)
{
	return XDP_PASS;
}

#define WAIT_TURNS (1 << 16)

static long is_due(__u32 turn, __u64 *due_ns)
{
	return bpf_ktime_get_ns() >= *due_ns;
}

/* Frames leave in bursts of a test run's batch; their mean rate is the one asked for. */
static __always_inline void wait_until_due(struct settings *now)
{
	__u64 due_ns = now->due_ns, start_ns;

	if (!now->interval_ns)
		return;
	start_ns = bpf_ktime_get_ns();
	if (start_ns < due_ns)
		bpf_loop(WAIT_TURNS, is_due, &due_ns, 0);
	else
		due_ns = start_ns;
	now->due_ns = due_ns + now->interval_ns;
}

SEC("xdp")
int send(struct xdp_md *ctx)
{
	struct settings *now = fill((void *)(long)ctx->data, (void *)(long)ctx->data_end);

	if (!now)
		return XDP_ABORTED;
	wait_until_due(now);
	return bpf_redirect(now->out_ifindex, 0);
}

SEC("xdp")
int swallow(struct xdp_md *ctx)
{
	return count((void *)(long)ctx->data, (void *)(long)ctx->data_end) ? XDP_PASS : XDP_DROP;
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
