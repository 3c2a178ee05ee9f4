// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * firewall: ordered rules for IPv4 and IPv6, and the connections that they accepted.
 *
 * A packet of a tracked connection passes at the cost of one lookup, or of one load where one like it did a moment ago. All
 * others are put to the rules; the first that matches decides, else the default. What configuration switches off is not in the linked program.
 */
#include "recent.h"
#include "related.h"

IKV_INLINE int fw_block(struct ikv_packet *pkt, __u32 reason)
{
	ikv_count(pkt, FW_BLOCKED);
	return ikv_drop(pkt, reason);
}

/* 0 where rules or default accept the packet, else the negated reason. */
IKV_INLINE int fw_judge(struct ikv_packet *pkt)
{
	struct ikv_class_key key;
	int action = -1;

	if (config.use_rules && !ikv_class_key(pkt, &key))
		action = IKV_CLASSIFY(rules, &key);
	if (action < 0)
		return config.default_ ? 0 : -FW_BLOCKED_BY_DEFAULT;
	return action ? 0 : -FW_BLOCKED_BY_RULE;
}

/* The rules have the last word; where `slot` is given, what they accept becomes a connection. */
IKV_INLINE int fw_rule(struct ikv_packet *pkt, const struct fw_slot *slot)
{
	int refused = fw_judge(pkt);

	if (!refused && slot)
		refused = fw_begin(pkt, slot);
	if (refused)
		return fw_block(pkt, -refused);
	if (pkt->flags & IKV_FRAGMENT)
		fw_remember_datagram(pkt);
	return fw_accept(pkt);
}

IKV_INLINE int fw_pass_established(struct ikv_packet *pkt)
{
	ikv_count(pkt, FW_ESTABLISHED);
	return fw_accept(pkt);
}

IKV_INLINE int fw_connection(struct ikv_packet *pkt, struct fw_slot *slot)
{
	int said = fw_track(pkt, slot);

	if (said < 0) {
		ikv_count(pkt, FW_INVALID);
		return ikv_drop(pkt, -said);
	}
	if (said == FW_UNKNOWN)
		return fw_rule(pkt, slot);
	if (IKV_UNLIKELY(pkt->flags & IKV_FRAGMENT))
		fw_remember_datagram(pkt);
	return fw_pass_established(pkt);
}

IKV_INLINE int fw_pass_related(struct ikv_packet *pkt)
{
	ikv_count(pkt, FW_RELATED);
	return fw_accept(pkt);
}

IKV_INLINE int fw_later_fragment(struct ikv_packet *pkt)
{
	if (fw_knows_datagram(pkt)) {
		ikv_count(pkt, FW_FRAGMENTS);
		return fw_accept(pkt);
	}
	if (config.fragments == FW_FRAGMENTS_RULES)
		return fw_rule(pkt, (void *)0);
	if (config.fragments == FW_FRAGMENTS_ACCEPT)
		return fw_accept(pkt);
	return fw_block(pkt, FW_LATER_FRAGMENT);
}

IKV_INLINE __u8 fw_tcp_flags(struct ikv_packet *pkt)
{
	const struct ikv_tcp *tcp = ikv_tcp(pkt);

	return tcp ? tcp->flags : 0;
}

/* What is not known from a moment ago. `tag`: see fw_plain_tag(). */
IKV_INLINE int fw_flow4(struct ikv_packet *pkt, const struct ikv_ipv4 *ip, __u64 tag)
{
	const struct ikv_icmp *icmp = ikv_icmp(pkt);
	const struct ikv_tcp *tcp = ikv_tcp(pkt);
	struct ikv_flow4 key;
	struct fw_slot slot = {.map = &connections, .key = &key, .tcp_flags = fw_tcp_flags(pkt)};
	int verdict;

	if (icmp)
		slot.icmp_type = icmp->type;
	if (ikv_flow4(pkt, &key))
		return ikv_drop(pkt, IKV_DROP_MALFORMED);
	slot.swapped = ikv_flow4_normalise(&key);
	verdict = fw_connection(pkt, &slot);
	if (slot.is_settled)
		fw_note4(ip, tag);
	if (tcp && slot.tcp_flags & FW_TCP_STEPS)
		fw_forget4(ip, tcp);
	return verdict;
}

