"""The names that inkev gives to things, as distinct types."""

from __future__ import annotations

import re
from typing import NewType

PackageName = NewType("PackageName", str)
InstanceName = NewType("InstanceName", str)
GraphName = NewType("GraphName", str)
HookName = NewType("HookName", str)
PortName = NewType("PortName", str)
Digest = NewType("Digest", str)
"""Lower-case hex SHA-256."""

Generation = NewType("Generation", int)
"""Counts the changes of one graph, from 1."""

NAME = re.compile(r"[a-z][a-z0-9_-]{0,30}")
"""Packages, graphs, instances, hooks, ports, tables: no dots (bpffs refuses them), no capitals."""


def is_name(text: str) -> bool:
    """Return whether the text may name a package, graph, instance, hook, port or table."""
    return NAME.fullmatch(text) is not None
