"""What runs, read from the kernel and nowhere else."""

from __future__ import annotations

from inkev.bpf.program import Program
from inkev.datapath.hooks import HookDriver
from inkev.datapath.memory import read_cell
from inkev.datapath.pins import GenerationPins, GraphPins, names_in
from inkev.datapath.specs import read_spec
from inkev.graph.spec import Spec
from inkev.host.kernel import Running, RunningSegment


def observe(pins: GraphPins, hooks: HookDriver) -> Running | None:
    """Return what runs of a graph, or None where its cell names no generation."""
    generation, _ = read_cell(pins)
    if not generation:
        return None
    made = pins.generation(generation)
    spec = read_spec(made.spec)
    return Running(spec=spec, hooks=tuple(hooks.observe(spec.graph.hooks)), segments=_segments(made, spec),
                   instances=_instances(pins, made, spec), leftovers=tuple(_leftovers(pins, generation, spec)))


def _segments(made: GenerationPins, spec: Spec) -> tuple[RunningSegment, ...]:
    found = []
    for key in made.segment_keys():
        with Program.open(made.segment(key)) as program:
            found.append(describe(program, key, spec.objects.get(key, "")))
    return tuple(found)


def _instances(pins: GraphPins, made: GenerationPins, spec: Spec) -> dict[str, tuple[str, ...]]:
    """Return each instance's pinned maps under the names that its author gave them."""
    found = {}
    for instance in spec.graph.instances:
        pinned = {*names_in(pins.instance(instance).folder), *names_in(made.instance(instance).folder)}
        found[instance] = tuple(sorted(map(_author_name, pinned)))
    return found


def _author_name(pinned: str) -> str:
    return pinned.replace("_", ".", 1) if pinned.startswith(("_bss", "_data", "_rodata")) else pinned


def _leftovers(pins: GraphPins, generation: int, spec: Spec) -> list[str]:
    """Return what a killed command left: generations that do not run, state and hooks of nothing in the spec."""
    left = [made.folder.name for made in pins.generations() if made.number != generation]
    left += [f"inst/{name}" for name in names_in(pins.instances) if name not in spec.graph.instances]
    return left + [f"hooks/{path.name}" for hook, _, path in pins.hook_pins() if hook not in spec.graph.hooks]


def describe(program: Program, key: str, digest: str) -> RunningSegment:
    """Return what the kernel says of a loaded segment."""
    info = program.info
    return RunningSegment(key=key, program_id=info.id, digest=digest, verified_instructions=info.verified_instructions,
                          jited_bytes=info.jited_bytes, run_count=info.run_count, run_time_ns=info.run_time_ns)
