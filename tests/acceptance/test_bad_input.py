"""Every bad input through the real command: code, reason, hint, exit status; and the running graph does not notice.

One graph runs under a stream all the while; the kernel's state is compared after each refused command, and the last
test counts the packets.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest

from inkev.bpf.assembly import R0, constant, leave
from inkev.bpf.link import XDP_NATIVE, Link
from inkev.bpf.program import AttachType, Program, ProgramType
from inkev.datapath.netns import inside
from tests.acceptance.conftest import CHAINS, FUNCTIONS, ONE_WAY, Site
from tests.host.kit import MANIFEST
from tests.package.folders import make_archive
from tests.stream import Stream

pytestmark = pytest.mark.kernel
NOBODY = 65534
USER, TRUST, KERNEL, CONFLICT = 2, 3, 4, 5
NO_BPFFS = ("unshare", "--mount", "sh", "-c", 'umount /sys/fs/bpf && exec "$@"', "sh")


@dataclass(frozen=True)
class Bad:
    """A command that must be refused.

    Args:
        words: the command line.
        code: of its first error.
        status: the exit status.
        says: texts that stand in its error.
        make: lays out what the command reads.
        run: how it is started.
    """

    words: str
    code: str
    status: int = USER
    says: tuple[str, ...] = ()
    make: Callable[[Site], object] = lambda _: None
    run: dict[str, Any] = field(default_factory=dict)


def graph(
    chains: str = CHAINS, functions: str = FUNCTIONS, points: str = "", more: str = ""
) -> Callable[[Site], object]:
    """Return what writes bad.toml: a graph of the running one's name."""
    return lambda site: site.write("bad.toml", site.graph(chains, functions, points, more))


def package(name: str, source: str, manifest: str = "") -> Callable[[Site], object]:
    """Return what writes a package's folder."""

    def make(site: Site) -> None:
        site.write(f"{name}/nf.toml", manifest or MANIFEST.format(name=name, version="1.0", ports=ONE_WAY))
        site.write(f"{name}/main.c", source)

    return make


def spoil(site: Site) -> None:
    """Publish an archive and change a byte of it."""
    archive = make_archive(site.folder / "archives", "spoiled", "1.0")
    from inkev.registry_client.folder import FolderSource

    FolderSource(site.folder / "spoiled").publish(archive)
    held = site.folder / "spoiled/packages/spoiled-1.0.nfp"
    held.write_bytes(held.read_bytes()[:-1] + b"!")


def chain_of(length: int) -> Callable[[Site], object]:
    """Return what writes a chain with a stitch point before each function."""
    names = [f"t{number}" for number in range(length)]
    return graph(
        " -> ".join(['"wan', *(f"in:{name}:out" for name in names), 'lan"']) + ', "lan -> wan"',
        "".join(f'[nf.{name}]\npackage = "tally==1.0"\n' for name in names),
        ", ".join(f'p{number} = "{before} -> {name}"'
                  for number, (before, name) in enumerate(zip(["wan", *names], names, strict=False))),
    )  # fmt: skip


BROKEN = '[package]\nname = "Bad Name"\nversion = "one"\ncolour = "red"\n'
PLAIN = "#include <inkev/nf.h>\nIKV_NF int bad(struct ikv_packet *pkt)\n{\n"

