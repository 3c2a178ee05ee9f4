"""What a program's bytecode does against what its manifest permits: a pure comparison of a Layout with [permissions].

Each right brings the helpers that the C library needs to use it; anything beyond these must be named in
`permissions.helpers`.
"""

from __future__ import annotations

from collections.abc import Iterator

from inkev.base.errors import Fault
from inkev.package.layout import Layout
from inkev.package.manifest import Permissions

ALWAYS = frozenset({
    "map_lookup_elem", "map_update_elem", "map_delete_elem", "map_lookup_percpu_elem", "map_push_elem",
    "map_pop_elem", "map_peek_elem", "for_each_map_elem", "loop", "spin_lock", "spin_unlock", "timer_init",
    "timer_set_callback", "timer_start", "timer_cancel", "ktime_get_ns", "ktime_get_boot_ns", "ktime_get_coarse_ns",
    "ktime_get_tai_ns", "jiffies64", "get_prandom_u32", "get_smp_processor_id", "csum_diff", "strncmp",
})  # fmt: skip
"""Own state, clocks, chance and arithmetic: nothing leaves the program by these."""

READ = frozenset({
    "skb_load_bytes", "skb_load_bytes_relative", "xdp_load_bytes", "xdp_get_buff_len", "skb_pull_data",
    "get_hash_recalc",
})  # fmt: skip

WRITE = frozenset({
    "skb_store_bytes", "xdp_store_bytes", "l3_csum_replace", "l4_csum_replace", "csum_update", "csum_level",
    "skb_vlan_push", "skb_vlan_pop", "skb_change_head", "skb_change_tail", "skb_change_proto", "skb_adjust_room",
    "skb_change_type", "set_hash", "set_hash_invalid", "xdp_adjust_head", "xdp_adjust_tail",
})  # fmt: skip

REDIRECT = frozenset({"redirect", "redirect_map", "redirect_peer", "redirect_neigh"})
CLONE = frozenset({"clone_redirect", "redirect_map"})
"""Flooding: copies on tc, a broadcast map on xdp."""

TAIL_CALLS = frozenset({"tail_call"})


def audit_layout(layout: Layout, permissions: Permissions) -> tuple[Fault, ...]:
    """Return one fault for each thing that the program does and may not do."""
    where = f"{layout.program} ({layout.hook})"
    return tuple(
        Fault("permission-missing", f"{where} {does}", where="nf.toml, permissions", why=why, hint=f"declare {key}")
        for does, why, key in _iter_excess(layout, permissions)
    )


def _iter_excess(layout: Layout, permissions: Permissions) -> Iterator[tuple[str, str, str]]:
    if layout.writes_packet and permissions.packet != "write":
        yield "writes the packet", f'permissions.packet is "{permissions.packet}"', 'packet = "write"'
    if layout.redirects and not (permissions.redirect or permissions.clone):
        yield "redirects packets", "permissions.redirect is false", "redirect = true"
    if layout.tail_calls and not permissions.tail_calls:
        yield "makes tail calls of its own", "permissions.tail-calls is false", "tail-calls = true"
    allowed = allowed_helpers(permissions)
    for helper in layout.helpers:
        name = helper.removeprefix("bpf_")
        if name not in allowed and not _is_reported(name, layout):
            yield f"calls bpf_{name}", "it is not among the declared rights", _right_for(name)
    for kfunc in layout.kfuncs:
        if kfunc not in permissions.kfuncs:
            yield f"calls the kernel function {kfunc}", "it is not in permissions.kfuncs", f'kfuncs = ["{kfunc}"]'


def _is_reported(name: str, layout: Layout) -> bool:
    """Return whether the helper already showed as one of the program's flags."""
    return (
        (name in WRITE and layout.writes_packet)
        or (name in REDIRECT and layout.redirects)
        or (name in TAIL_CALLS and layout.tail_calls)
    )


def _right_for(name: str) -> str:
    for helpers, right in (
        (READ, 'packet = "read"'),
        (WRITE, 'packet = "write"'),
        (REDIRECT, "redirect = true"),
        (CLONE, "clone = true"),
        (TAIL_CALLS, "tail-calls = true"),
    ):
        if name in helpers:
            return right
    return f'helpers = ["bpf_{name}"]'


def allowed_helpers(permissions: Permissions) -> frozenset[str]:
    """Return the helpers, without `bpf_`, that the declared rights bring."""
    allowed = ALWAYS | {helper.removeprefix("bpf_") for helper in permissions.helpers}
    if permissions.packet != "none":
        allowed |= READ
    if permissions.packet == "write":
        allowed |= WRITE
    if permissions.redirect:
        allowed |= REDIRECT
    if permissions.clone:
        allowed |= CLONE
    if permissions.tail_calls:
        allowed |= TAIL_CALLS
    return allowed
