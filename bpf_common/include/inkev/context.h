/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * All that differs between xdp and tc. The toolchain defines IKV_HOOK_XDP or IKV_HOOK_TC; no other header asks which.
 *
 * What may move the packet's bytes ends with ikv_refresh(): pointers that an NF took before are dead.
 */
#ifndef INKEV_CONTEXT_H
#define INKEV_CONTEXT_H

#include <linux/bpf.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#include <inkev/abi.h>
#include <inkev/checksum.h>
#include <inkev/headers.h>
#include <inkev/inline.h>

#define IKV_OFFSET_MASK 0x1ff /* no header that the library follows starts past this */

/* Read the packet's bounds again and make the header pointers from their offsets. */
IKV_INLINE void ikv_refresh(struct ikv_packet *pkt)
{
	pkt->data = (void *)(long)pkt->ctx->data;
	pkt->end = (void *)(long)pkt->ctx->data_end;
	pkt->l3 = pkt->data + (pkt->l3_offset & IKV_OFFSET_MASK);
	pkt->l4 = pkt->data + (pkt->l4_offset & IKV_OFFSET_MASK);
}

/* The same after bytes went in or out before the headers: who asks next parses again. */
IKV_INLINE void ikv_forget(struct ikv_packet *pkt)
{
	pkt->flags = 0;
	pkt->l3_offset = 0;
	pkt->l4_offset = 0;
	ikv_refresh(pkt);
}

#ifdef IKV_HOOK_TC

#define IKV_BLOCK_SAVED IKV_BLOCK_SAVED_TC
#define IKV_PULL_BYTES 256 /* link, network, extension and transport headers together */

/* Whole packet in bytes, GSO and paged data included. */
IKV_INLINE __u32 ikv_length(struct ikv_packet *pkt)
{
	return pkt->ctx->len;
}

/* True where the packet has `bytes` from `header` on, which starts `offset` bytes into it; paged ones included. */
IKV_INLINE int ikv_holds(struct ikv_packet *pkt, void *header, __u32 offset, __u32 bytes)
{
	(void)header;
	return offset + bytes <= pkt->ctx->len;
}

/* Make the first `bytes` reachable by pointers. 0, -IKV_DROP_MALFORMED (too short) or -IKV_DROP_NO_MEMORY. */
IKV_INLINE int ikv_pull(struct ikv_packet *pkt, __u32 bytes)
{
	if (IKV_LIKELY(pkt->data + bytes <= pkt->end))
		return 0;
	if (bytes > pkt->ctx->len)
		return -IKV_DROP_MALFORMED;
	if (bpf_skb_pull_data(pkt->ctx, bytes))
		return -IKV_DROP_NO_MEMORY;
	ikv_refresh(pkt);
	return 0;
}

/* Bring the headers into the linear part. Where that fails for want of memory the parser finds a short packet. */
IKV_INLINE void ikv_linearise(struct ikv_packet *pkt)
{
	__u64 linear = (__u64)pkt->end - (__u64)pkt->data;
	__u32 length = pkt->ctx->len;

	IKV_OPAQUE(linear);
	if (IKV_LIKELY(linear >= IKV_PULL_BYTES || linear >= length))
		return;
	bpf_skb_pull_data(pkt->ctx, length > IKV_PULL_BYTES ? IKV_PULL_BYTES : length);
	ikv_refresh(pkt);
}

/* The id of the tag that the device took off the frame; 0 where there is none. */
IKV_INLINE __u16 ikv_offloaded_vlan(struct ikv_packet *pkt)
{
	return pkt->ctx->vlan_present ? pkt->ctx->vlan_tci & 0x0fff : 0;
}

/* True where a length field of 0 means more than 65,535 bytes (BIG TCP). */
IKV_INLINE int ikv_is_jumbo(struct ikv_packet *pkt)
{
	return pkt->ctx->len > 0xffff;
}

/* Bytes were written that no checksum in the packet makes up for: keep a sum that the device made right. */
IKV_INLINE void ikv_note_change(struct ikv_packet *pkt, __u32 change)
{
	bpf_csum_update(pkt->ctx, change);
}

/*
 * Change the transport checksum at `at` bytes into its header. `flags`: BPF_F_PSEUDO_HDR where an address changed,
 * BPF_F_MARK_MANGLED_0 for UDP. Only the helper knows whether the field holds a checksum or, for a packet whose
 * checksum the device will make (CHECKSUM_PARTIAL, GSO), the pseudo header's sum.
 */
IKV_INLINE int ikv_l4_checksum_change(struct ikv_packet *pkt, __u32 at, __u32 change, __u32 flags)
{
	int failed = bpf_l4_csum_replace(pkt->ctx, pkt->l4_offset + at, 0, change, flags);

	ikv_refresh(pkt);
	return failed ? -IKV_DROP_MALFORMED : 0;
}

