import contextlib
import hashlib
import io
import tarfile
from pathlib import Path

import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st

from inkev.base import limits
from inkev.base.errors import Faults, TrustError
from inkev.package import tar
from inkev.package.archive import digest_file, read_archive, write_archive

MANIFEST = """schema = 1
[package]
name = "guard"
version = "1.0.0"
summary = "A guard"
license = "MIT"
[programs.main]
file = "src/guard.c"
entry = "guard"
[ports.in]
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    root = tmp_path / "guard"
    for name, text in {
        "nf.toml": MANIFEST, "src/guard.c": "int x;", "include/guard.h": "", "build/main.xdp.bc": "BC",
        "README.md": "# guard",
        "tests/first.toml": "", "LICENSE": "MIT", ".git/config": "secret", "src/.guard.c.swp": "", "build/main.log": "",
        "src/__pycache__/a.pyc": "", "notes.txt": "", "src/guard.o": "",
    }.items():  # fmt: skip
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    return root


def pack(files: list[tuple[bytes, bytes]], level: int = 3) -> io.BytesIO:
    raw = b"".join(head + body + tar.padding(len(body)) for head, body in files) + tar.trailer()
    return io.BytesIO(zstandard.ZstdCompressor(level=level).compress(raw))


def named(*names: str) -> io.BytesIO:
    return pack([(tar.header(name, 1), b"x") for name in names])


def names_in(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


def refused(archive: io.BytesIO, into: Path) -> str:
    with pytest.raises(TrustError) as caught:
        read_archive(archive, into)
    assert caught.value.code == "bad-archive"
    return caught.value.faults[0].why


def test_an_archive_holds_what_belongs_to_the_package_and_nothing_else(folder, tmp_path):
    path = write_archive(folder, tmp_path / "out")
    assert path.name == "guard-1.0.0.nfp"
    digest = read_archive(path, tmp_path / "into")
    assert digest == digest_file(path) == hashlib.sha256(path.read_bytes()).hexdigest()
    assert names_in(tmp_path / "into") == {
        "nf.toml", "src/guard.c", "include/guard.h", "build/main.xdp.bc", "README.md", "tests/first.toml", "LICENSE",
    }  # fmt: skip
    assert (tmp_path / "into/build/main.xdp.bc").read_text() == "BC"


def test_an_archive_is_byte_identical_when_rebuilt(folder, tmp_path):
    first = write_archive(folder, tmp_path / "a").read_bytes()
    read_archive(tmp_path / "a/guard-1.0.0.nfp", tmp_path / "copy")
    for path in (tmp_path / "copy").rglob("*"):
        path.chmod(0o700)
    assert write_archive(tmp_path / "copy", tmp_path / "b").read_bytes() == first


def test_other_tools_read_the_archive(folder, tmp_path):
    raw = zstandard.ZstdDecompressor().decompressobj().decompress(write_archive(folder, tmp_path).read_bytes())
    with tarfile.open(fileobj=io.BytesIO(raw)) as opened:
        members = opened.getmembers()
    assert [member.name for member in members] == sorted(member.name for member in members)
    owners = {(member.mtime, member.uid, member.gid, member.uname, member.mode) for member in members}
    assert owners == {(0, 0, 0, "", 0o644)}


def test_a_long_name_crosses_by_a_pax_header(folder, tmp_path):
    name = "src/" + "n" * 120 + "é.h"
    (folder / name).write_text("long")
    read_archive(write_archive(folder, tmp_path), tmp_path / "into")
    assert (tmp_path / "into" / name).read_text() == "long"


def test_a_link_in_the_folder_is_refused(folder, tmp_path):
    (folder / "src/passwd.h").symlink_to("/etc/passwd")
    with pytest.raises(Faults, match="symbolic link"):
        write_archive(folder, tmp_path)
    assert not list(tmp_path.glob("*.nfp"))


def test_two_names_that_are_one_elsewhere_are_refused(folder, tmp_path):
    (folder / "src/Guard.c").write_text("")
    with pytest.raises(Faults, match="one file on some systems"):
        write_archive(folder, tmp_path)


@pytest.mark.parametrize("name", [
    "/etc/passwd", "../x", "src/../../x", "src//x", "./x", "src/.", "a\\b", "c:x", "x\n",
    "a\u202eb", "e\u0301", "x.", "x ",
    "n" * 241, "/".join("a" * 17), "a\u200bb",
])  # fmt: skip
def test_a_hostile_name_is_refused_before_a_file_is_made(name, tmp_path):
    refused(named("nf.toml", name), tmp_path / "a/b")
    assert names_in(tmp_path) <= {"a/b/nf.toml"}


@pytest.mark.parametrize("names", [("a", "a"), ("a", "A"), ("a", "a/b"), ("a/b", "a"), ("ﬁ", "fi"), ("src/a", "SRC/a")])
def test_a_name_stands_once(names, tmp_path):
    assert "twice" in refused(named("nf.toml", *names), tmp_path)


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.BLKTYPE, tarfile.FIFOTYPE,
    tarfile.DIRTYPE, tarfile.CONTTYPE, tarfile.GNUTYPE_SPARSE, tarfile.AREGTYPE])  # fmt: skip
def test_only_regular_files_are_extracted(kind, tmp_path):
    info = tarfile.TarInfo("evil")
    info.type, info.linkname = kind, "/etc/passwd"
    refused(pack([(tar.header("nf.toml", 0), b""), (info.tobuf(tarfile.USTAR_FORMAT), b"")]), tmp_path)
    assert not (tmp_path / "evil").is_symlink()
    assert not (tmp_path / "evil").exists()


def test_a_pax_header_may_state_a_name_only(tmp_path):
    info = tarfile.TarInfo("x")
    info.pax_headers = {"GNU.sparse.realsize": "99999999999"}
    assert "more than a file's name" in refused(pack([(info.tobuf(tarfile.PAX_FORMAT), b"")]), tmp_path)


def test_a_bomb_is_refused_without_being_unpacked(tmp_path):
    one = tar.header("zeros", limits.ARCHIVE_ENTRY_BYTES + 1)
    refused(pack([(one, b"")]), tmp_path)
    size = limits.ARCHIVE_ENTRY_BYTES
    stream = io.BytesIO()
    with zstandard.ZstdCompressor(level=1).stream_writer(stream, closefd=False) as out:
        for number in range(3):
            out.write(tar.header(f"z{number}", size))
            for _ in range(size >> 20):
                out.write(bytes(1 << 20))
    stream.seek(0)
    assert "unpacks to more" in refused(stream, tmp_path / "b")


def test_too_many_files_are_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(limits, "ARCHIVE_ENTRIES", 3)
    assert "more than 3 files" in refused(named("nf.toml", "a", "b", "c"), tmp_path)


@pytest.mark.parametrize("spoil", [
    lambda raw: raw[:-1], lambda raw: raw[: len(raw) // 2], lambda raw: raw + b"x", lambda raw: raw + raw,
    lambda raw: raw[:0],
    lambda raw: raw + b"\x50\x2a\x4d\x18\x04\0\0\0abcd", lambda raw: b"PK" + raw,
])  # fmt: skip
def test_an_archive_is_one_whole_frame(spoil, tmp_path):
    refused(io.BytesIO(spoil(named("nf.toml").getvalue())), tmp_path)


def test_an_archive_without_a_manifest_is_refused(tmp_path):
    assert "no nf.toml" in refused(named("README.md"), tmp_path)


def test_bytes_behind_the_trailer_are_refused(tmp_path):
    raw = tar.header("nf.toml", 0) + tar.trailer() + b"more"
    refused(io.BytesIO(zstandard.ZstdCompressor().compress(raw)), tmp_path)


def test_a_frame_that_wants_much_memory_is_refused(tmp_path):
    wide = zstandard.ZstdCompressionParameters.from_level(1, window_log=27)
    raw = zstandard.ZstdCompressor(compression_params=wide).compressobj()
    data = raw.compress(tar.header("nf.toml", 0) + tar.trailer()) + raw.flush()
    refused(io.BytesIO(data), tmp_path)


@settings(max_examples=120, deadline=None)
@given(st.data())
def test_no_spoiled_tar_does_more_than_be_refused(tmp_path_factory, data):
    files = tar.header("nf.toml", 3), b"abc", tar.padding(3), tar.header("é" * 60, 1), b"x", tar.padding(1)
    raw = bytearray(b"".join(files) + tar.trailer())
    for _ in range(data.draw(st.integers(1, 4))):
        raw[data.draw(st.integers(0, len(raw) - 1))] = data.draw(st.integers(0, 255))
    into = tmp_path_factory.mktemp("fuzz") / "deep/folder"
    with contextlib.suppress(TrustError):
        read_archive(io.BytesIO(zstandard.ZstdCompressor().compress(bytes(raw))), into)
    assert {path for path in into.parent.parent.rglob("*") if not path.is_relative_to(into)} <= {into.parent}


@settings(max_examples=60, deadline=None)
@given(st.binary(max_size=300))
def test_no_bytes_do_more_than_be_refused(tmp_path_factory, raw):
    with pytest.raises(TrustError):
        read_archive(io.BytesIO(raw), tmp_path_factory.mktemp("fuzz"))
