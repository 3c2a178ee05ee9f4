"""Where the C library of the `inkev` dialect is."""

from __future__ import annotations

from pathlib import Path

from inkev.base.errors import UserError


def find_include_folder() -> Path:
    """Return the folder that holds `inkev/nf.h`: inside an installed package, or `bpf_common/include` of a checkout.

    Raises:
        UserError: `no-include-folder`: the installation is incomplete.
    """
    package = Path(__file__).resolve().parent.parent
    for folder in (package / "_include", package.parent / "bpf_common" / "include"):
        if (folder / "inkev" / "abi.h").is_file():
            return folder
    raise UserError(
        "no-include-folder",
        "the C library of inkev is not installed",
        where=str(package),
        hint="install inkev from its wheel, or run it from a checkout",
    )
