"""The numbers of verdicts and drop reasons, as `bpf_common/include/inkev/abi.h` defines them; append only."""

from __future__ import annotations

from inkev.base.limits import COMMON_REASONS

VERDICTS = ("drop", "forward", "pass", "transmit", "redirect", "punt", "flood")
"""By kind: a verdict is (kind << 16) | argument."""

REASONS = (
    "unspecified",
    "malformed",
    "ttl-expired",
    "no-route",
    "no-neighbour",
    "policy",
    "rate",
    "table-full",
    "unsupported",
    "no-memory",
    "too-big",
    "no-control",
    "loop",
)
"""Drop reasons that every instance has, by number; an instance's own start at COMMON_REASONS."""

GRAPH_REASONS = (
    "missed-tail-call",
    "hop-limit",
    "unwired",
    "no-device",
    "no-control",
    "escaped",
    "bad-verdict",
    "declared",
    "not-member",
)
"""Drop reasons of a whole graph, by number."""


def split_verdict(number: int) -> tuple[str, int]:
    """Return the kind and argument of a verdict; the kind of an unknown one is its number."""
    kind, argument = number >> 16, number & 0xFFFF
    return (VERDICTS[kind] if kind < len(VERDICTS) else f"verdict-{kind}"), argument


def reason_names(private: tuple[str, ...]) -> dict[int, str]:
    """Return every drop reason of an instance, number to name.

    Args:
        private: the names of the manifest's [reasons], in their order.
    """
    return dict(enumerate(REASONS)) | {COMMON_REASONS + number: name for number, name in enumerate(private)}
