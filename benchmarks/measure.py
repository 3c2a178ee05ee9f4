"""One measured figure beside its yardstick and its target, and the benchmarks that return such figures."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import msgspec


class Measure(msgspec.Struct, frozen=True, kw_only=True):
    """One row of the table, and of `latest.json`."""

    measure: str
    value: float | None
    """None where the benchmark failed: then `target` is not met."""
    unit: str
    yardstick: str = ""
    yardstick_value: float | None = None
    """In the same unit."""
    ratio: float | None = None
    """value / yardstick_value."""
    target: str = ""
    met: bool = True
    note: str = ""


@dataclass(frozen=True, slots=True)
class Benchmark:
    """A named function that measures; it cleans up after itself."""

    name: str
    run: Callable[[], list[Measure]]


def below(measure: str, value: float, unit: str, limit: float, *, yardstick: str = "",
          yardstick_value: float | None = None) -> Measure:
    """Return a figure whose target is an absolute limit; a yardstick beside it only informs."""
    ratio = value / yardstick_value if yardstick_value else None
    return Measure(measure=measure, value=value, unit=unit, yardstick=yardstick, yardstick_value=yardstick_value,
                   ratio=ratio, target=f"<= {limit:g} {unit}", met=value <= limit)


def at_most(measure: str, value: float, unit: str, times: float, yardstick: str, yardstick_value: float) -> Measure:
    """Return a figure that may be at most so many times its yardstick."""
    ratio = value / yardstick_value
    return Measure(measure=measure, value=value, unit=unit, yardstick=yardstick, yardstick_value=yardstick_value,
                   ratio=ratio, target=f"<= {times:g}x", met=ratio <= times)


def at_least(measure: str, value: float, unit: str, times: float, yardstick: str, yardstick_value: float) -> Measure:
    """Return a figure that must be at least so many times its yardstick."""
    ratio = value / yardstick_value
    return Measure(measure=measure, value=value, unit=unit, yardstick=yardstick, yardstick_value=yardstick_value,
                   ratio=ratio, target=f">= {times:g}x", met=ratio >= times)


def informative(measure: str, value: float, unit: str, yardstick: str = "",
                yardstick_value: float | None = None) -> Measure:
    """Return a figure without a target."""
    ratio = value / yardstick_value if yardstick_value else None
    return Measure(measure=measure, value=value, unit=unit, yardstick=yardstick, yardstick_value=yardstick_value,
                   ratio=ratio)


def failed(measure: str, reason: str) -> Measure:
    """Return the row of a benchmark that did not come to an end."""
    return Measure(measure=measure, value=None, unit="", target="to run", met=False, note=reason)
