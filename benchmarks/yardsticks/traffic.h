/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The traffic side of the benchmarks: what feeds a program under test, sends frames, and swallows them.
 *
 * A test run hands the same buffer to a program again and again, with whatever the program wrote into it. So the
 * program is not run itself but reached from a driver that writes a fresh frame first: always the same one (hot) or the
 * next of many. The driver in front of an empty program is what gets subtracted.
 */
#ifndef BENCHMARKS_TRAFFIC_H
#define BENCHMARKS_TRAFFIC_H

#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

#define FRAME_BYTES 64

struct frame {
	__u8 bytes[FRAME_BYTES];
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 16384);
	__type(key, __u32);
	__type(value, struct frame);
} frames SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PROG_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u32);
} target SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u64);
} received SEC(".maps");

struct settings {
	__u32 frames;	   /* how many of the frames are in turn; at least 1 */
	__u32 out_ifindex; /* where `send` sends to */
	__u32 next;	   /* the frame whose turn it is; one CPU drives at a time */
	__u32 interval_ns; /* from one frame sent to the next; 0: as fast as it goes */
	__u64 due_ns;	   /* when the next one may go */
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct settings);
} settings SEC(".maps");

#define COPY(type, offset) (*(type *)(to + (offset)) = *(const type *)(from + (offset)))

/*
 * Cut at the fields' bounds, so that a program that reads a field at once finds it in one store: a read across two
 * stores that have not reached the cache yet stalls, which no packet from a device would cause.
 */
static __always_inline void write_frame(__u8 *to, const __u8 *from)
{
	COPY(__u32, 0);
	COPY(__u16, 4);
	COPY(__u16, 6);
	COPY(__u32, 8);
	COPY(__u16, 12);
	COPY(__u64, 14);
	COPY(__u32, 22);
	COPY(__u32, 26);
	COPY(__u32, 30);
	COPY(__u16, 34);
	COPY(__u16, 36);
	COPY(__u64, 38);
	COPY(__u64, 46);
	COPY(__u64, 54);
	COPY(__u16, 62);
}

static __always_inline struct settings *fill(void *data, void *end)
{
	__u32 zero = 0, turn;
	struct settings *now = bpf_map_lookup_elem(&settings, &zero);
	struct frame *frame;

	if (!now || data + FRAME_BYTES > end)
		return 0;
	turn = now->next;
	now->next = turn + 1 < now->frames ? turn + 1 : 0;
	frame = bpf_map_lookup_elem(&frames, &turn);
	if (!frame)
		return 0;
	write_frame(data, frame->bytes);
	return now;
}

/* Only what was sent by us counts, UDP over IPv4: 0, or -1 for the rest. */
static __always_inline int count(const __u8 *data, const void *end)
{
	__u32 zero = 0;
	__u64 *packets;

	if ((void *)data + 24 > end || data[12] != 8 || data[13] != 0 || data[23] != 17)
		return -1;
	packets = bpf_map_lookup_elem(&received, &zero);
	if (packets)
		*packets += 1;
	return 0;
}

#endif
