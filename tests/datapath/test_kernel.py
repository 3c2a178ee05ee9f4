"""Graphs in the kernel: stage, load, flip, retire; what survives, what is refused, what a killed command leaves."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from inkev.base.cpus import block_places
from inkev.base.errors import ConflictError, KernelError, UserError
from inkev.base.paths import Root
from inkev.bpf.features import has
from inkev.bpf.maps import MMAPABLE, Map, MapType
from inkev.bpf.pin import pin
from inkev.datapath.classifier.arena import SPARE_WORDS
from inkev.datapath.kernel import LinuxKernel
from inkev.graph.model import Graph, Hook, Instance
from inkev.graph.partition import Partition
from inkev.graph.spec import Spec
from inkev.package.manifest import Column, Table
from inkev.package.reading import read_package
from tests.datapath.programs import COUNT, COUNTED, FLOWS, FLOWS_MAP, SLOTS, segment, verdict

pytestmark = pytest.mark.kernel

GRAPH = "edge"
PACKET = bytes(64)
XDP_DROP, XDP_PASS, XDP_TX = 1, 2, 3


def make_spec(generation: int, bank: int, objects: dict[str, str] | None = None,
              hooks: dict[str, Hook] | None = None) -> Spec:
    graph = Graph(name=GRAPH, hooks=hooks or {}, instances={"fw": Instance(package="firewall==1.2")})
    return Spec(inkev="0.1", generation=generation, graph=graph, lock={}, bank=bank, objects=objects or {}, counters={},
                partition=Partition(segments=(), slots={}, hooks={}, devices={}))


@pytest.fixture
def kernel(root: Root) -> Iterator[LinuxKernel]:
    made = LinuxKernel(root)
    made.preflight()
    made.open_graph(GRAPH)
    yield made
    made.close()


def bring_up(kernel: LinuxKernel, generation: int, *segments, replaced: int = 0) -> None:
    bank = generation & 1
    kernel.stage(GRAPH, generation)
    objects = {}
    for item in segments:
        objects[item.key] = kernel.load(GRAPH, generation, item).digest
    kernel.set_entry(GRAPH, generation, "xdp", 0, bank, segments[0].key)
    kernel.write_spec(GRAPH, generation, make_spec(generation, bank, objects))
    kernel.flip(GRAPH, generation, bank)
    kernel.grace()
    if replaced:
        kernel.retire(GRAPH, replaced)


def count_of(kernel: LinuxKernel, root: Root, name: str = "flows") -> int:
    with Map.open(root.bpffs / GRAPH / "inst/fw" / name) as held:
        return int.from_bytes(held.find(bytes(4)) or b"", "little")


def test_a_graph_is_observed_as_it_was_staged(kernel, root):
    assert kernel.graphs() == []
    assert kernel.observe(GRAPH) is None
    bring_up(kernel, 1, verdict("hook:wan", XDP_TX))
    running = kernel.observe(GRAPH)
    assert kernel.graphs() == [GRAPH]
    assert kernel.generation(GRAPH) == 1
    assert running.spec == make_spec(1, 1, {"hook:wan": running.segments[0].digest})
    assert [item.key for item in running.segments] == ["hook:wan"]
    assert running.segments[0].verified_instructions > 0
    assert running.leftovers == ()
    assert kernel.test_run(GRAPH, 1, "hook:wan", PACKET)[0] == XDP_TX
    kernel.remove_graph(GRAPH)
    assert kernel.graphs() == []
    assert not (root.bpffs / GRAPH).exists()


def test_a_specification_of_any_size_is_read_back(kernel):
    bring_up(kernel, 1, verdict("hook:wan", XDP_PASS))
    spec = make_spec(1, 1, {f"key{number}": "0" * 64 for number in range(2000)})
    kernel.write_spec(GRAPH, 1, spec)
    assert kernel.observe(GRAPH).spec == spec


def test_state_survives_a_new_generation_and_constants_do_not(kernel, root):
    bring_up(kernel, 1, segment("hook:wan", COUNT + "return 2;", maps=FLOWS_MAP, layouts=COUNTED))
    kernel.test_run(GRAPH, 1, "hook:wan", PACKET, 3)
    bring_up(kernel, 2, segment("hook:wan", COUNT + "return 3;", maps=FLOWS_MAP, layouts=COUNTED), replaced=1)
    kernel.test_run(GRAPH, 2, "hook:wan", PACKET, 4)
    assert kernel.test_run(GRAPH, 2, "hook:wan", PACKET)[0] == XDP_TX
    assert [count_of(kernel, root, name) for name in ("flows", "_bss", "_data")] == [8, 8, 108]
    assert kernel.observe(GRAPH).instances == {"fw": (".bss", ".data", "flows")}


def test_a_changed_layout_is_refused_until_the_state_is_given_up(kernel, root):
    bring_up(kernel, 1, segment("hook:wan", COUNT + "return 2;", maps=FLOWS_MAP, layouts=COUNTED))
    kernel.test_run(GRAPH, 1, "hook:wan", PACKET)
    kernel.stage(GRAPH, 2)
    larger = FLOWS_MAP.replace("1024", "2048")
    for changed in (segment("hook:wan", COUNT + "return 2;", maps=larger, layouts=COUNTED),
                    segment("hook:wan", COUNT + "return 2;", maps=FLOWS_MAP,
                            layouts={"fw": {"flows": FLOWS.__class__(**{**{f: getattr(FLOWS, f) for f in
                                     FLOWS.__struct_fields__}, "fingerprint": "b2"})}})):
        with pytest.raises(KernelError) as refusal:
            kernel.load(GRAPH, 2, changed)
        assert refusal.value.code == "map-layout-changed"
    bring_up(kernel, 2, segment("hook:wan", COUNT + "return 2;", maps=larger, layouts=COUNTED, replace=("fw/flows",)))
    assert count_of(kernel, root) == 1  # the old map stays until its generation retires
    kernel.retire(GRAPH, 1)
    with Map.open(root.bpffs / GRAPH / "inst/fw/flows") as held:
        assert held.info.max_entries == 2048
    assert count_of(kernel, root, "_bss") == 1


def test_a_refused_program_leaves_the_kernel_as_it_was(kernel, root):
    bring_up(kernel, 1, verdict("hook:wan", XDP_PASS))
    kernel.stage(GRAPH, 2)
    before = sorted(str(path) for path in root.bpffs.rglob("*"))
    bad = segment("hook:wan", COUNT + "return *(int *)(long)ctx->data;", maps=FLOWS_MAP, layouts=COUNTED)
    with pytest.raises(KernelError) as refusal:
        kernel.load(GRAPH, 2, bad)
    assert refusal.value.code == "verifier-refused"
    assert "outside of the packet" in refusal.value.faults[0].why
    assert refusal.value.faults[0].where.startswith("<stdin>:")
    assert Path(refusal.value.hint.rpartition(" ")[2]).read_text() == refusal.value.log
    assert "invalid access to packet" in refusal.value.log
    assert sorted(str(path) for path in root.bpffs.rglob("*")) == before


def test_a_slot_is_followed_and_moves_at_once(kernel):
    kernel.stage(GRAPH, 1)
    first = segment("hook:wan", "bpf_tail_call(ctx, &ikv_slots, 5);\nreturn 0;", maps=SLOTS)
    for item in (first, verdict("fw:inside", XDP_TX), verdict("rl:out", XDP_PASS)):
        kernel.load(GRAPH, 1, item)
    assert kernel.test_run(GRAPH, 1, "hook:wan", PACKET)[0] == 0
    kernel.set_slot(GRAPH, 1, "xdp", 5, "fw:inside")
    assert kernel.test_run(GRAPH, 1, "hook:wan", PACKET)[0] == XDP_TX
    kernel.set_slot(GRAPH, 1, "xdp", 5, "rl:out")
    assert kernel.test_run(GRAPH, 1, "hook:wan", PACKET)[0] == XDP_PASS


def test_a_hot_change_shares_slots_and_outlives_what_it_replaced(kernel):
    bring_up(kernel, 1, segment("hook:wan", "bpf_tail_call(ctx, &ikv_slots, 5);\nreturn 0;", maps=SLOTS),
             verdict("fw:inside", XDP_TX))
    kernel.set_slot(GRAPH, 1, "xdp", 5, "fw:inside")
    kernel.share(GRAPH, 1, 2)
    kernel.keep(GRAPH, 1, 2, "hook:wan")
    kernel.keep(GRAPH, 1, 2, "fw:inside", "rl:out")
    kernel.load(GRAPH, 2, verdict("fw:inside", XDP_PASS))
    kernel.write_spec(GRAPH, 2, make_spec(2, 1))
    assert kernel.test_run(GRAPH, 1, "hook:wan", PACKET)[0] == XDP_TX
    kernel.set_slot(GRAPH, 2, "xdp", 5, "fw:inside")
    kernel.flip(GRAPH, 2, 1)
    kernel.retire(GRAPH, 1)
    assert kernel.test_run(GRAPH, 2, "hook:wan", PACKET)[0] == XDP_PASS
    assert kernel.test_run(GRAPH, 2, "rl:out", PACKET)[0] == XDP_TX


def test_a_program_bound_to_retiring_slots_is_not_kept(kernel):
    bring_up(kernel, 1, segment("hook:wan", "bpf_tail_call(ctx, &ikv_slots, 5);\nreturn 0;", maps=SLOTS))
    kernel.stage(GRAPH, 2)
    with pytest.raises(ConflictError) as refusal:
        kernel.keep(GRAPH, 1, 2, "hook:wan")
    assert refusal.value.code == "program-not-portable"


def test_what_a_killed_command_staged_is_reported_and_cleared(kernel, root):
    bring_up(kernel, 1, verdict("hook:wan", XDP_PASS))
    kernel.stage(GRAPH, 2)
    kernel.load(GRAPH, 2, segment("hook:wan", COUNT + "return 2;", maps=FLOWS_MAP, layouts=COUNTED, instance="new"))
    later = LinuxKernel(root)
    running = later.observe(GRAPH)
    assert running.spec.generation == 1
    assert running.leftovers == ("gen2",)
    later.retire(GRAPH, 2)
    assert later.observe(GRAPH).leftovers == ()
    assert not (root.bpffs / GRAPH / "inst/new").exists()


def test_the_running_generation_is_never_retired_or_staged_over(kernel):
    bring_up(kernel, 1, verdict("hook:wan", XDP_PASS))
    for refused in (lambda: kernel.retire(GRAPH, 1), lambda: kernel.stage(GRAPH, 1)):
        with pytest.raises(ConflictError) as refusal:
            refused()
        assert refusal.value.code == "generation-runs"
    assert kernel.generation(GRAPH) == 1


def test_every_verb_may_be_repeated(kernel):
    for _ in range(2):
        kernel.open_graph(GRAPH)
        kernel.stage(GRAPH, 1)
        kernel.stage(GRAPH, 1)
        kernel.load(GRAPH, 1, verdict("hook:wan", XDP_PASS))
        kernel.load(GRAPH, 1, verdict("hook:wan", XDP_TX))
        kernel.set_entry(GRAPH, 1, "xdp", 0, 1, "hook:wan")
        kernel.set_devices(GRAPH, {0: 3})
        kernel.set_members(GRAPH, 0, [1])
        kernel.clear_counters(GRAPH, 512, 64)
        kernel.retire(GRAPH, 9)
        kernel.drop_instance(GRAPH, "fw")
        kernel.detach(GRAPH, "wan")
    kernel.write_spec(GRAPH, 1, make_spec(1, 1))
    kernel.flip(GRAPH, 1, 1)
    kernel.flip(GRAPH, 1, 1)
    kernel.remove_graph(GRAPH)
    kernel.remove_graph(GRAPH)


BLOCK = f"""
__u8 ikv_block[{block_places() * 32768}] SEC(".bss.ikv_block") __attribute__((aligned(8)));
"""
BUMP = f"""
	__u8 *block = ikv_block + (bpf_get_smp_processor_id() & {block_places() - 1}) * 32768;
	*(__u64 *)(block + 512) += 1;
	*(__u64 *)(block + 520) += 2;
	*(__u64 *)(block + 528) += 3;
	return 2;
