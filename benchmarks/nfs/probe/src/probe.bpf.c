// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* probe: needs the parsed IPv4 header and does next to nothing with it, so that what is around it can be measured. */
#include <inkev/nf.h>

enum probe_port { PROBE_IN, PROBE_OUT };
enum probe_metric { PROBE_UDP, PROBE_FIRST };

struct probe_config {
	__u32 count_udp;
	__u32 salt; /* what was never linked before differs in it */
	__u32 stamp;
};
IKV_CONFIG(struct probe_config, config);

/* The kernel's own word on when this program began to run. */
static __always_inline void probe_stamp(struct ikv_packet *pkt)
{
	__u32 index = 1 + IKV_DROP_FIRST_PRIVATE + ikv_self.reasons + PROBE_FIRST;
	__u64 *first = pkt->block + ((ikv_self.counters + 8 * index) & IKV_COUNTER_MASK);

	if (!*first)
		*first = ikv_now_ns(pkt);
}

IKV_NF int probe(struct ikv_packet *pkt)
{
	const struct ikv_ipv4 *ip = ikv_ipv4(pkt);

	if (config.stamp)
		probe_stamp(pkt);
	if (!ip)
		return ikv_drop(pkt, IKV_DROP_UNSUPPORTED);
	if (config.count_udp && ip->protocol == IKV_PROTO_UDP)
		ikv_count(pkt, PROBE_UDP);
	return ikv_forward(pkt, PROBE_OUT);
}
