"""What this machine has of all that inkev needs: facts for `inkev doctor`, each with the remedy where it is missing."""

from __future__ import annotations

import importlib.util
import os
import re
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Literal

import msgspec

from inkev.base.errors import InkevError
from inkev.base.paths import BPFFS, Root
from inkev.host.kernel import Kernel
from inkev.plugins.manager import Plugins

FLOOR = (6, 1)
CLANG_FLOOR = 14
CAPABILITIES = {"CAP_NET_ADMIN": 12, "CAP_SYS_ADMIN": 21}
"""By bit, linux/capability.h; CAP_SYS_ADMIN implies CAP_BPF and CAP_PERFMON."""

State = Literal["ok", "missing", "optional"]


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that was looked for."""

    name: str
    state: State
    """`missing`: inkev cannot do its work; `optional`: only a part of it cannot be done."""
    detail: str
    hint: str = ""


def diagnose(root: Root, open_kernel: Callable[[], Kernel], plugins: Plugins) -> Iterator[Finding]:
    """Yield one finding after the other; nothing is changed."""
    yield _kernel_version()
    yield _privileges()
    yield _bpffs()
    yield _exists("kernel BTF", Path("/sys/kernel/btf/vmlinux"), "a kernel built with CONFIG_DEBUG_INFO_BTF")
    yield _jit()
    yield _features(open_kernel)
    yield _clang()
    yield _module("llvmlite", "missing", "pip install 'llvmlite>=0.50'")
    yield _libbpf()
    yield _bcc()
    yield _module("scapy", "optional", "pip install 'inkev[check]' (packet tests of `inkev check`)")
    yield _root_folder(root)
    yield from _plugins(plugins)


def _kernel_version() -> Finding:
    release = os.uname().release
    numbers = tuple(int(number) for number in re.findall(r"\d+", release)[:2])
    if numbers >= FLOOR:
        return Finding(name="kernel", state="ok", detail=f"Linux {release}")
    return Finding(
        name="kernel",
        state="missing",
        detail=f"Linux {release}; the floor is {FLOOR[0]}.{FLOOR[1]}",
        hint="boot a newer kernel",
    )


def _privileges() -> Finding:
    effective = int(re.findall(r"^CapEff:\s*([0-9a-f]+)", Path("/proc/self/status").read_text(), re.MULTILINE)[0], 16)
    lacking = [name for name, bit in CAPABILITIES.items() if not effective >> bit & 1]
    if not lacking:
        return Finding(name="privileges", state="ok", detail="may load programs and attach hooks")
    return Finding(name="privileges", state="missing", detail=f"without {', '.join(lacking)}", hint="run inkev as root")


def _bpffs() -> Finding:
    mounts = Path("/proc/self/mountinfo").read_text().splitlines()
    if any(line.split()[4] == str(BPFFS) and " - bpf " in line for line in mounts):
        return Finding(name="bpffs", state="ok", detail=f"mounted at {BPFFS}")
    return Finding(name="bpffs", state="missing", detail=f"not mounted at {BPFFS}", hint=f"mount -t bpf bpf {BPFFS}")


def _exists(name: str, path: Path, remedy: str) -> Finding:
    if path.exists():
        return Finding(name=name, state="ok", detail=str(path))
    return Finding(name=name, state="missing", detail=f"no {path}", hint=remedy)


def _jit() -> Finding:
    path = Path("/proc/sys/net/core/bpf_jit_enable")
    if not path.exists() or path.read_text().strip() != "0":
        return Finding(name="JIT", state="ok", detail="programs are compiled")
    return Finding(name="JIT", state="optional", detail="programs are interpreted", hint=f"echo 1 > {path}")


def _features(open_kernel: Callable[[], Kernel]) -> Finding:
    try:
        open_kernel().preflight()
    except InkevError as error:
        why = error.faults[0].why
        detail = f"{error.faults[0].message}{f': {why}' if why else ''}"
        return Finding(name="kernel features", state="missing", detail=detail, hint=error.hint)
    return Finding(name="kernel features", state="ok", detail="all that every graph needs")


def _clang() -> Finding:
    remedy = f"apt-get install clang ({CLANG_FLOOR} or newer)"
    path = shutil.which("clang")
    if path is None:
        return Finding(name="clang", state="optional", detail="not found; `inkev build` needs it", hint=remedy)
    done = subprocess.run([path, "--version"], capture_output=True, text=True, check=False)
    found = re.search(r"version (\d+)[\d.]*", done.stdout)
    if found is None or int(found[1]) < CLANG_FLOOR:
        return Finding(name="clang", state="optional", detail=f"{path}: {done.stdout.splitlines()[:1]}", hint=remedy)
    return Finding(name="clang", state="ok", detail=f"{path}, {found[0]}")


def _module(name: str, without: State, remedy: str) -> Finding:
    import importlib.metadata

    if importlib.util.find_spec(name) is None:
        return Finding(name=name, state=without, detail="not installed", hint=remedy)
    try:
        version = importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        version = "of the distribution"
    return Finding(name=name, state="ok", detail=version)


def _libbpf() -> Finding:
    import ctypes

    try:
        library = ctypes.CDLL("libbpf.so.1")
    except OSError as error:
        return Finding(name="libbpf", state="missing", detail=str(error), hint="apt-get install libbpf1")
    library.libbpf_version_string.restype = ctypes.c_char_p
    return Finding(name="libbpf", state="ok", detail=library.libbpf_version_string().decode())


def _bcc() -> Finding:
    remedy = "apt-get install python3-bpfcc, and a venv made with --system-site-packages"
    found = importlib.util.find_spec("bcc")
    if found is None or found.origin is None:
        return Finding(name="bcc", state="optional", detail="not found; only the dialect bcc needs it", hint=remedy)
    if not (Path(found.origin).parent / "libbcc.py").exists():
        detail = f"{found.origin} is another package of that name, from PyPI"
        return Finding(name="bcc", state="optional", detail=detail, hint=f"pip uninstall bcc; {remedy}")
    return Finding(name="bcc", state="ok", detail=str(Path(found.origin).parent))


def _root_folder(root: Root) -> Finding:
    folder = next(path for path in (root.folder, *root.folder.parents) if path.exists())
    if os.access(folder, os.W_OK):
        return Finding(name="root", state="ok", detail=f"{root.folder}, pins in {root.bpffs}")
    detail = f"{root.folder} cannot be written"
    return Finding(name="root", state="missing", detail=detail, hint="run inkev as root, or choose --root")


def _plugins(plugins: Plugins) -> Iterator[Finding]:
    names = ", ".join(plugins.names())
    yield Finding(name="plug-ins", state="ok", detail=names or "none")
    for broken in plugins.broken:
        yield Finding(name=f"plug-in {broken.name}", state="optional", detail=broken.why, hint="mend or uninstall it")
