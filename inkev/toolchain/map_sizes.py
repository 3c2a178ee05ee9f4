"""Another number of entries for a BTF-defined map, as an edit of debug information.

`max_entries` of such a map is the length of an array type that other maps may share, so the whole chain of nodes from
the variable to the array is written anew.
"""

from __future__ import annotations

import re

_NODE = re.compile(r"^!(\d+) = (.*)$")


class DebugNodes:
    """The metadata nodes of a module, with more to be appended."""

    def __init__(self, ir: str) -> None:
        self.lines = ir.splitlines()
        self.place = {int(match[1]): n for n, line in enumerate(self.lines) if (match := _NODE.match(line))}
        self._next = max(self.place, default=-1) + 1

    def text(self, number: int) -> str:
        """Return a node without its number."""
        return self.lines[self.place[number]].partition(" = ")[2]

    def reference(self, number: int, field: str) -> int:
        """Return the number that a field of a node refers to; -1 where it has no such field."""
        match = re.search(rf"\b{field}: !(\d+)", self.text(number))
        return int(match[1]) if match else -1

    def add(self, text: str) -> int:
        """Append a node and return its number."""
        self.place[self._next] = len(self.lines)
        self.lines.append(f"!{self._next} = {text}")
        self._next += 1
        return self._next - 1

    def copy(self, number: int, field: str, target: int) -> int:
        """Append a copy of a node in which one field refers elsewhere."""
        return self.add(re.sub(rf"\b{field}: !\d+", f"{field}: !{target}", self.text(number), count=1))

    def change(self, number: int, field: str, target: int) -> None:
        """Let a field of a node refer elsewhere."""
        text = re.sub(rf"\b{field}: !\d+", f"{field}: !{target}", self.text(number), count=1)
        self.lines[self.place[number]] = f"!{number} = {text}"

    def items(self, number: int) -> list[int]:
        """Return what a tuple node lists."""
        return [int(item) for item in re.findall(r"!(\d+)", self.text(number))]


def resize_map(ir: str, symbol: str, entries: int) -> str:
    """Return the module in which a BTF-defined map has another number of entries.

    Raises:
        LookupError: the map has no `max_entries` to change.
    """
    nodes = DebugNodes(ir)
    line = next((text for text in nodes.lines if text.startswith(f"@{symbol} = ")), "")
    match = re.search(r"!dbg !(\d+)", line)
    if match is None:
        raise LookupError(symbol)
    variable = nodes.reference(int(match[1]), "var")
    nodes.change(variable, "type", _resized(nodes, nodes.reference(variable, "type"), entries))
    return "\n".join(nodes.lines)


def _resized(nodes: DebugNodes, kind: int, entries: int) -> int:
    if nodes.reference(kind, "elements") < 0:
        return nodes.copy(kind, "baseType", _resized(nodes, nodes.reference(kind, "baseType"), entries))
    elements = nodes.reference(kind, "elements")
    members = nodes.items(elements)
    for place, member in enumerate(members):
        if 'name: "max_entries"' in nodes.text(member):
            members[place] = nodes.copy(
                member, "baseType", _pointer(nodes, nodes.reference(member, "baseType"), entries)
            )
            break
    else:
        raise LookupError("max_entries")
    return nodes.copy(kind, "elements", nodes.add("!{" + ", ".join(f"!{member}" for member in members) + "}"))


def _pointer(nodes: DebugNodes, pointer: int, entries: int) -> int:
    subrange = nodes.add(f"!DISubrange(count: {entries})")
    array = nodes.copy(nodes.reference(pointer, "baseType"), "elements", nodes.add(f"!{{!{subrange}}}"))
    size = re.sub(r"\bsize: \d+", f"size: {32 * entries}", nodes.text(array))
    nodes.lines[nodes.place[array]] = f"!{array} = {size}"
    return nodes.copy(pointer, "baseType", array)
