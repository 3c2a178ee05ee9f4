"""What a built program needs to be configured and its maps understood, without reading its bitcode again.

`inkev build` writes one Layout beside each bitcode file (`build/PROGRAM.HOOK.json`, `build/PROGRAM.HOOK.bc`); made from
the BTF and the instructions of the NF compiled alone.
"""

from __future__ import annotations

import msgspec


class Field(msgspec.Struct, frozen=True, kw_only=True):
    """A scalar, array-of-bytes or nested member of a key, value or configuration struct."""

    name: str
    """Dotted path from the outermost struct; "" for a bare scalar."""
    offset: int
    """Bytes from the start of the outermost struct."""
    size: int
    """Bytes."""
    kind: str
    """`int`, `signed`, `bool`, `bytes` (u8 elements), `array` (larger ones), `enum`, `pointer`, `lock`, `timer`."""
    type: str = ""
    """The C type as written, for error texts."""


class MapLayout(msgspec.Struct, frozen=True, kw_only=True):
    """One map as its C source declares it, or one data section (`.data`, `.bss`, `.rodata`)."""

    name: str
    type: str
    """`hash`, `array`, `percpu_array`, `lru_hash`, `lpm_trie`, `prog_array`, ..., or `data`, `bss`, `rodata`."""
    key_size: int
    value_size: int
    max_entries: int
    flags: int = 0
    key: tuple[Field, ...] = ()
    value: tuple[Field, ...] = ()
    fingerprint: str = ""
    """Digest of type, sizes, flags and BTF shape: equal fingerprints may share state."""


class Layout(msgspec.Struct, frozen=True, kw_only=True):
    """Everything known of one program built for one hook type."""

    program: str
    hook: str
    entry: str
    license: str
    config: tuple[Field, ...] = ()
    config_size: int = 0
    maps: tuple[MapLayout, ...] = ()
    helpers: tuple[str, ...] = ()
    kfuncs: tuple[str, ...] = ()
    writes_packet: bool = False
    redirects: bool = False
    tail_calls: bool = False
    instructions: int = 0
    compiler: str = ""
