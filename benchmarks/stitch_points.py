"""What a declared stitch point costs, beside a patch panel's array lookup and indirect tail call."""

from __future__ import annotations

from benchmarks.drive import XDP_PASS, XDP_REDIRECT, Cost, driver
from benchmarks.frames import MANY, mac, udp_frames
from benchmarks.hosts import line
from benchmarks.measure import Benchmark, Measure, at_most, below
from benchmarks.site import site
from benchmarks.yardstick import loaded
from inkev.bpf.program import ProgramType

FUNCTIONS = 8
HOPS = FUNCTIONS - 1
HEAD = """[graph]
name = "points"
[hooks]
wan = { interface = "wan", type = "xdp" }
[devices]
lan = { interface = "lan" }
"""


def graph(*, points: bool) -> str:
    """Return a chain of probes, with a stitch point between each two or with none."""
    names = [f"p{number}" for number in range(FUNCTIONS)]
    parts = [HEAD]
    parts += [f'[nf.{name}]\npackage = "probe"\n' for name in names]
    parts.append(f'[edges]\nchains = ["{" -> ".join(["wan", *names, "lan"])}"]\n')
    if points:
        declared = ", ".join(f'between{at} = "{names[at]} -> {names[at + 1]}"' for at in range(HOPS))
        parts.append(f"stitch-points = {{ {declared} }}\n")
    return "".join(parts)


def _frames() -> list[bytes]:
    return udp_frames(MANY, source_mac=mac("02:00:00:00:00:01"), target_mac=mac("02:00:00:00:00:02"))


def _per_hop(with_hops: Cost, without: Cost) -> Cost:
    return Cost((with_hops.hot_ns - without.hot_ns) / HOPS, (with_hops.varied_ns - without.varied_ns) / HOPS)


def stitch_point() -> Cost:
    """Return what one stitch point adds between two functions that need the parsed headers."""
    costs = []
    with driver(ProgramType.XDP) as drive, line(checksum_offload=False) as hosts:
        for points in (True, False):
            with (site().stitched("points", graph(points=points), hosts.edge),
                  site().segment("points", "wan") as segment):
                costs.append(drive.cost(segment, _frames(), XDP_REDIRECT))
    return _per_hop(*costs)


def patch_panel() -> Cost:
    """Return what a hop of the patch panel adds between two functions that parse for themselves."""
    with driver(ProgramType.XDP) as drive, loaded("patch_panel.bpf.c", ProgramType.XDP) as panel:
        for number in range(FUNCTIONS):
            panel.maps["programs"].point(number, panel.programs[f"function_{number}"])
            panel.maps["wires"].update(number.to_bytes(4, "little"), (number + 1).to_bytes(4, "little"))
        return _per_hop(drive.cost(panel.programs["function_0"], _frames(), XDP_PASS),
                        drive.cost(panel.programs["joined"], _frames(), XDP_PASS))


def measure() -> list[Measure]:
    """Measure both."""
    ours, panel = stitch_point(), patch_panel()
    found = []
    for how, value, other in (("hot", ours.hot_ns, panel.hot_ns),
                              (f"{MANY:,} packets", ours.varied_ns, panel.varied_ns)):
        found += [below(f"a stitch point, headers used after it, {how}", value, "ns", 4),
                  at_most(f"a stitch point beside a patch panel's hop, {how}", value, "ns", 0.25,
                          "array lookup, indirect tail call", other)]
    return found


BENCHMARKS = (Benchmark("stitch-point", measure),)
