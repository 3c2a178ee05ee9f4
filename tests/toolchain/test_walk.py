"""The walk on the kernel: what members say is what happens, and what is lost is counted."""

from __future__ import annotations

import socket
import struct
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from inkev.base.errors import UserError
from inkev.graph.partition import Drop, Exit, Out, Pass, Slot, Step
from inkev.toolchain import abi
from inkev.toolchain.linker import BitcodeLinker
from tests.toolchain import packets, sources
from tests.toolchain.bench import (
    TC_REDIRECT,
    TC_SHOT,
    TC_UNSPEC,
    XDP_DROP,
    XDP_PASS,
    XDP_REDIRECT,
    XDP_TX,
    Loaded,
    chain,
    compile_source,
    loaded,
    member,
    request,
)

pytestmark = pytest.mark.kernel
BOTH = pytest.mark.parametrize("hook", ["xdp", "tc"])
DROPS = {"xdp": XDP_DROP, "tc": TC_SHOT}
PASSES = {"xdp": XDP_PASS, "tc": TC_UNSPEC}


@BOTH
def test_a_chain_hands_the_packet_on_and_counts_it(tmp_path: Path, linker: BitcodeLinker, hook: str) -> None:
    code = compile_source(tmp_path, sources.FORWARD, hook)
    linked = linker.link(chain([member(f"n{n}", code, n) for n in range(3)], Pass(), hook))
    with loaded(linked, hook) as run:
        assert run.run(packets.ipv4()).verdict == PASSES[hook]
        assert [run.packets(n) for n in range(3)] == [1, 1, 1]


@BOTH
def test_a_drop_is_counted_under_its_instance_and_reason(tmp_path: Path, linker: BitcodeLinker, hook: str) -> None:
    code = compile_source(tmp_path, sources.GUARD, hook)
    members = [member("a", code, 0, config=bytes([1, 0])), member("b", code, 1, config=bytes([9, 0]))]
    with loaded(linker.link(chain(members, Pass(), hook)), hook) as run:
        assert run.run(packets.ipv4(ttl=8)).verdict == DROPS[hook]
        assert run.run(packets.ipv4(ttl=9)).verdict == PASSES[hook]
        assert (run.drops(0, 16), run.drops(1, 16)) == (0, 1)


@BOTH
@pytest.mark.parametrize(("verdict", "reason"), [
    (abi.VERDICT_FORWARD << 16 | 5, abi.GRAPH_UNWIRED), (abi.VERDICT_PUNT << 16, abi.GRAPH_NO_CONTROL),
    (abi.VERDICT_FLOOD << 16, abi.GRAPH_BAD_VERDICT), (99 << 16, abi.GRAPH_BAD_VERDICT),
    (abi.VERDICT_FORWARD << 16 | 1, abi.GRAPH_DECLARED), (abi.VERDICT_FORWARD << 16, abi.GRAPH_NO_DEVICE),
])  # fmt: skip
def test_what_leads_nowhere_is_counted_by_the_graph(
    tmp_path: Path, linker: BitcodeLinker, hook: str, verdict: int, reason: int
) -> None:
    code = compile_source(tmp_path, sources.VERDICT, hook)
    members = [member("a", code, config=struct.pack("<II", verdict, 0))]
    linked = linker.link(request(members, [Exit("a", 0, Out("eth", 3)), Exit("a", 1, Drop())], hook))
    with loaded(linked, hook) as run:
        assert run.run(packets.ipv4()).verdict == DROPS[hook]
        assert run.graph_drops(reason) == 1


def test_an_unknown_drop_reason_counts_as_unspecified(tmp_path: Path, linker: BitcodeLinker) -> None:
    code = compile_source(tmp_path, sources.VERDICT)
    members = [member("a", code, config=struct.pack("<II", 1000, 0))]
    with loaded(linker.link(chain(members, Pass()))) as run:
        run.run(packets.ipv4())
        assert run.drops(0, 0) == 1