"""


def test_counters_are_summed_and_cleared_without_touching_their_neighbours(kernel):
    bring_up(kernel, 1, segment("hook:wan", BUMP, maps=BLOCK))
    kernel.test_run(GRAPH, 1, "hook:wan", PACKET, 5)
    assert kernel.read_counters(GRAPH, 512, 3) == [5, 10, 15]
    kernel.clear_counters(GRAPH, 520, 8)
    assert kernel.read_counters(GRAPH, 512, 3) == [5, 0, 15]


def test_devices_and_members_are_written_where_programs_read_them(kernel, root):
    kernel.set_devices(GRAPH, {0: 7, 63: 9})
    with Map.open(root.bpffs / GRAPH / "devices") as held:
        value = held.find(bytes(4))
    assert (value[:4], value[-4:]) == (b"\x07\0\0\0", b"\x09\0\0\0")
    kernel.set_members(GRAPH, 2, [1])
    with Map.open(root.bpffs / GRAPH / "members") as held:
        assert held.find(b"\x02\0\0\0")[:12] == b"\x01\0\0\0\x01\0\0\0\0\0\0\0"
    with Map.open(root.bpffs / GRAPH / "bcast2") as held:
        assert list(held.iter_keys()) == [b"\x01\0\0\0"]
    kernel.set_members(GRAPH, 2, [])
    with Map.open(root.bpffs / GRAPH / "bcast2") as held:
        assert list(held.iter_keys()) == []


def test_rows_are_added_changed_removed_and_loaded(kernel):
    bring_up(kernel, 1, segment("hook:wan", COUNT + "return 2;", maps=FLOWS_MAP, layouts=COUNTED))
    columns = {"address": Column(type="ipv4", field="key"), "packets": Column(type="u64", field="value", default=0)}
    table = kernel.table(GRAPH, "fw", Table(map="flows", columns=columns), COUNTED["fw"])
    table.add({"address": "10.0.0.1", "packets": 5})
    table.add({"address": "10.0.0.2"})
    table.add({"address": "10.0.0.1", "packets": 6})
    assert table.rows() == [{"address": "10.0.0.1", "packets": 6}, {"address": "10.0.0.2", "packets": 0}]
    table.remove({"address": "10.0.0.1"})
    for wrong, code in (({"address": "10.0.0.1"}, "no-such-row"), ({"packets": 1}, "missing-column"),
                        ({"address": "10.0.0.2", "colour": 1}, "unknown-column")):
        with pytest.raises(UserError) as refusal:
            table.remove(wrong)
        assert refusal.value.code == code
    rows = [{"address": f"10.0.1.{number}", "packets": number} for number in range(200)]
    table.load(rows)
    assert table.rows() == rows
    with pytest.raises(KernelError) as refusal:
        table.load({"address": f"10.{number >> 8}.{number & 255}.1"} for number in range(2000))
    assert refusal.value.code == "table-full"


def test_interface_columns_show_names_and_keep_indexes(kernel):
    bring_up(kernel, 1, segment("hook:wan", COUNT + "return 2;", maps=FLOWS_MAP, layouts=COUNTED))
    columns = {"from": Column(type="interface", field="key"), "packets": Column(type="u64", field="value", default=0)}
    table = kernel.table(GRAPH, "fw", Table(map="flows", columns=columns), COUNTED["fw"])
    table.add({"from": "lo"})
    assert table.rows() == [{"from": "lo", "packets": 0}]
    with pytest.raises(UserError) as refusal:
        table.add({"from": "nowhere0"})
    assert refusal.value.code == "no-such-interface"


def test_without_privileges_every_look_says_so(kernel, root):
    bring_up(kernel, 1, verdict("hook:wan", XDP_PASS))
    for look in (kernel.graphs, kernel.preflight, lambda: kernel.observe(GRAPH), lambda: kernel.open_graph("other")):
        assert code_as_nobody(look) == "no-privileges"


def code_as_nobody(look: Callable[[], object]) -> str:
    """Return the code that a call fails with in a process without privileges."""
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        os.setgid(65534)
        os.setuid(65534)
        has.cache_clear()
        try:
            look()
        except BaseException as error:  # noqa: BLE001 - told to the parent, whatever it is
            os.write(writer, getattr(error, "code", repr(error)).encode())
        os._exit(0)
    os.waitpid(child, 0)
    os.close(writer)
    with os.fdopen(reader, "rb") as answer:
        return answer.read().decode()


def test_ordered_rules_are_a_table_too(kernel, root):
    manifest, _ = read_package(Path("nfpkgs/firewall"))
    maps = {"rules": (MapType.ARRAY, 80, 64, MMAPABLE), "rules_hits": (MapType.PERCPU_ARRAY, 8, 64, 0),
            "rules_tree": (MapType.ARRAY, 8 * ((1 << 14) + SPARE_WORDS), 1, MMAPABLE)}
    home = root.bpffs / GRAPH / "inst/fw"
    home.mkdir()
    for name, (kind, value_size, entries, flags) in maps.items():
        with Map.create(kind, 4, value_size, entries, flags=flags) as made:
            pin(made, home / name)
    table = kernel.table(GRAPH, "fw", manifest.tables["rules"], {})
    table.load([{"src": "10.0.0.0/8", "protocol": "tcp", "dport": 443, "verdict": "accept"}, {"verdict": "drop"}])
    table.add({"dst": "fd00::/8", "verdict": "accept", "interface": "lo", "position": 1})
    again = kernel.table(GRAPH, "fw", manifest.tables["rules"], {})
    assert [(row["src"], row["verdict"], row["position"]) for row in again.rows()] == [
        ("any", "accept", 1), ("10.0.0.0/8", "accept", 2), ("any", "drop", 3)]


def test_a_program_that_comes_back_in_a_hot_change_is_the_one_that_was_loaded(kernel):
    bring_up(kernel, 1, verdict("hook:wan", XDP_PASS))
    made = []
    for generation in (2, 3):
        kernel.share(GRAPH, 1, generation)
        made.append(kernel.load(GRAPH, generation, verdict("back", XDP_TX)).program_id)
        kernel.retire(GRAPH, generation)
    assert made[0] == made[1]
