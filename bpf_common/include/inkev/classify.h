/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Ordered rules over addresses, ports, protocol, TCP flags, port of entry and interface: the first that matches wins.
 *
 * Rules lie in decision trees in one array (the arena) that user space maps and edits while packets read it: each
 * change is published by one aligned 8-byte store, so a packet sees the rules before it or after it. What the words of the
 * arena mean is shared with inkev/datapath/classifier/arena.py; how the trees are cut is its business alone.
 *
 *	IKV_CLASSIFIER(rules, 16384, 1 << 20)
 *	...
 *	struct ikv_class_key key;
 *
 *	if (ikv_class_key(pkt, &key) == 0)
 *		found = IKV_CLASSIFY(rules, &key, action);
 */
#ifndef INKEV_CLASSIFY_H
#define INKEV_CLASSIFY_H

#include <inkev/context.h>
#include <inkev/parse.h>

#ifndef BPF_F_MMAPABLE
#define BPF_F_MMAPABLE (1U << 10)
#endif

#define IKV_CLASS_DEPTH 12	/* cuts from a root to a leaf */
#define IKV_CLASS_LEAF_RULES 63 /* rules in a leaf */
#define IKV_CLASS_GROUPS 4	/* trees of an address family */
#define IKV_CLASS_SPARE_WORDS \
	16 /* after the arena: a rule that begins in its last word ends here */
#define IKV_CLASS_LEAF (15 << 22)      /* in place of a key word: the node is a leaf */
#define IKV_CLASS_BASE ((1 << 22) - 1) /* where a node leads */
#define IKV_CLASS_INTERFACE 0x100      /* in a tail: the rule names an interface */

/* Words of the key. */
#define IKV_CLASS_SRC 0
#define IKV_CLASS_DST 4
#define IKV_CLASS_SPORT 8
#define IKV_CLASS_DPORT 9
#define IKV_CLASS_PROTOCOL 10
#define IKV_CLASS_PORT 11

/*
 * A packet as rules see it, all in host order. Sixteen words, so that any four-bit number is a word of it. An IPv4
 * address is the first word of its four.
 */
struct ikv_class_key {
	__u32 word[16];
	__u64 ports; /* source port, bits 0 to 15; destination port, 32 to 47 */
	__u32 rest;  /* protocol, bits 0 to 7; TCP flags, 8 to 15; port of entry, 16 to 23 */
	__u32 ifindex;
	__u32 roots; /* first root of its address family: 0 or IKV_CLASS_GROUPS */
	__u32 pad;
	__u64 leaf[IKV_CLASS_GROUPS]; /* that a search came to in each tree */
};

/*
 * A rule as user space keeps it, by number: its text form in full. The trees hold copies of what they compare.
 */
struct ikv_class_rule {
	__u32 priority; /* smaller is better; 0: the number is free */
	__u32 ifindex;	/* 0: any */
	__u8 src[16];	/* IPv4 in the first four bytes */
	__u8 dst[16];
	__u8 src_bits;
	__u8 dst_bits;
	__u8 family;   /* bit 0: IPv4, bit 1: IPv6 */
	__u8 protocol; /* 0: any */
	__u8 tcp_value;
	__u8 tcp_mask;
	__u8 port; /* of entry, from 1; 0: any */
	__u8 action;
	__u16 sport[2]; /* first and last */
	__u16 dport[2];
	__u8 group; /* the tree it is in */
	__u8 given; /* bit 0: src, bit 1: dst stands for one family though it is open */
	__u8 pad[6];
	char interface[16];
};

_Static_assert(sizeof(struct ikv_class_key) == 120, "the key");
_Static_assert(sizeof(struct ikv_class_rule) == 80, "inkev/datapath/classifier/rules.py");

/* Where the arena's words are while one packet is looked up. */
struct ikv_class_arena {
	const __u64 *word;
	__u32 mask;  /* words - 1, a constant */
	void *rules; /* the map of rules */
};

IKV_INLINE int ikv_class_same_interface(const struct ikv_class_arena *arena, __u64 tail,
					__u32 ifindex)
{
	__u32 number = tail >> 16 & 0xffff;
	const struct ikv_class_rule *rule = bpf_map_lookup_elem(arena->rules, &number);

	return rule && rule->ifindex == ifindex;
}

