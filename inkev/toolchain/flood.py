"""A copy out of every flood port but the one a packet entered by, as IR.

On tc clones leave one after another and the packet itself takes the one way that goes on in code. XDP cannot copy: one
way must be left, or the kernel's broadcast over one interface set.
"""

from __future__ import annotations

from inkev.base.errors import UserError
from inkev.graph.partition import Drop, Out, Pass, Slot, Step, Target
from inkev.toolchain import abi
from inkev.toolchain.context import CTX
from inkev.toolchain.leaving import Leaving

SET_MEMBERS = 255
"""u32 ifindex[255] after the count, in the value of ikv_members."""


class Flood:
    """Writes the flood of one member; `ways` are its flood ports that lead somewhere."""

    def __init__(self, leaving: Leaving, instance: str, ways: dict[int, Target], labels: dict[int, str]) -> None:
        self.leaving = leaving
        self.text = leaving.text
        self.context = leaving.context
        self.instance = instance
        self.ways = {port: target for port, target in ways.items() if not isinstance(target, Drop)}
        self.labels = labels

    def _refuse(self, why: str) -> UserError:
        return UserError(
            "flood-needs-tc",
            f"{self.instance} cannot flood here",
            where=self.instance,
            why=why,
            hint="make its hooks tc-ingress, or wire fewer of its flood ports",
        )

    def write(self, mask: str, in_ports: set[int]) -> None:
        """End the block with the copies.

        Args:
            mask: i32, a bit for every port to choose from; 0 for all.
            in_ports: by which ports a packet can have entered the member.

        Raises:
            UserError: `flood-needs-tc`, or two ways that both go on in code.
        """
        if self.leaving.side is abi.XDP:
            self._write_xdp(mask, in_ports)
        else:
            self._write_tc(mask)

    def _is_wanted(self, port: int, mask: str) -> str:
        """Return an i1: the port is chosen, and not where the packet came from (a set is left out by interface)."""
        bit = self.text.let(f"and i32 {mask}, {1 << port if port < 16 else 0}")
        chosen = self.text.let(
            f"or i1 {self.text.let(f'icmp eq i32 {mask}, 0')}, {self.text.let(f'icmp ne i32 {bit}, 0')}"
        )
        target = self.ways[port]
        if isinstance(target, Out) and target.set:
            return chosen
        elsewhere = self.text.let(f"icmp ne i8 {self.context.get('in_port')}, {port}")
        return self.text.let(f"and i1 {chosen}, {elsewhere}")

    def _write_xdp(self, mask: str, in_ports: set[int]) -> None:
        for port in in_ports:
            left = [way for way, target in self.ways.items() if way != port or (isinstance(target, Out) and target.set)]
            if len(left) > 1:
                raise self._refuse(
                    f"XDP cannot copy a packet, and {len(left)} ways are left for one that entered by port {port}"
                )
        for port, target in sorted(self.ways.items()):
            wanted, after = self.text.new_label("wanted"), self.text.new_label("after")
            self.text.branch(self._is_wanted(port, mask), wanted, after)
            self.text.label(wanted)
            if isinstance(target, Out) and target.set:
                self._broadcast(target)
            else:
                self.text.jump(self.labels[port])
            self.text.label(after)
        self.text.returns(self.leaving.side.dropping)

    def _broadcast(self, out: Out) -> None:
        flags = abi.F_BROADCAST | abi.F_EXCLUDE_INGRESS
        bcast = self.text.name(f"ikv_bcast{out.number}")
        result = self.text.helper(abi.HELPER_REDIRECT_MAP, "i64", f"ptr {bcast}", "i32 0", f"i64 {flags}")
        self.text.returns(self.text.let(f"trunc i64 {result} to i32"))

    def _write_tc(self, mask: str) -> None:
        onward = [port for port, target in self.ways.items() if isinstance(target, Step | Slot | Pass)]
        if len(onward) > 1:
            raise self._refuse(f"ports {onward} both lead on to functions, and a clone leaves by an interface")
        for port, target in sorted(self.ways.items()):
            if isinstance(target, Out):
                self._clone_where_wanted(port, target, mask)
        if any(isinstance(target, Out) for target in self.ways.values()):
            self.context.refresh()  # bpf_clone_redirect moves the packet's bytes
        for port in onward:
            gone = self.text.new_label("flooded")
            self.text.branch(self._is_wanted(port, mask), self.labels[port], gone)
            self.text.label(gone)
        self.text.returns(self.leaving.side.dropping)

    def _clone_where_wanted(self, port: int, out: Out, mask: str) -> None:
        wanted, after = self.text.new_label("wanted"), self.text.new_label("after")
        self.text.branch(self._is_wanted(port, mask), wanted, after)
        self.text.label(wanted)
        if out.set:
            self._clone_to_set(out, after)
        else:
            self._clone(self.leaving.device(out.number))
            self.text.jump(after)
        self.text.label(after)

    def _clone(self, ifindex: str) -> None:
        # Interface 0 does not exist: the kernel then returns an error and makes no copy.
        self.text.helper(abi.HELPER_CLONE_REDIRECT, "i64", f"ptr {CTX}", f"i32 {ifindex}", "i64 0")

    def _clone_to_set(self, out: Out, after: str) -> None:
        members = self.leaving.lookup("ikv_members", out.number)
        start, loop, body, copy, following = (
            self.text.new_label(stem) for stem in ("set", "loop", "body", "copy", "following")
        )
        self.text.branch(self.text.let(f"icmp eq ptr {members}, null"), after, start)
        self.text.label(start)
        count = self.text.load("i32", members)
        self.text.store("i32", 0, "%index")
        self.text.jump(loop)
        self.text.label(loop)
        index = self.text.load("i32", "%index")
        within = self.text.let(f"icmp ult i32 {index}, {SET_MEMBERS}")
        more = self.text.let(f"icmp ult i32 {index}, {count}")
        self.text.branch(self.text.let(f"and i1 {within}, {more}"), body, after)
        self.text.label(body)
        place = self.text.at(members, self.text.let(f"mul i64 {self.text.let(f'zext i32 {index} to i64')}, 4"))
        ifindex = self.text.load("i32", place, 4)
        self.text.store("i32", self.text.let(f"add i32 {index}, 1"), "%index")
        self.text.branch(self.text.let(f"icmp eq i32 {ifindex}, {self.context.get('in_ifindex')}"), following, copy)
        self.text.label(copy)
        self._clone(ifindex)
        self.text.jump(following)
        self.text.label(following)
        self.text.jump(loop)