@pytest.mark.parametrize(("hook", "kind", "code"), [
    ("xdp", abi.VERDICT_TRANSMIT, XDP_TX), ("xdp", abi.VERDICT_REDIRECT, XDP_REDIRECT),
    ("tc", abi.VERDICT_TRANSMIT, TC_REDIRECT), ("tc", abi.VERDICT_REDIRECT, TC_REDIRECT),
    ("xdp", abi.VERDICT_PASS, XDP_PASS), ("tc", abi.VERDICT_PASS, TC_UNSPEC),
])  # fmt: skip
def test_plain_verdicts_become_return_codes(
    tmp_path: Path, linker: BitcodeLinker, hook: str, kind: int, code: int
) -> None:
    source = compile_source(tmp_path, sources.VERDICT, hook)
    members = [member("a", source, config=struct.pack("<II", kind << 16, 1))]
    with loaded(linker.link(chain(members, Pass(), hook)), hook) as run:
        assert run.run(packets.ipv4()).verdict == code


@BOTH
def test_an_interface_is_reached_through_the_device_array(tmp_path: Path, linker: BitcodeLinker, hook: str) -> None:
    code = compile_source(tmp_path, sources.FORWARD, hook)
    with loaded(linker.link(chain([member("a", code)], Out("eth", 3), hook)), hook) as run:
        run.set_device(3, 1)
        assert run.run(packets.ipv4()).verdict == {"xdp": XDP_REDIRECT, "tc": TC_REDIRECT}[hook]


@pytest.mark.parametrize(("hook", "code"), [("xdp", XDP_REDIRECT), ("tc", TC_UNSPEC)])
def test_an_edge_back_to_its_own_hook_continues_on_tc_and_is_redirected_on_xdp(
    tmp_path: Path, linker: BitcodeLinker, hook: str, code: int
) -> None:
    source = compile_source(tmp_path, sources.FORWARD, hook)
    linked = linker.link(chain([member("a", source)], Out("eth", 3, same_hook=True), hook))
    with loaded(linked, hook) as run:
        if hook == "xdp":
            run.set_device(3, 1)
        assert run.run(packets.ipv4()).verdict == code


@BOTH
def test_an_interface_set_takes_members_only(tmp_path: Path, linker: BitcodeLinker, hook: str) -> None:
    source = compile_source(tmp_path, sources.VERDICT, hook)
    members = [member("a", source, config=struct.pack("<II", abi.VERDICT_FORWARD << 16, 1))]
    with loaded(linker.link(chain(members, Out("vms", 2, set=True), hook)), hook) as run:
        assert run.run(packets.ipv4()).verdict == DROPS[hook]
        assert run.graph_drops(abi.GRAPH_NOT_MEMBER) == 1
        run.maps["ikv_bcast2"].update(struct.pack("<I", 1), struct.pack("<I", 1))
        assert run.run(packets.ipv4()).verdict == {"xdp": XDP_REDIRECT, "tc": TC_REDIRECT}[hook]


@BOTH
def test_a_packet_crosses_a_stitch_point_with_what_is_known(tmp_path: Path, linker: BitcodeLinker, hook: str) -> None:
    code = compile_source(tmp_path, sources.CONTEXT, hook)
    first = linker.link(chain([member("a", code, 0)], Slot(5, "a:0", 3), hook))
    second = linker.link(request([member("b", code, 1)], [], hook, fresh=False, head=Step("b", 3)))
    with loaded(first, hook) as here, loaded(second, hook, {".bss.ikv_block": here.maps[".bss.ikv_block"]}) as there:
        here.maps["ikv_slots"].point(5, there.program)
        assert here.run(packets.ipv4()).verdict == PASSES[hook]
        assert [here.counter(512 + 512 + 8 * (1 + 16 + 4 + n)) for n in range(3)] == [7, 99, 3]
        assert _saved_mark(here, hook) == 0


def _saved_mark(run: Loaded, hook: str) -> int:
    return run.counter(abi.SIDES[hook].saved) & 0xFFFFFFFF


