/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* All that a network function includes. One source serves xdp and tc. */
#ifndef INKEV_NF_H
#define INKEV_NF_H

#include <inkev/abi.h>
#include <inkev/context.h>
#include <inkev/checksum.h>
#include <inkev/count.h>
#include <inkev/flow.h>
#include <inkev/hash.h>
#include <inkev/headers.h>
#include <inkev/parse.h>
#include <inkev/rewrite.h>
#include <inkev/time.h>
#include <inkev/verdict.h>

/* Marks the entry: `IKV_NF int name(struct ikv_packet *pkt)`. */
#define IKV_NF __attribute__((section("ikv/nf")))

/*
 * Declares the instance's configuration, a constant by the time it is linked: reads fold and disabled branches vanish.
 * Not volatile, so that they may.
 */
#define IKV_CONFIG(type, name) extern const type name

#endif
