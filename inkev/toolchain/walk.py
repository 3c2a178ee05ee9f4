"""The walk: the program between a segment's members, as LLVM IR with debug information.

It is entered by a hook's stub or a stitch point, gives each member the packet, and follows what the member says.
Written against the offsets of `bpf_common/include/inkev/abi.h` (`toolchain/abi.py`).
"""

from __future__ import annotations

from dataclasses import dataclass

from inkev.base.errors import UserError
from inkev.base.limits import BLOCK_BYTES
from inkev.graph.partition import Out, Segment, Step, Target
from inkev.host.linking import LinkRequest, Member
from inkev.toolchain import abi
from inkev.toolchain.context import CTX, PKT, Context
from inkev.toolchain.flood import Flood
from inkev.toolchain.graph_maps import declare_map
from inkev.toolchain.ir_text import FunctionText, Metadata
from inkev.toolchain.leaving import Leaving
from inkev.toolchain.messages import describe_request

NAME = "segment"
_DECIDED = abi.VERDICT_FORWARD << 16


@dataclass(frozen=True, slots=True)
class Callee:
    """A member as the walk calls it."""

    member: Member
    symbol: str


class Walk:
    """Writes one walk."""

    def __init__(self, request: LinkRequest, callees: list[Callee]) -> None:
        self.request = request
        self.segment: Segment = request.segment
        self.callees = callees
        self.text = FunctionText()
        self.context = Context(self.text, abi.SIDES[self.segment.program_type])
        self.leaving = Leaving(self.text, self.context, self.segment)
        self.side = self.context.side
        self.exits: dict[str, dict[int, Target]] = {}
        for leaf in self.segment.exits:
            self.exits.setdefault(leaf.instance, {})[leaf.port] = leaf.target

    def write(self) -> None:
        """Write the whole body."""
        self._enter()
        self._start()
        for number in range(len(self.callees)):
            self._visit(number)

    def _enter(self) -> None:
        text, context = self.text, self.context
        text.label("entry")
        for name, size in (("%pkt", abi.PACKET_BYTES), ("%key", 4), ("%index", 4)):
            text.lines.append(f"  {name} = alloca [{size} x i8], align 8")
        context.block = self._block()
        context.set("ctx", CTX)
        context.set("block", context.block)
        context.set("in_ifindex", text.load("i32", CTX, self.side.ifindex))

    def _block(self) -> str:
        """Return this CPU's block: no lookup, which takes three times the instructions even where it is inlined."""
        text = self.text
        cpu = text.helper(abi.HELPER_CPU, "i32")
        place = text.let(f"and i32 {cpu}, {self.request.block_places - 1}")
        offset = text.let(f"mul i64 {text.let(f'zext i32 {place} to i64')}, {BLOCK_BYTES}")
        return text.within(text.name("ikv_block"), offset)

    def _start(self) -> None:
        text, context = self.text, self.context
        data = context.read_bounds()
        text.branch(context.is_carried(), "restored", "fresh")
        text.label("restored")
        context.restore(data)
        text.jump("head")
        text.label("fresh")
        if self.segment.fresh:
            context.begin(data)
            text.jump("head")
        else:
            self.leaving.lose(abi.GRAPH_BAD_VERDICT)
        text.label("head")
        if isinstance(self.segment.head, Step):
            context.set("in_port", self.segment.head.port)
            text.jump(f"member.{self._serving(self.segment.head)}")
        else:
            self.leaving.leave(self.segment.head)

    def _serving(self, step: Step) -> int:
        """Return the number of the callee that serves an input port of an instance.

        Raises:
            UserError: the segment has no such member.
        """
        program = self.request.entries.get(f"{step.instance}:{step.port}", "")
        for number, callee in enumerate(self.callees):
            if callee.member.instance == step.instance and program in {"", callee.member.program}:
                return number
        raise UserError(
            "no-such-member",
            f"{step.instance} is not in {describe_request(self.request)}",
            why=f"an edge leads to its port {step.port}",
        )

    def _visit(self, number: int) -> None:
        callee = self.callees[number]
        text = self.text
        text.label(f"member.{number}")
        text.count(self.context.block, callee.member.counters)
        verdict = self._call(number, callee)
        if self.segment.raw_verdicts:
            self._return_raw(number, callee, verdict)
        else:
            self._follow(number, callee, verdict)

    def _call(self, number: int, callee: Callee) -> str:
        if callee.member.dialect == "inkev":
            return self.text.let(f"call i32 @{callee.symbol}(ptr {PKT})")
        code = self.text.let(f"call i32 @{callee.symbol}(ptr {CTX})")
        self.context.refresh()
        return self._translate(number, callee.member, code)

    def _translate(self, number: int, member: Member, code: str) -> str:
        """Return a foreign program's code as a verdict."""
        meanings = {known: self._meaning(member, known) for known in self._known_codes(member)}
        labels = {verdict: f"code.{number}.{place}" for place, verdict in enumerate(dict.fromkeys(meanings.values()))}
        joined, other = f"codes.{number}", f"code.{number}.other"
        self.text.switch("i32", code, other, {known: labels[verdict] for known, verdict in meanings.items()})
        for label in [*labels.values(), other]:
            self.text.label(label)
            self.text.jump(joined)
        self.text.label(joined)
        arms = [f"[ {verdict}, %{label} ]" for verdict, label in labels.items()]
        return self.text.let(f"phi i32 {', '.join([*arms, f'[ {0xFFFF0000 - (1 << 32)}, %{other} ]'])}")

    def _known_codes(self, member: Member) -> list[int]:
        return sorted(
            self.side.continuing
            | self.side.foreign_drops
            | self.side.foreign_transmits
            | {self.side.redirecting}
            | set(member.codes)
        )

    def _meaning(self, member: Member, code: int) -> int:
        word = member.codes.get(code, "")
        if word.startswith("port:"):
            return _DECIDED | int(word[5:])
        if word == "pass":
            return abi.VERDICT_PASS << 16
        if word == "drop" or (not word and code in self.side.foreign_drops):
            return abi.VERDICT_DROP << 16
        if word == "transmit" or (not word and code in self.side.foreign_transmits):
            return abi.VERDICT_TRANSMIT << 16
        if word == "redirect" or (not word and code == self.side.redirecting):
            return abi.ALREADY_REDIRECTED
        return _DECIDED | next(iter(sorted(self.exits.get(member.instance, {}))), 0)

    def _return_raw(self, number: int, callee: Callee, verdict: str) -> None:
        text = self.text
        dropped, done = f"dropped.{number}", f"done.{number}"
        text.branch(text.let(f"icmp ult i32 {verdict}, {_DECIDED}"), dropped, done)
        text.label(dropped)
        self._count_drop(callee.member, verdict)
        text.jump(done)
        text.label(done)
        text.returns(verdict)

    def _count_drop(self, member: Member, verdict: str) -> None:
        """Count under the verdict's reason; one that the instance does not have counts as unspecified."""
        text = self.text
        known = text.let(f"icmp ult i32 {verdict}, {abi.FIRST_PRIVATE_REASON + member.reasons}")
        reason = text.let(f"select i1 {known}, i32 {verdict}, i32 0")
        offset = text.let(f"shl i64 {text.let(f'zext i32 {reason} to i64')}, 3")
        text.count(text.at(self.context.block, member.counters + 8), offset)

    def _follow(self, number: int, callee: Callee, verdict: str) -> None:
        text, exits = self.text, self.exits.get(callee.member.instance, {})
        ports = {port: f"exit.{number}.{port}" for port in sorted(exits)}
        plain = {"pass": abi.VERDICT_PASS, "transmit": abi.VERDICT_TRANSMIT, "redirect": abi.VERDICT_REDIRECT}
        arms = {_DECIDED | port: label for port, label in ports.items()}
        arms |= {kind << 16: f"{word}.{number}" for word, kind in plain.items()}
        if callee.member.dialect != "inkev":
            arms[abi.ALREADY_REDIRECTED] = f"redirected.{number}"
        text.switch("i32", verdict, f"other.{number}", arms)
        for port, label in ports.items():
            text.label(label)
            self._take(exits[port])
        self._write_plain(number, callee)
        self._write_other(number, callee, verdict, ports)

    def _take(self, target: Target) -> None:
        if isinstance(target, Step):
            self.context.set("in_port", target.port)
            self.text.jump(f"member.{self._serving(target)}")
        else:
            self.leaving.leave(target)

    def _write_plain(self, number: int, callee: Callee) -> None:
        text = self.text
        text.label(f"pass.{number}")
        text.returns(self.side.passing)
        text.label(f"transmit.{number}")
        self.leaving.transmit()
        text.label(f"redirect.{number}")
        self.leaving.redirect(self.context.kept("out_ifindex"))
        if callee.member.dialect != "inkev":
            text.label(f"redirected.{number}")
            text.returns(self.side.redirecting)

    def _write_other(self, number: int, callee: Callee, verdict: str, ports: dict[int, str]) -> None:
        text = self.text
        labels = {
            kind: f"{word}.{number}"
            for word, kind in (
                ("drop", abi.VERDICT_DROP),
                ("unwired", abi.VERDICT_FORWARD),
                ("punt", abi.VERDICT_PUNT),
                ("flood", abi.VERDICT_FLOOD),
            )
        }
        text.label(f"other.{number}")
        text.switch("i32", text.let(f"lshr i32 {verdict}, 16"), f"bad.{number}", labels)
        text.label(f"drop.{number}")
        self._count_drop(callee.member, verdict)
        text.returns(self.side.dropping)
        for word, reason in (
            ("unwired", abi.GRAPH_UNWIRED),
            ("punt", abi.GRAPH_NO_CONTROL),
            ("bad", abi.GRAPH_BAD_VERDICT),
        ):
            text.label(f"{word}.{number}")
            self.leaving.lose(reason)
        text.label(f"flood.{number}")
        self._write_flood(callee, verdict, ports)

    def _write_flood(self, callee: Callee, verdict: str, ports: dict[int, str]) -> None:
        exits = self.exits.get(callee.member.instance, {})
        ways = {port: exits[port] for port in callee.member.flood_ports if port in exits}
        if not callee.member.flood_ports:
            self.leaving.lose(abi.GRAPH_BAD_VERDICT)
            return
        mask = self.text.let(f"and i32 {verdict}, 65535")
        Flood(self.leaving, callee.member.instance, ways, ports).write(mask, self._in_ports(callee.member.instance))

    def _in_ports(self, instance: str) -> set[int]:
        steps = [leaf.target for leaf in self.segment.exits] + [self.segment.head]
        return {step.port for step in steps if isinstance(step, Step) and step.instance == instance}


