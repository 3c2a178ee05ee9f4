"""How graphs, changes and packages look to a person; pure."""

from __future__ import annotations

from inkev.cli.changed import format_change
from inkev.cli.columns import format_columns
from inkev.cli.drawing import draw_status
from inkev.cli.manual import draw_manual
from inkev.graph.model import Edge, Graph, Hook, Instance, Node
from inkev.graph.partition import Partition, Segment, Step
from inkev.graph.spec import Locked, Spec
from inkev.host.actions import Flip, Plan
from inkev.host.kernel import AttachedHook, RunningSegment
from inkev.host.results import Change, GraphStatus, InstanceStatus
from inkev.package.manifest import ConfigOption, Manifest, Package, Permissions, Port

EDGES = (
    Edge(source=Node(name="fw", port="inside"), target=Node(name="lan")),
    Edge(source=Node(name="wan"), target=Node(name="fw", port="outside")),
)


def status(**changes):
    graph = Graph(
        name="edge",
        hooks={"wan": Hook(interface="eth0", type="xdp"), "lan": Hook(interfaces="vm-*", netns="blue")},
        instances={"fw": Instance(package="firewall")},
        edges=EDGES,
        points={"screening": Node(name="wan")},
    )
    segment = Segment(key="hook:wan", program_type="xdp", head=Step("fw", 0), fresh=True, members=("fw",))
    spec = Spec(
        inkev="0.1.0", generation=8, graph=graph, bank=0, objects={}, counters={"fw": 512}, file="/etc/edge.toml",
        lock={"fw": Locked(package="firewall", version="1.2.0", digest="d")},
        partition=Partition(segments=(segment,), slots={}, hooks={}, devices={}), **changes.pop("spec", {}),
    )  # fmt: skip
    values = {
        "hooks": tuple(AttachedHook(hook="lan", interface=f"vm-{n}", ifindex=n, how="tcx") for n in range(12)),
        "segments": (RunningSegment(key="hook:wan", program_id=7, digest="ab" * 32, verified_instructions=1234),),
        "instances": (InstanceStatus(name="fw", package="firewall", version="1.2.0", packets=1234567,
                                     drops={"policy": 10, "malformed": 2}, metrics={"accepted": 5, "idle": 0}),),
        "drops": {"hop-limit": 3},
    } | changes  # fmt: skip
    return GraphStatus(name="edge", generation=8, spec=spec, **values)


def test_the_status_shows_what_runs_where_and_what_was_counted():
    text = draw_status(status())
    for part in (
        "edge  generation 8, from /etc/edge.toml",
        "wan -> outside:fw:inside -> lan",
        "firewall 1.2.0  1,234,567",
        "accepted 5; dropped for policy 10, malformed 2",
        "wan -> fw:outside",
        "dropped by the graph  hop-limit 3",
        "and 4 more",
        "in blue",
        "not attached",
        "1,234 verified",
    ):
        assert part in text
    assert "idle" not in text


def test_the_status_tells_of_live_cuts_leftovers_and_missing_packages():
    gone = InstanceStatus(
        name="fw", package="firewall", version="1.2.0", packets=0, drops={}, metrics={}, installed=False
    )
    text = draw_status(status(spec={"cuts": ("wan",)}, leftovers=("gen7",), instances=(gone,)))
    assert "live cuts: 1" in text
    assert "gen7" in text
    assert "no longer installed" in text


def test_a_change_is_told_in_words_and_its_actions_where_asked_for():
    flip = Flip(generation=2, bank=1, previous=1, previous_bank=0)
    plan = Plan(graph="edge", generation=2, actions=(flip,), changes=("add fw",))
    done = Change(plan=plan, applied=True, seconds=0.0123)
    assert format_change(done, steps=False) == "  add fw\n\nedge: generation 2 runs (12 ms)"
    planned = Change(plan=plan, applied=False)
    assert "    1  flip to generation 2" in format_change(planned, steps=True)
    assert format_change(planned, steps=True).endswith("edge: 1 actions, nothing done")
    nothing = Change(plan=Plan(graph="edge", generation=2), applied=False)
    assert format_change(nothing, steps=True) == "edge: nothing to do, generation 2 runs"


def test_columns_stand_below_each_other_numbers_right():
    assert format_columns([("a", 1), ("bbb", 1000)], ("name", "count")) == "name  count\na         1\nbbb    1000"
    assert format_columns([]) == ""


def test_the_manual_says_what_a_package_may_do():
    manifest = Manifest(
        schema=1,
        package=Package(name="guard", version="1.0", summary="drops old packets", license="MIT"),
        ports={"in": Port(direction="in", summary="to look at")},
        config={"min-ttl": ConfigOption(type="u8", default=2, help="smallest")},
        permissions=Permissions(packet="write", helpers=("bpf_fib_lookup",)),
    )
    text = draw_manual(manifest)
    for part in ("guard 1.0  function, MIT", "read and change packets, call bpf_fib_lookup", "min-ttl  u8  default 2"):
        assert part in text
