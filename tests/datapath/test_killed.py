"""Killed at any point, the old or the new graph runs, and whoever comes next can say which and clear the rest."""

from __future__ import annotations

import os
import random
import signal

import pytest

from inkev.base.paths import Root
from inkev.datapath.kernel import LinuxKernel
from tests.datapath.programs import COUNT, COUNTED, FLOWS_MAP, segment
from tests.datapath.test_kernel import GRAPH, PACKET, make_spec

pytestmark = pytest.mark.kernel

ROUNDS = 12


def program_of(generation: int):
    return segment("hook:wan", f"{COUNT}return {generation & 1};", maps=FLOWS_MAP, layouts=COUNTED)


def change_for_ever(root: Root, start: int) -> None:
    kernel = LinuxKernel(root)
    for generation in range(start, start + 10_000):
        bank = generation & 1
        kernel.stage(GRAPH, generation)
        digest = kernel.load(GRAPH, generation, program_of(generation)).digest
        kernel.set_entry(GRAPH, generation, "xdp", 0, bank, "hook:wan")
        kernel.write_spec(GRAPH, generation, make_spec(generation, bank, {"hook:wan": digest}))
        kernel.flip(GRAPH, generation, bank)
        if generation > 1:
            kernel.retire(GRAPH, generation - 1)


def killed_while_changing(root: Root, start: int, after_s: float) -> None:
    child = os.fork()
    if child == 0:
        try:
            change_for_ever(root, start)
        finally:
            os._exit(1)
    signal.sigtimedwait([], after_s)
    os.kill(child, signal.SIGKILL)
    assert os.WIFSIGNALED(os.waitpid(child, 0)[1])


def test_a_killed_change_leaves_the_old_or_the_new_graph(root):
    kernel, chance = LinuxKernel(root), random.Random(7)
    kernel.preflight()
    kernel.open_graph(GRAPH)
    for source in (program_of(0), program_of(1)):
        assert source.object.elf  # compiled before the clock runs
    start, counted = 1, 0
    for _ in range(ROUNDS):
        killed_while_changing(root, start, chance.uniform(0.01, 0.06))
        running = kernel.observe(GRAPH)
        if running is None:
            continue
        generation = running.spec.generation
        assert generation >= start - 1
        assert kernel.test_run(GRAPH, generation, "hook:wan", PACKET)[0] == generation & 1
        assert {"flows", ".bss", ".data"} <= set(running.instances["fw"])
        for left in running.leftovers:
            assert left.startswith("gen")
            kernel.retire(GRAPH, int(left.removeprefix("gen")))
        assert kernel.observe(GRAPH).leftovers == ()
        counted += 1
        start = generation + 1
    assert counted > 0
