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

SEC("xdp")
int send(struct xdp_md *ctx)
{
	struct settings *now = fill((void *)(long)ctx->data, (void *)(long)ctx->data_end);

	return now ? bpf_redirect(now->out_ifindex, 0) : XDP_ABORTED;
}

SEC("xdp")
int swallow(struct xdp_md *ctx)
{
	return count((void *)(long)ctx->data, (void *)(long)ctx->data_end) ? XDP_PASS : XDP_DROP;
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
