"""A link request becomes one BPF object. Runs in the worker: whatever LLVM does to its process is contained there."""

from __future__ import annotations

import re
import time
from dataclasses import dataclass

import llvmlite.binding as llvm

from inkev.base.errors import UserError
from inkev.host.linking import LinkedMap, LinkedObject, LinkRequest, Member
from inkev.toolchain import graph_maps, pipeline, walk
from inkev.toolchain.elf import read_elf
from inkev.toolchain.instructions import variable_tail_calls
from inkev.toolchain.isolate import Isolated, Workshop, isolate
from inkev.toolchain.licenses import LIBRARY, join_licenses
from inkev.toolchain.messages import describe_request

_KFUNC_SECTION = ".ksyms"


def start_llvm() -> None:
    """Make LLVM's BPF target known; once a process."""
    llvm.initialize_all_targets()
    llvm.initialize_all_asmprinters()


@dataclass(slots=True)
class Joining:
    """The work on one request."""

    request: LinkRequest
    rung: pipeline.Rung
    workshop: Workshop

    @property
    def machine(self) -> llvm.TargetMachine:
        """The target machine of the rung."""
        return self.workshop.machine

    def run(self) -> tuple[bytes, tuple[LinkedMap, ...], str]:
        """Return the object, its maps and its licence.

        Raises:
            UserError: the request cannot be linked.
        """
        parts = self._isolate()
        license_name = join_licenses(
            part.license or _implied(member) for part, member in zip(parts, self.request.members, strict=True)
        )
        callees = [walk.Callee(member, part.entry) for member, part in zip(self.request.members, parts, strict=True)]
        layout = str(self.machine.target_data)
        text, used = walk.write_walk(self.request, callees, license_name, self._definitions(parts), layout)
        whole = llvm.parse_assembly(text, self.workshop.context)
        for part in parts:
            part.module.data_layout = layout
            part.module.triple = "bpf"
            whole.link_in(part.module)
        self._settle(whole, parts, used)
        self._blind(whole, parts)
        pipeline.optimise(whole, self.machine, self.rung)
        self._blind(whole, parts, llvm.Linkage.external)
        return self.machine.emit_object(whole), self._maps(whole, parts), license_name

    def _blind(
        self, whole: llvm.ModuleRef, parts: list[Isolated], linkage: llvm.Linkage = llvm.Linkage.weak_any
    ) -> None:
        """Keep LLVM from looking into functions that are more than their callers here know of.

        To LLVM a weak function may be another at run time. An entry with a tail call of its own is just that: its
        target returns to our walk in its stead, with another result. And the verifier checks a global function for any
        caller, and any caller against its prototype: LLVM must not learn from the real ones, nor pass them rubbish.
        """
        names = {part.entry for part in parts if part.is_subprogram}.union(*(part.outer for part in parts))
        for value in whole.functions:
            if value.name in names and not value.is_declaration:
                value.linkage = linkage

    def _isolate(self) -> list[Isolated]:
        tokens = {
            name: f"i{place}"
            for place, name in enumerate(dict.fromkeys(member.instance for member in self.request.members))
        }
        return [
            isolate(member, tokens[member.instance], number, self.workshop)
            for number, member in enumerate(self.request.members)
        ]

    def _definitions(self, parts: list[Isolated]) -> list[str]:
        lines = [line for part in parts for line in part.constants]
        for number, member in enumerate(self.request.members):
            sets = walk.set_ports(self.request.segment, member.instance)
            numbers = (member.counters, member.reasons, member.metrics, sets)
            fields = ", ".join([*(f"i32 {value}" for value in numbers), f"i64 {member.seed}"])
            lines.append(f"@ikv_self_{number} = constant {{ i32, i32, i32, i32, i64 }} {{ {fields} }}, align 8")
        return lines

    def _settle(self, whole: llvm.ModuleRef, parts: list[Isolated], used: set[str]) -> None:
        """Give every symbol the linkage that the optimiser may rely on."""
        kept = {walk.NAME, "ikv_license", *used}.union(*(part.kept for part in parts))
        for value in whole.global_variables:
            if value.is_declaration or value.name.startswith("llvm."):
                continue
            if value.linkage == llvm.Linkage.weak_any:
                value.linkage = llvm.Linkage.external
            elif value.name not in kept and value.linkage != llvm.Linkage.private:
                value.linkage = llvm.Linkage.internal
        for value in whole.functions:
            if not value.is_declaration and value.name not in kept:
                value.linkage = llvm.Linkage.internal
        whole.verify()
        self._check_resolved(whole)

    def _check_resolved(self, whole: llvm.ModuleRef) -> None:
        for value in whole.functions:
            if (
                value.is_declaration
                and not value.name.startswith("llvm.")
                and f'section "{_KFUNC_SECTION}"' not in str(value)
            ):
                raise UserError(
                    "unresolved-symbol",
                    f"cannot link {describe_request(self.request)}",
                    why=f"nothing defines {value.name}",
                    hint="define it in the program or make it static inline",
                )

    def _maps(self, whole: llvm.ModuleRef, parts: list[Isolated]) -> tuple[LinkedMap, ...]:
        found: dict[str, LinkedMap] = {}
        defined = {value.name for value in whole.global_variables if not value.is_declaration}
        for part in parts:
            for one in part.maps:
                if one.symbol in defined or one.symbol.startswith("."):
                    found.setdefault(one.symbol, one)
        for name in ("ikv_block", "ikv_devices", "ikv_members", "ikv_slots"):
            if name in defined:
                found[name] = LinkedMap(symbol=graph_maps.map_symbol(name), instance="", name=name)
        for name in sorted(name for name in defined if re.fullmatch(r"ikv_bcast\d+", name)):
            found[name] = LinkedMap(symbol=name, instance="", name=name)
        return tuple(found.values())


def _implied(member: Member) -> str:
    """The library's licence for a program of our own dialect that states none; nothing is implied for a foreign one."""
    return LIBRARY if member.dialect == "inkev" else ""


def join(request: LinkRequest, digest: str, rung_name: str) -> LinkedObject:
    """Return the linked object.

    Raises:
        UserError: the request cannot be linked.
    """
    started = time.perf_counter()
    rung = pipeline.LADDER[rung_name]
    try:
        elf, maps, license_name = Joining(
            request, rung, Workshop(pipeline.machine(rung.cpu), llvm.create_context())
        ).run()
    except RuntimeError as error:  # how llvmlite reports what LLVM does not accept
        raise UserError(
            "cannot-be-linked",
            f"cannot link {describe_request(request)}",
            why=str(error).strip(),
            hint="the bitcode is damaged: uninstall the package and install it again",
        ) from error
    return LinkedObject(
        digest=digest,
        elf=elf,
        maps=maps,
        license=license_name,
        pipeline=rung_name,
        link_ms=(time.perf_counter() - started) * 1e3,
        warnings=_warnings(elf, request),
    )


def _warnings(elf: bytes, request: LinkRequest) -> tuple[str, ...]:
    program = read_elf(elf).find_section(request.segment.program_type)
    dear = [
        f"the tail call at instruction {place} has a variable index: about 12 ns dearer"
        for place in variable_tail_calls(program.data if program else b"")
    ]
    renumbered = [
        f"{member.instance} stores a BTF type id, which linking renumbers"
        for member in request.members
        if member.dialect != "inkev" and b"llvm.btf_type_id" in member.bitcode
    ]
    return (*dear, *renumbered)
