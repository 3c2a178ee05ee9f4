/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Ordered rules over addresses, ports, protocol, TCP flags, port of entry and interface: the first that matches wins.
 *
 * Rules lie in decision trees in one array (the arena) that user space maps and edits while packets read it: each
 * change is published by one aligned 8-byte store, so a packet sees the rules before it or after it. What the words of the
 * arena mean is shared with inkev/datapath/classifier/arena.py; how the trees are cut is its business alone.
 *
 *	IKV_CLASSIFIER(rules, 16384, 1 << 20);
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

#define IKV_CLASS_DEPTH 12	 /* cuts from a root to a leaf */
#define IKV_CLASS_LEAF_RULES 127 /* rules in a leaf */
#define IKV_CLASS_GROUPS 4	 /* trees of an address family */
#define IKV_CLASS_SPARE_WORDS \
	16		  /* after the arena: a rule that begins in its last word ends here */
#define IKV_CLASS_LEAF 15 /* in place of a key word: the node is a leaf */
#define IKV_CLASS_WORST 0xffffff  /* no rule is worse */
#define IKV_CLASS_INTERFACE 0x100 /* in a tail: the rule names an interface */

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

_Static_assert(sizeof(struct ikv_class_key) == 88, "the key");
_Static_assert(sizeof(struct ikv_class_rule) == 80, "inkev/datapath/classifier/rules.py");

/*
 * The three maps of a classifier: NAME, its rules by number; NAME_tree, the arena; NAME_hits, packets per rule.
 * `rules` is at most 65,536, `words` (of 8 bytes) a power of two, at most 1 << 24.
 */
#define IKV_CLASSIFIER(name, rules, words)                   \
	struct {                                             \
		__uint(type, BPF_MAP_TYPE_ARRAY);            \
		__uint(map_flags, BPF_F_MMAPABLE);           \
		__uint(max_entries, rules);                  \
		__type(key, __u32);                          \
		__type(value, struct ikv_class_rule);        \
	} name SEC(".maps");                                 \
	struct name##_words {                                \
		__u64 word[(words) + IKV_CLASS_SPARE_WORDS]; \
	};                                                   \
	struct {                                             \
		__uint(type, BPF_MAP_TYPE_ARRAY);            \
		__uint(map_flags, BPF_F_MMAPABLE);           \
		__uint(max_entries, 1);                      \
		__type(key, __u32);                          \
		__type(value, struct name##_words);          \
	} name##_tree SEC(".maps");                          \
	struct {                                             \
		__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);     \
		__uint(max_entries, rules);                  \
		__type(key, __u32);                          \
		__type(value, __u64);                        \
	} name##_hits SEC(".maps")

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

/* The tail of the first rule of the leaf that matches, or `found`. */
IKV_INLINE __u64 ikv_class_leaf4(const struct ikv_class_arena *arena,
				 const struct ikv_class_key *key, __u64 node, __u64 found)
{
	__u32 src = key->word[IKV_CLASS_SRC], dst = key->word[IKV_CLASS_DST];
	__u32 at = node & IKV_CLASS_WORST, count = node >> 33 & 0x7f;

#pragma clang loop unroll(disable)
	for (__u32 i = 0; i < IKV_CLASS_LEAF_RULES; i++, at += IKV_CLASS_WORDS4) {
		const __u64 *rule;
		__u64 differs;

		if (i >= count)
			break;
		rule = arena->word + (at & arena->mask);
		differs = (__u64)(src ^ (__u32)rule[0]) >> (rule[2] >> 24 & 63);
		differs |= (dst ^ rule[0] >> 32) >> (rule[2] >> 56 & 63);
		if (differs | ikv_class_rest_differs(key, rule + 1))
			continue;
		if (ikv_class_accepts(arena, key, rule[3]))
			return rule[3] < found ? rule[3] : found;
	}
	return found;
}