/* Put a tag with this id before all others. 0 or -IKV_DROP_NO_MEMORY. */
IKV_INLINE int ikv_vlan_push(struct ikv_packet *pkt, __u16 id)
{
	int failed = bpf_skb_vlan_push(pkt->ctx, bpf_htons(IKV_ETHER_VLAN), id & 0x0fff);

	ikv_forget(pkt);
	return failed ? -IKV_DROP_NO_MEMORY : 0;
}

/* Take the outermost tag off; a packet without one stays as it is. 0 or -IKV_DROP_NO_MEMORY. */
IKV_INLINE int ikv_vlan_pop(struct ikv_packet *pkt)
{
	int failed = bpf_skb_vlan_pop(pkt->ctx);

	ikv_forget(pkt);
	return failed ? -IKV_DROP_NO_MEMORY : 0;
}

/* Copy bytes out, from beyond the linear part too. 0 or -IKV_DROP_MALFORMED. */
IKV_INLINE int ikv_load(struct ikv_packet *pkt, __u32 offset, void *to, __u32 bytes)
{
	return bpf_skb_load_bytes(pkt->ctx, offset, to, bytes) ? -IKV_DROP_MALFORMED : 0;
}

/* Copy bytes in; checksums in the packet are the caller's. 0 or -IKV_DROP_MALFORMED. */
IKV_INLINE int ikv_store(struct ikv_packet *pkt, __u32 offset, const void *from, __u32 bytes)
{
	int failed = bpf_skb_store_bytes(pkt->ctx, offset, from, bytes, BPF_F_RECOMPUTE_CSUM);

	ikv_refresh(pkt);
	return failed ? -IKV_DROP_MALFORMED : 0;
}

/* Bytes of the largest frame that the packet becomes on the wire: a GSO packet leaves in segments. */
IKV_INLINE __u32 ikv_segment_length(struct ikv_packet *pkt)
{
	__u32 payload = pkt->ctx->gso_size;

	return payload ? pkt->l4_offset + 20 + payload : pkt->ctx->len;
}

/* Cut or extend the frame to `bytes`; new ones are zero. 0 or -IKV_DROP_NO_MEMORY. */
IKV_INLINE int ikv_set_length(struct ikv_packet *pkt, __u32 bytes)
{
	int failed = bpf_skb_change_tail(pkt->ctx, bytes, 0);

	ikv_forget(pkt);
	return failed ? -IKV_DROP_NO_MEMORY : 0;
}

/* `bytes` new zero bytes before the frame. */
IKV_INLINE int ikv_grow_head(struct ikv_packet *pkt, __u32 bytes)
{
	int failed = bpf_skb_change_head(pkt->ctx, bytes, 0);

	ikv_forget(pkt);
	return failed ? -IKV_DROP_NO_MEMORY : 0;
}

/* The kernel takes room out behind the link header only, so what becomes the new link header is put back before. */
IKV_INLINE int ikv_shrink_head(struct ikv_packet *pkt, __u32 bytes)
{
	struct ikv_eth eth;
	int failed = bpf_skb_load_bytes(pkt->ctx, bytes, &eth, sizeof(eth));

	if (failed)
		return -IKV_DROP_MALFORMED;
	failed = bpf_skb_adjust_room(pkt->ctx, -(int)bytes, BPF_ADJ_ROOM_MAC, 0);
	if (!failed)
		failed = bpf_skb_store_bytes(pkt->ctx, 0, &eth, sizeof(eth), 0);
	ikv_forget(pkt);
	return failed ? -IKV_DROP_UNSUPPORTED : 0;
}

#else

#define IKV_BLOCK_SAVED IKV_BLOCK_SAVED_XDP

/* Made opaque at full width: narrowed, it would be 32-bit pointer arithmetic, which the verifier refuses. */
IKV_INLINE __u32 ikv_length(struct ikv_packet *pkt)
{
	__u64 length = (__u64)pkt->end - (__u64)pkt->data;

	IKV_OPAQUE(length);
	return (__u32)length;
}

IKV_INLINE int ikv_holds(struct ikv_packet *pkt, void *header, __u32 offset, __u32 bytes)
{
	(void)offset;
	return header + bytes <= pkt->end;
}

IKV_INLINE int ikv_pull(struct ikv_packet *pkt, __u32 bytes)
{
	return pkt->data + bytes <= pkt->end ? 0 : -IKV_DROP_MALFORMED;
}

/* A frame lies in one piece here. */
IKV_INLINE void ikv_linearise(struct ikv_packet *pkt)
{
	(void)pkt;
}

IKV_INLINE __u16 ikv_offloaded_vlan(struct ikv_packet *pkt)
{
	(void)pkt;
	return 0;
}

IKV_INLINE int ikv_is_jumbo(struct ikv_packet *pkt)
{
	(void)pkt;
	return 0;
}

IKV_INLINE void ikv_note_change(struct ikv_packet *pkt, __u32 change)
{
	(void)pkt;
	(void)change;
}

