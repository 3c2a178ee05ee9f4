"""`make demo`: from a package source to live traffic, and functions changed under load with nothing lost."""

from __future__ import annotations

import os
import re
import shutil
import signal
import socket
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from demo.console import Stage
from demo.network import CLIENT, SERVER, Network, network
from inkev.base.paths import find_root
from tests.stream import Stream

HERE = Path(__file__).resolve().parent.parent
GRAPH = "edge.toml"
SOURCE = "packages"
RATE = 20_000
HTTP, SSH, DNS = 80, 22, 53


def lay_out(folder: Path) -> None:
    """Let the demo's folder show what a user's would: packages' sources, a graph file, a package source."""
    (folder / "nfpkgs").symlink_to(HERE / "nfpkgs")
    shutil.copy(HERE / "examples" / GRAPH, folder)


def release(package: str, version: str, folder: Path) -> str:
    """Make an author's next release of a first-party package, the same under another version; return its folder."""
    name = f"{package}-{version}"
    shutil.copytree(HERE / "nfpkgs" / package, folder / name)
    manifest = folder / name / "nf.toml"
    manifest.write_text(re.sub(r'(?m)^version = ".*"$', f'version = "{version}"', manifest.read_text(), count=1))
    return name


def publish_and_install(stage: Stage) -> None:
    """Fill a package source from the first-party packages, and install from it."""
    stage.heading("A package source, and a firewall out of it")
    stage.say("Authors publish packages: C and a manifest, checked on the kernel. Here into a folder.")
    for name in ("firewall", "router", "ratelimit"):
        stage.inkev("publish", f"nfpkgs/{name}", "--source", SOURCE)
    stage.say("An operator installs by name and version. Compilers stay with the author: what comes is bitcode.")
    stage.inkev("install", "firewall==1.2", "router", "ratelimit", "--source", SOURCE)


def stitch(stage: Stage, work: Path) -> None:
    """Put firewall and router between client and server."""
    stage.heading("One file says what the kernel carries")
    stage.show((work / GRAPH).read_text(), style="yellow")
    stage.inkev("plan", GRAPH)
    stage.inkev("stitch", GRAPH)


def reaches(net: Network, port: int, target: str = SERVER, *, backwards: bool = False) -> bool:
    """Return whether a TCP connection comes about."""
    host = net.server if backwards else net.client
    with host.open_socket(kind=socket.SOCK_STREAM) as channel:
        channel.settimeout(0.5)
        return channel.connect_ex((target, port)) == 0


@contextmanager
def services(net: Network) -> Iterator[None]:
    """Listen: HTTP and SSH at the server, HTTP at the client, DNS-like echo at the server."""
    with ExitStack() as stack:
        for host, port in ((net.server, HTTP), (net.server, SSH), (net.client, HTTP)):
            channel = stack.enter_context(host.open_socket(kind=socket.SOCK_STREAM))
            channel.bind(("0.0.0.0", port))  # noqa: S104 - a namespace of our own
            channel.listen()
        stack.enter_context(net.server.echo(DNS))
        yield


def show_policy(stage: Stage, net: Network) -> None:
    """Try what the firewall's rules allow, and what they do not."""
    stage.heading("What gets through")
    net.client.ping(SERVER, 1)  # spent on asking who has the address
    with services(net):
        stage.outcomes([
            ("client -> server  ping", net.client.ping(SERVER, 1) == 1, True),
            ("client -> server  http (tcp 80)", reaches(net, HTTP), True),
            ("client -> server  dns (udp 53)", net.client.ask(SERVER, DNS) is not None, True),
            ("client -> server  ssh (tcp 22)", reaches(net, SSH), False),
            ("server -> client  http (tcp 80)", reaches(net, HTTP, CLIENT, backwards=True), False),
        ])
    stage.say("Answers pass because the firewall tracks connections; what the server begins does not.")


def change_under_load(stage: Stage, net: Network, work: Path) -> int:
    """Insert, replace and remove a function while datagrams stream through; return how many were lost."""
    stage.heading(f"Functions inserted, upgraded and removed under {RATE:,} packets a second")
    stream = Stream(net.client, net.server, SERVER, rate=RATE, port=9000)
    with stream:
        stage.inkev("insert", "ratelimit", "--at", "screening")
        stage.inkev("status")
        stage.inkev("publish", release("ratelimit", "1.0.1", work), "--source", SOURCE)
        stage.inkev("install", "ratelimit==1.0.1", "--source", SOURCE)
        stage.inkev("replace", "ratelimit", "ratelimit==1.0.1")
        stage.inkev("remove", "ratelimit")
    report = stream.report
    stage.verdict(f"{report.sent:,} packets sent, {report.received:,} received, {report.lost_count} lost",
                  good=report.lost_count == 0)
    return report.lost_count


def tell(stage: Stage, net: Network, work: Path) -> int:
    """Tell the whole story; return the packets lost."""
    publish_and_install(stage)
    stitch(stage, work)
    show_policy(stage, net)
    lost = change_under_load(stage, net, work)
    stage.heading("What runs, and what it counted")
    stage.inkev("status")
    stage.heading("And nothing is left")
    stage.inkev("unstitch", "edge")
    return lost


def sweep(root: Path) -> None:
    """Remove whatever of this demo's root still stands in bpffs, wherever the story ended."""
    shutil.rmtree(find_root(root).bpffs, ignore_errors=True)


def main() -> int:
    """Run the demo; 0 where nothing was lost."""
    if os.geteuid() != 0:
        print("the demo makes network namespaces and loads programs: run it as root (make demo)", file=sys.stderr)
        return 1
    for number in (signal.SIGINT, signal.SIGTERM):  # a shell's background job is started with the first ignored
        signal.signal(number, signal.default_int_handler)
    with tempfile.TemporaryDirectory(prefix="ikvd-") as folder, network() as net:
        work = Path(folder)
        lay_out(work)
        stage = Stage(net.edge, work / "root", work)
        try:
            lost = tell(stage, net, work)
        except KeyboardInterrupt:
            print("\ninterrupted; cleaning up", file=sys.stderr)
            return 130
        finally:
            with suppress(OSError):
                sweep(work / "root")
    return 0 if lost == 0 else 1


if __name__ == "__main__":
    sys.exit(main())
