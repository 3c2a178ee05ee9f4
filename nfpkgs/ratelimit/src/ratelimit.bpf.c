// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * ratelimit: token buckets by address, flow or prefix.
 *
 * A bucket is one number, the time at which it will be full again (GCRA, ITU-T I.371 annex A: the theoretical arrival
 * time). A packet moves it on by what it costs at the rate; one that would move it further ahead of the clock than the
 * burst is worth is dropped. One number changes by one compare-and-swap, so CPUs need no lock.
 */
#include <inkev/nf.h>

enum rl_port { RL_IN, RL_OUT };
enum rl_metric { RL_PASSED, RL_PASSED_BYTES, RL_LIMITED, RL_LIMITED_BYTES, RL_EXEMPT };
enum rl_key { RL_SOURCE, RL_DESTINATION, RL_FLOW, RL_PREFIX };
enum rl_match { RL_MATCH_SOURCE, RL_MATCH_DESTINATION };

#define RL_PACKETS (1ULL << 63) /* in a rate: packets a second, not bits */
#define RL_SECOND_NS 1000000000ULL

/*
 * Time within buckets counts ticks of 1/64 ns: a small packet at 100 Gbit/s takes 5 ns, and the clock lasts for nine
 * years of uptime. The price of one byte or packet has RL_PRICE_SHIFT more bits, and a bound that keeps the price of
 * the largest packet within 64 bits: rates under 64 bits or one thousandth of a packet a second are not kept apart.
 */
#define RL_TICK_SHIFT 6
#define RL_PRICE_SHIFT 14
#define RL_PRICE_MAX (1ULL << 47)

#define RL_ATTEMPTS 8

struct rl_config {
	__u64 rate;
	__u64 burst; /* ns */
	__u32 key;
	__u32 match;
};
IKV_CONFIG(struct rl_config, config);

struct rl_prefix {
	__u32 length;
	__be32 address[4]; /* IPv4 mapped into ::ffff:0:0/96 */
};

struct rl_limit {
	__u64 rate;
	__u64 burst;   /* ns; 0: as configured */
	__u64 full_at; /* the prefix's own bucket, for RL_PREFIX */
};

struct {
	__uint(type, BPF_MAP_TYPE_LPM_TRIE);
	__uint(max_entries, 65536);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, struct rl_prefix);
	__type(value, struct rl_limit);
} limits SEC(".maps");

/* Keys are flows with the parts left out that do not matter; values are buckets. */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 65536);
	__type(key, struct ikv_flow6);
	__type(value, __u64);
} buckets SEC(".maps");

static __always_inline void rl_map_address(__be32 to[4], __be32 address)
{
	to[0] = 0;
	to[1] = 0;
	to[2] = bpf_htonl(0xffff);
	to[3] = address;
}

/* Both families as IPv6. 0, or -IKV_DROP_UNSUPPORTED for what is not IP. */
static __always_inline int rl_flow(struct ikv_packet *pkt, struct ikv_flow6 *flow)
{
	struct ikv_flow4 flow4;

	if (ikv_flow4(pkt, &flow4))
		return ikv_flow6(pkt, flow);
	*flow = (struct ikv_flow6){
		.src_port = flow4.src_port, .dst_port = flow4.dst_port, .protocol = flow4.protocol};
	rl_map_address(flow->src, flow4.src);
	rl_map_address(flow->dst, flow4.dst);
	return 0;
}

static __always_inline struct rl_limit *rl_find_limit(const struct ikv_flow6 *flow)
{
	struct rl_prefix prefix = {.length = 128};

	if (config.match == RL_MATCH_DESTINATION)
		__builtin_memcpy(prefix.address, flow->dst, sizeof(prefix.address));
	else
		__builtin_memcpy(prefix.address, flow->src, sizeof(prefix.address));
	return bpf_map_lookup_elem(&limits, &prefix);
}

