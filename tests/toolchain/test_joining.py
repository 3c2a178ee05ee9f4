"""What joining bitcode can break, each point with the program that it broke."""

from __future__ import annotations

import struct
from pathlib import Path

import pytest

from inkev.base.errors import UserError
from inkev.graph.partition import Exit, Pass, Step
from inkev.host.linking import LinkedObject
from inkev.package.btf import Kind, read_btf
from inkev.toolchain.elf import read_elf
from inkev.toolchain.instructions import helper_numbers
from inkev.toolchain.linker import BitcodeLinker
from tests.toolchain import packets, sources
from tests.toolchain.bench import XDP_DROP, XDP_PASS, XDP_TX, chain, compile_source, loaded, member, request

pytestmark = pytest.mark.kernel
FOREIGN = {"dialect": "xdp"}


def _code(linked: LinkedObject) -> bytes:
    section = read_elf(linked.elf).find_section("xdp")
    assert section is not None
    return section.data


def test_two_instances_of_an_existing_program_keep_their_state_apart(tmp_path: Path, linker: BitcodeLinker) -> None:
    code = compile_source(tmp_path, sources.FOREIGN, dialect="xdp")
    members = [member(name, code, place, **FOREIGN) for place, name in enumerate(("a", "b"))]
    linked = linker.link(chain(members, Pass()))
    names = {(one.instance, one.name): one.symbol for one in linked.maps if one.instance}
    assert names["a", "stats"] == "i0_stats"
    assert names["b", ".bss"] == ".bss.i1"
    assert names["b", ".rodata"] == ".rodata.i1"
    with loaded(linked) as run:
        assert run.run(packets.ipv4()).verdict == XDP_PASS
        assert run.run(packets.ipv4()).verdict == XDP_PASS
        for token in ("i0", "i1"):
            assert run.maps[f".bss.{token}"].find(bytes(4)) == struct.pack("<I", 2)
            assert run.maps[f".data.{token}"].find(bytes(4)) == struct.pack("<I", 42)
            assert run.maps[f"{token}_stats"].find(struct.pack("<I", 1)) == struct.pack("<Q", 10 + 6 + 10 + 7)


def test_read_only_values_and_map_sizes_can_be_given(tmp_path: Path, linker: BitcodeLinker) -> None:
    code = compile_source(tmp_path, sources.FOREIGN, dialect="xdp")
    given = {"rodata": {"limit": struct.pack("<i", 3)}, "map_sizes": {"stats": 9}, **FOREIGN}
    members = [member("a", code, 0, **given), member("b", code, 1, **FOREIGN)]
    with loaded(linker.link(chain(members, Pass()))) as run:
        run.run(packets.ipv4())
        assert run.maps["i0_stats"].find(struct.pack("<I", 1)) == struct.pack("<Q", 3 + 6)
        assert (run.maps["i0_stats"].info.max_entries, run.maps["i1_stats"].info.max_entries) == (9, 4)


def test_all_that_is_kept_is_described_in_btf(tmp_path: Path, linker: BitcodeLinker) -> None:
    code = compile_source(tmp_path, sources.FOREIGN, dialect="xdp")
    linked = linker.link(chain([member("a", code, **FOREIGN)], Pass()))
    section = read_elf(linked.elf).find_section(".BTF")
    assert section is not None
    btf = read_btf(section.data)
    assert {one.name for one in btf.types if one.kind == Kind.DATASEC} >= {".bss.i0", ".data.i0", ".rodata.i0", ".maps"}
    assert btf.find("i0_start", Kind.VAR) is not None
    linkage = {one.name: one.linkage for one in btf.types if one.kind == Kind.FUNC}
    assert "segment" in linkage


def test_the_relocations_of_two_instances_do_not_meet(tmp_path: Path, linker: BitcodeLinker) -> None:
    found = []
    for name in ("ifindex", "mtu"):
        alone = compile_source(tmp_path, sources.CORE.replace("FIELD", name), dialect="xdp")
        found.append(alone)
    with loaded(
        linker.link(chain([member(f"n{n}", code, n, **FOREIGN) for n, code in enumerate(found)], Pass()))
    ) as run:
        run.run(packets.ipv4())
        offsets = [run.maps[f"i{n}_out"].find(bytes(4)) for n in range(2)]
    assert offsets[0] != offsets[1]


