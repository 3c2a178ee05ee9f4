/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Protocol headers as they lie on the wire: packed, fields in network byte order. */
#ifndef INKEV_HEADERS_H
#define INKEV_HEADERS_H

#include <linux/types.h>

/*
 * Without padding, yet read a word at a time: told that a header may lie anywhere, clang 14 and later read and write
 * it byte by byte. The machines that BPF is JITed for reach unaligned words at no cost, and the verifier lets them.
 */
#define IKV_PACKED __attribute__((packed, aligned(4)))
#define IKV_PACKED_HALF __attribute__((packed, aligned(2)))

typedef __u32 __attribute__((may_alias)) ikv_word;
typedef __u16 __attribute__((may_alias)) ikv_half;

static inline __attribute__((always_inline, unused)) void ikv_copy_mac(__u8 to[6],
								       const __u8 from[6])
{
	*(ikv_word *)to = *(const ikv_word *)from;
	*(ikv_half *)(to + 4) = *(const ikv_half *)(from + 4);
}

/* Ether types, host order. */
#define IKV_ETHER_IPV4 0x0800
#define IKV_ETHER_ARP 0x0806
#define IKV_ETHER_VLAN 0x8100
#define IKV_ETHER_IPV6 0x86dd
#define IKV_ETHER_QINQ 0x88a8

/* IP protocol numbers. */
#define IKV_PROTO_HOP_BY_HOP 0
#define IKV_PROTO_ICMP 1
#define IKV_PROTO_TCP 6
#define IKV_PROTO_UDP 17
#define IKV_PROTO_ROUTING 43
#define IKV_PROTO_FRAGMENT 44
#define IKV_PROTO_AH 51
#define IKV_PROTO_ICMPV6 58
#define IKV_PROTO_NONE 59
#define IKV_PROTO_DESTINATION 60

struct ikv_eth {
	__u8 dst[6];
	__u8 src[6];
	__be16 type;
} IKV_PACKED_HALF;

struct ikv_vlan_tag {
	__be16 tci; /* 3 bits priority, 1 bit drop eligible, 12 bits id */
	__be16 type;
} IKV_PACKED_HALF;

/* ARP for IPv4 over Ethernet (RFC 826); other kinds do not parse. */
struct ikv_arp {
	__be16 hardware;
	__be16 protocol;
	__u8 hardware_bytes;
	__u8 protocol_bytes;
	__be16 operation;
	__u8 sender_mac[6];
	__be32 sender_ip;
	__u8 target_mac[6];
	__be32 target_ip;
} IKV_PACKED;

#define IKV_IPV4_MORE_FRAGMENTS 0x2000 /* host order */
#define IKV_IPV4_FRAGMENT_OFFSET 0x1fff

struct ikv_ipv4 {
	__u8 version_ihl;
	__u8 tos;
	__be16 total_length;
	__be16 id;
	__be16 fragment;
	__u8 ttl;
	__u8 protocol;
	__be16 checksum;
	__be32 src;
	__be32 dst;
} IKV_PACKED;

struct ikv_ipv6 {
	__be32 version_class_flow;
	__be16 payload_length;
	__u8 next_header;
	__u8 hop_limit;
	__be32 src[4];
	__be32 dst[4];
} IKV_PACKED;

/* The first eight bytes of any extension header; `length` counts in units that depend on its kind. */
struct ikv_ipv6_extension {
	__u8 next_header;
	__u8 length;
	__be16 fragment; /* in a fragment header: offset and the more flag */
	__be32 id;
} IKV_PACKED;

/* TCP flags, in the byte `flags`. */
#define IKV_TCP_FIN 0x01
#define IKV_TCP_SYN 0x02
#define IKV_TCP_RST 0x04
#define IKV_TCP_PSH 0x08
#define IKV_TCP_ACK 0x10
#define IKV_TCP_URG 0x20
#define IKV_TCP_ECE 0x40
#define IKV_TCP_CWR 0x80

struct ikv_tcp {
	__be16 src;
	__be16 dst;
	__be32 sequence;
	__be32 acknowledgement;
	__u8 data_offset; /* upper four bits, in words of four bytes */
	__u8 flags;
	__be16 window;
	__be16 checksum;
	__be16 urgent;
} IKV_PACKED;

struct ikv_udp {
	__be16 src;
	__be16 dst;
	__be16 length;
	__be16 checksum;
} IKV_PACKED;

struct ikv_icmp {
	__u8 type;
	__u8 code;
	__be16 checksum;
	__be16 id; /* of an echo; otherwise the first half of `rest` */
	__be16 sequence;
} IKV_PACKED;

struct ikv_icmpv6 {
	__u8 type;
	__u8 code;
	__be16 checksum;
	__be16 id;
	__be16 sequence;
} IKV_PACKED;

_Static_assert(sizeof(struct ikv_eth) == 14, "IEEE 802.3");
_Static_assert(sizeof(struct ikv_vlan_tag) == 4, "IEEE 802.1Q");
_Static_assert(sizeof(struct ikv_arp) == 28, "RFC 826");
_Static_assert(sizeof(struct ikv_ipv4) == 20, "RFC 791");
_Static_assert(sizeof(struct ikv_ipv6) == 40, "RFC 8200");
_Static_assert(sizeof(struct ikv_ipv6_extension) == 8, "RFC 8200");
_Static_assert(sizeof(struct ikv_tcp) == 20, "RFC 9293");
_Static_assert(sizeof(struct ikv_udp) == 8, "RFC 768");
_Static_assert(sizeof(struct ikv_icmp) == 8, "RFC 792");
_Static_assert(sizeof(struct ikv_icmpv6) == 8, "RFC 4443");

#endif
