/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Flows that tracking knew lately, one entry for each direction: a packet of one passes at the cost of one cache line, where
 * a lookup among the connections and a clock cost several times as much.
 *
 * An entry is believed for an epoch, so that at least one packet an epoch reaches its connection and keeps it alive.
 * Only packets that change nothing are looked up here: TCP with SYN, FIN or RST and fragments go to the connection, and the
 * former also end what is believed of both directions.
 */
#ifndef FIREWALL_RECENT_H
#define FIREWALL_RECENT_H

#include "firewall.h"

#define FW_SETS4 8192
#define FW_WAYS 4
#define FW_RECENT6 16384
#define FW_EPOCH_TICKS_SHIFT 6 /* 64 ms to 640 ms, as the kernel's timer goes */

#define FW_TAG_KNOWN (1ULL << 32)
#define FW_TAG_TCP (1ULL << 33)
#define FW_TAG_EPOCH_SHIFT 34

/*
 * Ports, protocol and epoch stand in the tag. `check` is the rest of the flow, mixed with the tag, so that an entry torn
 * between two CPUs matches nothing (R. Hyatt's lockless hashing).
 */
struct fw_recent4 {
	__u64 check;
	__u64 tag;
};

/* A cache line: flows that meet in one place do not drive each other out. */
struct fw_set4 {
	struct fw_recent4 way[FW_WAYS];
};

struct fw_recent6 {
	__u64 ends[4];
	__u64 check;
	__u64 tag;
	__u64 pad[2]; /* a cache line */
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE); /* begins with a page, so that values are whole lines */
	__uint(max_entries, FW_SETS4);
	__type(key, __u32);
	__type(value, struct fw_set4);
} recent SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, FW_RECENT6);
	__type(key, __u32);
	__type(value, struct fw_recent6);
} recent6 SEC(".maps");

/* Tag of a packet that changes nothing in its connection; 0 for all others. */
IKV_INLINE __u64 fw_plain_tag(struct ikv_packet *pkt)
{
	__u64 tag = ikv_ticks(pkt) >> FW_EPOCH_TICKS_SHIFT << FW_TAG_EPOCH_SHIFT | FW_TAG_KNOWN;
	const struct ikv_tcp *tcp = ikv_tcp(pkt);
	const struct ikv_udp *udp = ikv_udp(pkt);

	if (pkt->flags & IKV_FRAGMENT)
		return 0;
	if (tcp)
		return tcp->flags & FW_TCP_STEPS ? 0 : tag | FW_TAG_TCP | *(const ikv_word *)tcp;
	return udp ? tag | *(const ikv_word *)udp : 0;
}

/* What of a tag stays the same from epoch to epoch. */
IKV_INLINE __u64 fw_spread(__u64 tag)
{
	return ikv_mix(0, tag & ((1ULL << FW_TAG_EPOCH_SHIFT) - 1));
}

IKV_INLINE __u64 fw_ends4(const struct ikv_ipv4 *ip)
{
	return ip->src | (__u64)ip->dst << 32;
}

IKV_INLINE struct fw_set4 *fw_set4_of(__u64 ends, __u64 tag)
{
	__u32 place = ikv_mix(fw_spread(tag), ends) >> 51;

	return bpf_map_lookup_elem(&recent, &place);
}

/* Its top bit is set where the difference is 0. */
IKV_INLINE __u64 fw_is_zero(__u64 difference)
{
	return ~difference & (difference - 1);
}

/* No branches: which way holds a flow is as good as random, and a wrong guess costs more than looking at all. */
IKV_INLINE int fw_recall4(const struct ikv_ipv4 *ip, __u64 tag)
{
	__u64 check = fw_ends4(ip) ^ fw_spread(tag), found = 0;
	const struct fw_set4 *set = fw_set4_of(fw_ends4(ip), tag);

	if (!tag || !set)
		return 0;
	for (int i = 0; i < FW_WAYS; i++)
		found |= fw_is_zero((set->way[i].check ^ check) | (set->way[i].tag ^ tag));
	return found >> 63;
}

/* A way that nothing is believed of any more, or else any. */
IKV_INLINE struct fw_recent4 *fw_spare_way(struct fw_set4 *set, __u64 tag)
{
	for (int i = 0; i < FW_WAYS; i++) {
		if ((set->way[i].tag ^ tag) >> FW_TAG_EPOCH_SHIFT)
			return &set->way[i];
	}
	return &set->way[bpf_get_prandom_u32() & (FW_WAYS - 1)];
}

