"""Hooks between real hosts: what is attached, what is refused, and that a packet keeps its generation."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from inkev.base.errors import ConflictError, UserError
from inkev.base.paths import Root
from inkev.bpf.assembly import R0, constant, leave
from inkev.bpf.link import XDP_NATIVE, Link, query_tcx
from inkev.bpf.maps import Map
from inkev.bpf.program import AttachType, Program, ProgramType
from inkev.datapath.kernel import LinuxKernel
from inkev.datapath.netns import inside
from inkev.datapath.stub import load_stub, stub_number
from inkev.graph.model import Hook
from tests.datapath.programs import SLOTS, segment, verdict
from tests.datapath.test_kernel import GRAPH, PACKET, bring_up, make_spec
from tests.lab import Host, Lab
from tests.stream import Stream

pytestmark = pytest.mark.kernel

XDP_PASS, TC_OK, TC_DROP = 2, 0, 2
ADDRESSES = ("10.9.2.1/24", "10.9.2.2/24", "fd09:2::1/64", "fd09:2::2/64")


class Wire:
    """Two hosts; graphs hook the right one's eth0."""

    def __init__(self, lab: Lab) -> None:
        self.lab = lab
        self.left, self.right = lab.host("left"), lab.host("right")
        lab.wire(self.left, "eth0", self.right, "eth0", *ADDRESSES)

    def hook(self, kind: str = "xdp", **more: str) -> Hook:
        return Hook(**{"interface": "eth0", "netns": self.right.netns, "type": kind, **more})

    def reaches(self, timeout: float = 3.0) -> bool:
        return self.left.ping("10.9.2.2", count=1, timeout=timeout) == 1

    def loses(self) -> bool:
        return not self.reaches(0.2)


@pytest.fixture
def wire() -> Iterator[Wire]:
    with Lab() as lab:
        yield Wire(lab)


@pytest.fixture
def kernel(root: Root) -> LinuxKernel:
    made = LinuxKernel(root)
    made.preflight()
    made.open_graph(GRAPH)
    return made


def bring_up_tc(kernel: LinuxKernel, generation: int, number: int, hooks: dict[str, Hook]) -> None:
    kernel.stage(GRAPH, generation)
    kernel.load(GRAPH, generation, verdict("hook:wan", number, "tc"))
    kernel.set_entry(GRAPH, generation, "tc", 0, generation & 1, "hook:wan")
    kernel.write_spec(GRAPH, generation, make_spec(generation, generation & 1, hooks=hooks))
    kernel.flip(GRAPH, generation, generation & 1)


def foreign(host: Host, kind: ProgramType, where: AttachType, number: int, flags: int = 0) -> Link:
    with (inside(host.path),
          Program.load(kind, constant(R0, number) + leave(), name="stranger",
                       attach=AttachType.XDP if kind == ProgramType.XDP else AttachType.NONE) as program):
        return Link.attach(program, host.ifindex("eth0"), where, flags)


def test_packets_go_where_the_entry_says_and_are_lost_where_there_is_none(kernel, wire):
    hook = wire.hook()
    bring_up(kernel, 1, verdict("hook:wan", XDP_PASS))
    kernel.write_spec(GRAPH, 1, make_spec(1, 1, hooks={"wan": hook}))
    attached = kernel.attach(GRAPH, "wan", hook, 0)
    assert [(item.hook, item.interface, item.how, item.alive) for item in attached] == [
        ("wan", "eth0", "xdp-native", True)]
    assert wire.reaches()
    kernel.flip(GRAPH, 1, 0)
    before = kernel.read_counters(GRAPH, 128, 1)[0]
    assert wire.loses()
    assert kernel.read_counters(GRAPH, 128, 1)[0] > before
    assert list(kernel.observe(GRAPH).hooks) == attached
    kernel.detach(GRAPH, "wan")
    assert wire.reaches()
    assert kernel.observe(GRAPH).hooks == ()


@pytest.mark.parametrize("kind", ["tc-ingress", "tc-egress"])
@pytest.mark.parametrize("clsact", [False, True])
def test_tc_hooks_carry_traffic_by_links_and_by_filters(root, kernel, wire, kind, clsact):
    kernel = LinuxKernel(root, clsact=clsact)
    hook = wire.hook(kind)
    bring_up_tc(kernel, 1, TC_OK, {"wan": hook})
    attached = kernel.attach(GRAPH, "wan", hook, 0)
    assert [(item.how, item.alive) for item in attached] == [("clsact" if clsact else "tcx", True)]
    assert kernel.attach(GRAPH, "wan", hook, 0) == attached
    assert wire.reaches()
    bring_up_tc(kernel, 2, TC_DROP, {"wan": hook})
    assert wire.loses()
    assert list(LinuxKernel(root).observe(GRAPH).hooks) == attached
    kernel.detach(GRAPH, "wan")
    assert wire.reaches()


