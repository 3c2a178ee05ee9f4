"""Whole commands, from the shell's view: wall time and peak memory."""

from __future__ import annotations

from benchmarks.command import INKEV, Run, run, typical
from benchmarks.hosts import line
from benchmarks.measure import Benchmark, Measure, below
from benchmarks.site import site

INSTANCES = 10
RUNS = 7
GRAPH = "ten"
HEAD = f"""[graph]
name = "{GRAPH}"
[hooks]
wan = {{ interface = "wan", type = "tc-ingress" }}
[devices]
lan = {{ interface = "lan" }}
"""


def graph() -> str:
    """Return a graph of ten instances in a row, of four packages, between an interface and another."""
    packages = [("counter", "", ""), ("ratelimit", "", ""), ("firewall", "outside", "inside"), ("counter", "", ""),
                ("router", "p1", "p2")]
    parts, steps = [HEAD], ["wan"]
    for number in range(INSTANCES):
        package, way_in, way_out = packages[number % len(packages)]
        parts.append(f'[nf.n{number}]\npackage = "{package}"\n')
        steps.append(f"{way_in}:n{number}:{way_out}" if way_in else f"n{number}")
    walls = [f'"n{number}:outside -> drop"' for number in range(INSTANCES)
             if packages[number % len(packages)][0] == "firewall"]
    chains = ", ".join([f'"{" -> ".join([*steps, "lan"])}"', *walls])
    return "".join([*parts, f"[edges]\nchains = [{chains}]\n"])


def stitching() -> list[Measure]:
    """Measure `inkev stitch` with everything to do (objects cached) and with nothing to do."""
    everything, nothing = [], []
    with line() as hosts, hosts.edge.inside():
        file = str(site().write_graph(GRAPH, graph()))
        run(INKEV, "stitch", file, environment=site().environment)  # fills the caches: objects and Python's modules
        site().inkev("unstitch", GRAPH)
        for _ in range(RUNS):
            everything.append(run(INKEV, "stitch", file, environment=site().environment))
            nothing.append(run(INKEV, "stitch", file, environment=site().environment))
            site().inkev("unstitch", GRAPH)
    full, idle = typical(everything), typical(nothing)
    peak = max(full.peak_megabytes, idle.peak_megabytes)
    return [below("inkev stitch, 10 instances, objects cached", full.milliseconds, "ms", 400),
            below("inkev stitch, nothing to do", idle.milliseconds, "ms", 200),
            below("inkev stitch, peak memory", peak, "MB", 150)]


def version() -> list[Measure]:
    """Measure `inkev --version`."""
    shown: Run = typical([run(INKEV, "--version") for _ in range(RUNS * 3)])
    return [below("inkev --version", shown.milliseconds, "ms", 100)]


BENCHMARKS = (Benchmark("stitch-command", stitching), Benchmark("version", version))
