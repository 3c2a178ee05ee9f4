"""LLVM's passes over a joined segment, and the ladder of ways to try.

The light pipeline is there because a second whole -O2 can explode (139 s for a 168-line program) and makes surprises of
undefined behaviour; each later rung mends a refusal of the one before.
"""

from __future__ import annotations

from dataclasses import dataclass

import llvmlite.binding as llvm


@dataclass(frozen=True, slots=True)
class Rung:
    """One way to optimise and emit."""

    cpu: str
    """v3 has 32-bit jumps; where its register spills are refused (`invalid size of register spill`), v2 loads."""
    full: bool


LADDER = {"light-v3": Rung("v3", False), "full-v3": Rung("v3", True), "light-v2": Rung("v2", False)}

# SROA dissolves struct ikv_packet once the entries are inlined; jump threading joins a verdict's constant to its exit;
# value numbering removes the bounds checks and context reads that a neighbour already did.
_LIGHT = (
    "sroa",
    "instruction_combine",
    "simplify_cfg",
    "sccp",
    "jump_threading",
    "new_gvn",
    "instruction_combine",
    "simplify_cfg",
    "jump_threading",
    "dead_store_elimination",
    "aggressive_dce",
    "simplify_cfg",
    "instruction_combine",
)


def machine(cpu: str = "v3") -> llvm.TargetMachine:
    """Return the target machine for a BPF instruction set."""
    return llvm.Target.from_triple("bpf").create_target_machine(cpu=cpu, opt=2)


def optimise(module: llvm.ModuleRef, target: llvm.TargetMachine, rung: Rung) -> None:
    """Run one rung's passes."""
    options = llvm.create_pipeline_tuning_options(speed_level=2)
    builder = llvm.create_pass_builder(target, options)
    if rung.full:
        builder.getModulePassManager().run(module, builder)
        return
    passes = llvm.create_new_module_pass_manager()
    passes.add_always_inliner_pass()
    passes.add_global_dead_code_eliminate_pass()
    passes.add_ipsccp_pass()
    for name in _LIGHT:
        getattr(passes, f"add_{name}_pass")()
    passes.add_global_dead_code_eliminate_pass()
    passes.run(module, builder)