@pytest.mark.parametrize(("returned", "verdict"), [(0, XDP_DROP), (1, XDP_DROP), (3, XDP_TX), (200, XDP_DROP)])
def test_a_return_code_is_a_verdict(tmp_path: Path, linker: BitcodeLinker, returned: int, verdict: int) -> None:
    code = compile_source(tmp_path, sources.XDP_RETURN, dialect="xdp")
    with loaded(linker.link(chain([member("a", code, **FOREIGN)], Pass()))) as run:
        assert run.run(packets.ipv4(ttl=returned)).verdict == verdict


def test_the_manifest_gives_return_codes_their_meaning(tmp_path: Path, linker: BitcodeLinker) -> None:
    code = compile_source(tmp_path, sources.XDP_RETURN, dialect="xdp")
    next_code = compile_source(tmp_path, sources.IN_PORT)
    codes = {2: "drop", 9: "port:1", 10: "pass"}
    members = [member("a", code, 0, codes=codes, **FOREIGN), member("b", next_code, 1)]
    exits = [Exit("a", 0, Pass()), Exit("a", 1, Step("b", 4)), Exit("b", 0, Pass())]
    with loaded(linker.link(request(members, exits))) as run:
        assert [run.run(packets.ipv4(ttl=ttl)).verdict for ttl in (2, 9, 10)] == [XDP_DROP, XDP_PASS, XDP_PASS]
        assert run.packets(1) == 1


def test_headers_are_parsed_again_behind_a_stranger(tmp_path: Path, linker: BitcodeLinker) -> None:
    guard = compile_source(tmp_path, sources.GUARD)
    stranger = compile_source(
        tmp_path, sources.XDP_RETURN.replace("return data[22]", "data[22] = 1; return XDP_PASS"), dialect="xdp"
    )
    members = [
        member("a", guard, 0, config=bytes([5, 0])),
        member("s", stranger, 1, **FOREIGN),
        member("b", guard, 2, config=bytes([5, 0])),
    ]
    with loaded(linker.link(chain(members, Pass()))) as run:
        assert run.run(packets.ipv4()).verdict == XDP_DROP
        assert (run.drops(0, 16), run.drops(2, 16)) == (0, 1)


def test_what_stands_behind_a_strangers_tail_call_still_runs(tmp_path: Path, linker: BitcodeLinker) -> None:
    caller = compile_source(tmp_path, sources.TAIL_CALL, dialect="xdp")
    target = compile_source(tmp_path, sources.XDP_RETURN, dialect="xdp")
    behind = compile_source(tmp_path, sources.FORWARD)
    first = linker.link(chain([member("a", caller, 0, **FOREIGN), member("b", behind, 1)], Pass()))
    second = linker.link(request([member("t", target, 2, **FOREIGN)], [Exit("t", 0, Pass())]))
    with loaded(first) as run, loaded(second) as jumped:
        assert run.run(packets.ipv4(ttl=2)).verdict == XDP_DROP
        assert run.packets(1) == 0
        run.maps["i0_jumps"].point(1, jumped.program)
        assert run.run(packets.ipv4(ttl=2)).verdict == XDP_PASS
        assert run.packets(1) == 1


def test_a_disabled_option_takes_its_lookup_along(tmp_path: Path, linker: BitcodeLinker) -> None:
    code = compile_source(tmp_path, sources.GUARD)
    used = {}
    for count in (0, 1):
        linked = linker.link(chain([member("a", code, config=bytes([5, count]))], Pass()))
        with loaded(linked) as run:
            used[count] = len(run.program.map_ids())
    assert (used[0], used[1]) == (1, 2)


def test_programs_of_one_instance_share_its_maps(tmp_path: Path, linker: BitcodeLinker) -> None:
    source = sources.GUARD + "\nIKV_NF int back(struct ikv_packet *pkt) { return nf(pkt); }\n"
    front = compile_source(tmp_path, source)
    back = compile_source(tmp_path, source, entry="back")
    members = [
        member("a", front, 0, program="front", config=bytes([5, 1])),
        member("a", back, 0, program="back", entry="back", config=bytes([5, 1])),
    ]
    exits = [Exit("a", 0, Pass())]
    entries = {"a:0": "front", "a:1": "back"}
    for port in (0, 1):
        linked = linker.link(request(members, exits, entries=entries, head=Step("a", port)))
        assert [one.symbol for one in linked.maps if one.name == "seen"] == ["i0_seen"]
        with loaded(linked) as run:
            assert run.run(packets.ipv4()).verdict == XDP_PASS
            assert run.maps["i0_seen"].find(bytes(4)) == struct.pack("<Q", 1)