IKV_INLINE int ikv_l4_checksum_change(struct ikv_packet *pkt, __u32 at, __u32 change, __u32 flags)
{
	__sum16 *checksum = pkt->l4 + at;

	if ((void *)(checksum + 1) > pkt->end)
		return -IKV_DROP_MALFORMED;
	if (flags & BPF_F_MARK_MANGLED_0 && !*checksum)
		return 0;
	*checksum = ikv_checksum_apply(*checksum, change);
	if (flags & BPF_F_MARK_MANGLED_0 && !*checksum)
		*checksum = 0xffff;
	return 0;
}

IKV_INLINE int ikv_load(struct ikv_packet *pkt, __u32 offset, void *to, __u32 bytes)
{
	return bpf_xdp_load_bytes(pkt->ctx, offset, to, bytes) ? -IKV_DROP_MALFORMED : 0;
}

IKV_INLINE int ikv_store(struct ikv_packet *pkt, __u32 offset, const void *from, __u32 bytes)
{
	return bpf_xdp_store_bytes(pkt->ctx, offset, (void *)from, bytes) ? -IKV_DROP_MALFORMED : 0;
}

IKV_INLINE __u32 ikv_segment_length(struct ikv_packet *pkt)
{
	return ikv_length(pkt);
}

IKV_INLINE int ikv_set_length(struct ikv_packet *pkt, __u32 bytes)
{
	int failed = bpf_xdp_adjust_tail(pkt->ctx, (int)(bytes - ikv_length(pkt)));

	ikv_forget(pkt);
	return failed ? -IKV_DROP_NO_MEMORY : 0;
}

IKV_INLINE int ikv_move_head(struct ikv_packet *pkt, int delta)
{
	int failed = bpf_xdp_adjust_head(pkt->ctx, delta);

	ikv_forget(pkt);
	return failed ? -IKV_DROP_NO_MEMORY : 0;
}

IKV_INLINE int ikv_grow_head(struct ikv_packet *pkt, __u32 bytes)
{
	int failed = ikv_move_head(pkt, -(int)bytes);

	if (failed || pkt->data + bytes > pkt->end)
		return -IKV_DROP_NO_MEMORY;
	__builtin_memset(pkt->data, 0, bytes);
	return 0;
}

IKV_INLINE int ikv_shrink_head(struct ikv_packet *pkt, __u32 bytes)
{
	return ikv_move_head(pkt, (int)bytes);
}

IKV_INLINE int ikv_vlan_push(struct ikv_packet *pkt, __u16 id)
{
	struct ikv_vlan_tag *tag;
	struct ikv_eth eth, *moved;

	if (pkt->data + sizeof(eth) > pkt->end)
		return -IKV_DROP_MALFORMED;
	eth = *(struct ikv_eth *)pkt->data;
	if (ikv_move_head(pkt, -(int)sizeof(*tag)))
		return -IKV_DROP_NO_MEMORY;
	moved = pkt->data;
	tag = (void *)(moved + 1);
	if ((void *)(tag + 1) > pkt->end)
		return -IKV_DROP_MALFORMED;
	tag->tci = bpf_htons(id & 0x0fff);
	tag->type = eth.type;
	eth.type = bpf_htons(IKV_ETHER_VLAN);
	*moved = eth;
	return 0;
}

IKV_INLINE int ikv_vlan_pop(struct ikv_packet *pkt)
{
	struct ikv_eth eth, *old = pkt->data;
	struct ikv_vlan_tag *tag = (void *)(old + 1);

	if ((void *)(tag + 1) > pkt->end)
		return 0;
	if (old->type != bpf_htons(IKV_ETHER_VLAN) && old->type != bpf_htons(IKV_ETHER_QINQ))
		return 0;
	eth = *old;
	eth.type = tag->type;
	if (ikv_move_head(pkt, sizeof(*tag)))
		return -IKV_DROP_NO_MEMORY;
	if (pkt->data + sizeof(eth) > pkt->end)
		return -IKV_DROP_MALFORMED;
	*(struct ikv_eth *)pkt->data = eth;
	return 0;
}

#endif

/* What of the packet lives in the block: mark, tenant, hash, out_ifindex. */
IKV_INLINE struct ikv_saved *ikv_kept(struct ikv_packet *pkt)
{
	return (struct ikv_saved *)(pkt->block + IKV_BLOCK_SAVED);
}

/*
 * Move the packet's start: `delta` bytes off it where positive, new zero bytes before it where negative. A constant.
 * On tc the kernel shrinks IP packets only. 0 or a negative drop reason.
 */
IKV_INLINE int ikv_adjust_head(struct ikv_packet *pkt, int delta)
{
	if (delta < 0)
		return ikv_grow_head(pkt, (__u32)-delta);
	return ikv_shrink_head(pkt, (__u32)delta);
}

#endif