@pytest.mark.parametrize(("cyclic", "reason"), [(False, abi.GRAPH_MISSED_TAIL_CALL), (True, abi.GRAPH_HOP_LIMIT)])
def test_a_missed_tail_call_is_counted_and_leaves_no_context(
    tmp_path: Path, linker: BitcodeLinker, cyclic: bool, reason: int
) -> None:
    code = compile_source(tmp_path, sources.CONTEXT)
    with loaded(linker.link(chain([member("a", code)], Slot(5, "a:0"), cyclic=cyclic))) as run:
        assert run.run(packets.ipv4()).verdict == XDP_DROP
        assert run.graph_drops(reason) == 1
        assert _saved_mark(run, "xdp") == 0


def test_a_program_behind_a_slot_refuses_a_packet_without_context(tmp_path: Path, linker: BitcodeLinker) -> None:
    code = compile_source(tmp_path, sources.FORWARD)
    with loaded(linker.link(chain([member("a", code)], Pass(), fresh=False))) as run:
        assert run.run(packets.ipv4()).verdict == XDP_DROP
        assert run.graph_drops(abi.GRAPH_BAD_VERDICT) == 1


def test_several_ways_into_one_instance_are_one_copy(tmp_path: Path, linker: BitcodeLinker) -> None:
    fork = compile_source(tmp_path, sources.TTL_VERDICT)
    join = compile_source(tmp_path, sources.IN_PORT)
    exits = [Exit("a", port, Step("b", 10 + port)) for port in (1, 2, 3)] + [Exit("b", 0, Pass())]
    with loaded(linker.link(request([member("a", fork, 0), member("b", join, 1)], exits))) as run:
        for ttl in (1, 2, 3):
            assert run.run(packets.ipv4(ttl=ttl)).verdict == XDP_PASS
        assert run.packets(1) == 3
        assert run.counter(512 + 512 + 8 * (1 + 16 + 4)) == 11 + 12 + 13


def test_every_tail_call_index_is_an_immediate(tmp_path: Path, linker: BitcodeLinker) -> None:
    code = compile_source(tmp_path, sources.TTL_VERDICT)
    exits = [Exit("a", port, Slot(port + 20, f"a:{port}")) for port in range(12)]
    linked = linker.link(request([member("a", code)], exits))
    assert linked.warnings == ()
    with loaded(linked) as run:
        assert run.run(packets.ipv4(ttl=4)).verdict == XDP_DROP


def test_an_edge_straight_out_needs_no_member(linker: BitcodeLinker) -> None:
    from inkev.graph.partition import Segment
    from inkev.host.linking import LinkRequest

    for head, verdict in ((Pass(), XDP_PASS), (Drop(), XDP_DROP)):
        segment = Segment(key="hook:a", program_type="xdp", head=head, fresh=True)
        with loaded(linker.link(LinkRequest(graph="g", segment=segment, members=()))) as run:
            assert run.run(packets.ipv4()).verdict == verdict


@BOTH
def test_packet_tests_get_the_verdict_itself(tmp_path: Path, linker: BitcodeLinker, hook: str) -> None:
    code = compile_source(tmp_path, sources.TTL_VERDICT, hook)
    with loaded(linker.link(request([member("a", code)], [], hook, raw_verdicts=True)), hook) as run:
        assert run.run(packets.ipv4(ttl=7)).verdict == abi.VERDICT_FORWARD << 16 | 7
        assert run.run(packets.arp()).verdict == abi.VERDICT_DROP << 16 | 8
        assert (run.packets(0), run.drops(0, 8)) == (2, 1)


