"""Whose line a refusal is about: the verifier knows a file's last name only, the store has the author's text."""

from __future__ import annotations

from pathlib import Path

from inkev.base.errors import KernelError
from inkev.host.catalog import Part


def blame(refusal: KernelError, instance: str, part: Part) -> KernelError:
    """Return the refusal with the instance, the file as the package has it, and the text of the line."""
    fault = refusal.faults[0]
    place, text = _find_line(part.folder, fault.where)
    whose = f"{instance} ({part.locked.package} {part.locked.version})"
    return KernelError(
        fault.code,
        fault.message,
        errno=refusal.errno,
        log=refusal.log,
        where=f"{whose}, {place}" if place else whose,
        why=f"{fault.why}\nin: {text}" if text and text not in fault.why else fault.why,
        hint=fault.hint,
    )


def _find_line(folder: Path, where: str) -> tuple[str, str]:
    """Return `FILE:LINE` below the folder and the line's text, as far as they can be told."""
    name, _, number = where.rpartition(":")
    if not name or not number.isdigit():
        return "", ""
    found = sorted(path for path in folder.rglob(Path(name).name) if path.is_file())
    if len(found) != 1:
        return where, ""
    lines = found[0].read_text(errors="replace").splitlines()
    text = lines[int(number) - 1].strip() if 0 < int(number) <= len(lines) else ""
    return f"{found[0].relative_to(folder)}:{number}", text