IKV_INLINE int fw_ipv4(struct ikv_packet *pkt, const struct ikv_ipv4 *ip)
{
	const struct ikv_icmp *icmp = ikv_icmp(pkt);
	__u64 tag;

	if (!config.stateful)
		return fw_rule(pkt, (void *)0);
	tag = fw_plain_tag(pkt);
	if (IKV_LIKELY(fw_recall4(ip, tag)))
		return fw_pass_established(pkt);
	if (icmp && !ikv_is_echo(icmp))
		return fw_is_related4(pkt, ip) ? fw_pass_related(pkt) : fw_rule(pkt, (void *)0);
	return fw_flow4(pkt, ip, tag);
}

IKV_INLINE int fw_flow6(struct ikv_packet *pkt, const struct ikv_ipv6 *ip, __u64 tag)
{
	const struct ikv_icmpv6 *icmp = ikv_icmpv6(pkt);
	const struct ikv_tcp *tcp = ikv_tcp(pkt);
	struct ikv_flow6 key;
	struct fw_slot slot = {.map = &connections6, .key = &key, .tcp_flags = fw_tcp_flags(pkt)};
	int verdict;

	if (icmp)
		slot.icmp_type = icmp->type;
	if (ikv_flow6(pkt, &key))
		return ikv_drop(pkt, IKV_DROP_MALFORMED);
	slot.swapped = ikv_flow6_normalise(&key);
	verdict = fw_connection(pkt, &slot);
	if (slot.is_settled)
		fw_note6(ip, tag);
	if (tcp && slot.tcp_flags & FW_TCP_STEPS)
		fw_forget6(ip, tcp);
	return verdict;
}

IKV_INLINE int fw_ipv6(struct ikv_packet *pkt, const struct ikv_ipv6 *ip)
{
	const struct ikv_icmpv6 *icmp = ikv_icmpv6(pkt);
	__u64 tag;

	if (config.non_ip != FW_NON_IP_DROP && fw_is_discovery(pkt, ip))
		return fw_accept(pkt);
	if (!config.stateful)
		return fw_rule(pkt, (void *)0);
	tag = fw_plain_tag(pkt);
	if (IKV_LIKELY(fw_recall6(ip, tag)))
		return fw_pass_established(pkt);
	if (icmp && !ikv_is_echo6(icmp))
		return fw_is_related6(pkt, ip) ? fw_pass_related(pkt) : fw_rule(pkt, (void *)0);
	return fw_flow6(pkt, ip, tag);
}

IKV_INLINE int fw_not_ip(struct ikv_packet *pkt)
{
	if (config.non_ip == FW_NON_IP_ACCEPT)
		return fw_accept(pkt);
	if (config.non_ip == FW_NON_IP_ARP && pkt->ether_type == IKV_ETHER_ARP)
		return fw_accept(pkt);
	return fw_block(pkt, FW_NOT_IP);
}

IKV_NF int firewall_packet(struct ikv_packet *pkt)
{
	const struct ikv_ipv4 *ip;
	const struct ikv_ipv6 *ip6;

	if (ikv_parse(pkt)) {
		ikv_count(pkt, FW_MALFORMED);
		return ikv_drop(pkt, IKV_DROP_MALFORMED);
	}
	if (IKV_UNLIKELY(pkt->flags & IKV_LATER_FRAGMENT))
		return fw_later_fragment(pkt);
	ip = ikv_ipv4(pkt);
	if (ip)
		return fw_ipv4(pkt, ip);
	ip6 = ikv_ipv6(pkt);
	if (ip6)
		return fw_ipv6(pkt, ip6);
	return fw_not_ip(pkt);
}
