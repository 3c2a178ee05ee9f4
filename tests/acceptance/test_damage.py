"""What a machine may do to a root while its graph runs: clear errors, traffic unharmed, and a way back."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.acceptance.conftest import INKEV, Site

pytestmark = pytest.mark.kernel
INSERT = ("insert", "tally==1.0", "--at", "screening", "--name", "second")
READ_ONLY = 'mount --bind "$R" "$R" && mount -o remount,ro,bind "$R"'
FULL = (
    'mount -t tmpfs -o size=4m none /mnt && cp -a "$R" /mnt/root && { cat /dev/zero >/mnt/fill 2>/dev/null; '
    'mount --bind /mnt/root "$R"; }'
)


@pytest.fixture
def running(site: Site) -> Iterator[Site]:
    """The site, with its graph as the file says before and after."""
    yield site
    site.inkev("unstitch", "road")
    assert not list(site.root.bpffs.rglob("*"))
    assert site.inkev("stitch", "road.toml").status == 0


def over(site: Site, disk: str, *words: str) -> tuple[int, str]:
    """Run a command in a mount namespace whose root stands on that disk."""
    under = ("unshare", "--mount", "env", f"R={site.root.folder}", "sh", "-c", f'{disk} && exec "$@"', "sh")
    answer = site.inkev(*words, "--json", under=under)
    return answer.status, answer.document["errors"][0]["code"] if answer.status else ""


@pytest.mark.parametrize(("disk", "code"), [(READ_ONLY, "read-only"), (FULL, "disk-full")], ids=["read-only", "full"])
def test_a_disk_that_takes_nothing_stops_changes_and_no_packet(running: Site, disk: str, code: str) -> None:
    before = running.picture()
    assert over(running, disk, *INSERT) == (4, code)
    status, said = over(running, disk, "install", "tally==1.1")
    assert (status, said) in {(4, code), (2, "store-not-writable")}
    assert over(running, disk, "status") == (0, "")
    assert over(running, disk, "list") == (0, "")
    assert running.picture() == before
    assert running.carries_traffic()


@pytest.mark.parametrize("pin", ["block", "cell", "devices", "entries_tc", "gen*/spec", "gen*/seg_hook:wan",
                                 "gen*/slots_tc", "hooks/wan-*[0-9]", "members"])  # fmt: skip
def test_a_pin_that_somebody_took_away_costs_an_error_and_stitching_again_heals(running: Site, pin: str) -> None:
    [path] = running.root.bpffs.glob(f"road/{pin}")
    path.unlink()
    for words in (("status",), INSERT, ("stitch", "road.toml")):
        answer = running.inkev(*words, "--json")
        if answer.status:
            error = answer.document["errors"][0]
            assert error["code"] in {"pin-missing", "no-such-graph"}
            assert error["hint"]
    assert running.inkev("unstitch", "road").status in {0, 2}
    assert running.inkev("stitch", "road.toml").status == 0
    assert running.carries_traffic()


def test_an_interface_that_was_made_anew_is_drift_and_stitching_heals(running: Site) -> None:
    road = running.road
    address = road.server.mac("eth0")  # the client remembers it
    road.edge.ip("link del lan")
    broken = running.inkev("status", "--json")
    assert [hook["alive"] for hook in broken.document[0]["hooks"] if hook["hook"] == "lan"] in ([False], [])
    assert running.inkev("stitch", "road.toml", "--json").document["errors"][0]["code"] == "no-such-interface"
    peer = f"eth0 address {address} netns {road.server.netns}"
    road.edge.ip(f"link add lan type veth peer name {peer}", "link set lan up")
    road.server.ip("link set eth0 up", "addr add 10.9.0.2/24 dev eth0")
    assert running.inkev("plan", "road.toml", "--json").document["plan"]["changes"]
    assert running.inkev("stitch", "road.toml").status == 0
    assert running.carries_traffic()


def test_a_damaged_package_is_named_and_can_be_installed_again(running: Site) -> None:
    before = running.picture()
    for kind in ("record.json", "files/build/main.tc.json"):
        for path in running.root.store.glob(f"packages/*/{kind}"):
            if b"stuck" in path.read_bytes():
                path.write_bytes(path.read_bytes()[:40])
        error = running.inkev("insert", "stuck", "--at", "screening", "--json").document["errors"][0]
        assert (error["code"], "uninstall" in error["hint"]) == ("bad-store", True)
        assert running.inkev("uninstall", "stuck==1.0").status == 0
        assert running.inkev("install", "stuck").status == 0
    assert running.picture() == before
    assert running.carries_traffic()


@pytest.mark.parametrize("name", ["cache", "state/refusals.json"])
def test_what_may_be_deleted_may_be_garbage_too(running: Site, name: str) -> None:
    path = running.root.folder / name
    for file in path.rglob("*") if path.is_dir() else [path]:
        if not file.is_dir():
            file.write_bytes(b"\xff garbage")
    assert running.inkev(*INSERT).status == 0
    assert running.inkev("remove", "second").status == 0
    assert running.carries_traffic()


@pytest.mark.parametrize(("redirection", "status"), [
    (">&-", 0), ("<&- >&- 2>&-", 0), (">/dev/full", 4), ("2>/dev/full >/dev/full", 4), ("| true", 141),
])  # fmt: skip
def test_output_that_goes_nowhere_is_no_bug(running: Site, redirection: str, status: int) -> None:
    script = f'"$0" --root "$1" status --json {redirection}; exit ${{PIPESTATUS[0]}}'
    done = subprocess.run(["bash", "-c", script, str(INKEV), str(running.root.folder)], text=True,
                          capture_output=True, check=False, stdin=subprocess.DEVNULL)  # fmt: skip
    assert done.returncode == status
    assert "Traceback" not in done.stderr


def test_rows_from_a_standard_input_that_is_closed_are_no_bug(running: Site) -> None:
    script = '"$0" --root "$1" table tally.seen load - --dry-run <&-'
    done = subprocess.run(["bash", "-c", script, str(INKEV), str(running.root.folder)], text=True,
                          capture_output=True, check=False)  # fmt: skip
    assert "error[bad-rows]" in done.stderr


@pytest.mark.parametrize("text", ["a = " + "[" * 5000, "\0", "é" * 100, "[graph]\nname = 'x'\n" * 2, "#" * (5 << 20)])
def test_no_text_is_a_bug(site: Site, text: str) -> None:
    for words in (("plan", site.write("odd.toml", text)), ("table", "tally.seen", "load", "odd.toml")):
        answer = site.inkev(*words, "--json")
        assert answer.status == 2
        assert all(error["hint"] or error["why"] for error in answer.document["errors"])
    assert Path(site.folder, "odd.toml").read_text() == text