IKV_INLINE __u64 ikv_class_leaf6(const struct ikv_class_arena *arena,
				 const struct ikv_class_key *key, __u64 node, __u64 found)
{
	__u64 src0 = (__u64)key->word[0] << 32 | key->word[1],
	      src1 = (__u64)key->word[2] << 32 | key->word[3];
	__u64 dst0 = (__u64)key->word[4] << 32 | key->word[5],
	      dst1 = (__u64)key->word[6] << 32 | key->word[7];
	__u32 at = node & IKV_CLASS_WORST, count = node >> 33 & 0x7f;

#pragma clang loop unroll(disable)
	for (__u32 i = 0; i < IKV_CLASS_LEAF_RULES; i++, at += IKV_CLASS_WORDS6) {
		const __u64 *rule;

		if (i >= count)
			break;
		rule = arena->word + (at & arena->mask);
		if (((src0 ^ rule[0]) & rule[4]) | ((dst0 ^ rule[2]) & rule[6]) |
		    ((src1 ^ rule[1]) & rule[5]) | ((dst1 ^ rule[3]) & rule[7]) |
		    ikv_class_rest_differs(key, rule + 8))
			continue;
		if (ikv_class_accepts(arena, key, rule[10]))
			return rule[10] < found ? rule[10] : found;
	}
	return found;
}

/*
 * A node: bits 0 to 23, where its children or rules begin; 24 to 27, the word of the key, or IKV_CLASS_LEAF; 28 to 32,
 * shift; 33 to 39, width of the window or number of rules; 40 to 63, the best priority below it.
 */
IKV_INLINE __u64 ikv_class_descend(const struct ikv_class_arena *arena,
				   const struct ikv_class_key *key, __u64 node, __u64 found)
{
#pragma clang loop unroll(disable)
	for (__u32 depth = 0; depth < IKV_CLASS_DEPTH; depth++) {
		__u32 word = node >> 24 & 15, child;

		if (word == IKV_CLASS_LEAF || node >> 40 >= found >> 40)
			break;
		child = key->word[word] >> (node >> 28 & 31) & ((1U << (node >> 33 & 15)) - 1);
		node = arena->word[(node + child) & arena->mask];
	}
	return node;
}

/* The tail of the best rule, or all ones. */
IKV_INLINE __u64 ikv_class_search(const struct ikv_class_arena *arena,
				  const struct ikv_class_key *key)
{
	__u64 found = ~0ULL;
	__u32 root = (arena->word[0] & arena->mask) + key->roots;

	if (!arena->word[0])
		return found; /* nobody has written rules yet */
#pragma clang loop unroll(disable)
	for (__u32 group = 0; group < IKV_CLASS_GROUPS; group++) {
		__u64 node = ikv_class_descend(arena, key,
					       arena->word[(root + group) & arena->mask], found);

		if (node >> 40 >= found >> 40)
			continue;
		if (key->roots)
			found = ikv_class_leaf6(arena, key, node, found);
		else
			found = ikv_class_leaf4(arena, key, node, found);
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

/* The action of the first rule that matches (0 to 255, counted for it), or -1. */
IKV_INLINE int ikv_class_find(const struct ikv_class_arena *arena, void *hits,
			      const struct ikv_class_key *key)
{
	__u64 tail = ikv_class_search(arena, key);

	if (tail == ~0ULL)
		return -1;
	ikv_class_hit(hits, tail);
	return tail & 0xff;
}

#define IKV_CLASSIFY(name, key)                                                                \
	({                                                                                     \
		__u32 zero_ = 0;                                                               \
		const struct name##_words *words_ = bpf_map_lookup_elem(&name##_tree, &zero_); \
		struct ikv_class_arena arena_ = {                                              \
			.word = words_ ? words_->word : (void *)0,                             \
			.mask = sizeof(*words_) / sizeof(__u64) - IKV_CLASS_SPARE_WORDS - 1,   \
			.rules = &name,                                                        \
		};                                                                             \
		words_ ? ikv_class_find(&arena_, &name##_hits, key) : -1;                      \
	})

#endif
