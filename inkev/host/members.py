"""From a manifest and a built program to what the linker is given: everything that becomes a constant, as numbers."""

from __future__ import annotations

from collections.abc import Mapping

from inkev.host.linking import Member
from inkev.package.columns import FindInterface
from inkev.package.configuration import config_values, encode_config
from inkev.package.foreign import check_foreign, constants
from inkev.package.layout import Layout
from inkev.package.manifest import Manifest, Program

CODES = {
    "xdp": {"XDP_ABORTED": 0, "XDP_DROP": 1, "XDP_PASS": 2, "XDP_TX": 3, "XDP_REDIRECT": 4},
    "tc": {"TC_ACT_UNSPEC": -1, "TC_ACT_OK": 0, "TC_ACT_RECLASSIFY": 1, "TC_ACT_SHOT": 2, "TC_ACT_PIPE": 3,
           "TC_ACT_STOLEN": 4, "TC_ACT_QUEUED": 5, "TC_ACT_REPEAT": 6, "TC_ACT_REDIRECT": 7, "TC_ACT_TRAP": 8},
}  # fmt: skip
"""Return codes of linux/bpf.h and linux/pkt_cls.h by name."""


def make_member(
    manifest: Manifest,
    layout: Layout,
    bitcode: bytes,
    *,
    instance: str,
    config: Mapping[str, object],
    counters: int,
    seed: int = 0,
    source_root: str = "",
    find_interface: FindInterface | None = None,
) -> Member:
    """Return one program of an instance, ready to be linked; `counters` is its region's byte offset in the block.

    Raises:
        Faults: options that are unknown, of the wrong type or out of range; what does not fit an existing program.
    """
    program = manifest.programs[layout.program]
    rodata: dict[str, bytes] = {}
    if program.dialect != "inkev":
        check_foreign(program, layout)
        rodata = constants(manifest, program, layout, config_values(manifest, config, find_interface))
    return Member(
        instance=instance,
        program=layout.program,
        dialect=program.dialect,
        entry=program.entry,
        bitcode=bitcode,
        config=encode_config(manifest, layout, config, find_interface),
        counters=counters,
        reasons=len(manifest.reasons),
        metrics=len(manifest.metrics),
        rodata=rodata,
        map_sizes=dict(program.map_sizes),
        codes=return_codes(program, layout.hook, tuple(manifest.ports)),
        flood_ports=tuple(number for number, port in enumerate(manifest.ports.values()) if port.flood),
        seed=seed,
        source_root=source_root,
    )


def return_codes(program: Program, hook: str, ports: tuple[str, ...]) -> dict[int, str]:
    """Return what the manifest says of a foreign program's return codes, with numbers for code and port names."""
    codes = {}
    for name, verdict in program.codes.items():
        number = CODES[hook].get(name)
        if number is None:
            number = int(name)
        codes[number] = f"port:{ports.index(verdict[5:])}" if verdict.startswith("port:") else verdict
    return codes

