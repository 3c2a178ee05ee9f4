"""Existing programs in graphs: unmodified, several instances of one, between functions of inkev's own dialect."""

from __future__ import annotations

import functools
import platform
import shutil
import struct
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from inkev.agent.wiring import Wiring, throwaway_root
from inkev.base.cpus import possible_cpus
from inkev.base.errors import InkevError, KernelError
from inkev.base.paths import Root
from inkev.bpf.libbpf import Object
from inkev.bpf.maps import Map
from inkev.bpf.program import AttachType, Program, ProgramType
from inkev.datapath.kernel import LinuxKernel
from inkev.datapath.pins import graph_pins
from inkev.host.checking import Checker
from inkev.host.host import Host
from inkev.package.archive import digest_file, write_archive
from inkev.package.packets import parse_packet
from inkev.package.reading import read_package
from inkev.toolchain.build import build_folder
from tests.host.kit import Road, Shelf, Shelved, make_host
from tests.lab import Lab

pytestmark = pytest.mark.kernel
HERE = Path(__file__).parent
COUNTER = HERE.parents[1] / "nfpkgs/counter"
PASS = {"xdp": 2, "tc": -1}
SHORT = "Ether()/IP(src='10.0.0.1', dst='10.0.0.2', ttl=9)/UDP(sport=1, dport=2)"
LONG = "Ether()/IP(src='10.0.0.1', dst='10.0.0.2', ttl=9)/UDP(sport=1, dport=2)/Raw(b'x' * 60)"
WATCHED = "Ether()/IP(src='10.0.0.9', dst='10.0.0.2', ttl=9)/UDP(sport=1, dport=2)"


@functools.cache
def shelved(folder: Path) -> Shelved:
    """Return a package built from a copy of its folder."""
    held = tempfile.TemporaryDirectory(prefix="ikvt-")
    copy = Path(held.name, "package")
    shutil.copytree(folder, copy, ignore=shutil.ignore_patterns("build"))
    build_folder(copy)
    digest = digest_file(write_archive(copy, Path(held.name)))
    return Shelved(copy, read_package(copy)[0], digest, held)


@pytest.fixture(scope="module")
def road() -> Iterator[Road]:
    with Lab() as lab:
        made = Road(lab)
        for machine in (made.client, made.server):  # packets are counted here, and IPv6 alone makes some unasked
            machine.sysctl("net/ipv6/conf/all/disable_ipv6", 1)
        yield made


class Bench:
    """Stitches graphs of existing programs, and runs packets through what a hook runs."""

    def __init__(self, root: Root, road: Road, file: Path) -> None:
        names = ("sampler", "border", "blocklist", "stages")
        self.host: Host = make_host(root, Shelf(*(shelved(HERE / name) for name in names), shelved(COUNTER)))
        self.kernel = LinuxKernel(root)
        self.pins = graph_pins(root, "road")
        self._road, self._file = road, file

    def stitch(self, chains: str, nf: str, kind: str = "xdp", points: str = "") -> None:
        """Make the kernel hold this graph and no other."""
        self._file.write_text(self._road.graph(chains, nf, points, kind))
        self.host.stitch(self._file)

    def run(self, packet: str, hook: str = "wan") -> tuple[int, bytes]:
        """Return the verdict and the bytes of a packet that enters by a hook."""
        (status,) = self.host.status("road")
        verdict, after, _ = self.kernel.test_run("road", status.generation, f"hook:{hook}", parse_packet(packet))
        return verdict - (1 << 32) if verdict >> 31 else verdict, after

    def rows(self, instance: str, table: str) -> list[tuple[object, ...]]:
        """Return the rows of a table, as the command line shows them."""
        return sorted(tuple(row.values()) for row in self.host.table("road", instance, table).rows())

    def value(self, instance: str, section: str) -> bytes:
        """Return an instance's globals."""
        (status,) = self.host.status("road")
        path = self.pins.find_map((status.generation,), instance, section)
        assert path is not None, section
        with Map.open(path) as held:
            return held.find(bytes(4)) or b""

    def counters(self) -> dict[str, int]:
        """Return how many packets each instance met."""
        (status,) = self.host.status("road")
        return {instance.name: instance.packets for instance in status.instances}


