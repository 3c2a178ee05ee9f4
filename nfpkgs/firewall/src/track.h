/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Connections: what a packet means to the one it belongs to. The same code serves IPv4 and IPv6, whose maps and keys
 * come as pointers and are constants once inlined.
 */
#ifndef FIREWALL_TRACK_H
#define FIREWALL_TRACK_H

#include "firewall.h"

/* What tracking says; below 0 is the drop reason, negated. */
enum fw_tracked { FW_KNOWN, FW_UNKNOWN };

/* Where the packet's connection is, or would be. */
struct fw_slot {
	void *map;
	const void *key;
	__u32 swapped; /* the packet goes from the higher end to the lower */
	__u8 tcp_flags;
	__u8 icmp_type;
	__u8 is_settled; /* comes out of tracking: the next packet like this one will change nothing */
};

/* Never less than what was asked for: `seen` is rounded down, and an epoch old where flows are believed. */
IKV_INLINE __u32 fw_units(__u64 ns)
{
	return (ns >> FW_CLOCK_SHIFT) + 2;
}

/* For how long the connection may be silent. */
IKV_INLINE __u32 fw_life(__u8 protocol, __u8 state)
{
	if (protocol == IKV_PROTO_TCP) {
		if (state == FW_OPEN)
			return fw_units(config.tcp_established);
		return fw_units(state < FW_OPEN ? config.tcp_opening : config.tcp_closing);
	}
	if (protocol == IKV_PROTO_UDP)
		return fw_units(state == FW_OPEN ? config.udp_answered : config.udp);
	if (protocol == IKV_PROTO_ICMP || protocol == IKV_PROTO_ICMPV6)
		return fw_units(config.icmp);
	return fw_units(config.other);
}

IKV_INLINE int fw_is_live(const struct fw_connection *connection, __u8 protocol, __u32 now)
{
	return now - connection->seen <= fw_life(protocol, connection->state);
}

IKV_INLINE int fw_tcp_syn(struct fw_connection *connection, int reply, __u8 flags)
{
	if (flags & IKV_TCP_ACK) {
		if (connection->state != FW_OPENING)
			return FW_KNOWN;
		if (!reply)
			return -FW_INVALID_STATE;
		connection->state = FW_ANSWERED;
		return FW_KNOWN;
	}
	if (connection->state >= FW_CLOSING)
		return FW_UNKNOWN; /* the ports are used again: for the rules to say */
	if (connection->state == FW_OPENING && reply)
		connection->state = FW_ANSWERED; /* both began at once (RFC 9293, 3.5) */
	return FW_KNOWN; /* sent again; or a stray that its end answers (RFC 5961, 4) */
}

IKV_INLINE int fw_tcp_fin(struct ikv_packet *pkt, struct fw_connection *connection, int reply)
{
	__u8 closed = connection->closed | 1 << reply;

	if (connection->state == FW_OPENING)
		return -FW_INVALID_STATE;
	if (closed == 3 && connection->state != FW_CLOSED_STATE)
		ikv_count(pkt, FW_CLOSED);
	connection->closed = closed;
	connection->state = closed == 3 ? FW_CLOSED_STATE : FW_CLOSING;
	return FW_KNOWN;
}

/* Neither SYN, FIN nor RST. */
IKV_INLINE int fw_tcp_plain(struct fw_connection *connection, int reply)
{
	if (connection->state == FW_OPENING && !reply)
		return -FW_INVALID_STATE;
	if (connection->state == FW_ANSWERED && !reply)
		connection->state = FW_OPEN;
	return FW_KNOWN;
}

IKV_INLINE int fw_tcp(struct ikv_packet *pkt, struct fw_connection *connection, int reply,
		      __u8 flags)
{
	if (IKV_LIKELY(!(flags & FW_TCP_STEPS)))
		return fw_tcp_plain(connection, reply);
	if (flags & IKV_TCP_RST) {
		if (connection->state != FW_CLOSED_STATE)
			ikv_count(pkt, FW_CLOSED);
		connection->state = FW_CLOSED_STATE;
		return FW_KNOWN;
	}
	if (flags & IKV_TCP_SYN)
		return fw_tcp_syn(connection, reply, flags);
	return fw_tcp_fin(pkt, connection, reply);
}

