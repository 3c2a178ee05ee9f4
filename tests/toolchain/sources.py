"""C sources that the tests link."""

from __future__ import annotations

FORWARD = """
#include <inkev/nf.h>
IKV_NF int nf(struct ikv_packet *pkt)
{
	ikv_count(pkt, 0);
	return ikv_forward(pkt, 0);
}
"""

GUARD = """
#include <inkev/nf.h>
struct guard_config { __u8 min_ttl; __u8 count; };
IKV_CONFIG(struct guard_config, config);
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u64);
} seen SEC(".maps");
IKV_NF int nf(struct ikv_packet *pkt)
{
	struct ikv_ipv4 *ip = ikv_ipv4(pkt);
	__u32 key = 0;

	if (config.count) {
		__u64 *value = bpf_map_lookup_elem(&seen, &key);
		if (value)
			*value += 1;
	}
	if (ip && ip->ttl < config.min_ttl)
		return ikv_drop(pkt, IKV_DROP_FIRST_PRIVATE);
	return ikv_forward(pkt, 0);
}
"""

VERDICT = """
#include <inkev/nf.h>
struct verdict_config { __u32 verdict; __u32 ifindex; };
IKV_CONFIG(struct verdict_config, config);
IKV_NF int nf(struct ikv_packet *pkt)
{
	ikv_kept(pkt)->out_ifindex = config.ifindex;
	return config.verdict;
}
"""

TTL_VERDICT = """
#include <inkev/nf.h>
IKV_NF int nf(struct ikv_packet *pkt)
{
	struct ikv_ipv4 *ip = ikv_ipv4(pkt);
	return ip ? ikv_forward(pkt, ip->ttl) : ikv_drop(pkt, IKV_DROP_UNSUPPORTED);
}
"""

IN_PORT = """
#include <inkev/nf.h>
IKV_NF int nf(struct ikv_packet *pkt)
{
	ikv_add(pkt, 0, pkt->in_port);
	return ikv_forward(pkt, 0);
}
"""

CONTEXT = """
#include <inkev/nf.h>
IKV_NF int nf(struct ikv_packet *pkt)
{
	if (!(pkt->flags & IKV_PARSED)) {
		ikv_parse(pkt);
		ikv_kept(pkt)->mark = 7;
		ikv_kept(pkt)->hash = 99;
		return ikv_forward(pkt, 0);
	}
	struct ikv_udp *udp = ikv_udp(pkt);
	if (!udp || udp->dst != bpf_htons(53))
		return ikv_drop(pkt, IKV_DROP_UNSUPPORTED);
	ikv_add(pkt, 0, ikv_kept(pkt)->mark);
	ikv_add(pkt, 1, ikv_kept(pkt)->hash);
	ikv_add(pkt, 2, pkt->in_port);
	return ikv_pass(pkt);
}
"""

FOREIGN = """
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>
const volatile int limit = 10;
int zero;
int start = 40;
static const int table[4] = { 5, 6, 7, 8 };
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 4);
	__type(key, __u32);
	__type(value, __u64);
} stats SEC(".maps");
__attribute__((noinline)) int clamp(int value)
{
	return value > limit ? limit : value;
}
static __attribute__((noinline)) int pick(__u32 index)
{
	return table[index & 3];
}
SEC("xdp")
int nf(struct xdp_md *ctx)
{
	__u32 key = 1;
	__u64 *value = bpf_map_lookup_elem(&stats, &key);

	zero++;
	start++;
	if (value)
		*value += clamp(start) + pick(zero);
	return XDP_PASS;
}
SEC("xdp")
int other(struct xdp_md *ctx)
{
	return XDP_DROP;
}
char _license[] SEC("license") = "GPL";
"""

XDP_RETURN = """
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>
SEC("xdp")
int nf(struct xdp_md *ctx)
{
	unsigned char *data = (void *)(long)ctx->data;
	if (data + 23 > (unsigned char *)(long)ctx->data_end)
		return XDP_ABORTED;
	data[0] = 0x0a;
	return data[22];
}
char _license[] SEC("license") = "GPL";
"""

TAIL_CALL = """
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>
struct {
	__uint(type, BPF_MAP_TYPE_PROG_ARRAY);
	__uint(max_entries, 2);
	__uint(key_size, 4);
	__uint(value_size, 4);
} jumps SEC(".maps");
SEC("xdp")
int nf(struct xdp_md *ctx)
{
	bpf_tail_call(ctx, &jumps, 1);
	return XDP_DROP;
}
char _license[] SEC("license") = "GPL";
"""

CORE = """
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_core_read.h>
struct net_device { int ifindex; unsigned int mtu; } __attribute__((preserve_access_index));
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u64);
} out SEC(".maps");
SEC("xdp")
int nf(struct xdp_md *ctx)
{
	__u32 key = 0;
	__u64 *value = bpf_map_lookup_elem(&out, &key);
	if (value)
		*value = bpf_core_field_offset(struct net_device, FIELD);
	return XDP_PASS;
}
char _license[] SEC("license") = "GPL";
"""

BIG_STACK = """
#include <inkev/nf.h>
IKV_NF int nf(struct ikv_packet *pkt)
{
	volatile char room[700];
	for (int n = 0; n < 700; n++)
		room[n] = n;
	return ikv_forward(pkt, room[3]);
}
"""
