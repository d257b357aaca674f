"""pydantic's complaints in kalloy's words: one sentence with the place and the nearest known key."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from kalloy.errors import SpecError, brief, nearest


def complaint(error: ValidationError) -> ErrorDetails:
    """The one worth telling: an unknown key before all else, for it often is the cause of a missing one."""
    found = error.errors(include_url=False)
    return next((e for e in found if e["type"] == "extra_forbidden"), found[0])


def explain(error: ValidationError, model: type[BaseModel]) -> str:
    """A validation's complaint as a sentence.

    Parameters
    ----------
    model : the model that was validated; its keys are what a misspelt one is compared with.
    """
    first = complaint(error)
    loc = place_of(first)
    place = ".".join(str(part + 1) if isinstance(part, int) else part for part in loc)
    if first["type"] == "extra_forbidden":
        return f"unknown key '{place}': {nearest(str(loc[-1]), sorted(_keys(model, loc[:-1])))}"
    if first["type"] == "literal_error" and first["loc"][-1] == "[key]":
        known = re.findall(r"'(\w+)'", str(first.get("ctx", {}).get("expected", "")))
        return f"unknown key '{place}': {nearest(str(loc[-1]), known)}"
    if first["type"] == "missing":
        return f"'{place}' is missing"
    message = first["msg"].removeprefix("Value error, ").removeprefix("Assertion failed, ")
    return f"'{place}' is {brief(repr(first['input']), 80)}: {message[0].lower()}{message[1:]}" if place else message


def place_of(complaint: ErrorDetails) -> tuple[str | int, ...]:
    """Where a complaint stands in the file: keys and indices, without pydantic's names for the branches of a union."""
    return tuple(p for p in complaint["loc"] if isinstance(p, int) or not _BRANCH.match(p))


_BRANCH = re.compile(
    r"^(literal\[|function-|list\[|dict\[|tuple\[|lax-or-strict|constrained-|int$|float$|str$|bool$|\[key\]|On$|[A-Z]\w*Settings$)"
)


def read_user_text(path: Path) -> str:
    """A text file of the user's.

    Raises
    ------
    SpecError
        Where it cannot be read or is not UTF-8.
    """
    try:
        return path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise SpecError(f"is not UTF-8 at byte {error.start}", where=str(path), mend="save it as UTF-8") from None
    except OSError as error:
        raise SpecError(f"cannot be read: {error.strerror}", where=str(path)) from None


def _keys(model: type[BaseModel], loc: tuple[int | str, ...]) -> set[str]:
    """The keys known where ``loc`` points to, by walking down the model's annotations."""
    models: set[type[BaseModel]] = {model}
    for part in loc:
        deeper: set[type[BaseModel]] = set()
        for m in models:
            for name, info in m.model_fields.items():
                if part in (name, info.alias):
                    deeper |= set(_models_in(info.annotation))
        models = deeper or models
    return {info.alias or name for m in models for name, info in m.model_fields.items()}


def _models_in(annotation: Any) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for argument in getattr(annotation, "__args__", ()):
        yield from _models_in(argument)
