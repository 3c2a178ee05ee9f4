/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Yardstick for linking: switch, router, switch, router, ... in one program written by hand.
 *
 * It does for IPv4 what the two packages do on their fast paths, with tables of the same types: learn the source, find the
 * destination, route by longest prefix, resolve the neighbour, decrease the TTL, rewrite the addresses, count. What a hand
 * would do once (parse, read the clock, find the counters) is done once.
 */
#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/ip.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#ifndef STAGES
#define STAGES 8
#endif
#define SEEN_SHIFT 30
#define PORTS 8

/* Places looked up lately, believed for an epoch of 256 ticks, as the switch package keeps them. */
#define RECENT 4096

struct recent {
	__u64 check;
	__u64 place;
};

struct place {
	__u32 ifindex;
	__u32 seen;
	__u8 port;
	__u8 is_static;
	__u8 pad[6];
};

struct prefix {
	__u32 bits;
	__be32 address;
};

struct route {
	__be32 via;
	__u8 port;
	__u8 kind;
	__u16 pad;
};

struct next_hop {
	__be32 address;
	__u32 port;
};

struct neighbour {
	__u8 mac[6];
	__u8 is_static;
	__u8 pad;
	__u64 seen;
};

struct interface {
	__u8 mac[6];
	__u16 mtu;
	__u8 addresses[24];
};

struct stage_counters {
	__u64 packets;
	__u64 done;
};

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct stage_counters[32]);
} counters SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u32);
} devices SEC(".maps");

#define SWITCH(n)                                    \
	struct {                                     \
		__uint(type, BPF_MAP_TYPE_LRU_HASH); \
		__uint(max_entries, 16384);          \
		__type(key, __u64);                  \
		__type(value, struct place);         \
	} stations_##n SEC(".maps");                 \
	static struct recent recent_##n[RECENT];

#define ROUTER(n)                                     \
	struct {                                      \
		__uint(type, BPF_MAP_TYPE_LPM_TRIE);  \
		__uint(max_entries, 65536);           \
		__uint(map_flags, BPF_F_NO_PREALLOC); \
		__type(key, struct prefix);           \
		__type(value, struct route);          \
	} routes_##n SEC(".maps");                    \
	struct {                                      \
		__uint(type, BPF_MAP_TYPE_LRU_HASH);  \
		__uint(max_entries, 16384);           \
		__type(key, struct next_hop);         \
		__type(value, struct neighbour);      \
	} neighbours_##n SEC(".maps");                \
	struct {                                      \
		__uint(type, BPF_MAP_TYPE_ARRAY);     \
		__uint(max_entries, PORTS);           \
		__type(key, __u32);                   \
		__type(value, struct interface);      \
	} interfaces_##n SEC(".maps");

#define EIGHT_STAGES(EVEN, ODD) EVEN(0) ODD(1) EVEN(2) ODD(3) EVEN(4) ODD(5) EVEN(6) ODD(7)
#define MORE_STAGES(EVEN, ODD) \
	EVEN(8)                \
	ODD(9)                 \
	EVEN(10)               \
	ODD(11)                \
	EVEN(12) ODD(13) EVEN(14) ODD(15) EVEN(16) ODD(17) EVEN(18) ODD(19) EVEN(20)

#if STAGES == 8
#define ALL_STAGES(EVEN, ODD) EIGHT_STAGES(EVEN, ODD)
#else
#define ALL_STAGES(EVEN, ODD) EIGHT_STAGES(EVEN, ODD) MORE_STAGES(EVEN, ODD)
#endif

ALL_STAGES(SWITCH, ROUTER)

struct work {
	struct ethhdr *eth;
	struct iphdr *ip;
	struct stage_counters *counters;
	__u32 epoch;
	__u32 length;
};

#define IN 0
#define OUT 1

static __always_inline int same_mac(const __u8 *one, const __u8 *other)
{
	const __u16 *a = (const void *)one, *b = (const void *)other;

	return !((a[0] ^ b[0]) | (a[1] ^ b[1]) | (a[2] ^ b[2]));
}

static __always_inline __u64 station_of(const __u8 *mac)
{
	const __u16 *part = (const void *)mac;

	return part[0] | (__u64)part[1] << 16 | (__u64)part[2] << 32;
}

static __always_inline struct recent *recent_of(struct recent *recent, __u64 station)
{
	return &recent[(station * 0x9e3779b97f4a7c15ULL >> 52) & (RECENT - 1)];
}

static __always_inline __u64 recall(struct recent *recent, __u64 station, __u32 epoch)
{
	struct recent *entry = recent_of(recent, station);
	__u64 place = entry->place;

	return (entry->check ^ place) == station && place >> 40 == epoch ? place : 0;
}

static __always_inline __u64 note(struct recent *recent, __u64 station, __u32 port, __u32 epoch)
{
	struct recent *entry = recent_of(recent, station);
	__u64 place = (__u64)port << 32 | (__u64)epoch << 40;

	entry->check = station ^ place;
	entry->place = place;
	return place;
}

