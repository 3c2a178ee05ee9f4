"""What the operator configures for a root: `config.toml` in its folder.

sources = ["/srv/packages", "https://registry.example"]     # asked in this order
"""

from __future__ import annotations

import msgspec

from inkev.base.errors import UserError
from inkev.base.paths import Root

FILE = "config.toml"


class Settings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, rename="kebab"):
    """The whole of config.toml."""

    sources: tuple[str, ...] = ()
    """Where packages come from: folders or URLs, asked in this order."""


def read_settings(root: Root) -> Settings:
    """Return the root's settings; the defaults where it has no file.

    Raises:
        UserError: `bad-settings`.
    """
    import tomli

    path = root.folder / FILE
    try:
        return msgspec.convert(tomli.loads(path.read_text()), Settings)
    except FileNotFoundError:
        return Settings()
    except (OSError, UnicodeDecodeError, tomli.TOMLDecodeError, RecursionError, msgspec.ValidationError) as error:
        raise UserError(
            "bad-settings",
            f"cannot read {FILE}",
            where=str(path),
            why=str(error),
            hint='write sources = ["/path/to/packages"]',
        ) from error
