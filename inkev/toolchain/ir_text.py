"""LLVM IR as text, written: one function of numbered values and labels, and numbered metadata.

Knows the grammar and nothing of packets.
"""

from __future__ import annotations

DEBUG = "!9"
"""Every instruction of the walk carries this location: calls to functions with debug information must have one."""


class FunctionText:
    """The body of one function while it is being written."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self._values = 0
        self._labels = 0
        self.uses: set[str] = set()
        """Globals that the body refers to through `name`."""

    def let(self, expression: str) -> str:
        """Append an instruction and return the name of its value."""
        self._values += 1
        name = f"%t{self._values}"
        self.lines.append(f"  {name} = {expression}, !dbg {DEBUG}")
        return name

    def do(self, instruction: str) -> None:
        """Append an instruction that has no value."""
        self.lines.append(f"  {instruction}, !dbg {DEBUG}")

    def new_label(self, stem: str) -> str:
        """Return a label that is not used yet."""
        self._labels += 1
        return f"{stem}.{self._labels}"

    def label(self, name: str) -> None:
        """Begin the block of that name."""
        self.lines.append(f"{name}:")

    def jump(self, label: str) -> None:
        """End the block by going to another."""
        self.do(f"br label %{label}")

    def branch(self, condition: str, yes: str, no: str) -> None:
        """End the block by going to one of two others."""
        self.do(f"br i1 {condition}, label %{yes}, label %{no}")

    def switch(self, kind: str, value: str, default: str, arms: dict[int, str]) -> None:
        """End the block by value."""
        text = " ".join(f"{kind} {number}, label %{label}" for number, label in arms.items())
        self.do(f"switch {kind} {value}, label %{default} [ {text} ]")

    def returns(self, value: int | str) -> None:
        """End the block and the function."""
        self.do(f"ret i32 {value}")

    def at(self, base: str, offset: int | str) -> str:
        """Return a pointer some bytes past another; a text is an i64 value."""
        return base if offset == 0 else self.let(f"getelementptr i8, ptr {base}, i64 {offset}")

    def within(self, base: str, offset: str) -> str:
        """Return a pointer some bytes into the object that another points into: not NULL where that is not."""
        return self.let(f"getelementptr inbounds i8, ptr {base}, i64 {offset}")

    def load(self, kind: str, base: str, offset: int = 0, *, volatile: bool = False) -> str:
        """Return what lies at base + offset."""
        how = "load volatile" if volatile else "load"
        return self.let(f"{how} {kind}, ptr {self.at(base, offset)}, align {align(kind)}")

    def store(self, kind: str, value: int | str, base: str, offset: int = 0, *, volatile: bool = False) -> None:
        """Write to base + offset."""
        how = "store volatile" if volatile else "store"
        self.do(f"{how} {kind} {value}, ptr {self.at(base, offset)}, align {align(kind)}")

    def helper(self, number: int, kind: str, *arguments: str, suffix: str = "") -> str:
        """Call a kernel helper and return its result."""
        return self.let(f"call {kind} inttoptr (i64 {number} to ptr)({', '.join(arguments)}){suffix}")

    def name(self, symbol: str) -> str:
        """Return the global's name in IR, and remember that it is used."""
        self.uses.add(symbol)
        return f"@{symbol}"

    def count(self, base: str, offset: int | str) -> None:
        """Add one to the u64 at base + offset: a counter of this CPU alone."""
        place = self.at(base, offset)
        before = self.load("i64", place)
        self.store("i64", self.let(f"add i64 {before}, 1"), place)


def align(kind: str) -> int:
    """Return the natural alignment in bytes of an IR scalar type."""
    return 8 if kind == "ptr" else int(kind[1:]) // 8


def quote_bytes(raw: bytes) -> str:
    """Return bytes as an IR constant of type [N x i8]."""
    return 'c"' + "".join(f"\\{byte:02X}" for byte in raw) + '"'


class Metadata:
    """Numbered metadata nodes."""

    def __init__(self) -> None:
        self._nodes: dict[int, str] = {}

    def put(self, number: int, text: str) -> str:
        """Write the node of a number given beforehand."""
        self._nodes[number] = text
        return f"!{number}"

    def add(self, text: str) -> str:
        """Append a node; equal texts are one node."""
        for number, known in self._nodes.items():
            if known == text and not text.startswith("distinct"):
                return f"!{number}"
        return self.put(max(self._nodes, default=-1) + 1, text)

    def lines(self) -> list[str]:
        """Return the nodes as IR."""
        return [f"!{number} = {text}" for number, text in sorted(self._nodes.items())]
