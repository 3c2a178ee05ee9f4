"""The licence that a joined program may claim.

The kernel offers GPL-only helpers to a program whose licence string says GPL: inkev never says so for a member that did
not.
"""

from __future__ import annotations

from collections.abc import Iterable

KERNEL_GPL = frozenset({"GPL", "GPL v2", "GPL and additional rights", "Dual BSD/GPL", "Dual MIT/GPL", "Dual MPL/GPL"})
"""What the kernel's license_is_gpl_compatible accepts (include/linux/license.h)."""

LIBRARY = "Dual BSD/GPL"
"""The walk and <inkev/nf.h>."""


def join_licenses(members: Iterable[str]) -> str:
    """Return the joined program's licence: GPL only where the kernel takes every member's as such."""
    claimed = sorted(set(members))
    for text in claimed:
        if text not in KERNEL_GPL:
            return text or "Proprietary"
    if not claimed:
        return LIBRARY
    return claimed[0] if len(claimed) == 1 else "GPL"
