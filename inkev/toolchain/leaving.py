"""The ways out of a segment as IR: tail call, interface, interface set, host's stack, drop.

Every way ends its block. What is lost is counted: never silent.
"""

from __future__ import annotations

from inkev.graph.partition import Drop, Out, Pass, Segment, Slot
from inkev.toolchain import abi
from inkev.toolchain.context import CTX, Context
from inkev.toolchain.ir_text import FunctionText

NO_MERGE = " #1"


class Leaving:
    """Writes the exits of one walk."""

    def __init__(self, text: FunctionText, context: Context, segment: Segment) -> None:
        self.text = text
        self.context = context
        self.side = context.side
        self.segment = segment

    def lose(self, reason: int) -> None:
        """Drop, counted under one of the graph's reasons."""
        self.text.count(self.context.block, abi.BLOCK_GRAPH_DROPS + 8 * reason)
        self.text.returns(self.side.dropping)

    def leave(self, target: Slot | Out | Pass | Drop) -> None:
        """Write the way out to a target outside this program."""
        if isinstance(target, Slot):
            self._tail_call(target)
        elif isinstance(target, Out):
            self._go_out(target)
        elif isinstance(target, Pass):
            self.text.returns(self.side.passing)
        else:
            self.lose(abi.GRAPH_UNWIRED if target.reason == "unwired" else abi.GRAPH_DECLARED)

    def _tail_call(self, slot: Slot) -> None:
        """Jump to a slot by a constant index, which the kernel's JIT turns into a direct jump.

        LLVM merges two such calls into one with a variable index, 12 ns dearer; `nomerge` and an empty assembly that
        names the slot keep them apart. The emitted object is checked for it.
        """
        self.context.save()
        apart = f'call void asm sideeffect "", "i,~{{memory}}"(i32 {slot.number})'
        self.text.do(apart)
        slots = self.text.name("ikv_slots")
        self.text.helper(
            abi.HELPER_TAIL_CALL, "i64", f"ptr {CTX}", f"ptr {slots}", f"i64 {slot.number}", suffix=NO_MERGE
        )
        self.text.do(apart)
        self.context.forget_carried()
        self.lose(abi.GRAPH_HOP_LIMIT if self.segment.cyclic else abi.GRAPH_MISSED_TAIL_CALL)

    def _go_out(self, out: Out) -> None:
        """Leave by an interface; on XDP by a redirect also where it is the one that the packet came in by.

        A veth wakes its peer after XDP_TX only where that runs an XDP program of its own (veth_xdp_flush, Linux 6.18):
        where it has NAPI by GRO, the frame would wait in its ring for the next redirected one.
        """
        if out.set:
            self._go_out_of_set(out)
        elif out.same_hook and self.side is not abi.XDP:
            self.text.returns(self.side.passing)  # tc-egress: it is on its way out of this interface already
        else:
            self.redirect_to_device(out.number)

    def redirect_to_device(self, number: int) -> None:
        """Send the packet out of the interface whose place in the device array is `number`."""
        ifindex = self.device(number)
        gone, there = self.text.new_label("gone"), self.text.new_label("there")
        self.text.branch(self.text.let(f"icmp eq i32 {ifindex}, 0"), gone, there)
        self.text.label(gone)
        self.lose(abi.GRAPH_NO_DEVICE)
        self.text.label(there)
        self.redirect(ifindex)

    def device(self, number: int) -> str:
        """Return the interface index at a place of the device array, 0 where the interface is gone."""
        return self.text.load("i32", self.text.name("ikv_devices"), 4 * number, volatile=True)

    def redirect(self, ifindex: str) -> None:
        """Send the packet out of an interface."""
        result = self.text.helper(abi.HELPER_REDIRECT, "i64", f"i32 {ifindex}", "i64 0")
        self.text.returns(self.text.let(f"trunc i64 {result} to i32"))

    def transmit(self) -> None:
        """Send the packet out of the interface that it came in by."""
        if self.side is abi.XDP:
            self.text.returns(3)
        else:
            self.redirect(self.text.load("i32", CTX, self.side.ifindex))

    def _go_out_of_set(self, out: Out) -> None:
        ifindex = self.context.kept("out_ifindex")
        stranger, member = self.text.new_label("stranger"), self.text.new_label("member")
        if self.side is abi.XDP:
            bcast = self.text.name(f"ikv_bcast{out.number}")
            result = self.text.helper(
                abi.HELPER_REDIRECT_MAP, "i64", f"ptr {bcast}", f"i32 {ifindex}", f"i64 {self.side.dropping}"
            )
            code = self.text.let(f"trunc i64 {result} to i32")
            self.text.branch(self.text.let(f"icmp eq i32 {code}, {abi.XDP_REDIRECT}"), member, stranger)
            self.text.label(member)
            self.text.returns(code)
        else:
            found = self.lookup(f"ikv_bcast{out.number}", ifindex)
            self.text.branch(self.text.let(f"icmp eq ptr {found}, null"), stranger, member)
            self.text.label(member)
            self.redirect(ifindex)
        self.text.label(stranger)
        self.lose(abi.GRAPH_NOT_MEMBER)

    def lookup(self, symbol: str, key: int | str) -> str:
        """Return the value of a graph's map under a u32 key, or NULL."""
        self.text.store("i32", key, "%key")
        return self.text.helper(abi.HELPER_LOOKUP, "ptr", f"ptr {self.text.name(symbol)}", "ptr %key")
