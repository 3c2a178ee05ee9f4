/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Numbers, configuration and maps of the firewall. Orders are those of nf.toml. */
#ifndef FIREWALL_H
#define FIREWALL_H

#include <inkev/nf.h>
#include <inkev/classify.h>

enum fw_port { FW_OUTSIDE, FW_INSIDE };

enum fw_metric {
	FW_ACCEPTED,
	FW_BLOCKED,
	FW_ESTABLISHED,
	FW_OPENED,
	FW_CLOSED,
	FW_RELATED,
	FW_FRAGMENTS,
	FW_INVALID,
	FW_MALFORMED,
};

enum fw_reason {
	FW_BLOCKED_BY_RULE = IKV_DROP_FIRST_PRIVATE,
	FW_BLOCKED_BY_DEFAULT,
	FW_INVALID_STATE,
	FW_CONNECTIONS_FULL,
	FW_NOT_IP,
	FW_LATER_FRAGMENT,
};

enum fw_non_ip { FW_NON_IP_DROP, FW_NON_IP_ARP, FW_NON_IP_ACCEPT };
enum fw_fragments { FW_FRAGMENTS_DROP, FW_FRAGMENTS_RULES, FW_FRAGMENTS_ACCEPT };

struct fw_config {
	__u64 tcp_established; /* ns, like all that follow */
	__u64 tcp_opening;
	__u64 tcp_closing;
	__u64 udp;
	__u64 udp_answered;
	__u64 icmp;
	__u64 other;
	__u32 default_; /* 0 drop, 1 accept */
	__u32 stateful;
	__u32 use_rules;
	__u32 pickup;
	__u32 non_ip;	 /* enum fw_non_ip */
	__u32 fragments; /* enum fw_fragments */
};
IKV_CONFIG(struct fw_config, config);

IKV_CLASSIFIER(rules, 16384, 1 << 20)

#define FW_TCP_STEPS (IKV_TCP_SYN | IKV_TCP_FIN | IKV_TCP_RST) /* what moves a connection on */

enum fw_state { FW_NONE, FW_OPENING, FW_ANSWERED, FW_OPEN, FW_CLOSING, FW_CLOSED_STATE };

/* One connection, for both directions: a word, so that reading it costs one load. */
struct fw_connection {
	__u32 seen;   /* units of 2^30 ns: a packet writes at most once a second */
	__u8 state;   /* enum fw_state */
	__u8 swapped; /* who began it is the higher end */
	__u8 closed;  /* bit 0: the beginner's side sent FIN; bit 1: the other's */
	__u8 pad;
};

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 131072);
	__type(key, struct ikv_flow4);
	__type(value, struct fw_connection);
} connections SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 65536);
	__type(key, struct ikv_flow6);
	__type(value, struct fw_connection);
} connections6 SEC(".maps");

/* Datagrams whose first fragment was accepted. */
struct fw_datagram {
	__be32 src[4];
	__be32 dst[4];
	__be32 id;
	__u32 protocol;
};

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 4096);
	__type(key, struct fw_datagram);
	__type(value, __u32); /* when, in units of 2^30 ns */
} datagrams SEC(".maps");

#define FW_CLOCK_SHIFT 30
#define FW_DATAGRAM_LIFE 30 /* seconds, about; RFC 791 and RFC 8200 allow 15 to 60 */

/* A coarse clock is right to some milliseconds and costs a tenth: seconds are all that timeouts need. */
IKV_INLINE __u32 fw_now(struct ikv_packet *pkt)
{
	__u64 now = ikv_self.seed ? ikv_now_ns(pkt) : bpf_ktime_get_coarse_ns();

	return now >> FW_CLOCK_SHIFT;
}

IKV_INLINE int fw_accept(struct ikv_packet *pkt)
{
	ikv_count(pkt, FW_ACCEPTED);
	if (pkt->in_port == FW_OUTSIDE)
		return ikv_forward(pkt, FW_INSIDE);
	return ikv_forward(pkt, FW_OUTSIDE);
}

#endif
