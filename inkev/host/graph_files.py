"""Graph files on disk: read whole and bounded, replaced whole."""

from __future__ import annotations

from pathlib import Path

from inkev.base.errors import UserError
from inkev.base.limits import GRAPH_FILE_BYTES
from inkev.graph.editing import edit_text
from inkev.graph.model import Graph
from inkev.graph.reading import parse_graph


def read_graph(path: Path) -> Graph:
    """Return the graph that a file declares.

    Raises:
        UserError: `no-such-file`, `file-too-large`, `bad-toml`.
        Faults: every fault of the file.
    """
    return parse_graph(_read(path), path.name)


def write_change(path: Path, before: Graph, after: Graph) -> None:
    """Change the file as the running graph was changed; it is the old or the new file, never half of one."""
    text = edit_text(_read(path), before, after)
    staged = path.with_name(f".{path.name}.new")
    staged.write_text(text)
    staged.chmod(path.stat().st_mode)
    staged.replace(path)


def _read(path: Path) -> str:
    try:
        with path.open("rb") as file:
            raw = file.read(GRAPH_FILE_BYTES + 1)
    except OSError as error:
        why = error.strerror or str(error)
        raise UserError("no-such-file", f"cannot read {path}", why=why, hint="name a graph file") from error
    if len(raw) > GRAPH_FILE_BYTES:
        hint = "keep long tables in files of their own: inkev table INSTANCE.TABLE load FILE"
        raise UserError("file-too-large", f"{path} is larger than {GRAPH_FILE_BYTES >> 20} MiB", hint=hint)
    try:
        return raw.decode()
    except UnicodeDecodeError as error:
        hint = "a graph file is TOML: text in UTF-8"
        raise UserError("bad-toml", f"{path} is not UTF-8 text", where=f"byte {error.start}", hint=hint) from error
