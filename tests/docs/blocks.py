"""The blocks of a page and what is done with each: the convention is in CONTRIBUTING.md."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

_FENCE = re.compile(r"^```(\S*)(?:\s.*)?$")
_MARK = re.compile(r"^<!-- block: (.*?) -->$")
_HIDDEN = re.compile(r"^<!-- run: (.*?) -->$")
MARKS = re.compile(r"engine|exit \d+|file \S+|(named|quoted): \S.*")


@dataclass(frozen=True)
class Block:
    """What stands between two fences, or in a comment that runs something unseen."""

    place: str
    """Page and line."""
    language: str
    text: str
    mark: str = ""

    def marked(self, word: str) -> str | None:
        """What follows a word of the mark; None where it does not have the word."""
        return self.mark[len(word) :].lstrip(": ") if self.mark.startswith(word) else None


def blocks_of(page: Path) -> Iterator[Block]:
    """Every block of a page, in order."""
    lines = page.read_text().splitlines()
    number, mark = 0, ""
    while number < len(lines):
        line, place = lines[number], f"{page.name}:{number + 1}"
        number += 1
        if found := _HIDDEN.match(line):
            yield Block(place, "", found[1])
        if fence := _FENCE.match(line):
            end = lines.index("```", number)
            yield Block(place, fence[1], "\n".join(lines[number:end]) + "\n", mark)
            number = end + 1
        found = _MARK.match(line)
        mark = found[1] if found else ""


def commands(text: str) -> list[tuple[str, str]]:
    """Each command of a console block with what stands below it; a block without prompts is one command."""
    if not text.startswith("$ "):
        return [(text, "")]
    parts = re.split(r"^\$ ", text, flags=re.MULTILINE)[1:]
    return [(command, below) for command, _, below in (part.partition("\n") for part in parts)]


def fits(shown: str, said: str) -> bool:
    """Whether a page shows what was said; ``…`` stands for anything, as a line for any lines, elsewhere within one."""
    pattern = ""
    for line in tidy(shown):
        if line.strip() == "…":
            pattern += r"(?:.*\n)*?"
        else:
            pattern += r"[^\n]*".join(map(re.escape, line.split("…"))) + "\n"
    return re.fullmatch(pattern, "".join(line + "\n" for line in tidy(said))) is not None


def tidy(text: str) -> list[str]:
    """Lines without the spaces at their ends, and without empty ones around and within tables."""
    return [line.rstrip() for line in text.splitlines() if line.strip()]