def set_ports(segment: Segment, instance: str) -> int:
    """Return a bit for every port of the instance that leads to an interface set."""
    bits = 0
    for leaf in segment.exits:
        if leaf.instance == instance and isinstance(leaf.target, Out) and leaf.target.set:
            bits |= 1 << leaf.port
    return bits


def write_walk(
    request: LinkRequest, callees: list[Callee], license_name: str, definitions: list[str], data_layout: str
) -> tuple[str, set[str]]:
    """Return the walk's module as IR, and the names of the graph's maps that it uses.

    Raises:
        UserError: the segment asks for what its program type cannot do.
    """
    walk = Walk(request, callees)
    walk.write()
    metadata, file = Metadata(), "!1"
    _describe(metadata, walk.side)
    used = sorted(walk.text.uses)
    declared = [declare_map(name, metadata, file, request.block_places) for name in used]
    metadata.put(
        0,
        'distinct !DICompileUnit(language: DW_LANG_C11, file: !1, producer: "inkev", isOptimized: true, '
        f"emissionKind: FullDebug, globals: !{_list(metadata, [node for _, node in declared])})",
    )
    raw = license_name.encode() + bytes(1)
    lines = [
        f'target datalayout = "{data_layout}"',
        'target triple = "bpf"',
        f'@ikv_license = dso_local global [{len(raw)} x i8] c"{license_name}\\00", section "license", align 1',
        *definitions,
        *(line for line, _ in declared),
        *(f"declare i32 @{callee.symbol}(ptr)" for callee in callees),
        "declare void @llvm.assume(i1)",
        f'define dso_local i32 @{NAME}(ptr {CTX}) #0 section "{walk.side.name}" !dbg !4 {{',
        *walk.text.lines,
        "}",
        "attributes #0 = { nounwind }",
        "attributes #1 = { nomerge }",
        "!llvm.dbg.cu = !{!0}",
        "!llvm.module.flags = !{!2, !3}",
        *metadata.lines(),
    ]
    return "\n".join(lines), walk.text.uses


