// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* @name@: drops IPv4 packets whose time to live is nearly over. */
#include <inkev/nf.h>

/* The same order as [ports], [metrics] and [reasons] in nf.toml. */
enum @ident@_port { @IDENT@_IN, @IDENT@_OUT };
enum @ident@_metric { @IDENT@_CHECKED };
enum @ident@_reason { @IDENT@_EXPIRED = IKV_DROP_FIRST_PRIVATE };

struct @ident@_config {
	__u8 min_ttl;
};
IKV_CONFIG(struct @ident@_config, config); /* a constant by the time it is linked */

IKV_NF int @ident@(struct ikv_packet *pkt)
{
	const struct ikv_ipv4 *ip = ikv_ipv4(pkt); /* parsed once in a segment, whoever asks first */

	if (!ip)
		return ikv_forward(pkt, @IDENT@_OUT);
	ikv_count(pkt, @IDENT@_CHECKED);
	if (ip->ttl < config.min_ttl)
		return ikv_drop(pkt, @IDENT@_EXPIRED);
	return ikv_forward(pkt, @IDENT@_OUT);
}
