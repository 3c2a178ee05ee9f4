"""Everything that can be wrong in a wired graph, all of it at once; pure.

What depends on the machine (interfaces, what else is attached) is checked by the host.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping

from inkev.base.errors import FaultList, UserError
from inkev.base.limits import BLOCK_BYTES, BLOCK_HEADER_BYTES, COMMON_REASONS, MAX_TAIL_CALLS
from inkev.graph.cutting import DEVICES, longest_chain
from inkev.graph.drawing import Function
from inkev.graph.model import DROP, Graph, Instance, Node, ProgramType
from inkev.graph.partition import Partition
from inkev.graph.table_rows import check_rows
from inkev.package.configuration import FindInterfaceFor, config_values
from inkev.package.manifest import Manifest
from inkev.package.suggest import did_you_mean

COUNTER_BYTES = 8


def validate(
    graph: Graph,
    manifests: Mapping[str, Manifest],
    faults: FaultList,
    *,
    sound: Collection[tuple[str, str]] = (),
    find_interface: FindInterfaceFor | None = None,
) -> None:
    """Record every fault of a wired graph.

    Args:
        graph: as `wire` returned it.
        manifests: by instance.
        faults: where to record what is wrong.
        sound: instance and table whose rows were looked at before.
        find_interface: what turns names of interfaces in options into indexes; without it they stay names.
    """
    check = _Check(graph, manifests, faults, sound, find_interface)
    check.hooks()
    check.edges()
    check.points()
    check.reach()
    check.counters()
    for name, instance in graph.instances.items():
        if name in manifests:
            check.instance(name, instance, manifests[name])


def check_chain(whole: Partition, faults: FaultList) -> None:
    """Record a fault where a path has more tail calls than the kernel follows."""
    longest = longest_chain(whole)
    if longest > MAX_TAIL_CALLS:
        faults.add(
            "chain-too-long",
            f"a path crosses {longest} stitch points, the kernel follows {MAX_TAIL_CALLS}",
            where="edges",
            hint="take away stitch points, or run `inkev stitch` to link inserted instances in",
        )


def reached_nodes(graph: Graph, hook: str) -> set[Node]:
    """Return every node, with the port it is entered by, that packets of a hook may reach."""
    following: dict[str, list[Node]] = {}
    for edge in graph.edges:
        following.setdefault(edge.source.name, []).append(edge.target)
    waiting, seen = list(following.get(hook, [])), set[Node]()
    while waiting:
        node = waiting.pop()
        if node not in seen:
            seen.add(node)
            waiting += following.get(node.name, []) if node.name in graph.instances else []
    return seen


def function_of(manifest: Manifest, maps: Mapping[str, int]) -> Function:
    """Return what the partition needs to know of a package.

    Args:
        manifest: the package's.
        maps: program type to the number of maps.
    """
    outputs = frozenset(name for name, port in manifest.ports.items() if port.direction != "in")
    return Function(ports=tuple(manifest.ports), outputs=outputs, maps=dict(maps))


def region_bytes(manifest: Manifest) -> int:
    """Return the size of an instance's region in the block: packets, drops by reason, metrics."""
    return COUNTER_BYTES * (1 + COMMON_REASONS + len(manifest.reasons) + len(manifest.metrics))