def _list(metadata: Metadata, nodes: list[str]) -> str:
    return metadata.add("!{" + ", ".join(nodes) + "}")[1:]


def _describe(metadata: Metadata, side: abi.Side) -> None:
    """Write the nodes of fixed number: without a named argument the kernel refuses all BTF of the object."""
    metadata.put(0, "")
    metadata.put(1, '!DIFile(filename: "segment", directory: "inkev")')
    metadata.put(2, '!{i32 2, !"Debug Info Version", i32 3}')
    metadata.put(3, '!{i32 7, !"Dwarf Version", i32 5}')
    metadata.put(
        4,
        f'distinct !DISubprogram(name: "{NAME}", scope: !1, file: !1, line: 1, type: !5, unit: !0, '
        "spFlags: DISPFlagDefinition | DISPFlagOptimized, retainedNodes: !10)",
    )
    metadata.put(5, "!DISubroutineType(types: !6)")
    metadata.put(6, "!{!7, !8}")
    metadata.put(7, '!DIBasicType(name: "int", size: 32, encoding: DW_ATE_signed)')
    metadata.put(8, "!DIDerivedType(tag: DW_TAG_pointer_type, baseType: !12, size: 64)")
    metadata.put(9, "!DILocation(line: 1, scope: !4)")
    metadata.put(10, "!{!11}")
    metadata.put(11, '!DILocalVariable(name: "ctx", arg: 1, scope: !4, file: !1, line: 1, type: !8)')
    metadata.put(
        12, f'!DICompositeType(tag: DW_TAG_structure_type, name: "{side.context}", file: !1, flags: DIFlagFwdDecl)'
    )


__all__ = ["NAME", "Callee", "set_ports", "write_walk"]