IKV_INLINE void fw_note4(const struct ikv_ipv4 *ip, __u64 tag)
{
	struct fw_set4 *set = fw_set4_of(fw_ends4(ip), tag);
	struct fw_recent4 *entry;

	if (!tag || !set)
		return;
	entry = fw_spare_way(set, tag);
	entry->check = fw_ends4(ip) ^ fw_spread(tag);
	entry->tag = tag;
}

/* Whatever is believed of the flows that meet here is looked up again. */
IKV_INLINE void fw_clear4(__u64 ends, __u64 tag)
{
	struct fw_set4 *set = fw_set4_of(ends, tag);

	if (!set)
		return;
	for (int i = 0; i < FW_WAYS; i++)
		set->way[i].tag = 0;
}

/* The tag of a TCP packet's direction, and of the other. */
IKV_INLINE __u64 fw_tcp_tag(const struct ikv_tcp *tcp)
{
	return FW_TAG_KNOWN | FW_TAG_TCP | *(const ikv_word *)tcp;
}

IKV_INLINE __u64 fw_other_tcp_tag(const struct ikv_tcp *tcp)
{
	return FW_TAG_KNOWN | FW_TAG_TCP | tcp->dst | (__u32)tcp->src << 16;
}

IKV_INLINE void fw_forget4(const struct ikv_ipv4 *ip, const struct ikv_tcp *tcp)
{
	fw_clear4(fw_ends4(ip), fw_tcp_tag(tcp));
	fw_clear4(ip->dst | (__u64)ip->src << 32, fw_other_tcp_tag(tcp));
}

/* The ends of an IPv6 packet's flow, or those of the way back. */
IKV_INLINE void fw_ends6(const __be32 *src, const __be32 *dst, __u64 ends[4])
{
	ends[0] = src[0] | (__u64)src[1] << 32;
	ends[1] = src[2] | (__u64)src[3] << 32;
	ends[2] = dst[0] | (__u64)dst[1] << 32;
	ends[3] = dst[2] | (__u64)dst[3] << 32;
}

IKV_INLINE __u64 fw_hash6(const __u64 ends[4], __u64 tag)
{
	__u64 hash = fw_spread(tag);

	for (int i = 0; i < 4; i++)
		hash = ikv_mix(hash, ends[i]);
	return hash;
}

IKV_INLINE struct fw_recent6 *fw_recent6_of(__u64 hash)
{
	__u32 place = hash >> 50;

	return bpf_map_lookup_elem(&recent6, &place);
}

IKV_INLINE int fw_recall6(const struct ikv_ipv6 *ip, __u64 tag)
{
	const struct fw_recent6 *entry;
	__u64 ends[4], hash;

	fw_ends6(ip->src, ip->dst, ends);
	hash = fw_hash6(ends, tag);
	entry = fw_recent6_of(hash);
	return tag && entry && entry->tag == tag && entry->check == hash &&
	       !((entry->ends[0] ^ ends[0]) | (entry->ends[1] ^ ends[1]) |
		 (entry->ends[2] ^ ends[2]) | (entry->ends[3] ^ ends[3]));
}

IKV_INLINE void fw_note6(const struct ikv_ipv6 *ip, __u64 tag)
{
	struct fw_recent6 *entry;
	__u64 ends[4], hash;

	fw_ends6(ip->src, ip->dst, ends);
	hash = fw_hash6(ends, tag);
	entry = fw_recent6_of(hash);
	if (!tag || !entry)
		return;
	entry->tag = 0;
	__builtin_memcpy(entry->ends, ends, sizeof(ends));
	entry->check = hash;
	entry->tag = tag;
}

IKV_INLINE void fw_forget6(const struct ikv_ipv6 *ip, const struct ikv_tcp *tcp)
{
	__u64 there[4], back[4];
	struct fw_recent6 *entry;

	fw_ends6(ip->src, ip->dst, there);
	entry = fw_recent6_of(fw_hash6(there, fw_tcp_tag(tcp)));
	if (entry)
		entry->tag = 0;
	fw_ends6(ip->dst, ip->src, back);
	entry = fw_recent6_of(fw_hash6(back, fw_other_tcp_tag(tcp)));
	if (entry)
		entry->tag = 0;
}

#endif