def test_a_strangers_xdp_program_is_named_and_stays(kernel, wire):
    with foreign(wire.right, ProgramType.XDP, AttachType.XDP, XDP_PASS, XDP_NATIVE) as link:
        assert "stranger" in kernel.interfaces(wire.hook())[0].xdp_holder
        with pytest.raises(ConflictError) as refusal:
            kernel.attach(GRAPH, "wan", wire.hook(), 0)
        assert refusal.value.code == "hook-taken"
        assert "stranger" in refusal.value.faults[0].why
        assert link.info.ifindex == wire.right.ifindex("eth0")
        assert wire.reaches()


def test_a_refused_hook_leaves_the_interfaces_before_it_alone(kernel, wire):
    wire.lab.wire(wire.left, "vm-1", wire.right, "a-vm")
    hook = Hook(interfaces="*0", netns=wire.right.netns, type="xdp")
    wire.right.ip("link set a-vm name b0")
    wire.right.ip("link set eth0 down", "link set eth0 name z0")
    with inside(wire.right.path), Program.load(ProgramType.XDP, constant(R0, 2) + leave(), name="stranger",
                                               attach=AttachType.XDP) as program:
        links = [Link.attach(program, wire.right.ifindex("b0"), AttachType.XDP, XDP_NATIVE)]
    try:
        with pytest.raises(ConflictError):
            kernel.attach(GRAPH, "wan", hook, 0)
        assert [item.xdp_holder != "" for item in kernel.interfaces(hook)] in ([True, False], [False, True])
    finally:
        links[0].close()


def test_tcx_programs_of_others_run_before_and_stay(kernel, wire):
    hook = wire.hook("tc-ingress")
    bring_up_tc(kernel, 1, TC_OK, {"wan": hook})
    with foreign(wire.right, ProgramType.SCHED_CLS, AttachType.TCX_INGRESS, -1) as link:
        attached = kernel.attach(GRAPH, "wan", hook, 0)
        with inside(wire.right.path):
            order = query_tcx(wire.right.ifindex("eth0"), AttachType.TCX_INGRESS)
        assert order == [link.info.program_id, attached[0].program_id]
        assert wire.reaches()
        kernel.detach(GRAPH, "wan")
        assert link.info.ifindex == wire.right.ifindex("eth0")


def test_filters_of_others_run_before_and_stay(root, kernel, wire):
    kernel = LinuxKernel(root, clsact=True)
    wire.right.run("tc", "qdisc", "add", "dev", "eth0", "clsact")
    added = wire.right.run("tc", "filter", "add", "dev", "eth0", "ingress", "prio", "50", "protocol", "ip", "matchall",
                           "action", "ok")
    hook = wire.hook("tc-ingress")
    bring_up_tc(kernel, 1, TC_OK, {"wan": hook})
    kernel.attach(GRAPH, "wan", hook, 0)
    shown = wire.right.run("tc", "filter", "show", "dev", "eth0", "ingress").stdout
    assert f"ikv0_{GRAPH}" in shown
    kernel.detach(GRAPH, "wan")
    after = wire.right.run("tc", "filter", "show", "dev", "eth0", "ingress").stdout
    assert f"ikv0_{GRAPH}" not in after
    assert (added.returncode != 0) or "pref 50" in after


def test_a_pattern_hooks_every_interface_it_matches_and_lets_go_of_those_gone(kernel, wire):
    for number in range(3):
        wire.lab.wire(wire.left, f"vm-{number}", wire.right, f"vm-{number}")
    hook = Hook(interfaces="vm-*", netns=wire.right.netns, type="tc-ingress")
    bring_up_tc(kernel, 1, TC_OK, {"lan": hook})
    assert [item.interface for item in kernel.attach(GRAPH, "lan", hook, 0)] == ["vm-0", "vm-1", "vm-2"]
    wire.right.ip("link del vm-1")
    assert sum(item.alive for item in kernel.observe(GRAPH).hooks) == 2
    wire.lab.wire(wire.left, "vm-9", wire.right, "vm-9")
    assert [item.interface for item in kernel.attach(GRAPH, "lan", hook, 0)] == ["vm-0", "vm-2", "vm-9"]
    assert kernel.attach(GRAPH, "none", Hook(interfaces="no-*", netns=wire.right.netns), 1) == []


def test_a_missing_interface_and_a_missing_namespace_are_named(kernel, wire):
    for hook, code in ((wire.hook(interface="eth9"), "no-such-interface"),
                       (wire.hook(netns="ikvt-nowhere"), "no-such-namespace")):
        with pytest.raises(UserError) as refusal:
            kernel.interfaces(hook)
        assert refusal.value.code == code


def test_generic_xdp_is_used_only_when_asked_or_nothing_else_is_there(kernel, wire):
    wire.right.ip("link add ikvt-br type bridge", "link set ikvt-br up")
    [attached] = kernel.attach(GRAPH, "br", wire.hook(interface="ikvt-br"), 0)
    assert attached.how == "xdp-generic"
    [attached] = kernel.attach(GRAPH, "wan", wire.hook(mode="generic"), 1)
    assert attached.how == "xdp-generic"
    kernel.detach(GRAPH, "br")
    with pytest.raises(Exception, match="native") as refusal:
        kernel.attach(GRAPH, "br", wire.hook(interface="ikvt-br", mode="native"), 0)
    assert refusal.value.code == "xdp-native-refused"


