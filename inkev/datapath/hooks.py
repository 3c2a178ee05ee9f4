"""Hooks in the kernel: the stub of each attached to interfaces, and what is attached read back.

XDP and TCX by pinned links, which the kernel takes off when the interface goes or the pin is removed; clsact, where the
kernel has no TCX, by a filter whose program is pinned in the link's place.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from pathlib import Path

from inkev.base.errors import ConflictError, InkevError, KernelError, UserError
from inkev.bpf.descriptor import Descriptor
from inkev.bpf.features import has_tcx
from inkev.bpf.link import XDP_GENERIC, XDP_NATIVE, Link
from inkev.bpf.maps import Map
from inkev.bpf.pin import object_kind, open_pin, pin
from inkev.bpf.program import AttachType, Program
from inkev.datapath.interfaces import describe_program, matching, read_links
from inkev.datapath.netns import inside, namespace_path
from inkev.datapath.pins import GraphPins, read_note, remove_pin, write_note
from inkev.datapath.rtnetlink import EGRESS, INGRESS, Filter, NetLink, Route
from inkev.datapath.stub import load_stub, stub_name, stub_number
from inkev.graph.model import Hook
from inkev.host.kernel import AttachedHook

NETNS = "netns"
WHERE = "type"
"""Notes beside a hook's pin: its namespace and its type, for a command that has no graph to read them from."""

_TCX = {"tc-ingress": AttachType.TCX_INGRESS, "tc-egress": AttachType.TCX_EGRESS}
_PARENTS = {"tc-ingress": INGRESS, "tc-egress": EGRESS}
_FIRST_PRIORITY = 0xC000
"""Where tc itself begins to number filters that were given no priority."""

_NO_NATIVE = frozenset({errno.EOPNOTSUPP, errno.ERANGE, errno.ENOSPC, errno.EINVAL, errno.E2BIG})
"""How drivers say that they have no XDP, or not at this MTU or with these queues."""


def force_clsact() -> bool:
    """Return whether tests ask for clsact on a kernel that has TCX (INKEV_FORCE_CLSACT=1)."""
    return os.environ.get("INKEV_FORCE_CLSACT") == "1"


class HookDriver:
    """Attaches, finds and detaches the stubs of one graph."""

    def __init__(self, pins: GraphPins, *, clsact: bool = False) -> None:
        self._pins = pins
        self._forced = clsact or force_clsact()

    def attach(self, name: str, hook: Hook, number: int) -> list[AttachedHook]:
        """Attach the stub wherever it is missing.

        Raises:
            ConflictError: `hook-taken`; interfaces attached by this call are let go again.
        """
        links = matching(hook, read_links(hook.netns))
        self._forget_gone(name, {link.ifindex for link in links})
        done: list[Path] = []
        with self._load_stub(hook, number) as stub:
            try:
                for link in links:
                    path = self._pins.hook(name, link.ifindex)
                    if not self._renew(path, hook, number, stub, link):
                        release(path)
                        done.append(path)
                        self._attach_one(path, hook, stub, link, number)
            except (ConflictError, KernelError):
                for path in done:
                    release(path)
                raise
        return [found for found in self.observe({name: hook}) if found.hook == name]

    def detach(self, name: str) -> None:
        """Take the stub off all its interfaces."""
        for hook, _, path in list(self._pins.hook_pins()):
            if hook == name:
                release(path)

    def observe(self, hooks: dict[str, Hook]) -> list[AttachedHook]:
        """Return everything attached for the graph, as the kernel says; hooks that are not given among it."""
        links: dict[str, dict[int, NetLink]] = {}
        found = []
        for name, ifindex, path in self._pins.hook_pins():
            netns = hooks[name].netns if name in hooks else read_note(path, NETNS)
            if netns not in links:
                links[netns] = _links_by_index(netns)
            found.append(_observe_one(name, ifindex, path, links[netns].get(ifindex), netns))
        return found

    def program_ids(self) -> Iterator[int]:
        """Yield the ids of the programs attached for the graph."""
        for _, _, path in self._pins.hook_pins():
            with open_hook(path) as held:
                yield held.info.program_id if isinstance(held, Link) else held.info.id

    def _load_stub(self, hook: Hook, number: int) -> Program:
        kind, pins = hook.program_type, self._pins
        with Map.open(pins.cell) as cell, Map.open(pins.entries(kind)) as entries, Map.open(pins.block) as block:
            return load_stub(pins.name, number, kind, cell, entries, block)

    def _forget_gone(self, name: str, present: set[int]) -> None:
        """Remove pins of links whose interface is gone; an index may be given to another interface later."""
        for hook, ifindex, path in list(self._pins.hook_pins()):
            if hook == name and ifindex not in present:
                release(path)

    def _renew(self, path: Path, hook: Hook, number: int, stub: Program, link: NetLink) -> bool:
        """Return whether the stub is attached already; give the link this hook's number where it has another."""
        if not path.exists():
            return False
        with open_hook(path) as held:
            if not isinstance(held, Link):
                parent = _PARENTS[hook.type]
                attached = any(item.program_id == held.info.id for item in _filters(hook.netns, link.ifindex, parent))
                return attached and stub_number(held.info.name) == number
            if held.info.ifindex != link.ifindex:
                return False
            if _link_number(held) != number:
                held.update(stub)
            return True

    def _attach_one(self, path: Path, hook: Hook, stub: Program, link: NetLink, number: int) -> None:
        if hook.type != "xdp" and (self._forced or not has_tcx()):
            self._attach_filter(path, hook, stub, link, number)
            return
        with inside(hook.netns):
            made = _link_xdp(stub, link, hook) if hook.type == "xdp" else Link.attach(stub, link.ifindex,
                                                                                      _TCX[hook.type])
        with made:
            pin(made, path)
        _write_notes(path, hook)

    def _attach_filter(self, path: Path, hook: Hook, stub: Program, link: NetLink, number: int) -> None:
        """Add a filter behind those that are there; its program is pinned first: a killed command leaves a trace."""
        pin(stub, path)
        _write_notes(path, hook)
        parent = _PARENTS[hook.type]
        with inside(hook.netns), Route() as route:
            try:
                route.add_clsact(link.ifindex)
            except FileExistsError:
                raise ConflictError("hook-taken", f"{link.name} has an ingress qdisc, which has no egress side",
                                    hint=f"tc qdisc del dev {link.name} ingress, if nothing needs it") from None
            taken = [item.priority for item in route.filters(link.ifindex, parent)]
            priority = min(max([_FIRST_PRIORITY - 1, *taken]) + 1, 0xFFFF)
            route.add_filter(link.ifindex, parent, priority, stub.fileno(), stub_name(self._pins.name, number))


