/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What an NF says about a packet. Each returns the verdict for the entry to return in its turn. */
#ifndef INKEV_VERDICT_H
#define INKEV_VERDICT_H

#include <inkev/context.h>

#define IKV_VERDICT(kind, argument) (((kind) << 16) | ((argument)&0xffff))

/* On to whatever the graph joined to `port`. */
IKV_INLINE int ikv_forward(struct ikv_packet *pkt, __u32 port)
{
	(void)pkt;
	return IKV_VERDICT(IKV_VERDICT_FORWARD, port);
}

/* The same, naming the interface for a port that leads to a set of them. */
IKV_INLINE int ikv_forward_to(struct ikv_packet *pkt, __u32 port, __u32 ifindex)
{
	ikv_kept(pkt)->out_ifindex = ifindex;
	return IKV_VERDICT(IKV_VERDICT_FORWARD, port);
}

/* End here; the reason is counted. */
IKV_INLINE int ikv_drop(struct ikv_packet *pkt, __u32 reason)
{
	(void)pkt;
	return IKV_VERDICT(IKV_VERDICT_DROP, reason);
}

/* To the host's own stack. */
IKV_INLINE int ikv_pass(struct ikv_packet *pkt)
{
	(void)pkt;
	return IKV_VERDICT(IKV_VERDICT_PASS, 0);
}

/* Out of the interface it came in by. */
IKV_INLINE int ikv_transmit(struct ikv_packet *pkt)
{
	(void)pkt;
	return IKV_VERDICT(IKV_VERDICT_TRANSMIT, 0);
}

/* Out of any interface, whatever the graph says. */
IKV_INLINE int ikv_redirect(struct ikv_packet *pkt, __u32 ifindex)
{
	ikv_kept(pkt)->out_ifindex = ifindex;
	return IKV_VERDICT(IKV_VERDICT_REDIRECT, 0);
}

/* To the instance's control part, with a code that tells it why. */
IKV_INLINE int ikv_punt(struct ikv_packet *pkt, __u32 code)
{
	(void)pkt;
	return IKV_VERDICT(IKV_VERDICT_PUNT, code);
}

/* A copy out of every flood port but the one it entered by. */
IKV_INLINE int ikv_flood(struct ikv_packet *pkt)
{
	(void)pkt;
	return IKV_VERDICT(IKV_VERDICT_FLOOD, 0);
}

/* The same among the ports (0 to 15) whose bits are set; where none is, a drop. */
IKV_INLINE int ikv_flood_to(struct ikv_packet *pkt, __u32 ports)
{
	(void)pkt;
	return ports & 0xffff ? IKV_VERDICT(IKV_VERDICT_FLOOD, ports) : 0;
}

#endif
