"""Package folders and archives made in few words."""

from pathlib import Path

from inkev.package.archive import write_archive


def make_folder(folder: Path, name="guard", version="1.0.0", requires=(), source="int x;", summary="A guard") -> Path:
    """Write a small package; `requires` are pairs of name and versions."""
    needed = "".join(f'{other} = "{versions}"\n' for other, versions in requires)
    (folder / "src").mkdir(parents=True, exist_ok=True)
    (folder / "src/main.c").write_text(source)
    (folder / "nf.toml").write_text(
        f'schema = 1\n[package]\nname = "{name}"\nversion = "{version}"\nsummary = "{summary}"\nlicense = "MIT"\n'
        f'[requires.packages]\n{needed}[programs.main]\nfile = "src/main.c"\nentry = "main"\n[ports.in]\n'
        '[permissions]\npacket = "write"\n'
    )
    return folder


def make_archive(target: Path, name="guard", version="1.0.0", **more) -> Path:
    """Write the archive of a small package into `target`."""
    return write_archive(make_folder(target / f"{name}-{version}.d", name, version, **more), target)
