/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Puts one flow after the other to a classifier and writes down what it finds. */
#include <linux/bpf.h>
#include <inkev/classify.h>

#define FLOWS 1024

IKV_CLASSIFIER(rules, 1024, 1 << 17)

struct flow {
	__u32 src[4], dst[4];
	__u16 sport, dport;
	__u8 protocol, tcp_flags, port, version;
	__u32 ifindex;
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, FLOWS);
	__type(key, __u32);
	__type(value, struct flow);
} flows SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, FLOWS);
	__type(key, __u32);
	__type(value, __s64);
} found SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u32);
} cursor SEC(".maps");

static void fill(struct ikv_class_key *key, const struct flow *flow)
{
	for (int i = 0; i < 4; i++) {
		key->word[IKV_CLASS_SRC + i] = flow->src[i];
		key->word[IKV_CLASS_DST + i] = flow->dst[i];
	}
	key->word[IKV_CLASS_SPORT] = flow->sport;
	key->word[IKV_CLASS_DPORT] = flow->dport;
	key->word[IKV_CLASS_PROTOCOL] = flow->protocol;
	key->word[IKV_CLASS_PORT] = flow->port;
	key->ports = flow->sport | (__u64)flow->dport << 32;
	key->rest = flow->protocol | flow->tcp_flags << 8 | flow->port << 16;
	key->ifindex = flow->ifindex;
	key->roots = flow->version == 6 ? IKV_CLASS_GROUPS : 0;
}

SEC("xdp")
int classify(struct xdp_md *ctx)
{
	__u32 zero = 0, number;
	__u32 *next = bpf_map_lookup_elem(&cursor, &zero);
	struct ikv_class_key key = {};
	struct flow *flow;
	__s64 *result;

	if (!next)
		return XDP_ABORTED;
	number = (*next)++;
	flow = bpf_map_lookup_elem(&flows, &number);
	result = bpf_map_lookup_elem(&found, &number);
	if (!flow || !result)
		return XDP_ABORTED;
	fill(&key, flow);
	*result = IKV_CLASSIFY(rules, &key);
	return XDP_PASS;
}

char _license[] SEC("license") = "Dual BSD/GPL";