BAD: dict[str, Bad] = {
    "broken manifest": Bad("check bad", "missing-key", make=package("bad", "", BROKEN),
        says=("schema is missing", "nf.toml, package.colour", "package.name", "package.version")),
    "broken TOML": Bad("publish bad --source source", "bad-toml", says=("line 1",), make=package("bad", "", "[[[")),
    "unknown version": Bad("install tally==9.9", "no-such-version", says=("1.0, 1.1, 2.0",)),
    "unknown package": Bad("install taly", "no-such-package", says=("did you mean tally",)),
    "version not installed": Bad("insert gate==9.9 --at screening", "package-not-installed", says=("inkev install",)),
    "unresolvable dependency": Bad("install needy", "unresolvable", says=("requires tally>=3",)),
    "spoiled archive": Bad("install spoiled --source spoiled", "digest-mismatch", TRUST, ("SHA-256",), spoil),
    "missing interface": Bad("stitch bad.toml", "no-such-interface", says=("eth9",), make=graph(
        f'{CHAINS}, "extra -> drop"', more='[hooks.extra]\ninterface = "eth9"\ntype = "tc-ingress"\n')),
    "name clash": Bad("insert gate --at screening --name gate", "name-clash", says=("gate",)),
    "name clash in a file": Bad("stitch bad.toml", "name-clash", says=("gate",), make=graph(
        functions=FUNCTIONS + '[devices]\ngate = { interface = "lan" }\n')),
    "one interface twice": Bad("stitch bad.toml", "hook-twice", says=("again and lan",), make=lambda site: graph(
        f'{CHAINS}, "again -> host"',
        more=f'[hooks.again]\ninterface = "lan"\ntype = "tc-ingress"\nnetns = "{site.road.edge.netns}"\n')(site)),
    "more rows than a table holds": Bad("stitch bad.toml", "table-full", KERNEL, ("nf.tally.tables.seen", "8 rows"),
        graph(functions=FUNCTIONS + f"tables.seen = [{', '.join(f'{{ key = {n}, value = 1 }}' for n in range(9))}]\n")),
    "wrong type": Bad("stitch bad.toml", "wrong-type", says=("hooks.x.type", "tc-ingress or tc-egress"), make=graph(
        more='[hooks.x]\ninterface = "lan"\ntype = "egress"\n')),
    "missing source": Bad("search x --source nowhere", "no-such-source", says=("nowhere",)),
    "unknown port": Bad("stitch bad.toml", "unknown-port", says=("nowhere",), make=graph(
        CHAINS.replace("outside:gate", "nowhere:gate", 1))),
    "unwired port": Bad("stitch bad.toml", "unwired-port", says=("inside",), make=graph(
        '"wan -> in:tally:out -> outside:gate", "gate:outside -> wan", "lan -> wan"')),
    "disconnected instance": Bad("stitch bad.toml", "disconnected", says=("alone",), make=graph(
        functions=FUNCTIONS + '[nf.alone]\npackage = "gate"\n')),
    "chain over the tail-call limit": Bad("stitch bad.toml", "chain-too-long", says=("33",), make=chain_of(36)),
    "C that does not compile": Bad("publish bad --source source", "does-not-compile", says=("main.c:4", "nonsense"),
        make=package("bad", PLAIN + "\treturn nonsense;\n}\n")),
    "a stack of 700 bytes": Bad("insert bulky --at screening", "linker-died", says=("bulky", "stack")),
    "garbled bitcode": Bad("insert garbled --at screening", "linker-died", says=("garbled", "author")),
    "a program that the verifier refuses": Bad("insert stuck --at screening", "verifier-refused", KERNEL,
        ("stuck (stuck 1.0), main.c:7", "data[1000]")),
    "map layout changed on upgrade": Bad("replace tally tally==2.0", "map-layout-changed",
        says=("tally/tally_seen", "--discard-state")),
    "no privileges": Bad("insert gate --at screening --graph road", "no-privileges", KERNEL, ("root",),
        run={"user": NOBODY, "group": NOBODY, "extra_groups": []}),
    "no bpffs": Bad("stitch road.toml", "no-bpffs", KERNEL, ("mount -t bpf bpf /sys/fs/bpf",),
        run={"under": NO_BPFFS}),
    "old kernel": Bad("stitch road.toml", "kernel-too-old", KERNEL, ("devmap-hash", "5.4"),
        run={"env": {"INKEV_WITHOUT": "devmap-hash"}}),
}  # fmt: skip


@pytest.fixture(scope="module")
def stream(site: Site) -> Iterator[Stream]:
    """Datagrams across the edge for as long as the module's tests run."""
    with Stream(site.road.client, site.road.server, "10.9.0.2", rate=2_000) as running:
        yield running


def refused(site: Site, bad: Bad) -> None:
    """Run a bad command both ways, and look at what it says, leaves and does to traffic."""
    bad.make(site)
    before = site.picture()
    document = site.inkev(*bad.words.split(), "--json", **bad.run)
    first = document.document["errors"][0]
    assert (first["code"], document.status, document.err) == (bad.code, bad.status, "")
    assert document.document["exit_status"] == bad.status
    text = site.inkev(*bad.words.split(), **bad.run)
    assert (text.status, text.out) == (bad.status, "")
    assert f"error[{bad.code}]: {first['message']}" in text.err
    for error in document.document["errors"]:
        assert error["hint"], error
        assert f"hint: {error['hint']}" in text.err
    for part in bad.says:
        assert part in text.err
    assert site.picture() == before
    assert site.carries_traffic()


@pytest.mark.parametrize("what", BAD)
def test_is_refused_and_nothing_else_happens(site: Site, stream: Stream, what: str) -> None:
    refused(site, BAD[what])


def test_a_hook_that_a_stranger_holds_stays_the_strangers(site: Site, stream: Stream) -> None:
    edge = site.road.edge
    edge.ip("link add dmz type veth peer name dmz-peer", "link set dmz up")
    taken = graph(
        f'{CHAINS}, "dmz -> drop"', more=f'[hooks.dmz]\ninterface = "dmz"\ntype = "xdp"\nnetns = "{edge.netns}"\n'
    )
    code = constant(R0, 2) + leave()
    with (
        inside(edge.path),
        Program.load(ProgramType.XDP, code, name="stranger", attach=AttachType.XDP) as program,
        Link.attach(program, edge.ifindex("dmz"), AttachType.XDP, XDP_NATIVE) as link,
    ):
        refused(site, Bad("stitch bad.toml", "hook-taken", CONFLICT, ("stranger",), taken))
        assert link.info.ifindex == edge.ifindex("dmz")
    edge.ip("link del dmz")


def test_the_stream_lost_nothing(site: Site) -> None:
    with Stream(site.road.client, site.road.server, "10.9.0.2", rate=2_000, port=9001) as stream:
        for words in ("insert stuck --at screening", "insert bulky --at screening", "replace tally tally==2.0"):
            assert site.inkev(*words.split()).status != 0
    assert stream.report.lost == []