#define IKV_CLASS_LANES 0x0000ffff0000ffffULL
#define IKV_CLASS_GUARDS 0x0001000000010000ULL

/*
 * 0 where ports, protocol, flags and port of entry match. No branches: which part of a rule fails is as good as random,
 * and a wrong guess costs more than the arithmetic. Each port is a lane of 32 bits, a range is (first, how many more),
 * and the guard bit above a lane is borrowed from where the port is outside.
 *
 * `rule`: ports, then rest and its mask.
 */
IKV_INLINE __u64 ikv_class_rest_differs(const struct ikv_class_key *key, const __u64 *rule)
{
	__u64 range = rule[0], rest = rule[1];
	__u64 off = ((key->ports | IKV_CLASS_GUARDS) - (range & IKV_CLASS_LANES)) & IKV_CLASS_LANES;
	__u64 inside = ((range >> 16 & IKV_CLASS_LANES) | IKV_CLASS_GUARDS) - off;

	return (~inside & IKV_CLASS_GUARDS) | ((rest ^ key->rest) & rest >> 32 & 0xffffff);
}

/* A matching rule may still ask for an interface, which no tree compares. */
IKV_INLINE int ikv_class_accepts(const struct ikv_class_arena *arena,
				 const struct ikv_class_key *key, __u64 tail)
{
	return IKV_LIKELY(!(tail & IKV_CLASS_INTERFACE)) ||
	       ikv_class_same_interface(arena, tail, key->ifindex);
}

/*
 * Rule in an IPv4 leaf: addresses, ports, rest, tail. In `rest`: what must be, bits 0 to 23; its mask, 32 to 55; how many low
 * bits of the source do not matter, 24 to 31; of the destination, 56 to 63.
 */
#define IKV_CLASS_WORDS4 4
/* Rule in an IPv6 leaf: source 2, destination 2, their masks 4, ports, rest without lengths, tail. */
#define IKV_CLASS_WORDS6 11

/*
 * A node has three fields, and more that depend on what it is. Bits 0 to 21: where its children are, or its leaf's header;
 * 22 to 25: the word of the key to look at, 15 for a leaf.
 *
 * A cut: bits 27 to 31, shift; 32 to 63, mask of the window. A leaf: bits 26 to 31, number of rules; 32 to 63, priority of the
 * first, which is the best. A leaf's header is that same node, and word 15 of a key is 0: whoever looks for the child of
 * a leaf finds the leaf.
 */
IKV_INLINE __u64 ikv_class_child(const struct ikv_class_arena *arena,
				 const struct ikv_class_key *key, __u64 node)
{
	__u32 word = *(const __u32 *)((const void *)key + (node >> 20 & 0x3c));
	__u32 child = word >> ((__u32)node >> 27) & (__u32)(node >> 32);

	return arena->word[((__u32)node + child) & arena->mask];
}

/*
 * Go down all trees of a family in step. Each step asks for four words that do not depend on each other, so that the waits
 * for memory are one; and there is one branch to guess, where one tree after the other would have many.
 */
IKV_INLINE void ikv_class_descend(const struct ikv_class_arena *arena, struct ikv_class_key *key)
{
	const __u64 *root = arena->word + ((arena->word[0] + key->roots) & arena->mask);
	__u64 one = root[0], two = root[1], three = root[2], four = root[3];

#pragma clang loop unroll(disable)
	for (__u32 depth = 0; depth < IKV_CLASS_DEPTH; depth++) {
		if ((one & two & three & four & IKV_CLASS_LEAF) == IKV_CLASS_LEAF)
			break;
		one = ikv_class_child(arena, key, one);
		two = ikv_class_child(arena, key, two);
		three = ikv_class_child(arena, key, three);
		four = ikv_class_child(arena, key, four);
	}
	key->leaf[0] = one;
	key->leaf[1] = two;
	key->leaf[2] = three;
	key->leaf[3] = four;
}