@pytest.fixture
def bench(root: Root, road: Road, tmp_path: Path) -> Iterator[Bench]:
    made = Bench(root, road, tmp_path / "road.toml")
    yield made
    for running in made.host.status():
        made.host.unstitch(running.name)


def use(package: str, *names: str, config: str = "") -> str:
    return "".join(f'[nf.{name}]\npackage = "{package}"\nconfig = {{ {config} }}\n' for name in names)


@contextmanager
def load_second(path: Path) -> Iterator[Program]:
    """Load the second stage with maps of its own, as the program's own loader would."""
    with Object.open(path.read_bytes()) as opened:
        opened.load(ProgramType.XDP, AttachType.XDP)
        with opened.take_program("second_stage") as program:
            yield program


def state(raw: bytes) -> dict[str, int]:
    return dict(zip(("seen", "taken", "weight"), struct.unpack("=IIQ", raw[:16]), strict=True))


def test_state_in_globals_is_each_instances_own(bench: Bench) -> None:
    nf = use("counter", "before", "after") + use("sampler", "a", config="every = 3") + use("sampler", "b")
    bench.stitch('"wan -> before -> a -> b -> after -> host", "lan -> drop"', nf)
    for packet in (SHORT, LONG, WATCHED, SHORT, LONG, SHORT):
        assert bench.run(packet)[0] == PASS["xdp"]
    short, long = len(parse_packet(SHORT)), len(parse_packet(LONG))
    # a takes the first, the watched one, and the third after that: all short, of weight 1 << SAMPLER_SHIFT.
    assert state(bench.value("a", ".bss")) == {"seen": 6, "taken": 3, "weight": 2 + 2 + 2}
    assert bench.rows("a", "sizes") == [(short, 3)]
    # b takes the first, the watched one, and the second after that, a long one of weight 5 << SAMPLER_SHIFT.
    assert state(bench.value("b", ".bss")) == {"seen": 6, "taken": 3, "weight": 2 + 2 + 10}
    assert bench.rows("b", "sizes") == [(short, 2), (long, 1)]
    assert bench.value("b", ".data.last") == struct.pack("=i", long)
    assert bench.counters() == {"before": 6, "a": 6, "b": 6, "after": 6}


CUTS = ("", 'one = "a:out -> b"', 'one = "wan -> a", two = "a:out -> b", three = "b:out -> lan"')


@pytest.mark.parametrize("points", CUTS)
def test_two_instances_do_what_one_alone_does_twice_however_the_graph_is_cut(bench: Bench, points: str) -> None:
    packets = (SHORT, "Ether()/IP(src='10.9.9.5')/UDP()", "Ether()/IP(src='10.1.1.1')/UDP()", "Ether()/ARP()")
    bench.stitch('"wan -> in:a:out -> lan", "lan -> drop", "a:review -> host"', use("blocklist", "a"))
    alone = [bench.run(packet) for packet in packets]
    hits = bench.rows("a", "hits")
    bench.host.unstitch("road")
    chains = '"wan -> in:a:out -> in:b:out -> lan", "lan -> drop", "a:review -> host", "b:review -> host"'
    bench.stitch(chains, use("blocklist", "a", "b"), points=points)
    assert [bench.run(packet) for packet in packets] == alone
    assert bench.rows("a", "hits") == hits == [(0, 2), (1, _first(1, 100)), (2, 1)]
    assert bench.rows("b", "hits") == [(0, 2), (1, _first(0, 100))], "b meets only what a lets go on"


def _first(seen: int, initial: int) -> int:
    """Return what a counter that holds `initial` on every CPU from the start shows."""
    return seen + initial * possible_cpus()