/* Leave of a flow what has a bucket of its own. */
static __always_inline void rl_reduce(struct ikv_flow6 *flow)
{
	if (config.key == RL_FLOW)
		return;
	flow->src_port = 0;
	flow->dst_port = 0;
	flow->protocol = 0;
	if (config.key != RL_SOURCE)
		__builtin_memset(flow->src, 0, sizeof(flow->src));
	if (config.key != RL_DESTINATION)
		__builtin_memset(flow->dst, 0, sizeof(flow->dst));
}

/* Ticks that one byte or one packet takes at a rate, RL_PRICE_SHIFT bits finer. */
static __always_inline __u64 rl_price(__u64 rate)
{
	__u64 second = RL_SECOND_NS << (RL_TICK_SHIFT + RL_PRICE_SHIFT);
	__u64 price = rate & RL_PACKETS ? second / (rate & ~RL_PACKETS) : 8 * second / rate;

	return price < RL_PRICE_MAX ? price : RL_PRICE_MAX;
}

static __always_inline __u64 rl_cost(__u64 rate, __u32 bytes)
{
	return (rate & RL_PACKETS ? 1 : bytes) * rl_price(rate) >> RL_PRICE_SHIFT;
}

/*
 * 1 where the packet is within its rate. A full bucket lets any packet pass, or one larger than the burst never would.
 * Where other CPUs win every attempt, what is left is to pay.
 */
static __always_inline int rl_take(__u64 *bucket, __u64 now, __u64 cost, __u64 burst)
{
#pragma clang loop unroll(disable)
	for (int attempt = 0; attempt < RL_ATTEMPTS; attempt++) {
		__u64 full_at = *(volatile __u64 *)bucket;
		__u64 next = (full_at > now ? full_at : now) + cost;

		if (full_at > now && next - now > burst)
			return 0;
		if (__sync_val_compare_and_swap(bucket, full_at, next) == full_at)
			return 1;
	}
	__sync_fetch_and_add(bucket, cost);
	return 1;
}

/* A key's first packet finds its bucket full. */
static __always_inline int rl_take_by_key(struct ikv_flow6 *key, __u64 now, __u64 cost, __u64 burst)
{
	__u64 *bucket, first = now + cost;

	rl_reduce(key);
	bucket = bpf_map_lookup_elem(&buckets, key);
	if (bucket)
		return rl_take(bucket, now, cost, burst);
	bpf_map_update_elem(&buckets, key, &first, BPF_NOEXIST);
	return 1;
}

static __always_inline int rl_forward_exempt(struct ikv_packet *pkt)
{
	ikv_count(pkt, RL_EXEMPT);
	return ikv_forward(pkt, RL_OUT);
}

static __always_inline int rl_judge(struct ikv_packet *pkt, int within)
{
	if (!within) {
		ikv_count(pkt, RL_LIMITED);
		ikv_add(pkt, RL_LIMITED_BYTES, ikv_length(pkt));
		return ikv_drop(pkt, IKV_DROP_RATE);
	}
	ikv_count(pkt, RL_PASSED);
	ikv_add(pkt, RL_PASSED_BYTES, ikv_length(pkt));
	return ikv_forward(pkt, RL_OUT);
}

IKV_NF int limit_rate(struct ikv_packet *pkt)
{
	__u64 rate = config.rate, burst = config.burst, now, cost;
	struct ikv_flow6 flow;
	struct rl_limit *limit;

	if (ikv_parse(pkt))
		return ikv_drop(pkt, IKV_DROP_MALFORMED);
	if (rl_flow(pkt, &flow))
		return rl_forward_exempt(pkt);
	limit = rl_find_limit(&flow);
	if (limit) {
		rate = limit->rate;
		burst = limit->burst ? limit->burst : burst;
	}
	if (!(rate & ~RL_PACKETS))
		return rl_forward_exempt(pkt);
	now = ikv_now_ns(pkt) << RL_TICK_SHIFT;
	cost = rl_cost(rate, ikv_length(pkt));
	burst <<= RL_TICK_SHIFT;
	if (config.key == RL_PREFIX && limit)
		return rl_judge(pkt, rl_take(&limit->full_at, now, cost, burst));
	return rl_judge(pkt, rl_take_by_key(&flow, now, cost, burst));
}
