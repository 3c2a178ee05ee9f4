// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * switch: a learning Ethernet switch (IEEE 802.1Q, 8.6 to 8.8) with eight ports.
 *
 * A port leads to an interface, to a set of interfaces, or to another function. Where a station was seen is kept per
 * VLAN as port and interface, so that stations behind one set reach each other and nothing is ever sent back into the
 * function or interface that it came from.
 */
#include <linux/bpf.h>
#include <inkev/nf.h>

enum sw_port { SW_P1, SW_P2, SW_P3, SW_P4, SW_P5, SW_P6, SW_P7, SW_P8, SW_PORTS };
enum sw_metric { SW_KNOWN, SW_FLOODED, SW_LEARNED, SW_MOVED };
enum sw_reason {
	SW_SAME_PORT = IKV_DROP_FIRST_PRIVATE,
	SW_RESERVED_GROUP,
	SW_BAD_SOURCE,
	SW_NOT_IN_VLAN,
};

enum sw_vlans { SW_VLANS_IGNORE, SW_VLANS_SEPARATE, SW_VLANS_FILTER };

struct sw_config {
	__u64 ageing;	/* ns */
	__u32 vlans;	/* enum sw_vlans */
	__u32 learning; /* 0: only the table's static rows */
};
IKV_CONFIG(struct sw_config, config);

/* Station addresses by VLAN. `seen` counts units of 2^30 ns; static rows neither age nor move. */
struct sw_station {
	__u8 mac[6];
	__u16 vlan;
};

struct sw_place {
	__u32 ifindex;
	__u32 seen;
	__u8 port;
	__u8 is_static;
	__u8 pad[6];
};

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 16384);
	__type(key, struct sw_station);
	__type(value, struct sw_place);
} stations SEC(".maps");

/* VLAN id to the ports that belong to it, a bit each. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 4096);
	__type(key, __u32);
	__type(value, __u32);
} vlans SEC(".maps");

#define SW_SEEN_SHIFT 30

static __always_inline void sw_station_of(struct sw_station *key, const __u8 *mac, __u16 vlan)
{
	__builtin_memcpy(key->mac, mac, sizeof(key->mac));
	key->vlan = vlan;
}

static __always_inline int sw_is_group(const __u8 *mac)
{
	return mac[0] & 1;
}

/* 01-80-C2-00-00-00 to -0F never pass a bridge (802.1Q, table 8-1). */
static __always_inline int sw_is_reserved(const __u8 *mac)
{
	return mac[0] == 0x01 && mac[1] == 0x80 && mac[2] == 0xc2 && !mac[3] && !mac[4] &&
	       mac[5] < 0x10;
}

static __always_inline int sw_is_set(__u32 port)
{
	return (ikv_self.set_ports >> (port & 31)) & 1;
}

/* Two places are the same unless the port is a set of interfaces and the interfaces differ. */
static __always_inline int sw_is_here(const struct ikv_packet *pkt, const struct sw_place *place)
{
	return place->port == pkt->in_port &&
	       (!sw_is_set(pkt->in_port) || place->ifindex == pkt->in_ifindex);
}

static __always_inline void sw_learn_new(struct ikv_packet *pkt, const struct sw_station *key,
					 __u32 now)
{
	struct sw_place place = {
		.ifindex = pkt->in_ifindex,
		.seen = now,
		.port = pkt->in_port,
	};

	bpf_map_update_elem(&stations, key, &place, BPF_ANY);
	ikv_count(pkt, SW_LEARNED);
}

/* The fast path writes nothing: a place is refreshed once in 2^30 ns. */
static __always_inline void sw_learn(struct ikv_packet *pkt, const struct sw_station *key,
				     __u32 now)
{
	struct sw_place *place = bpf_map_lookup_elem(&stations, key);

	if (!place) {
		sw_learn_new(pkt, key, now);
		return;
	}
	if (place->is_static)
		return;
	if (!sw_is_here(pkt, place)) {
		place->port = pkt->in_port;
		place->ifindex = pkt->in_ifindex;
		ikv_count(pkt, SW_MOVED);
	}
	if (place->seen != now)
		place->seen = now;
}

static __always_inline int sw_is_stale(const struct sw_place *place, __u32 now)
{
	return !place->is_static && now - place->seen > (__u32)(config.ageing >> SW_SEEN_SHIFT);
}

static __always_inline int sw_flood(struct ikv_packet *pkt, __u32 members)
{
	ikv_count(pkt, SW_FLOODED);
	return config.vlans == SW_VLANS_FILTER ? ikv_flood_to(pkt, members) : ikv_flood(pkt);
}

static __always_inline __u32 sw_members(__u32 vlan)
{
	__u32 *members = bpf_map_lookup_elem(&vlans, &vlan);

	return members ? *members : 0;
}

IKV_NF int switch_frame(struct ikv_packet *pkt)
{
	const struct ikv_eth *eth = ikv_eth(pkt);
	__u32 now, members = ~0U;
	struct sw_station key;
	struct sw_place *to;
	__u16 vlan = 0;

	if (!eth)
		return ikv_drop(pkt, IKV_DROP_MALFORMED);
	if (sw_is_group(eth->src))
		return ikv_drop(pkt, SW_BAD_SOURCE);

	if (config.vlans != SW_VLANS_IGNORE) {
		ikv_parse(pkt);
		vlan = pkt->vlan;
		eth = ikv_eth(pkt);
		if (!eth)
			return ikv_drop(pkt, IKV_DROP_MALFORMED);
	}
	if (config.vlans == SW_VLANS_FILTER) {
		members = sw_members(vlan);
		if (!((members >> (pkt->in_port & 31)) & 1))
			return ikv_drop(pkt, SW_NOT_IN_VLAN);
	}

	now = ikv_now_ns(pkt) >> SW_SEEN_SHIFT;
	if (config.learning) {
		sw_station_of(&key, eth->src, vlan);
		sw_learn(pkt, &key, now);
	}

	if (sw_is_group(eth->dst)) {
		if (sw_is_reserved(eth->dst))
			return ikv_drop(pkt, SW_RESERVED_GROUP);
		return sw_flood(pkt, members);
	}

	sw_station_of(&key, eth->dst, vlan);
	to = bpf_map_lookup_elem(&stations, &key);
	if (!to || sw_is_stale(to, now))
		return sw_flood(pkt, members);
	if (sw_is_here(pkt, to))
		return ikv_drop(pkt, SW_SAME_PORT);
	if (config.vlans == SW_VLANS_FILTER && !((members >> (to->port & 31)) & 1))
		return ikv_drop(pkt, SW_NOT_IN_VLAN);

	ikv_count(pkt, SW_KNOWN);
	return ikv_forward_to(pkt, to->port & 7, to->ifindex);
}
