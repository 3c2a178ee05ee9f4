"""From C to bitcode and layout."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path

import pytest

from inkev.base.errors import Faults
from inkev.package.manifest import Manifest, Package, Program
from inkev.toolchain import abi
from inkev.toolchain.build import build_package, find_compiler
from inkev.toolchain.helper_names import HELPERS
from inkev.toolchain.includes import find_include_folder
from inkev.toolchain.layouts import make_layout
from tests.toolchain import sources

WRITES = """
#include <inkev/nf.h>
IKV_NF int nf(struct ikv_packet *pkt)
{
	struct ikv_eth *eth = ikv_eth(pkt);
	__u8 local[6] = { 1, 2, 3 };
	if (!eth)
		return ikv_drop(pkt, IKV_DROP_MALFORMED);
	ikv_kept(pkt)->mark = local[pkt->in_port & 3];
	EFFECT
	return ikv_forward(pkt, 0);
}
"""


def _manifest(**programs: Program) -> Manifest:
    package = Package(name="nf", version="1.0", summary="for tests", license="GPL-2.0-only OR BSD-2-Clause")
    return Manifest(schema=1, package=package, programs=programs)


def _build(folder: Path, manifest: Manifest) -> list[Path]:
    return build_package(folder, manifest, include=find_include_folder())


def _layout(folder: Path, source: str, hook: str = "xdp", dialect: str = "inkev"):
    import msgspec

    from inkev.package.layout import Layout

    (folder / "nf.c").write_text(source)
    _build(folder, _manifest(main=Program(file="nf.c", entry="nf", hooks=(hook,), dialect=dialect)))
    return msgspec.json.decode((folder / f"build/main.{hook}.json").read_bytes(), type=Layout)


def test_equal_sources_give_equal_bytes_wherever_they_stand(tmp_path: Path) -> None:
    digests = set()
    for name in ("here", "some/where/else"):
        folder = tmp_path / name
        (folder / "src").mkdir(parents=True)
        (folder / "src/nf.c").write_text(sources.GUARD)
        written = _build(folder, _manifest(main=Program(file="src/nf.c", entry="nf")))
        assert sorted(path.name for path in written) == ["main.tc.bc", "main.tc.json", "main.xdp.bc", "main.xdp.json"]
        for path in written:
            assert str(tmp_path).encode() not in path.read_bytes()
        digests.add(tuple(hashlib.sha256(path.read_bytes()).hexdigest() for path in written))
    assert len(digests) == 1


def test_only_what_changed_is_built_again(tmp_path: Path) -> None:
    (tmp_path / "nf.h").write_text("#define PORT 0\n")
    source = sources.FORWARD.replace("ikv_forward(pkt, 0)", "ikv_forward(pkt, PORT)").replace(
        "<inkev/nf.h>", '<inkev/nf.h>\n#include "nf.h"'
    )
    (tmp_path / "nf.c").write_text(source)
    manifest = _manifest(main=Program(file="nf.c", entry="nf", hooks=("xdp",)))
    assert len(_build(tmp_path, manifest)) == 2
    assert _build(tmp_path, manifest) == []
    (tmp_path / "nf.h").write_text("#define PORT 1\n")
    assert len(_build(tmp_path, manifest)) == 2
    assert (
        len(_build(tmp_path, _manifest(main=Program(file="nf.c", entry="nf", hooks=("xdp",), defines={"A": "1"})))) == 2
    )


def test_every_compiler_error_points_at_the_authors_line(tmp_path: Path) -> None:
    (tmp_path / "src").mkdir()
    (tmp_path / "src/a.c").write_text("int nf(void)\n{\n\treturn missing;\n}\nint second = other;\n")
    (tmp_path / "src/b.c").write_text("#include <no/such.h>\n")
    (tmp_path / "src/c.c").write_text(sources.FORWARD)
    programs = {name: Program(file=f"src/{name}.c", entry="absent" if name == "c" else "nf") for name in "abc"}
    with pytest.raises(Faults) as refusal:
        _build(tmp_path, _manifest(**programs))
    found = [(fault.code, fault.where) for fault in refusal.value.faults if fault.code == "does-not-compile"]
    assert found == [("does-not-compile", where) for where in ("src/a.c:3:9", "src/a.c:5:14", "src/b.c:1:10")]
    assert "return missing" in refusal.value.faults[0].why
    assert "no-such-entry" in {fault.code for fault in refusal.value.faults}
    assert not (tmp_path / "build").exists()


def test_a_layout_tells_maps_and_configuration(tmp_path: Path) -> None:
    layout = _layout(tmp_path, sources.GUARD)
    assert [(field.name, field.offset, field.size, field.kind) for field in layout.config] == [
        ("min_ttl", 0, 1, "int"),
        ("count", 1, 1, "int"),
    ]
    assert layout.config_size == 2
    seen = layout.maps[0]
    assert (seen.name, seen.type, seen.key_size, seen.value_size, seen.max_entries) == ("seen", "array", 4, 8, 1)
    assert (layout.license, layout.writes_packet, layout.redirects, layout.tail_calls) == (
        "Dual BSD/GPL",
        False,
        False,
        False,
    )


def test_a_fingerprint_follows_the_shape_alone(tmp_path: Path) -> None:
    first = _layout(tmp_path, sources.GUARD).maps[0].fingerprint
    assert _layout(tmp_path, "\n\n" + sources.GUARD, "tc").maps[0].fingerprint == first
    assert (
        _layout(tmp_path, sources.GUARD.replace("__type(value, __u64)", "__type(value, __s64)")).maps[0].fingerprint
        != first
    )


def test_an_existing_program_is_built_unmodified(tmp_path: Path) -> None:
    layout = _layout(tmp_path, sources.FOREIGN, dialect="xdp")
    sections = {one.name: one for one in layout.maps}
    assert {field.name: field.offset for field in sections[".bss"].value} == {"zero": 0}
    assert [field.name for field in sections[".rodata"].value] == ["limit", "table"]
    assert sections[".data"].value[0].kind == "signed"
    assert (layout.license, layout.helpers) == ("GPL", ("bpf_map_lookup_elem",))


@pytest.mark.parametrize(("effect", "found"), [
    ("", (False, False)), ("eth->dst[0] = 2;", (True, False)), ("__builtin_memcpy(eth->dst, local, 6);", (True, False)),
    ("return ikv_redirect(pkt, 3);", (False, True)), ("bpf_xdp_adjust_head((void *)pkt->ctx, 0);", (True, False)),
])  # fmt: skip
def test_the_audit_sees_what_the_instructions_do(tmp_path: Path, effect: str, found: tuple[bool, bool]) -> None:
    layout = _layout(tmp_path, WRITES.replace("EFFECT", effect))
    assert (layout.writes_packet, layout.redirects) == found


def test_the_audit_sees_what_an_existing_program_does(tmp_path: Path) -> None:
    assert _layout(tmp_path, sources.XDP_RETURN, dialect="xdp").writes_packet
    assert _layout(tmp_path, sources.TAIL_CALL, dialect="xdp").tail_calls
    assert not _layout(tmp_path, sources.FOREIGN, dialect="xdp").writes_packet


def test_something_else_than_an_object_has_no_layout() -> None:
    with pytest.raises(ValueError, match="not a BPF object"):
        make_layout("main", "xdp", "nf", b"\x7fELF nonsense", "", is_foreign=False)


def test_the_names_of_helpers_are_the_kernels() -> None:
    text = Path("/usr/include/linux/bpf.h").read_text()
    mapper = text[text.index("BPF_FUNC_MAPPER(FN") : text.index("/* integer value")]
    names = re.findall(r"FN\((\w+)", mapper.partition("\\\n")[2])
    assert tuple(names) == HELPERS[: len(names)]


def test_the_walk_and_the_header_agree(tmp_path: Path) -> None:
    checks = [
        f'_Static_assert(__builtin_offsetof(struct ikv_packet, {name}) == {offset}, "{name}");'
        for name, (offset, _) in abi.PACKET.items()
    ]
    checks += [
        f'_Static_assert(__builtin_offsetof(struct ikv_saved, {name}) == {offset}, "{name}");'
        for name, (offset, _) in abi.SAVED.items()
    ]
    checks += [
        f'_Static_assert({name} == {value}, "{name}");'
        for name, value in {
            "IKV_BLOCK_GRAPH_DROPS": abi.BLOCK_GRAPH_DROPS,
            "IKV_DROP_FIRST_PRIVATE": abi.FIRST_PRIVATE_REASON,
            "IKV_BLOCK_SAVED_TC": abi.TC.saved,
            "IKV_GRAPH_NOT_MEMBER": abi.GRAPH_NOT_MEMBER,
            "IKV_GRAPH_DECLARED": abi.GRAPH_DECLARED,
            "IKV_VERDICT_FLOOD": abi.VERDICT_FLOOD,
            "sizeof(struct ikv_packet)": abi.PACKET_BYTES,
        }.items()
    ]
    for side, context in (("xdp", abi.XDP), ("tc", abi.TC)):
        fields = {"data": context.data, "data_end": context.end}
        more = [
            f'_Static_assert(__builtin_offsetof(struct {context.context}, {name}) == {value}, "{name}");'
            for name, value in fields.items()
        ]
        assert _layout(tmp_path, sources.FORWARD + "\n".join(checks + more), side).instructions > 0
    assert find_compiler()[1].startswith("clang version")
