"""Maps, programs, links and descriptors on the real kernel."""

from __future__ import annotations

import gc
import os
import warnings

import pytest

from inkev.base.cpus import parse_cpu_list, possible_cpus
from inkev.base.errors import KernelError, NotSupportedError
from inkev.bpf.assembly import R0, constant, leave, load64
from inkev.bpf.descriptor import Descriptor
from inkev.bpf.features import FEATURES, has, require
from inkev.bpf.libbpf import Object
from inkev.bpf.maps import MMAPABLE, NO_PREALLOC, Map, MapType, split_cpus
from inkev.bpf.membarrier import wait_for_programs
from inkev.bpf.program import AttachType, Program, ProgramType
from tests.datapath.programs import compile_c

pytestmark = pytest.mark.kernel


def key(number: int) -> bytes:
    return number.to_bytes(4, "little")


def test_a_descriptor_is_closed_once_and_tells_when_it_was_forgotten():
    with Descriptor(os.open("/dev/null", os.O_RDONLY)) as held:
        assert held.fileno() > 0
    held.close()
    with pytest.raises(ValueError, match="closed"):
        held.fileno()
    forgotten = Descriptor(os.open("/dev/null", os.O_RDONLY))
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        del forgotten
        gc.collect()
    assert [str(item.message) for item in caught if "never closed" in str(item.message)]


@pytest.mark.parametrize("kind", [MapType.HASH, MapType.LRU_HASH, MapType.PERCPU_HASH])
def test_entries_written_in_bulk_are_read_back_and_deleted(kind):
    with Map.create(kind, 4, 8, 20_000, name="ikvt") as held:
        room = possible_cpus() if kind == MapType.PERCPU_HASH else 1
        items = {key(number): number.to_bytes(8, "little") * room for number in range(10_000)}
        held.update_all(items.items())
        assert dict(held.items(chunk=100)) == items
        held.delete_all([key(number) for number in range(5000, 30_000)])
        assert dict(held.items()) == {name: items[name] for name in map(key, range(5000))}
        assert sorted(held.iter_keys()) == sorted(map(key, range(5000)))


def test_an_lpm_trie_is_read_whole():
    with Map.create(MapType.LPM_TRIE, 8, 4, 1000, flags=NO_PREALLOC) as held:
        items = {key(24) + bytes((10, 0, number, 0)): key(number) for number in range(200)}
        held.update_all(items.items())
        assert dict(held.items()) == items


def test_a_frozen_map_refuses_writes_and_memory_is_shared():
    with Map.create(MapType.ARRAY, 4, 8, 1, flags=MMAPABLE) as held:
        with held.memory() as memory:
            memory[0:8] = b"abcdefgh"
        assert held.find(key(0)) == b"abcdefgh"
        held.freeze()
        with pytest.raises(PermissionError):
            held.update(key(0), bytes(8))


def test_values_of_each_cpu_are_told_apart():
    assert split_cpus(bytes(range(16)), 3) == [bytes((0, 1, 2)), bytes((8, 9, 10))]
    assert [parse_cpu_list(text) for text in ("0\n", "0-3", "0-1,4")] == [(0,), (0, 1, 2, 3), (0, 1, 4)]


def test_a_program_runs_describes_itself_and_is_refused_with_its_log():
    with Program.load(ProgramType.XDP, constant(R0, 2) + leave(), name="ikvt", attach=AttachType.XDP) as program:
        result = program.test_run(b"x" * 64, repeat=10)
        assert (result.verdict, result.packet) == (2, b"x" * 64)
        with Program.by_id(program.info.id) as same:
            assert same.info == program.info
        assert program.info.name == "ikvt"
    with pytest.raises(KernelError) as refusal:
        Program.load(ProgramType.XDP, load64(R0, 5, 0) + leave(), name="ikvt")
    assert refusal.value.code == "verifier-refused"
    assert "R5 !read_ok" in refusal.value.log


def test_a_context_reaches_the_program_and_comes_back():
    source = 'SEC("tc") int segment(struct __sk_buff *skb) { skb->mark += 1; return skb->mark; }'
    with Object.open(compile_c(source)) as opened:
        opened.load(ProgramType.SCHED_CLS, AttachType.NONE)
        with opened.take_program("segment") as program:
            context = bytearray(192)
            context[8:12] = key(41)
            result = program.test_run(bytes(64), context=bytes(context))
    assert (result.verdict, result.context[8:12]) == (42, key(42))


def test_an_object_without_type_information_is_refused():
    source = 'SEC("xdp") int segment(struct xdp_md *ctx) { return 2; }'
    elf = compile_c(source).replace(b".BTF\0", b".BTX\0").replace(b".BTF.ext\0", b".BTX.ext\0")
    with Object.open(elf) as opened, pytest.raises(KernelError) as refusal:
        opened.load(ProgramType.XDP, AttachType.XDP)
    assert refusal.value.code == "btf-refused"


def test_rubbish_is_no_object():
    with pytest.raises(KernelError) as refusal:
        Object.open(b"\x7fELF" + bytes(200))
    assert refusal.value.code == "bad-object"


def test_a_reused_section_keeps_what_it_holds():
    source = '__u32 total SEC(".data.i0") = 7; SEC("xdp") int segment(struct xdp_md *ctx) { return total++; }'
    with Object.open(compile_c(source)) as first:
        first.load(ProgramType.XDP, AttachType.XDP)
        held = next(item for item in first.iter_maps() if item.name == ".data.i0").take()
    with held, Object.open(compile_c(source)) as second:
        held.update(key(0), key(30))
        section = next(item for item in second.iter_maps() if item.name == ".data.i0")
        assert section.initial_value() == key(7)
        section.reuse(held)
        second.load(ProgramType.XDP, AttachType.XDP)
        assert held.find(key(0)) == key(30)
        with second.take_program("segment") as program:
            assert program.test_run(bytes(64)).verdict == 30


def test_every_known_feature_is_here_and_a_missing_one_names_its_version(monkeypatch):
    assert [name for name in FEATURES if not has(name)] == []
    with pytest.raises(NotSupportedError) as refusal:
        require(["tcx", "time-travel"])
    assert refusal.value.code == "unknown-feature"
    monkeypatch.setattr("inkev.bpf.features.has", lambda name: name != "tcx")
    with pytest.raises(NotSupportedError) as refusal:
        require(["xdp", "tcx"])
    assert (refusal.value.code, refusal.value.hint) == ("kernel-too-old", "it appeared in Linux 6.6")


def test_a_grace_period_ends():
    wait_for_programs()
