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

/*
 * Places looked up lately, believed for 256 ticks: a lookup in a kernel hash costs 26 ns, one here 3. `check` is the
 * station xor the place, so that an entry torn between two CPUs matches nothing (R. Hyatt's lockless hashing).
 */
#define SW_RECENT 4096

struct sw_recent {
	__u64 check;
	__u64 place; /* ifindex, port, epoch: 32, 8 and 24 bits from the lowest */
};

static struct sw_recent recent[SW_RECENT];

IKV_INLINE __u64 sw_station_of(const __u8 *mac, __u16 vlan)
{
	return *(const ikv_word *)mac | (__u64) * (const ikv_half *)(mac + 4) << 32 |
	       (__u64)vlan << 48;
}

IKV_INLINE int sw_is_group(const __u8 *mac)
{
	return mac[0] & 1;
}

/* 01-80-C2-00-00-00 to -0F never pass a bridge (802.1Q, table 8-1). */
IKV_INLINE int sw_is_reserved(const __u8 *mac)
{
	return mac[0] == 0x01 && mac[1] == 0x80 && mac[2] == 0xc2 && !mac[3] && !mac[4] &&
	       mac[5] < 0x10;
}

IKV_INLINE int sw_is_set(__u32 port)
{
	return (ikv_self.set_ports >> (port & 31)) & 1;
}

IKV_INLINE __u64 sw_pack(__u32 ifindex, __u8 port, __u32 epoch)
{
	return ifindex | (__u64)port << 32 | (__u64)epoch << 40;
}

/* Where the packet came from. Only behind a set of interfaces does it matter by which one. */
IKV_INLINE __u64 sw_here(const struct ikv_packet *pkt, __u32 epoch)
{
	return sw_pack(sw_is_set(pkt->in_port) ? pkt->in_ifindex : 0, pkt->in_port, epoch);
}

IKV_INLINE struct sw_recent *sw_recent_of(__u64 station)
{
	return &recent[(station * IKV_HASH_MULTIPLIER >> 52) & (SW_RECENT - 1)];
}

/* The place of a station if it was looked up in this epoch; 0 where it was not (no place packs to 0 in epoch > 0). */
IKV_INLINE __u64 sw_recall(__u64 station, __u32 epoch)
{
	const struct sw_recent *entry = sw_recent_of(station);
	__u64 place = entry->place;

	return (entry->check ^ place) == station && place >> 40 == epoch ? place : 0;
}

IKV_INLINE void sw_note(__u64 station, __u64 place)
{
	struct sw_recent *entry = sw_recent_of(station);

	entry->check = station ^ place;
	entry->place = place;
}

IKV_INLINE __u32 sw_seen(struct ikv_packet *pkt)
{
	return ikv_now_ns(pkt) >> SW_SEEN_SHIFT;
}

/* Once an epoch and station: write down where it is. */
IKV_INLINE void sw_learn(struct ikv_packet *pkt, __u64 station, __u64 here)
{
	struct sw_place *known = bpf_map_lookup_elem(&stations, &station);
	struct sw_place place = {
		.ifindex = (__u32)here,
		.seen = sw_seen(pkt),
		.port = (__u8)(here >> 32),
	};

	if (known && known->is_static) {
		sw_note(station, sw_pack(known->ifindex, known->port, here >> 40));
		return;
	}
	if (!known) {
		bpf_map_update_elem(&stations, &station, &place, BPF_ANY);
		ikv_count(pkt, SW_LEARNED);
	} else {
		if (known->port != place.port || known->ifindex != place.ifindex)
			ikv_count(pkt, SW_MOVED);
		*known = place;
	}
	sw_note(station, here);
}

/* Once an epoch and station: 0 where it is not known, or too long ago. */
IKV_INLINE __u64 sw_look_up(struct ikv_packet *pkt, __u64 station, __u32 epoch)
{
	const struct sw_place *known = bpf_map_lookup_elem(&stations, &station);
	__u64 place;

	if (!known)
		return 0;
	if (!known->is_static &&
	    sw_seen(pkt) - known->seen > (__u32)(config.ageing >> SW_SEEN_SHIFT))
		return 0;
	place = sw_pack(known->ifindex, known->port, epoch);
	sw_note(station, place);
	return place;
}

IKV_INLINE int sw_flood(struct ikv_packet *pkt, __u32 members)
{
	ikv_count(pkt, SW_FLOODED);
	return config.vlans == SW_VLANS_FILTER ? ikv_flood_to(pkt, members) : ikv_flood(pkt);
}

IKV_INLINE __u32 sw_members(__u32 vlan)
{
	__u32 *members = bpf_map_lookup_elem(&vlans, &vlan);

	return members ? *members : 0;
}

IKV_INLINE int sw_forward(struct ikv_packet *pkt, const struct ikv_eth *eth, __u16 vlan,
			  __u32 members)
{
	/* Never 0, so that a place of this epoch is never 0 either. */
	__u32 epoch = (__u32)(ikv_ticks(pkt) >> 8 & 0x7fffff) | 0x800000, port;
	__u64 here = sw_here(pkt, epoch), station, place;

	if (config.learning) {
		station = sw_station_of(eth->src, vlan);
		if (sw_recall(station, epoch) != here)
			sw_learn(pkt, station, here);
	}
	if (sw_is_group(eth->dst)) {
		if (sw_is_reserved(eth->dst))
			return ikv_drop(pkt, SW_RESERVED_GROUP);
		return sw_flood(pkt, members);
	}

	station = sw_station_of(eth->dst, vlan);
	place = sw_recall(station, epoch);
	if (!place)
		place = sw_look_up(pkt, station, epoch);
	if (!place)
		return sw_flood(pkt, members);
	if (place == here)
		return ikv_drop(pkt, SW_SAME_PORT);
	port = place >> 32 & 7;
	if (config.vlans == SW_VLANS_FILTER && !((members >> port) & 1))
		return ikv_drop(pkt, SW_NOT_IN_VLAN);
	ikv_count(pkt, SW_KNOWN);
	return ikv_forward_to(pkt, port, (__u32)place);
}

IKV_NF int switch_frame(struct ikv_packet *pkt)
{
	const struct ikv_eth *eth;
	__u32 members = 0;
	__u16 vlan = 0;

	if (config.vlans != SW_VLANS_IGNORE) {
		ikv_parse(pkt);
		vlan = pkt->vlan;
	}
	eth = ikv_eth(pkt);
	if (!eth)
		return ikv_drop(pkt, IKV_DROP_MALFORMED);
	if (sw_is_group(eth->src))
		return ikv_drop(pkt, SW_BAD_SOURCE);
	if (config.vlans == SW_VLANS_FILTER) {
		members = sw_members(vlan);
		if (!((members >> (pkt->in_port & 31)) & 1))
			return ikv_drop(pkt, SW_NOT_IN_VLAN);
	}
	return sw_forward(pkt, eth, vlan, members);
}