IKV_INLINE __u64 ikv_class_differs4(const struct ikv_class_key *key, const __u64 *rule)
{
	__u32 src = key->word[IKV_CLASS_SRC], dst = key->word[IKV_CLASS_DST];
	__u64 differs = (__u64)(src ^ (__u32)rule[0]) >> (rule[2] >> 24 & 63);

	differs |= (dst ^ rule[0] >> 32) >> (rule[2] >> 56 & 63);
	return differs | ikv_class_rest_differs(key, rule + 1);
}

IKV_INLINE __u64 ikv_class_differs6(const struct ikv_class_key *key, const __u64 *rule)
{
	const __u32 *word = key->word;

	return ((((__u64)word[0] << 32 | word[1]) ^ rule[0]) & rule[4]) |
	       ((((__u64)word[2] << 32 | word[3]) ^ rule[1]) & rule[5]) |
	       ((((__u64)word[4] << 32 | word[5]) ^ rule[2]) & rule[6]) |
	       ((((__u64)word[6] << 32 | word[7]) ^ rule[3]) & rule[7]) |
	       ikv_class_rest_differs(key, rule + 8);
}

/*
 * The tail of the first rule of a leaf that matches, or `found` where that is better. `words`: of a rule. The place is masked
 * at each step though it needs it only once: else the verifier tells apart by its bounds how far into a leaf it is.
 */
IKV_INLINE __u64 ikv_class_look(const struct ikv_class_arena *arena,
				const struct ikv_class_key *key, __u64 leaf, __u64 found,
				__u32 words)
{
	__u32 at = (leaf + 1) & arena->mask, count = leaf >> 26 & IKV_CLASS_LEAF_RULES;

#pragma clang loop unroll(disable)
	for (__u32 i = 0; i < IKV_CLASS_LEAF_RULES; i++, at = (at + words) & arena->mask) {
		const __u64 *rule = arena->word + at;
		__u64 tail = rule[words - 1];

		if (i >= count || tail >= found)
			break;
		if (words == IKV_CLASS_WORDS4 ? ikv_class_differs4(key, rule)
					      : ikv_class_differs6(key, rule))
			continue;
		if (ikv_class_accepts(arena, key, tail))
			return tail;
	}
	return found;
}

/* Count a packet for the rule whose tail was found. */
IKV_INLINE void ikv_class_hit(void *hits, __u64 tail)
{
	__u32 number = tail >> 16 & 0xffff;
	__u64 *packets = bpf_map_lookup_elem(hits, &number);

	if (packets)
		(*packets)++;
}

/* What the rules see of a packet. 0, or -IKV_DROP_UNSUPPORTED where it is no sound IP. A later fragment has ports 0. */
IKV_INLINE int ikv_class_key(struct ikv_packet *pkt, struct ikv_class_key *key)
{
	const struct ikv_ipv4 *ip = ikv_ipv4(pkt);
	const struct ikv_ipv6 *ip6 = ikv_ipv6(pkt);
	const struct ikv_tcp *tcp = ikv_tcp(pkt);
	const struct ikv_udp *udp = ikv_udp(pkt);

	*key = (struct ikv_class_key){};
	if (ip) {
		key->word[IKV_CLASS_SRC] = bpf_ntohl(ip->src);
		key->word[IKV_CLASS_DST] = bpf_ntohl(ip->dst);
	} else if (ip6) {
		for (int i = 0; i < 4; i++) {
			key->word[IKV_CLASS_SRC + i] = bpf_ntohl(ip6->src[i]);
			key->word[IKV_CLASS_DST + i] = bpf_ntohl(ip6->dst[i]);
		}
		key->roots = IKV_CLASS_GROUPS;
	} else {
		return -IKV_DROP_UNSUPPORTED;
	}
	if (tcp) {
		key->word[IKV_CLASS_SPORT] = bpf_ntohs(tcp->src);
		key->word[IKV_CLASS_DPORT] = bpf_ntohs(tcp->dst);
		key->rest = tcp->flags << 8;
	} else if (udp) {
		key->word[IKV_CLASS_SPORT] = bpf_ntohs(udp->src);
		key->word[IKV_CLASS_DPORT] = bpf_ntohs(udp->dst);
	}
	key->word[IKV_CLASS_PROTOCOL] = pkt->l4_protocol;
	key->word[IKV_CLASS_PORT] = pkt->in_port + 1;
	key->rest |= pkt->l4_protocol | (pkt->in_port + 1) << 16;
	key->ports = key->word[IKV_CLASS_SPORT] | (__u64)key->word[IKV_CLASS_DPORT] << 32;
	key->ifindex = pkt->in_ifindex;
	return 0;
}