def test_tc_floods_by_clones_and_xdp_by_the_one_way_left(tmp_path: Path, linker: BitcodeLinker) -> None:
    flood = struct.pack("<II", abi.VERDICT_FLOOD << 16, 0)
    ways = [Exit("a", 0, Out("eth", 0)), Exit("a", 1, Out("eth", 1)), Exit("a", 2, Out("vms", 2, set=True))]
    code = compile_source(tmp_path, sources.VERDICT, "tc")
    flooding = member("a", code, config=flood, flood_ports=(0, 1, 2))
    with loaded(linker.link(request([flooding], ways, "tc")), "tc") as run:
        assert run.run(packets.ipv4()).verdict == TC_SHOT
    code = compile_source(tmp_path, sources.VERDICT)
    flooding = member("a", code, config=flood, flood_ports=(0, 1))
    with loaded(linker.link(request([flooding], ways[:2]))) as run:
        run.set_device(1, 1)
        assert run.run(packets.ipv4()).verdict == XDP_REDIRECT


def test_xdp_refuses_to_flood_two_ways_at_once(tmp_path: Path, linker: BitcodeLinker) -> None:
    code = compile_source(tmp_path, sources.VERDICT)
    ways = [Exit("a", port, Out("eth", port)) for port in range(3)]
    with pytest.raises(UserError) as refusal:
        linker.link(request([member("a", code, flood_ports=(0, 1, 2))], ways))
    assert refusal.value.code == "flood-needs-tc"


def test_a_flood_goes_on_in_code_by_one_way(tmp_path: Path, linker: BitcodeLinker) -> None:
    code = compile_source(tmp_path, sources.VERDICT, "tc")
    behind = compile_source(tmp_path, sources.IN_PORT, "tc")
    flood = member("a", code, 0, config=struct.pack("<II", abi.VERDICT_FLOOD << 16, 0), flood_ports=(0, 1, 2))
    ways = [Exit("a", 0, Out("eth", 0)), Exit("a", 1, Out("eth", 1)), Exit("a", 2, Step("b", 6)), Exit("b", 0, Pass())]
    with loaded(linker.link(request([flood, member("b", behind, 1)], ways, "tc")), "tc") as run:
        assert run.run(packets.ipv4()).verdict == TC_UNSPEC
        assert run.packets(1) == 1


@pytest.fixture
def wires() -> Iterator[tuple[str, str]]:
    """Two interfaces of this machine's own namespace that lead nowhere."""
    names = ("ikvt-w0", "ikvt-w1")
    try:
        for name in names:
            subprocess.run(["ip", "link", "add", name, "type", "veth", "peer", "name", f"{name}p"], check=True)
            for end in (name, f"{name}p"):
                Path(f"/proc/sys/net/ipv6/conf/{end}/disable_ipv6").write_text("1")
                subprocess.run(["ip", "link", "set", end, "up"], check=True)
        yield names
    finally:
        for name in names:
            subprocess.run(["ip", "link", "del", name], check=False)


def _sent(name: str) -> int:
    return int(Path(f"/sys/class/net/{name}/statistics/tx_packets").read_text())


def test_flooded_copies_leave_by_every_way_but_the_one_they_came(
    tmp_path: Path, linker: BitcodeLinker, wires: tuple[str, str]
) -> None:
    code = compile_source(tmp_path, sources.VERDICT, "tc")
    ways = [Exit("a", 0, Out("w0", 0)), Exit("a", 1, Out("w1", 1)), Exit("a", 2, Out("set", 2, set=True))]
    first, second = (socket.if_nametoindex(name) for name in wires)
    entered_by = 1  # a test run's packet comes from the loopback interface
    for mask, copies in ((0, (1, 1)), (0b001, (0, 0)), (0b010, (0, 1)), (0b100, (1, 0))):
        flooding = member(
            "a", code, config=struct.pack("<II", abi.VERDICT_FLOOD << 16 | mask, 0), flood_ports=(0, 1, 2)
        )
        with loaded(linker.link(request([flooding], ways, "tc")), "tc") as run:
            run.set_device(0, first)
            run.set_device(1, second)
            members = struct.pack("<III", 2, first, entered_by).ljust(1024, b"\0")
            run.maps["ikv_members"].update(struct.pack("<I", 2), members)
            before = [_sent(name) for name in wires]
            assert run.run(packets.ipv4()).verdict == TC_SHOT
            assert tuple(_sent(name) - old for name, old in zip(wires, before, strict=True)) == copies