def test_what_the_manifest_puts_into_a_map_is_put_once(bench: Bench) -> None:
    chains = '"wan -> in:a:out -> host", "lan -> drop"'
    bench.stitch(chains, use("blocklist", "a"))
    assert bench.rows("a", "blocked") == [("10.1.1.1/32", 2), ("10.9.9.0/24", 1)]
    table = bench.host.table("road", "a", "blocked")
    table.remove({"prefix": "10.9.9.0/24"})
    table.add({"prefix": "10.5.0.0/16", "kind": 1})
    bench.stitch('"wan -> count -> in:a:out -> host", "lan -> drop"', use("blocklist", "a") + use("counter", "count"))
    assert bench.rows("a", "blocked") == [("10.1.1.1/32", 2), ("10.5.0.0/16", 1)]
    table.add({"prefix": "10.6.0.0/16", "kind": 1})
    with pytest.raises(KernelError, match="full"):
        table.add({"prefix": "10.7.0.0/16", "kind": 1})  # map-sizes says 3


def test_two_programs_of_one_instance_share_its_maps_on_real_traffic(bench: Bench, road: Road) -> None:
    nf = use("border", "fw") + use("counter", "count")
    bench.stitch('"wan -> count -> outside:fw:inside -> lan", "lan -> inside:fw:outside -> wan"', nf, "tc-ingress")
    assert road.client.ping("10.9.0.2", count=1, timeout=0.2) == 0, "a stranger"
    assert bench.value("fw", ".bss") == struct.pack("=I", 1)
    assert road.server.ping("10.9.0.1") == 3, "spoken to from inside"
    assert road.client.ping("10.9.0.2") == 3
    assert [peer for peer, _ in bench.rows("fw", "known")] == ["10.9.0.1"]
    inward, outward = (row[1] for row in bench.rows("fw", "totals"))
    assert inward >= 7
    assert outward >= 6
    assert bench.counters()["count"] == inward


def test_the_sides_of_one_instance_on_ingress_and_egress_hooks_share_its_state(bench: Bench, road: Road) -> None:
    text = f"""
[graph]
name = "road"
[hooks]
into = {{ interface = "wan", type = "tc-ingress", netns = "{road.edge.netns}" }}
out = {{ interface = "wan", type = "tc-egress", netns = "{road.edge.netns}" }}
[nf.fw]
package = "border"
config = {{ open-port = 7 }}
[edges]
chains = ["into -> outside:fw:inside -> host", "out -> inside:fw:outside -> host"]
"""
    bench._file.write_text(text)
    bench.host.stitch(bench._file)
    with road.edge.echo():
        assert road.client.ask("10.9.2.1", 8, timeout=0.2) is None
    assert bench.run("Ether()/IP(src='10.8.8.8')/UDP(dport=7)", "into")[0] == PASS["tc"]
    assert bench.run("Ether()/IP(src='10.8.8.8')/UDP(dport=8)", "into")[0] == 2
    bench.run("Ether()/IP(dst='10.8.8.8')/UDP()", "out")
    assert bench.run("Ether()/IP(src='10.8.8.8')/UDP(dport=8)", "into")[0] == PASS["tc"]


def test_a_tail_call_of_its_own_comes_back_to_the_graph(bench: Bench) -> None:
    nf = use("stages", "one", "two") + use("counter", "after")
    bench.stitch('"wan -> one -> two -> after -> host", "lan -> drop"', nf)
    assert bench.run(SHORT) == (PASS["xdp"], parse_packet(SHORT))
    folder = shelved(HERE / "stages").folder
    subprocess.run(["clang", "-target", "bpf", "-O2", "-g", f"-I/usr/include/{platform.machine()}-linux-gnu", "-c",
                    folder / "src/stages.c", "-o", folder / "stages.o"], check=True)  # fmt: skip
    with load_second(folder / "stages.o") as second:
        (status,) = bench.host.status("road")
        path = bench.pins.find_map((status.generation,), "one", "stages")
        assert path is not None
        with Map.open(path) as stages:
            stages.point(1, second)
        verdict, after = bench.run(SHORT)
        assert (verdict, after[15]) == (PASS["xdp"], 0x20), "the second program wrote, and the graph went on"
        assert bench.run(SHORT.replace("ttl=9", "ttl=1"))[0] == 1
    assert bench.counters() == {"one": 3, "two": 2, "after": 2}
    assert bench.rows("one", "seen") == [(0, 3), (2, 1)]
    assert bench.rows("two", "seen") == [(0, 2), (2, 2)]
    assert bench.value("one", ".bss") == struct.pack("=Q", 3)