@pytest.mark.parametrize(("licenses", "joined"), [
    (("GPL", "GPL"), "GPL"), (("Dual BSD/GPL", "GPL"), "GPL"), (("GPL", "Proprietary"), "Proprietary"),
    (("Dual MIT/GPL", "Dual MIT/GPL"), "Dual MIT/GPL"), (("GPL", "MIT"), "MIT"),
])  # fmt: skip
def test_nobody_is_granted_a_licence(
    tmp_path: Path, linker: BitcodeLinker, licenses: tuple[str, str], joined: str
) -> None:
    members = []
    for place, text in enumerate(licenses):
        source = sources.XDP_RETURN.replace('"GPL"', f'"{text}"')
        members.append(member(f"n{place}", compile_source(tmp_path, source, dialect="xdp"), place, **FOREIGN))
    assert linker.link(chain(members, Pass())).license == joined


@pytest.mark.parametrize(("change", "code"), [
    (("return data[22];", 'asm volatile("r0 = 7" ::: "r0"); return 2;'), "cannot-be-linked"),
    (('SEC("xdp")\nint nf', 'extern int elsewhere(void);\nSEC("xdp")\nint nf'), ""),
    (("return data[22]", "return elsewhere()"), "unresolved-symbol"),
    (("char _license", 'struct { int a; } old SEC("maps");\nchar _license'), "legacy-map"),
    (("char _license", 'int nf2(struct xdp_md *) __attribute__((alias("nf")));\nchar _license'), "cannot-be-linked"),
])  # fmt: skip
def test_what_cannot_be_joined_is_refused(
    tmp_path: Path, linker: BitcodeLinker, change: tuple[str, str], code: str
) -> None:
    source = sources.XDP_RETURN.replace('SEC("xdp")', 'extern int elsewhere(void);\nSEC("xdp")').replace(*change)
    request_ = chain([member("a", compile_source(tmp_path, source, dialect="xdp"), **FOREIGN)], Pass())
    if not code:
        assert linker.link(request_).elf
        return
    with pytest.raises(UserError) as refusal:
        linker.link(request_)
    assert refusal.value.code == code


def test_libbpfs_own_assembly_becomes_ir(tmp_path: Path, linker: BitcodeLinker) -> None:
    source = sources.TAIL_CALL.replace("bpf_tail_call(ctx", "bpf_tail_call_static(ctx")
    linked = linker.link(chain([member("a", compile_source(tmp_path, source, dialect="xdp"), **FOREIGN)], Pass()))
    assert 12 in helper_numbers(read_elf(linked.elf).find_section(".text").data)
    with loaded(linked) as run:
        assert run.run(packets.ipv4()).verdict == XDP_DROP


def test_an_entry_that_must_not_be_inlined_is_called(tmp_path: Path, linker: BitcodeLinker) -> None:
    source = sources.XDP_RETURN.replace("int nf", "__attribute__((noinline)) int nf")
    with loaded(
        linker.link(chain([member("a", compile_source(tmp_path, source, dialect="xdp"), **FOREIGN)], Pass()))
    ) as run:
        assert run.run(packets.ipv4(ttl=2)).verdict == XDP_PASS


@pytest.mark.parametrize("pipeline", ["light-v3", "full-v3", "light-v2"])
def test_every_rung_of_the_ladder_loads(tmp_path: Path, linker: BitcodeLinker, pipeline: str) -> None:
    code = compile_source(tmp_path, sources.FOREIGN, dialect="xdp")
    linked = linker.link(chain([member(f"n{n}", code, n, **FOREIGN) for n in range(3)], Pass()), pipeline)
    assert linked.pipeline == pipeline
    with loaded(linked) as run:
        assert run.run(packets.ipv4()).verdict == XDP_PASS


def test_a_second_parser_vanishes(tmp_path: Path, linker: BitcodeLinker) -> None:
    code = compile_source(tmp_path, sources.GUARD)
    sizes = [
        len(_code(linker.link(chain([member(f"n{n}", code, n, config=bytes([5, 0])) for n in range(count)], Pass()))))
        for count in (1, 2, 8)
    ]
    assert sizes[1] < sizes[0] * 1.2
    assert sizes[2] < sizes[0] * 2


def test_equal_requests_give_equal_bytes(tmp_path: Path, linker: BitcodeLinker) -> None:
    code = compile_source(tmp_path, sources.GUARD)
    order = chain([member(f"n{n}", code, n, config=bytes([5, 0])) for n in range(2)], Pass())
    first = linker.link(order).elf
    other = BitcodeLinker()
    try:
        assert other.link(order).elf == first
    finally:
        other.close()