/*
 * The three maps of a classifier: NAME, its rules by number; NAME_tree, the arena; NAME_hits, packets per rule; and two
 * functions that search them. Global ones, for the verifier looks into such a function once, whoever calls it: inlined, it
 * would follow every combination of ways through four leaves (1,000,000 instructions, Linux 6.18).
 * `count` is at most 65,536, `size` (in words of 8 bytes) a power of two, at most 1 << 22.
 */
#define IKV_CLASSIFIER(name, count, size)                                                    \
	struct {                                                                             \
		__uint(type, BPF_MAP_TYPE_ARRAY);                                            \
		__uint(map_flags, BPF_F_MMAPABLE);                                           \
		__uint(max_entries, count);                                                  \
		__type(key, __u32);                                                          \
		__type(value, struct ikv_class_rule);                                        \
	} name SEC(".maps");                                                                 \
	struct name##_words {                                                                \
		__u64 word[(size) + IKV_CLASS_SPARE_WORDS];                                  \
	};                                                                                   \
	struct {                                                                             \
		__uint(type, BPF_MAP_TYPE_ARRAY);                                            \
		__uint(map_flags, BPF_F_MMAPABLE);                                           \
		__uint(max_entries, 1);                                                      \
		__type(key, __u32);                                                          \
		__type(value, struct name##_words);                                          \
	} name##_tree SEC(".maps");                                                          \
	struct {                                                                             \
		__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);                                     \
		__uint(max_entries, count);                                                  \
		__type(key, __u32);                                                          \
		__type(value, __u64);                                                        \
	} name##_hits SEC(".maps");                                                          \
	_Static_assert(((size) & ((size)-1)) == 0 && (size) <= 1 << 22, "a power of two");   \
	__attribute__((noinline))                                                            \
	__u64 name##_better(const struct ikv_class_key *key, __u64 leaf, __u64 found)        \
	{                                                                                    \
		__u32 zero = 0;                                                              \
		const struct name##_words *words = bpf_map_lookup_elem(&name##_tree, &zero); \
		struct ikv_class_arena arena = {.mask = (size)-1, .rules = &name};           \
                                                                                             \
		if (!words || !key)                                                          \
			return found;                                                        \
		arena.word = words->word;                                                    \
		if (key->roots)                                                              \
			return ikv_class_look(&arena, key, leaf, found, IKV_CLASS_WORDS6);   \
		return ikv_class_look(&arena, key, leaf, found, IKV_CLASS_WORDS4);           \
	}                                                                                    \
	__attribute__((noinline)) int name##_find(struct ikv_class_key *key)                 \
	{                                                                                    \
		__u32 zero = 0;                                                              \
		const struct name##_words *words = bpf_map_lookup_elem(&name##_tree, &zero); \
		struct ikv_class_arena arena = {.mask = (size)-1, .rules = &name};           \
		__u64 found = ~0ULL;                                                         \
                                                                                             \
		if (!words || !key || !words->word[0])                                       \
			return -1;                                                           \
		arena.word = words->word;                                                    \
		ikv_class_descend(&arena, key);                                              \
		for (__u32 group = 0; group < IKV_CLASS_GROUPS; group++) {                   \
			if (key->leaf[group] >> 32 < found >> 40)                            \
				found = name##_better(key, key->leaf[group], found);         \
		}                                                                            \
		if (found == ~0ULL)                                                          \
			return -1;                                                           \
		ikv_class_hit(&name##_hits, found);                                          \
		return found & 0xff;                                                         \
	}

/* The action of the first rule that matches, counted for it; -1 where none does. */
#define IKV_CLASSIFY(name, key) name##_find(key)

#endif
