"""Text in columns: how lists and tables are printed."""

from __future__ import annotations

from collections.abc import Iterable, Sequence


def format_columns(rows: Iterable[Sequence[object]], heads: Sequence[str] = (), indent: int = 0) -> str:
    """Return rows with their cells one below the other; numbers stand right, everything else left."""
    cells = [["" if cell is None else str(cell) for cell in row] for row in rows]
    if heads:
        cells.insert(0, list(heads))
    if not cells:
        return ""
    widths = [max(len(cell) for cell in column) for column in zip(*cells, strict=True)]
    right = [all(_is_number(cell) for cell in column[bool(heads) :]) for column in zip(*cells, strict=True)]
    lines = (
        "  ".join(
            cell.rjust(width) if to_right else cell.ljust(width)
            for cell, width, to_right in zip(row, widths, right, strict=True)
        ).rstrip()
        for row in cells
    )
    return "\n".join(" " * indent + line for line in lines)


def _is_number(cell: str) -> bool:
    return cell.replace(",", "").isdigit()


def format_count(number: int) -> str:
    """Return a counter as people read it."""
    return f"{number:,}"
