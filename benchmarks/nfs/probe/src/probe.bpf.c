// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* probe: needs the parsed IPv4 header and does next to nothing with it, so that what is around it can be measured. */
#include <inkev/nf.h>

enum probe_port { PROBE_IN, PROBE_OUT };
enum probe_metric { PROBE_UDP };

struct probe_config {
	__u32 count_udp;
	__u32 salt; /* what was never linked before differs in it */
};
IKV_CONFIG(struct probe_config, config);

IKV_NF int probe(struct ikv_packet *pkt)
{
	const struct ikv_ipv4 *ip = ikv_ipv4(pkt);

	if (!ip)
		return ikv_drop(pkt, IKV_DROP_UNSUPPORTED);
	if (config.count_udp && ip->protocol == IKV_PROTO_UDP)
		ikv_count(pkt, PROBE_UDP);
	return ikv_forward(pkt, PROBE_OUT);
}
