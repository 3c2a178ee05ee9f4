/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What a router knows: its interfaces, routes and neighbours, and its configuration. */
#ifndef ROUTER_TABLES_H
#define ROUTER_TABLES_H

#include <inkev/nf.h>

#define RT_PORTS 8
#define RT_WORDS __attribute__((aligned(4))) /* copied a word at a time */

enum rt_metric { RT_FORWARDED, RT_LOCAL, RT_ERRORS_SENT, RT_ASKED, RT_VIA_HOST };
enum rt_reason {
	RT_NOT_FOR_US = IKV_DROP_FIRST_PRIVATE,
	RT_PROHIBITED,
	RT_TAGGED,
	RT_NO_SERVICE,
	RT_ERROR_LIMIT,
};

struct rt_config {
	__u64 neighbour_timeout; /* ns; 0: until it announces itself elsewhere */
	__u32 host; /* ask the host's own routes and neighbours for what the tables lack */
	__u32 echo;
	__u32 errors;  /* ICMP errors a second and CPU; 0 for none */
	__u32 resolve; /* ask for unknown neighbours by ARP and ND */
	__u32 ipv6;    /* 0: route IPv4 only, at half the maps */
};
IKV_CONFIG(struct rt_config, config);

/* A port's own addresses. One with no MAC takes frames for any. */
struct rt_interface {
	__u8 mac[6];
	__u16 mtu;
	__be32 ipv4;
	__u8 ipv6[16] RT_WORDS;
	__u32 pad;
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, RT_PORTS);
	__type(key, __u32);
	__type(value, struct rt_interface);
} interfaces SEC(".maps");

enum rt_kind { RT_UNICAST, RT_LOCAL_ADDRESS, RT_BLACKHOLE, RT_PROHIBIT };

struct rt_key4 {
	__u32 bits;
	__be32 prefix;
};

struct rt_route4 {
	__be32 via; /* 0: the destination itself is the next hop */
	__u8 port;
	__u8 kind;
	__u16 pad;
};

struct {
	__uint(type, BPF_MAP_TYPE_LPM_TRIE);
	__uint(max_entries, 65536);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, struct rt_key4);
	__type(value, struct rt_route4);
} routes4 SEC(".maps");

struct rt_key6 {
	__u32 bits;
	__u8 prefix[16] RT_WORDS;
};

struct rt_route6 {
	__u8 via[16] RT_WORDS;
	__u8 port;
	__u8 kind;
	__u16 pad;
};

struct {
	__uint(type, BPF_MAP_TYPE_LPM_TRIE);
	__uint(max_entries, 65536);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, struct rt_key6);
	__type(value, struct rt_route6);
} routes6 SEC(".maps");

struct rt_next4 {
	__be32 address;
	__u32 port;
};

struct rt_next6 {
	__u8 address[16] RT_WORDS;
	__u32 port;
};

struct rt_neighbour {
	__u8 mac[6];
	__u8 is_static;
	__u8 pad;
	__u64 seen; /* ns */
};

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 16384);
	__type(key, struct rt_next4);
	__type(value, struct rt_neighbour);
} neighbours4 SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 16384);
	__type(key, struct rt_next6);
	__type(value, struct rt_neighbour);
} neighbours6 SEC(".maps");

/* Host mode: which port an interface of the host belongs to. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 256);
	__type(key, __u32);
	__type(value, __u32);
} links SEC(".maps");

IKV_INLINE const struct rt_interface *rt_interface_of(__u32 port)
{
	return bpf_map_lookup_elem(&interfaces, &port);
}

IKV_INLINE int rt_has_mac(const struct rt_interface *interface)
{
	return *(const ikv_word *)interface->mac || *(const ikv_half *)(interface->mac + 4);
}

IKV_INLINE int rt_is_zero6(const __u8 *address)
{
	const __u32 *word = (const void *)address;

	return !(word[0] | word[1] | word[2] | word[3]);
}

IKV_INLINE int rt_equal6(const void *one, const void *other)
{
	const __u32 *a = one, *b = other;

	return !((a[0] ^ b[0]) | (a[1] ^ b[1]) | (a[2] ^ b[2]) | (a[3] ^ b[3]));
}

#endif