IKV_INLINE int fw_is_request(__u8 type)
{
	return type == IKV_ICMP_ECHO || type == IKV_ICMPV6_ECHO;
}

/* An echo's answers come from the other side; a request from there begins an echo of its own. */
IKV_INLINE int fw_echo(struct fw_connection *connection, int reply, __u8 type)
{
	if (fw_is_request(type))
		return reply ? FW_UNKNOWN : FW_KNOWN;
	return reply ? FW_KNOWN : -FW_INVALID_STATE;
}

IKV_INLINE int fw_step(struct ikv_packet *pkt, const struct fw_slot *slot,
		       struct fw_connection *connection)
{
	int reply = slot->swapped != connection->swapped;

	if (IKV_LIKELY(pkt->l4_protocol == IKV_PROTO_TCP))
		return fw_tcp(pkt, connection, reply, slot->tcp_flags);
	if (pkt->l4_protocol == IKV_PROTO_ICMP || pkt->l4_protocol == IKV_PROTO_ICMPV6)
		return fw_echo(connection, reply, slot->icmp_type);
	if (reply && connection->state == FW_OPENING)
		connection->state = FW_OPEN;
	return FW_KNOWN;
}

/* Whether a packet of no known connection may begin one. */
IKV_INLINE int fw_may_begin(struct ikv_packet *pkt, const struct fw_slot *slot)
{
	__u8 flags = slot->tcp_flags;

	if (pkt->l4_protocol == IKV_PROTO_TCP) {
		if ((flags & (FW_TCP_STEPS | IKV_TCP_ACK)) == IKV_TCP_SYN)
			return FW_UNKNOWN;
		return config.pickup && (flags & (IKV_TCP_SYN | IKV_TCP_RST | IKV_TCP_ACK)) ==
						IKV_TCP_ACK
			       ? FW_UNKNOWN
			       : -FW_INVALID_STATE;
	}
	if (pkt->l4_protocol == IKV_PROTO_ICMP || pkt->l4_protocol == IKV_PROTO_ICMPV6)
		return fw_is_request(slot->icmp_type) ? FW_UNKNOWN : -FW_INVALID_STATE;
	return FW_UNKNOWN;
}

IKV_INLINE int fw_is_settled(const struct fw_connection *connection, __u8 protocol)
{
	return protocol == IKV_PROTO_UDP ||
	       (protocol == IKV_PROTO_TCP && connection->state == FW_OPEN);
}

/* Move the packet's connection on. FW_KNOWN: it passes; FW_UNKNOWN: the rules decide; below 0: a drop reason. */
IKV_INLINE int fw_track(struct ikv_packet *pkt, struct fw_slot *slot)
{
	struct fw_connection *connection = bpf_map_lookup_elem(slot->map, slot->key);
	__u32 now = fw_now(pkt);
	int said;

	if (!connection || !fw_is_live(connection, pkt->l4_protocol, now))
		return fw_may_begin(pkt, slot);
	said = fw_step(pkt, slot, connection);
	if (said != FW_KNOWN)
		return said;
	if (connection->seen != now)
		connection->seen = now;
	slot->is_settled = fw_is_settled(connection, pkt->l4_protocol);
	return FW_KNOWN;
}

/* The rules accepted the first packet: remember it. 0, or the negated reason where there is no room. */
IKV_INLINE int fw_begin(struct ikv_packet *pkt, const struct fw_slot *slot)
{
	struct fw_connection fresh = {
		.seen = fw_now(pkt), .state = FW_OPENING, .swapped = slot->swapped};

	if (pkt->l4_protocol == IKV_PROTO_TCP && !(slot->tcp_flags & IKV_TCP_SYN))
		fresh.state = FW_OPEN;
	if (bpf_map_update_elem(slot->map, slot->key, &fresh, BPF_ANY))
		return -FW_CONNECTIONS_FULL;
	ikv_count(pkt, FW_OPENED);
	return 0;
}

#endif
