"""Which maps of surviving instances cannot keep their state: a new version lays them out or means them otherwise."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from inkev.base.errors import UserError
from inkev.host.catalog import Part
from inkev.package.manifest import Manifest


def changed_state(before: Mapping[str, Part], after: Mapping[str, Part], *, discard: bool) -> tuple[str, ...]:
    """Return the `instance/map` that are to be made anew.

    Args:
        before: running instances whose packages are still installed.
        after: desired instances.
        discard: whether their state may be lost.

    Raises:
        UserError: `map-layout-changed` where it may not.
    """
    changed = tuple(sorted(_changed(before, after)))
    if changed and not discard:
        raise UserError(
            "map-layout-changed",
            f"the state in {', '.join(changed)} does not fit the new version",
            why="its layout, or the version of its meaning, is another",
            hint="--discard-state starts it empty",
        )
    return changed


def _changed(before: Mapping[str, Part], after: Mapping[str, Part]) -> Iterator[str]:
    for name in sorted(set(before) & set(after)):
        old, new = before[name], after[name]
        if old.locked == new.locked:
            continue
        running = old.maps()
        for map_name, layout in new.maps().items():
            if (
                map_name in running
                and layout.type != "rodata"
                and (
                    running[map_name].fingerprint != layout.fingerprint
                    or _meaning(old.manifest, map_name) != _meaning(new.manifest, map_name)
                )
            ):
                yield f"{name}/{map_name}"


def _meaning(manifest: Manifest, map_name: str) -> int:
    rules = manifest.maps.get(map_name)
    return rules.version if rules else 1
