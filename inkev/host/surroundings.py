"""The interfaces that a graph's hooks and devices name now, and whether its XDP edges can work between them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from inkev.base.errors import Conflicts, Fault, FaultList, UserError
from inkev.graph.model import Graph, Hook
from inkev.graph.validate import reached_nodes
from inkev.host.kernel import Interface, Kernel
from inkev.package.columns import FindInterface


@dataclass(frozen=True, slots=True)
class Surroundings:
    """Interfaces by hook or device name; a set has any number, everything else exactly one."""

    interfaces: dict[str, tuple[Interface, ...]]

    def places(self, graph: Graph, numbers: dict[str, int]) -> dict[int, int]:
        """Return the device array: place to interface index, sets left out."""
        sets = {name for name, hook in graph.hooks.items() if hook.interfaces}
        return {
            numbers[name]: found[0].ifindex
            for name, found in sorted(self.interfaces.items())
            if name not in sets and found
        }


def observe_surroundings(kernel: Kernel, graph: Graph) -> Surroundings:
    """Return what stands around the graph.

    Raises:
        Faults: every interface that is missing, every one that two hooks share, every XDP edge that would lose
            packets; nothing was changed.
        Conflicts: `hook-taken`: every XDP hook that somebody else's program holds.
    """
    faults = FaultList()
    found: dict[str, tuple[Interface, ...]] = {}
    for name, hook in (graph.hooks | _device_hooks(graph)).items():
        try:
            found[name] = tuple(kernel.interfaces(hook))
        except UserError as error:
            faults.faults += [replace(fault, where=fault.where or _declared(graph, name)) for fault in error.faults]
    faults.check()
    seen = Surroundings(found)
    _check_once(graph, seen, faults)
    faults.check()
    if taken := list(_taken(graph, seen)):
        raise Conflicts(taken)
    _check_xdp(graph, seen, faults)
    faults.check()
    return seen


def _declared(graph: Graph, name: str) -> str:
    return f"{'hooks' if name in graph.hooks else 'devices'}.{name}"


def interface_finder(kernel: Kernel, graph: Graph, instance: str) -> FindInterface:
    """Return what turns the names of interfaces into indexes, in the namespace of the hooks that reach an instance."""

    def find(name: str) -> int:
        namespaces = (
            hook.netns
            for hook_name, hook in graph.hooks.items()
            if any(node.name == instance for node in reached_nodes(graph, hook_name))
        )
        return kernel.interfaces(Hook(interface=name, netns=next(namespaces, "")))[0].ifindex

    return find


def _device_hooks(graph: Graph) -> dict[str, Hook]:
    """Return each device as the hook it is not: in the namespace of those hooks that lead to it."""
    namespaces: dict[str, str] = {}
    for name, hook in graph.hooks.items():
        for node in reached_nodes(graph, name):
            namespaces[node.name] = hook.netns
    return {
        name: Hook(interface=device.interface, netns=namespaces.get(name, "")) for name, device in graph.devices.items()
    }


def _check_once(graph: Graph, seen: Surroundings, faults: FaultList) -> None:
    """Record every interface that two hooks of a type share: which of them is to decide?"""
    owners: dict[tuple[str, int, str], str] = {}
    for name, hook in graph.hooks.items():
        for interface in seen.interfaces[name]:
            owner = owners.setdefault((hook.netns, interface.ifindex, hook.type), name)
            if owner != name:
                faults.add(
                    "hook-twice",
                    f"hooks {owner} and {name} both take {hook.type} of {interface.name}",
                    where=f"hooks.{name}",
                    why="a packet enters a graph by one hook",
                    hint="take one of them away, or narrow the pattern",
                )


def _taken(graph: Graph, seen: Surroundings) -> Iterator[Fault]:
    """Yield every interface on which somebody else's XDP program stands: it is never displaced."""
    for name, hook in graph.hooks.items():
        for interface in seen.interfaces[name] if hook.type == "xdp" else ():
            if interface.xdp_holder:
                yield Fault(
                    "hook-taken",
                    f"{interface.name} already has an XDP program that is not this graph's",
                    where=f"hooks.{name}",
                    why=interface.xdp_holder,
                    hint="take it off first, or make the hook tc-ingress",
                )


def _check_xdp(graph: Graph, seen: Surroundings, faults: FaultList) -> None:
    """Record every way from an XDP hook out of another interface on which frames would be lost or spoilt."""
    said: set[str] = set()
    for name, hook in graph.hooks.items():
        outs = {node.name for node in reached_nodes(graph, name) if node.name in seen.interfaces}
        if hook.type != "xdp" or not outs - ({name} if hook.interface else set()):
            continue
        for interface in seen.interfaces[name]:
            if interface.partial_checksums:
                _say_checksums(name, interface, faults)
        for out in sorted(outs - {name}):
            for interface in seen.interfaces[out]:
                if not interface.transmit_xdp and interface.name not in said:
                    said.add(interface.name)
                    _say_transmit(out, interface, faults)


def _say_checksums(hook: str, interface: Interface, faults: FaultList) -> None:
    faults.add(
        "checksums-break",
        f"XDP on {interface.name} would forward packets with unfinished checksums",
        where=f"hooks.{hook}",
        why=f"senders behind {interface.peer or 'its peer'} leave checksums to the device, and XDP cannot know",
        hint=f"run {_ethtool(interface.peer, 'tx off')}, or make the hook tc-ingress",
    )


def _say_transmit(out: str, interface: Interface, faults: FaultList) -> None:
    faults.add(
        "cannot-transmit",
        f"{interface.name} does not take frames that XDP sends out of it",
        where=f"edges, {out}",
        why=f"its peer {interface.peer} has neither GRO nor an XDP program"
        if interface.peer
        else "its driver has no way to",
        hint=f"run {_ethtool(interface.peer, 'gro on')}" if interface.peer else "make the hook tc-ingress",
    )


def _ethtool(peer: str, setting: str) -> str:
    namespace, _, name = peer.rpartition("/")
    enter = f"ip netns exec {namespace} " if namespace else ""
    return f"`{enter}ethtool -K {name or 'PEER'} {setting}`"