def test_facts_of_a_veth_are_those_of_its_peer_in_another_namespace(kernel, wire):
    [fact] = kernel.interfaces(wire.hook())
    assert (fact.kind, fact.up, fact.xdp_native) == ("veth", True, True)
    assert fact.peer == f"{wire.left.netns}/eth0"
    assert (fact.partial_checksums, fact.transmit_xdp) == (True, False)
    wire.left.offload("eth0", tx=False, gro=True)
    [fact] = kernel.interfaces(wire.hook())
    assert (fact.partial_checksums, fact.transmit_xdp) == (False, True)


def test_a_hook_given_another_number_moves_without_a_gap(kernel, wire):
    hook = wire.hook()
    bring_up(kernel, 1, verdict("hook:wan", XDP_PASS))
    [before] = kernel.attach(GRAPH, "wan", hook, 0)
    kernel.set_entry(GRAPH, 1, "xdp", 3, 1, "hook:wan")
    [after] = kernel.attach(GRAPH, "wan", hook, 3)
    assert after.link_id == before.link_id
    assert after.program_id != before.program_id
    assert wire.reaches()


def test_hooks_in_a_namespace_that_is_gone_are_let_go(root):
    for clsact in (False, True):
        kernel = LinuxKernel(root, clsact=clsact)
        kernel.open_graph(GRAPH)
        with Lab() as lab:
            wire = Wire(lab)
            hook = wire.hook("tc-ingress")
            bring_up_tc(kernel, 1, TC_OK, {"wan": hook})
            kernel.attach(GRAPH, "wan", hook, 0)
        assert [item.alive for item in kernel.observe(GRAPH).hooks] == [False]
        kernel.detach(GRAPH, "wan")
        kernel.remove_graph(GRAPH)
        assert kernel.graphs() == []


def test_the_environment_forces_filters(kernel, wire, monkeypatch):
    monkeypatch.setenv("INKEV_FORCE_CLSACT", "1")
    [attached] = kernel.attach(GRAPH, "wan", wire.hook("tc-egress"), 0)
    assert attached.how == "clsact"


def test_a_stub_takes_the_cells_bank_and_counts_what_is_missing(kernel, root):
    with (Map.open(root.bpffs / GRAPH / "cell") as cell, Map.open(root.bpffs / GRAPH / "entries_xdp") as entries,
          Map.open(root.bpffs / GRAPH / "block") as block,
          load_stub(GRAPH, 5, "xdp", cell, entries, block) as stub):
        kernel.stage(GRAPH, 1)
        for bank, number in ((0, 2), (1, 3)):
            kernel.load(GRAPH, 1, verdict(f"hook:b{bank}", number))
            kernel.set_entry(GRAPH, 1, "xdp", 5, bank, f"hook:b{bank}")
            kernel.flip(GRAPH, 7, bank)
            assert stub.test_run(PACKET).verdict == number
        entries.delete((11).to_bytes(4, "little"))
        assert stub.test_run(PACKET, repeat=3).verdict == 1
        assert kernel.read_counters(GRAPH, 128, 1) == [3]
        assert stub_number(stub.info.name) == 5


MARKS = """
	void *data = (void *)(long)ctx->data, *end = (void *)(long)ctx->data_end;
	if (data + 14 > end)
		return 2;
"""


def test_a_packet_never_sees_two_generations(kernel, wire):
    """Each generation's first program leaves its number in the source address, its second drops what has another."""
    hook = wire.hook()

    def pair(number: int) -> list:
        leave_it = f"*(__u8 *)(data + 6) = {number};\nbpf_tail_call(ctx, &ikv_slots, 0);\nreturn 1;"
        first = segment("hook:wan", MARKS + leave_it, maps=SLOTS)
        second = segment("fw:out", f"{MARKS}return *(__u8 *)(data + 6) == {number} ? 2 : 1;")
        return [first, second]

    bring_up(kernel, 1, *pair(2))
    kernel.set_slot(GRAPH, 1, "xdp", 0, "fw:out")
    kernel.attach(GRAPH, "wan", hook, 0)
    assert wire.reaches()
    with Stream(wire.left, wire.right, "10.9.2.2", rate=20_000) as stream:
        for generation in range(2, 22):
            bank = generation & 1
            kernel.stage(GRAPH, generation)
            for item in pair(2 + 2 * (generation % 5)):
                kernel.load(GRAPH, generation, item)
            kernel.set_slot(GRAPH, generation, "xdp", 0, "fw:out")
            kernel.set_entry(GRAPH, generation, "xdp", 0, bank, "hook:wan")
            kernel.write_spec(GRAPH, generation, make_spec(generation, bank))
            kernel.flip(GRAPH, generation, bank)
            kernel.grace()
            kernel.retire(GRAPH, generation - 1)
    assert stream.report.sent > 1000
    assert stream.report.lost == []
    assert kernel.read_counters(GRAPH, 128, 1) == [0]
