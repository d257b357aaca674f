"""Writes configurations to a folder as they come; the folder appears whole or not at all."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, TextIO

from kalloy.errors import InputError
from kalloy.structures.configuration import Configuration
from kalloy.structures.formats import StructureFormat


def write_configurations(
    configurations: Iterable[Configuration], folder: Path, style: StructureFormat, asked: Mapping[str, Any]
) -> int:
    """Write structures, ``configurations.jsonl`` and ``enumeration.json``; return how many configurations there were.

    Parameters
    ----------
    configurations : consumed one at a time.
    folder : new or empty.
    asked : what was asked, for ``enumeration.json``.

    Raises
    ------
    InputError : the folder holds something, or cannot be made.
    """
    refuse_occupied(folder)
    with _appearing_whole(folder) as partial, ExitStack() as stack:
        index = stack.enter_context((partial / "configurations.jsonl").open("w", encoding="utf-8"))
        number = 0
        for number, configuration in enumerate(_written(configurations, partial, style), start=1):  # noqa: B007
            index.write(json.dumps(configuration.record()) + "\n")
        document = {"schema": 1, **asked, "configurations": number}
        (partial / "enumeration.json").write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
    return number


def refuse_occupied(folder: Path) -> None:
    """Raise InputError unless the folder is new or empty: nothing is ever overwritten."""
    if not folder.is_symlink() and folder.is_dir() and not any(folder.iterdir()):
        return
    if folder.exists() or folder.is_symlink():
        what = "is not empty" if folder.is_dir() else "is no folder"
        raise InputError(f"{folder} {what}", mend="name a new folder; nothing is overwritten")


def _written(configurations: Iterable[Configuration], folder: Path, style: StructureFormat) -> Iterator[Configuration]:
    """Pass the configurations on, each written before the next is asked for."""
    if style.many:
        yield from _in_one_file_a_content(configurations, folder, style)
        return
    made: set[str] = set()
    for configuration in configurations:
        content = configuration.label.rpartition("/")[0]
        if content not in made:
            (folder / content).mkdir(parents=True)
            made.add(content)
        path = f"{folder}/{configuration.label}{style.suffix}"
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666)
        try:
            os.write(descriptor, style.text(configuration).encode())
        finally:
            os.close(descriptor)
        yield configuration


def _in_one_file_a_content(
    configurations: Iterable[Configuration], folder: Path, style: StructureFormat
) -> Iterator[Configuration]:
    file: TextIO | None = None
    current = ""
    try:
        for configuration in configurations:
            content = configuration.label.rpartition("/")[0]
            if file is None or content != current:
                if file is not None:
                    file.close()
                file = (folder / f"{content}{style.suffix}").open("a", encoding="utf-8")
                current = content
            file.write(style.text(configuration))
            yield configuration
    finally:
        if file is not None:
            file.close()


@contextmanager
def _appearing_whole(folder: Path) -> Iterator[Path]:
    """A working folder beside the wanted one that takes its place when all is well and vanishes when not."""
    partial = folder.parent / f".{folder.name}.{os.getpid()}.partial"
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        partial.mkdir()
    except OSError as error:
        raise InputError(f"{folder} cannot be made ({error.strerror})") from error
    try:
        yield partial
        partial.rename(folder)
    except BaseException:
        shutil.rmtree(partial)
        raise
