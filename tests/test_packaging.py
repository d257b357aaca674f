"""What pyproject says of the package is what lies on disk."""

from __future__ import annotations

import tomllib
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parent.parent
ROOMS = {
    "kalloy": REPOSITORY / "src/kalloy",
    **{f"kalloy.{room}": REPOSITORY / room for room in ("structures", "workflows", "parsers", "hpc_templates")},
}
SETUPTOOLS = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["tool"]["setuptools"]


def test_every_subpackage_is_named() -> None:
    """Folders of data alone too: setuptools takes them for packages, and prints a page on each that is not named."""
    found = set()
    for name, folder in ROOMS.items():
        for file in (p for p in folder.rglob("*") if p.is_file() and "__pycache__" not in p.parts):
            inside = file.parent.relative_to(folder).parts
            if not (name == "kalloy" and inside and f"kalloy.{inside[0]}" in ROOMS):  # links to the rooms
                found.add(".".join((name, *inside)))
    assert found == set(SETUPTOOLS["packages"])
    assert SETUPTOOLS["package-dir"] == {n: str(p.relative_to(REPOSITORY)) for n, p in ROOMS.items()}


def test_every_data_file_is_packaged() -> None:
    packaged = set()
    for name, patterns in SETUPTOOLS["package-data"].items():
        room = max((r for r in ROOMS if name == r or name.startswith(f"{r}.")), key=len)
        folder = ROOMS[room].joinpath(*name.removeprefix(room).strip(".").split(".")) if name != room else ROOMS[room]
        for pattern in patterns:
            matched = list(folder.glob(pattern))
            assert matched, f"{name}: nothing matches {pattern}"
            packaged |= {p.resolve() for p in matched}
    on_disk = {
        p.resolve()
        for folder in ROOMS.values()
        for p in folder.rglob("*")
        if p.is_file() and p.suffix != ".py" and "__pycache__" not in p.parts
    }
    assert on_disk == packaged


def test_the_links_point_at_the_rooms() -> None:
    for room in ("structures", "workflows", "parsers", "hpc_templates"):
        assert (REPOSITORY / "src/kalloy" / room).resolve() == REPOSITORY / room
