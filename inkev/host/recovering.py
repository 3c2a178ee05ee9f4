"""Finishes or undoes what a killed command left, so that the kernel holds the old graph or the new one."""

from __future__ import annotations

from inkev.host.executing import Executor, OpenTable
from inkev.host.journal import Journal
from inkev.host.kernel import Kernel


def recover(kernel: Kernel, journal: Journal, graph: str, open_table: OpenTable) -> None:
    """Make sure that nothing of the graph is half done; costs one look where nothing is."""
    plan = journal.find(graph)
    if plan is None:
        return
    running = kernel.generation(graph)
    executor = Executor(kernel, graph, open_table=open_table)
    if plan.generation == 0 or running == 0:
        kernel.remove_graph(graph)  # an unstitch to be finished, a first stitch to be undone, or a reboot since
        journal.clear(graph)
    elif running == plan.generation:
        executor.run_from(plan, plan.flip_point(), journal, None)
    else:
        executor.undo(plan.actions, journal)
        _sweep(kernel, graph)
        journal.clear(graph)


def _sweep(kernel: Kernel, graph: str) -> None:
    """Clear what stands beside the running generation."""
    found = kernel.observe(graph)
    for left in found.leftovers if found else ():
        kind, _, name = left.rpartition("/")
        if kind == "inst":
            kernel.drop_instance(graph, name)
        elif kind == "hooks":
            kernel.detach(graph, name.rpartition("-")[0])
        elif left.startswith("gen"):
            kernel.retire(graph, int(left.removeprefix("gen")))