static __always_inline int learn(void *stations, struct recent *recent, struct work *work,
				 __u64 station)
{
	struct place *known = bpf_map_lookup_elem(stations, &station);
	struct place fresh = {.seen = bpf_ktime_get_ns() >> SEEN_SHIFT, .port = IN};

	if (known && known->is_static) {
		note(recent, station, known->port, work->epoch);
		return 0;
	}
	if (!known && bpf_map_update_elem(stations, &station, &fresh, BPF_ANY))
		return -1;
	if (known)
		*known = fresh;
	note(recent, station, IN, work->epoch);
	return 0;
}

static __always_inline __u64 look_up(void *stations, struct recent *recent, struct work *work,
				     __u64 station)
{
	struct place *known = bpf_map_lookup_elem(stations, &station);

	if (!known || (!known->is_static && (bpf_ktime_get_ns() >> SEEN_SHIFT) - known->seen > 300))
		return 0;
	return note(recent, station, known->port, work->epoch);
}

static __always_inline int do_switch(void *stations, struct recent *recent, struct work *work,
				     int stage)
{
	__u64 here = (__u64)IN << 32 | (__u64)work->epoch << 40, station, place;

	work->counters[stage].packets++;
	if (work->eth->h_source[0] & 1 || work->eth->h_dest[0] & 1)
		return -1;
	station = station_of(work->eth->h_source);
	if (recall(recent, station, work->epoch) != here && learn(stations, recent, work, station))
		return -1;
	station = station_of(work->eth->h_dest);
	place = recall(recent, station, work->epoch);
	if (!place)
		place = look_up(stations, recent, work, station);
	if (((place >> 32) & 0xff) != OUT || !place)
		return -1;
	work->counters[stage].done++;
	return 0;
}

static __always_inline void decrease_ttl(struct iphdr *ip)
{
	__u32 check = ip->check + bpf_htons(0x0100);

	ip->check = check + (check >= 0xffff);
	ip->ttl--;
}

static __always_inline int do_route(void *routes, void *neighbours, void *interfaces,
				    struct work *work, int stage)
{
	struct prefix prefix = {.bits = 32, .address = work->ip->daddr};
	struct interface *in, *out;
	struct neighbour *neighbour;
	struct next_hop next = {};
	struct route *route;
	__u32 port = IN;

	work->counters[stage].packets++;
	in = bpf_map_lookup_elem(interfaces, &port);
	if (!in || !same_mac(in->mac, work->eth->h_dest))
		return -1;
	route = bpf_map_lookup_elem(routes, &prefix);
	if (!route || route->kind || work->ip->ttl <= 1)
		return -1;
	next.port = route->port & (PORTS - 1);
	next.address = route->via ? route->via : work->ip->daddr;
	neighbour = bpf_map_lookup_elem(neighbours, &next);
	out = bpf_map_lookup_elem(interfaces, &next.port);
	if (!neighbour || !out || next.port != OUT)
		return -1;
	if (out->mtu && work->length > out->mtu + sizeof(struct ethhdr))
		return -1;
	decrease_ttl(work->ip);
	__builtin_memcpy(work->eth->h_dest, neighbour->mac, ETH_ALEN);
	__builtin_memcpy(work->eth->h_source, out->mac, ETH_ALEN);
	work->counters[stage].done++;
	return 0;
}

#define RUN_SWITCH(n)                                       \
	if (do_switch(&stations_##n, recent_##n, &work, n)) \
		return XDP_DROP;
#define RUN_ROUTER(n)                                                          \
	if (do_route(&routes_##n, &neighbours_##n, &interfaces_##n, &work, n)) \
		return XDP_DROP;

static __always_inline int parse(struct xdp_md *ctx, struct work *work)
{
	void *end = (void *)(long)ctx->data_end;
	__u32 zero = 0;

	work->eth = (void *)(long)ctx->data;
	work->ip = (void *)(work->eth + 1);
	if ((void *)(work->ip + 1) > end || work->eth->h_proto != bpf_htons(ETH_P_IP))
		return -1;
	work->length = end - (void *)work->eth;
	if (work->ip->version != 4 || work->ip->ihl < 5 ||
	    bpf_ntohs(work->ip->tot_len) + sizeof(struct ethhdr) > work->length)
		return -1;
	work->counters = bpf_map_lookup_elem(&counters, &zero);
	work->epoch = (__u32)(bpf_jiffies64() >> 8 & 0x7fffff) | 0x800000;
	return work->counters ? 0 : -1;
}

SEC("xdp")
int chain(struct xdp_md *ctx)
{
	struct work work;
	__u32 *device, zero = 0;

	if (parse(ctx, &work))
		return XDP_DROP;
	ALL_STAGES(RUN_SWITCH, RUN_ROUTER)
	device = bpf_map_lookup_elem(&devices, &zero);
	return device ? bpf_redirect(*device, 0) : XDP_DROP;
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
