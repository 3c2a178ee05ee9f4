"""The graph's own maps as every segment declares them: IR globals with the debug information that becomes BTF.

The datapath makes these maps and hands them to libbpf; what is declared here must match what it makes.
"""

from __future__ import annotations

import re

from inkev.base.limits import BLOCK_BYTES, HOOKS, SLOTS
from inkev.toolchain.ir_text import Metadata

ARRAY = 2
PROG_ARRAY = 3
DEVMAP_HASH = 25

BLOCK = "ikv_block"
DEVICES = "ikv_devices"
_SECTIONS = {BLOCK: ".bss.ikv_block", DEVICES: ".data.ikv_devices"}
"""libbpf gives direct access to a map's value only for data sections: these are such, and so are their maps' names."""

_BCAST = re.compile(r"ikv_bcast\d+")
_SHAPES = {
    "ikv_members": (ARRAY, 4, 1024, HOOKS),
    "ikv_slots": (PROG_ARRAY, 4, 4, SLOTS),
}
_FIELDS = ("type", "key_size", "value_size", "max_entries")


def map_symbol(name: str) -> str:
    """Return the name that libbpf will give to a map of the graph."""
    return _SECTIONS.get(name, name)


def declare_map(name: str, metadata: Metadata, file: str, block_places: int) -> tuple[str, str]:
    """Return the IR line that defines a map, and the metadata node for the unit's list of globals."""
    if name in _SECTIONS:
        return _words(name, HOOKS if name == DEVICES else block_places * BLOCK_BYTES // 4, metadata, file)
    shape = (DEVMAP_HASH, 4, 4, 1024) if _BCAST.fullmatch(name) else _SHAPES[name]
    integer = _integer(metadata)
    members = []
    for place, (field, number) in enumerate(zip(_FIELDS, shape, strict=True)):
        pointer = metadata.add(
            f"!DIDerivedType(tag: DW_TAG_pointer_type, baseType: {_array(metadata, integer, number)}, size: 64)"
        )
        members.append(
            metadata.add(
                f'!DIDerivedType(tag: DW_TAG_member, name: "{field}", file: {file}, line: 1, '
                f"baseType: {pointer}, size: 64, offset: {64 * place})"
            )
        )
    elements = metadata.add("!{" + ", ".join(members) + "}")
    struct = metadata.add(
        f"!DICompositeType(tag: DW_TAG_structure_type, file: {file}, line: 1, size: 256, elements: {elements})"
    )
    node = _variable(metadata, name, struct, file)
    return f'@{name} = dso_local global [4 x ptr] zeroinitializer, section ".maps", align 8, !dbg {node}', node


def _words(name: str, count: int, metadata: Metadata, file: str) -> tuple[str, str]:
    unsigned = metadata.add('!DIBasicType(name: "unsigned int", size: 32, encoding: DW_ATE_unsigned)')
    node = _variable(metadata, name, _array(metadata, unsigned, count), file)
    return (
        f'@{name} = dso_local global [{count} x i32] zeroinitializer, section "{_SECTIONS[name]}", align 8, '
        f"!dbg {node}"
    ), node


def _integer(metadata: Metadata) -> str:
    return metadata.add('!DIBasicType(name: "int", size: 32, encoding: DW_ATE_signed)')


def _array(metadata: Metadata, element: str, count: int) -> str:
    subrange = metadata.add("!{" + metadata.add(f"!DISubrange(count: {count})") + "}")
    return metadata.add(
        f"!DICompositeType(tag: DW_TAG_array_type, baseType: {element}, size: {32 * count}, elements: {subrange})"
    )


def _variable(metadata: Metadata, name: str, kind: str, file: str) -> str:
    variable = metadata.add(
        f'distinct !DIGlobalVariable(name: "{name}", scope: !0, file: {file}, line: 1, type: {kind}, '
        "isLocal: false, isDefinition: true)"
    )
    return metadata.add(f"!DIGlobalVariableExpression(var: {variable}, expr: !DIExpression())")
