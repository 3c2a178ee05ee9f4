/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#ifndef SAMPLER_H
#define SAMPLER_H

struct sample_state {
	__u32 seen;
	__u32 taken;
	__u64 weight;
};

/* Checked by the verifier by itself, whoever calls it. */
__attribute__((noinline)) int sample_weight(__u32 length);

#endif