class _Check:
    def __init__(
        self,
        graph: Graph,
        manifests: Mapping[str, Manifest],
        faults: FaultList,
        sound: Collection[tuple[str, str]],
        find_interface: FindInterfaceFor | None,
    ) -> None:
        self._graph = graph
        self._manifests = manifests
        self._faults = faults
        self._sound = sound
        self._find_interface = find_interface
        self._targets = {edge.source: edge.target for edge in graph.edges}

    def hooks(self) -> None:
        graph, add = self._graph, self._faults.add
        if not graph.hooks:
            add(
                "no-hooks",
                "the graph has no hook, so no packet would enter it",
                where="hooks",
                hint='[hooks] wan = { interface = "eth0", type = "xdp" }',
            )
        if len(graph.hooks) + len(graph.devices) > DEVICES:
            add(
                "too-many-devices",
                f"hooks and devices are {len(graph.hooks) + len(graph.devices)}, the limit is {DEVICES}",
                where="hooks",
                hint='use an interface set: interfaces = "vm-*"',
            )
        for name in graph.hooks:
            if Node(name=name) not in self._targets:
                add(
                    "unwired-hook",
                    f"nothing is said about packets that enter by hook {name!r}",
                    where=f"hooks.{name}",
                    hint=f"write an edge ({name} -> fw, {name} -> host), or declare it under [devices]",
                )

    def edges(self) -> None:
        first: dict[Node, Node] = {}
        for edge in self._graph.edges:
            other = first.setdefault(edge.source, edge.target)
            if other != edge.target:
                self._faults.add(
                    "two-edges",
                    f"{edge.source} leads to both {other} and {edge.target}",
                    where="edges",
                    why="a packet leaves a port one way",
                    hint="take one of them away",
                )

    def points(self) -> None:
        named: dict[Node, str] = {}
        for name, source in self._graph.points.items():
            where = f"edges.stitch-points.{name}"
            if source not in self._targets:
                self._faults.add(
                    "no-such-edge",
                    f"stitch point {name!r} names no edge",
                    where=where,
                    why=f"nothing leads out of {source}",
                )
            if named.setdefault(source, name) != name:
                self._faults.add(
                    "duplicate-stitch-point",
                    f"{name!r} and {named[source]!r} are the same edge",
                    where=where,
                    hint="keep one of them",
                )
            if name in self._graph.hooks and source.name != name:
                self._faults.add(
                    "name-clash",
                    f"stitch point {name!r} has the name of a hook",
                    where=where,
                    why="every hook's entry is a stitch point of that name",
                    hint="choose another name",
                )

    def reach(self) -> None:
        """Follow every hook; what it reaches must be able to run there, and everything must be reached."""
        reached: set[str] = set()
        for hook in self._graph.hooks:
            entered = self._entered(hook)
            reached |= {node.name for node in entered if node.name in self._graph.instances}
            self._outer_edges(hook, entered)
        kinds: dict[ProgramType, set[Node]] = {}
        for hook, declared in self._graph.hooks.items():
            kinds.setdefault(declared.program_type, set()).update(self._entered(hook))
        for kind, nodes in sorted(kinds.items()):
            self._programs(kind, nodes)
        self._floods(kinds.get("xdp", set()))
        for name in self._graph.instances:
            if name not in reached:
                self._faults.add(
                    "disconnected",
                    f"no packet reaches {name!r}",
                    where=f"nf.{name}",
                    hint="wire it into a chain, or take it away",
                )

    def _entered(self, hook: str) -> set[Node]:
        return reached_nodes(self._graph, hook)

    def _outer_edges(self, hook: str, entered: set[Node]) -> None:
        home = self._graph.hooks[hook]
        for node in sorted(entered):
            other = self._graph.hooks.get(node.name)
            if other is None:
                continue
            if other.netns != home.netns:
                self._faults.add(
                    "cross-namespace",
                    f"a packet that enters by {hook} cannot leave by {node.name}",
                    where="edges",
                    why=f"they are in namespaces {home.netns or 'own'!r} and {other.netns or 'own'!r}",
                    hint="join the namespaces by a veth pair and use its two ends",
                )
            if other.type == "tc-egress" and node.name != hook:
                self._faults.add(
                    "edge-into-egress",
                    f"a packet that enters by {hook} cannot be led to {node.name}",
                    where="edges",
                    why="going out there it would enter the graph again by that tc-egress hook",
                    hint="lead it to a device with the same interface",
                )

    def _programs(self, kind: ProgramType, nodes: set[Node]) -> None:
        missing = {node.name for node in nodes if node.name in self._manifests and not self._runs_on(node, kind)}
        for name in sorted(missing):
            package = self._manifests[name].package.name
            self._faults.add(
                "no-program",
                f"{name} is reached from a hook of type {kind}, which {package} is not built for",
                where=f"nf.{name}",
                hint=f"use a {'tc-ingress' if kind == 'xdp' else 'xdp'} hook",
            )

    def _runs_on(self, node: Node, kind: ProgramType) -> bool:
        manifest = self._manifests[node.name]
        port = manifest.ports.get(node.port)
        chosen = port.program if port else ""
        programs = [manifest.programs[chosen]] if chosen in manifest.programs else list(manifest.programs.values())
        return any(kind in program.hooks for program in programs)

    def _floods(self, entered: set[Node]) -> None:
        """XDP cannot copy a packet: one way must be left for a flood, or one interface set."""
        for node in sorted(entered):
            ways = list(self._flood_ways(node))
            if len(ways) > 1:
                self._faults.add(
                    "flood-needs-tc",
                    f"{node.name} cannot flood what enters by {node.port} on xdp",
                    where=f"nf.{node.name}",
                    why=f"XDP cannot copy a packet, and ports {', '.join(ways)} are left",
                    hint="make its hooks tc-ingress, or join its interfaces in one set",
                )

    def _flood_ways(self, node: Node) -> Iterator[str]:
        manifest = self._manifests.get(node.name)
        for name, port in (manifest.ports if manifest else {}).items():
            target = self._targets.get(Node(name=node.name, port=name))
            if not port.flood or target is None or target.name == DROP:
                continue
            hook = self._graph.hooks.get(target.name)
            if name != node.port or (hook is not None and hook.interfaces):
                yield name

    def counters(self) -> None:
        needed = sum(region_bytes(manifest) for manifest in self._manifests.values())
        free = BLOCK_BYTES - BLOCK_HEADER_BYTES
        if needed > free:
            self._faults.add(
                "too-many-counters",
                f"the instances' counters need {needed} bytes, a graph has {free}",
                where="nf",
                hint="split it into several graphs",
            )

    def instance(self, name: str, instance: Instance, manifest: Manifest) -> None:
        """Check one instance against its package: ports wired, options, tables."""
        for port_name, port in manifest.ports.items():
            if port.direction != "in" and not port.optional and Node(name=name, port=port_name) not in self._targets:
                self._faults.add(
                    "unwired-port",
                    f"output port {port_name!r} of {name} leads nowhere",
                    where=f"nf.{name}",
                    hint=f"write where it leads, or {name}:{port_name} -> drop",
                )
        try:
            config_values(manifest, instance.config, self._find_interface(name) if self._find_interface else None)
        except UserError as error:
            for fault in error.faults:
                self._faults.add(
                    fault.code, fault.message, where=f"nf.{name}.{fault.where}", why=fault.why, hint=fault.hint
                )
        if instance.imports:
            self._faults.add(
                "not-supported", f"{name} imports maps, which this version cannot bind", where=f"nf.{name}.imports"
            )
        for table, rows in instance.tables.items():
            if table in manifest.tables:
                if (name, table) not in self._sound:
                    check_rows(f"nf.{name}.tables.{table}", manifest.tables[table], rows, self._faults)
            else:
                self._faults.add(
                    "unknown-table",
                    f"{manifest.package.name} has no table {table!r}",
                    where=f"nf.{name}.tables.{table}",
                    hint=did_you_mean(table, manifest.tables),
                )