@pytest.mark.parametrize("name", ["sampler", "border", "blocklist", "stages"])
def test_every_package_passes_its_own_check(checker: Checker, tmp_path: Path, name: str) -> None:
    folder = copy_package(name, tmp_path)
    report = checker.check(folder)
    assert report.passed, report
    assert report.tests
    assert report.warnings == ()


WRONG = {
    ("sampler", "limit = 1000", "limit = 70000, weihgts = 1"): {
        "rodata-too-long": "nf.toml, programs.main.rodata.limit",
        "no-such-global": "nf.toml, programs.main.rodata.weihgts",
    },
    ("blocklist", "map-sizes = { blocked = 3 }", "map-sizes = { blokced = 3 }"): {
        "no-such-map": "nf.toml, programs.main.map-sizes.blokced",
        "bad-map-entry": "nf.toml, programs.main.map-entries.blocked",
    },
    ("blocklist", '"180000000a090900" = "01', '"1800000a090900" = "01'): {
        "bad-map-entry": "nf.toml, programs.main.map-entries.blocked",
    },
    ("blocklist", ".length = 32", ".missing = 32"): {"does-not-compile": "src/blocklist.c:35:24"},
    ("blocklist", "if ((void *)(ip + 1) > end)", "if (data > end)"): {"verifier-refused": "blocklist.c:41"},
    ("sampler", "--next_sample == 0", "((unsigned char *)data)[90]"): {"verifier-refused": "sampler.c:53"},
}  # fmt: skip


@pytest.mark.parametrize(("name", "right", "wrong"), WRONG)
def test_errors_point_at_the_authors_line(checker: Checker, tmp_path: Path, name: str, right: str, wrong: str) -> None:
    folder = copy_package(name, tmp_path)
    for path in (folder / "nf.toml", folder / f"src/{name}.c"):
        path.write_text(path.read_text().replace(right, wrong))
    try:
        faults = [fault for program in checker.check(folder).programs for fault in program.faults]
    except InkevError as error:
        faults = list(error.faults)
    found = {fault.code: fault.where for fault in faults}
    wanted = WRONG[name, right, wrong]
    assert {code: where[: len(wanted.get(code, ""))] for code, where in found.items()} == wanted, found


def copy_package(name: str, target: Path) -> Path:
    return Path(shutil.copytree(HERE / name, target / name, ignore=shutil.ignore_patterns("build")))


@pytest.fixture(scope="module")
def checker() -> Iterator[Checker]:
    with throwaway_root() as root, Wiring(root).checker() as made:
        yield made


def test_programs_whose_globals_cannot_be_shared_are_refused(checker: Checker, tmp_path: Path) -> None:
    folder = copy_package("border", tmp_path)
    source = folder / "src/border.c"
    (folder / "src/other.c").write_text(source.read_text().replace("__u32 strangers;", "__u32 strangers, friends;"))
    manifest = (folder / "nf.toml").read_text()
    first, outward, rest = manifest.partition("[programs.outward]")
    (folder / "nf.toml").write_text(first + outward + rest.replace("src/border.c", "src/other.c"))
    (fault,) = checker.check(folder).faults
    assert (fault.code, fault.where) == ("map-differs", "nf.toml, programs.outward")
    assert fault.message == ".bss of program outward is not .bss of program inward"
