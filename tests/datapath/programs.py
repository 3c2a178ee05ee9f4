"""Tiny programs for the kernel tests, compiled once a session, in the shape that a linked segment has."""

from __future__ import annotations

import hashlib
import subprocess
from functools import cache

from inkev.graph.model import ProgramType
from inkev.host.kernel import SegmentLoad
from inkev.host.linking import LinkedMap, LinkedObject
from inkev.package.layout import Field, MapLayout

CLANG = ("clang", "-O2", "-g", "-mcpu=v3", "-target", "bpf", "-I/usr/include/x86_64-linux-gnu", "-x", "c", "-c", "-",
         "-o", "-")
HEAD = """
#include <linux/bpf.h>
#include <linux/pkt_cls.h>
#include <bpf/bpf_helpers.h>
char LICENSE[] SEC("license") = "Dual BSD/GPL";
"""
CONTEXTS = {"xdp": "struct xdp_md", "tc": "struct __sk_buff"}
GRAPH_MAPS = ("ikv_block", "ikv_slots", "ikv_members")

FLOWS = MapLayout(
    name="flows", type="hash", key_size=4, value_size=8, max_entries=1024, fingerprint="a1",
    key=(Field(name="", offset=0, size=4, kind="int"),), value=(Field(name="", offset=0, size=8, kind="int"),))
COUNTED = {"fw": {"flows": FLOWS}}

SLOTS = """
struct { __uint(type, BPF_MAP_TYPE_PROG_ARRAY); __uint(max_entries, 256); __type(key, __u32); __type(value, __u32); }
	ikv_slots SEC(".maps");
"""
FLOWS_MAP = """
struct { __uint(type, BPF_MAP_TYPE_HASH); __uint(max_entries, 1024); __type(key, __u32); __type(value, __u64); }
	i0_flows SEC(".maps");
__u64 seen SEC(".bss.i0");
__u64 since SEC(".data.i0") = 100;
"""
COUNT = """
	__u32 key = 0;
	__u64 one = 1, *found = bpf_map_lookup_elem(&i0_flows, &key);
	if (found)
		__sync_fetch_and_add(found, 1);
	else
		bpf_map_update_elem(&i0_flows, &key, &one, BPF_ANY);
	seen++;
	since++;
"""


@cache
def compile_c(source: str) -> bytes:
    """Return the object of a C source."""
    done = subprocess.run(CLANG, input=(HEAD + source).encode(), capture_output=True, check=False)
    assert done.returncode == 0, done.stderr.decode()
    return done.stdout


def segment(key: str, body: str, *, program_type: ProgramType = "xdp", maps: str = "", instance: str = "fw",
            layouts: dict[str, dict[str, MapLayout]] | None = None, replace: tuple[str, ...] = ()) -> SegmentLoad:
    """Return a segment whose program has this C body; `i0_*` maps and `.i0` sections belong to `instance`."""
    elf = compile_c(f'{maps}\nSEC("{program_type}") int segment({CONTEXTS[program_type]} *ctx)\n{{\n{body}\n}}\n')
    names = [LinkedMap(symbol=".bss.ikv_block" if name == "ikv_block" else name, instance="", name=name)
             for name in GRAPH_MAPS if name in maps]
    if "i0_flows" in maps:
        names.append(LinkedMap(symbol="i0_flows", instance=instance, name="flows"))
        names += [LinkedMap(symbol=f"{kind}.i0", instance=instance, name=kind) for kind in (".bss", ".data")]
    linked = LinkedObject(digest=hashlib.sha256(elf).hexdigest(), elf=elf, maps=tuple(names), license="Dual BSD/GPL",
                          pipeline="light-v3")
    return SegmentLoad(key=key, program_type=program_type, object=linked, layouts=layouts or {}, replace_state=replace)


def verdict(key: str, number: int, program_type: ProgramType = "xdp") -> SegmentLoad:
    """Return a segment that says one thing of every packet."""
    return segment(key, f"return {number};", program_type=program_type)
