"""pydantic's complaints in kalloy's words: one sentence with the place and the nearest known key."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from kalloy.errors import nearest


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
    loc = [str(part) for part in first["loc"]]
    place = ".".join(part for part in loc if not part.startswith(("literal", "function-", "list[", "tuple[")))
    if first["type"] == "extra_forbidden":
        return f"unknown key '{place}': {nearest(loc[-1], sorted(_keys(model, first['loc'][:-1])))}"
    if first["type"] == "missing":
        return f"'{place}' is missing"
    message = first["msg"].removeprefix("Value error, ").removeprefix("Assertion failed, ")
    return f"'{place}' is {first['input']!r}: {message[0].lower()}{message[1:]}" if place else message


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
