"""What all figures share: one style, one palette, every format, and the data as CSV beside the picture."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.resources import as_file, files
from itertools import cycle
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kalloy.workflows.files import replacing

if TYPE_CHECKING:
    from matplotlib.figure import Figure

COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
"""Okabe and Ito's palette, which the colour-blind can tell apart."""
FORMATS = ("svg", "pdf", "png")


@dataclass(frozen=True)
class Drawn:
    """A figure on disk."""

    name: str
    """Of its files, without suffix."""
    caption: str
    """What is seen, in a sentence: also the text for those who do not see it."""
    svg: Path


@contextmanager
def style() -> Iterator[None]:
    """kalloy's matplotlib style, for the block only."""
    from matplotlib import style as styles

    with as_file(files("kalloy.workflows.report") / "style.mplstyle") as path, styles.context(path):
        yield


def new_figure(width: float, height: float) -> Figure:
    """An empty figure that no window or global state knows; inches."""
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height))


def save(
    figure: Figure, folder: Path, name: str, caption: str, columns: Sequence[str], rows: Iterable[Sequence[Any]]
) -> Drawn:
    """Write a figure in every format and its data beside it."""
    folder.mkdir(parents=True, exist_ok=True)
    # Laid out once, for every format anew would cost as much as drawing it.
    figure.draw_without_rendering()
    figure.set_layout_engine("none")
    for suffix in FORMATS:
        # No date inside, so that the same data gives the same file.
        metadata = {"svg": {"Date": None}, "pdf": {"CreationDate": None}}.get(suffix)
        with replacing(folder / f"{name}.{suffix}") as part:
            figure.savefig(part, metadata=metadata, format=suffix)
    write_table(folder / f"{name}.csv", columns, rows)
    return Drawn(name, caption, folder / f"{name}.svg")


def write_table(path: Path, columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    """A CSV file; units belong into the names of the columns."""
    with replacing(path) as part, part.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(columns)
        writer.writerows(rows)


def element_colours(elements: Iterable[str]) -> dict[str, str]:
    """One colour an element for a whole set of figures, in order of first appearance."""
    return dict(zip(dict.fromkeys(elements), cycle(COLOURS), strict=False))


def file_name(member: str) -> str:
    """A member's label as part of a file's name: ``K03/c12`` is ``K03-c12``."""
    return member.replace("/", "-")