def open_hook(path: Path) -> Link | Program:
    """Return what is pinned for a hook: a link, or under clsact the filter's program."""
    fd = open_pin(path)
    with Descriptor(os.dup(fd)) as probe:
        return Link(fd) if object_kind(probe) == "link" else Program(fd)


def release(path: Path) -> None:
    """Take one stub off its interface and forget it; one that is gone is no error."""
    if not path.exists():
        return
    with open_hook(path) as held:
        if isinstance(held, Link):
            held.detach()
        else:
            _release_filter(path, held.info.id)
    remove_pin(path)


def _release_filter(path: Path, program_id: int) -> None:
    ifindex = int(path.name.rpartition("-")[2])
    parent = _PARENTS.get(read_note(path, WHERE), INGRESS)
    try:
        namespace = namespace_path(read_note(path, NETNS))
    except UserError:  # the namespace is gone, and the filter with it
        return
    with inside(namespace), Route() as route:
        for held in route.filters(ifindex, parent):
            if held.program_id == program_id:
                route.delete_filter(ifindex, parent, held)


def _filters(netns: str, ifindex: int, parent: int) -> list[Filter]:
    with inside(netns), Route() as route:
        return route.filters(ifindex, parent)


def _link_xdp(stub: Program, link: NetLink, hook: Hook) -> Link:
    """Return the link, native where the driver can; the caller is in the hook's namespace."""
    modes = {"native": (XDP_NATIVE,), "generic": (XDP_GENERIC,), "auto": (XDP_NATIVE, XDP_GENERIC)}[hook.mode]
    for mode in modes:
        try:
            return Link.attach(stub, link.ifindex, AttachType.XDP, mode)
        except OSError as error:
            if error.errno in {errno.EBUSY, errno.EEXIST}:
                raise _taken(link) from None
            if error.errno not in _NO_NATIVE or mode == modes[-1]:
                raise _refused(link, error, mode) from None
    raise AssertionError("every mode either attached or raised")


def _taken(link: NetLink) -> ConflictError:
    with Route() as route:
        held = next((item.xdp_program for item in route.links() if item.ifindex == link.ifindex), 0)
    who = describe_program(held) if held else "another program"
    return ConflictError("hook-taken", f"somebody else's XDP program is on {link.name}", where=link.name,
                         why=f"{who} is attached, and XDP has one program an interface",
                         hint=f"bpftool net show dev {link.name} says more; use a tc hook, or detach it yourself")


def _refused(link: NetLink, error: OSError, mode: int) -> KernelError:
    how = "native" if mode == XDP_NATIVE else "generic"
    return KernelError(f"xdp-{how}-refused", f"{link.name} refuses {how} XDP", errno=error.errno or 0, where=link.name,
                       why=os.strerror(error.errno or 0),
                       hint='give the hook mode = "auto", or the type tc-ingress' if how == "native" else "")


def _link_number(held: Link) -> int | None:
    with Program.by_id(held.info.program_id) as program:
        return stub_number(program.info.name)


def _write_notes(path: Path, hook: Hook) -> None:
    write_note(path, WHERE, hook.type)
    if hook.netns:
        write_note(path, NETNS, hook.netns)


def _links_by_index(netns: str) -> dict[int, NetLink]:
    try:
        return {link.ifindex: link for link in read_links(netns)}
    except (InkevError, OSError):
        return {}


def _observe_one(name: str, ifindex: int, path: Path, link: NetLink | None, netns: str) -> AttachedHook:
    interface = link.name if link else ""
    with open_hook(path) as held:
        if isinstance(held, Link):
            info = held.info
            alive = info.ifindex == ifindex and link is not None
            generic = link is not None and link.xdp_mode == "generic"
            how = "tcx" if info.attach_type else "xdp-generic" if generic else "xdp-native"
            return AttachedHook(hook=name, interface=interface, ifindex=ifindex, how=how, link_id=info.id,
                                program_id=info.program_id, alive=alive)
        number = held.info.id
    parent = _PARENTS.get(read_note(path, WHERE), INGRESS)
    alive = link is not None and any(item.program_id == number for item in _filters(netns, ifindex, parent))
    return AttachedHook(hook=name, interface=interface, ifindex=ifindex, how="clsact", program_id=number, alive=alive)
