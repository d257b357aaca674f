"""Which of custodian's corrections are on and which are kept: data, and the user's own where the campaign names it."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path
from typing import Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from kalloy.errors import SpecError, nearest, why_unreadable
from kalloy.workflows.validation import explain, read_user_text

CureClass = Literal["path", "physics", "none"]
FILE = "corrections.yaml"


class Policy(BaseModel):
    """What is in ``corrections.yaml``."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    most: int = Field(ge=0, strict=True)
    """Corrections in one attempt."""
    numerical_path: frozenset[str]
    """INCAR tags that change how a solution is found, not which."""
    handlers: dict[Literal["vasp", "gpaw"], dict[str, CureClass | dict[str, CureClass]]]
    """By engine and name of custodian's class: the class of its cures, as a whole or error by error."""

    @field_validator("numerical_path")
    @classmethod
    def _upper(cls, tags: frozenset[str]) -> frozenset[str]:
        return frozenset(tag.upper() for tag in tags)

    def watched(self, engine: str) -> dict[str, list[str] | None]:
        """Handlers that are asked while the engine runs, each with its errors (None: it knows but one)."""
        return self._with(engine, lambda cure: cure == "path")

    def final(self, engine: str) -> dict[str, list[str] | None]:
        """Handlers that are asked once the engine has ended without what was asked for: all of them."""
        return self._with(engine, lambda cure: True)

    def _with(self, engine: str, fits: Any) -> dict[str, list[str] | None]:
        found: dict[str, list[str] | None] = {}
        for name, cures in self.handlers.get(engine, {}).items():  # type: ignore[call-overload]
            if isinstance(cures, dict):
                if errors := [error for error, cure in cures.items() if fits(cure)]:
                    found[name] = errors
            elif fits(cures):
                found[name] = None
        return found


def load_policy(asked: str | dict[str, list[str]] | None, folder: Path) -> dict[str, Any] | None:
    """What an attempt's record says of corrections: None for kalloy's own.

    Parameters
    ----------
    asked : of ``[calculation] corrections``: a file, relative to ``folder``, or ``{ allow = ["EDIFF"] }``.

    Raises
    ------
    SpecError
        Where the file is missing or says what it must not.
    """
    if asked is None:
        return None
    if isinstance(asked, str):
        over = _read(folder / asked)
    else:
        over = {"numerical_path": [*_bundled()["numerical_path"], *asked["allow"]]}
    where = asked if isinstance(asked, str) else "calculation.corrections"
    return parse_policy(over, where).model_dump(mode="json")


def parse_policy(over: dict[str, Any] | None, where: str = "corrections") -> Policy:
    """kalloy's own policy with the keys of ``over`` in place of its own."""
    try:
        policy = Policy.model_validate(_bundled() | (over or {}))
    except ValidationError as error:
        raise SpecError(explain(error, Policy), where=where) from None
    _require_known(policy, where)
    return policy


def _require_known(policy: Policy, where: str) -> None:
    """Refuse tags that VASP and handlers and errors that custodian does not have.

    Both are asked only for what kalloy's own does not name.
    """
    whole = _bundled()
    if more := sorted(policy.numerical_path - set(whole["numerical_path"])):
        from kalloy.workflows.inputs.checks.vasp_tags import is_known, known_tags

        if unknown := [tag for tag in more if not is_known(tag)]:
            raise SpecError(f"VASP knows no tag {unknown[0]}", where=where, mend=nearest(unknown[0], known_tags()))
    bundled: dict[str, Any] = whole["handlers"]["vasp"]
    for name, cures in (item for handlers in policy.handlers.values() for item in handlers.items()):
        new = set(cures) - set(bundled.get(name, {})) if isinstance(cures, dict) else set()
        if name in bundled and not new:
            continue
        from custodian.vasp import handlers as custodian

        if not hasattr(custodian, name):
            raise SpecError(f"custodian has no handler '{name}'", where=where, mend=nearest(name, list(bundled)))
        known = list(getattr(getattr(custodian, name), "error_msgs", {}))
        if unknown := sorted(new - set(known)):
            raise SpecError(f"{name} knows no error '{unknown[0]}'", where=where, mend=nearest(unknown[0], known))


def unknown_to_custodian() -> list[str]:
    """What kalloy's own policy names and the installed custodian has not: ``VaspErrorHandler.brmix``."""
    from custodian.vasp import handlers as custodian

    missing = []
    for name, cures in _bundled()["handlers"]["vasp"].items():
        handler = getattr(custodian, name, None)
        known = set(getattr(handler, "error_msgs", {}))
        if handler is None:
            missing.append(name)
        elif isinstance(cures, dict):
            missing += [f"{name}.{error}" for error in cures if error not in known]
    return missing


def _bundled() -> dict[str, Any]:
    text = files(__package__).joinpath(FILE).read_text(encoding="utf-8")
    bundled: dict[str, Any] = yaml.safe_load(text)
    return bundled


def _read(path: Path) -> dict[str, Any]:
    if not path.is_file():
        raise SpecError(f"no file '{path}'", where="calculation.corrections", mend="a path relative to kalloy.toml")
    try:
        raw = yaml.safe_load(read_user_text(path))
    except (yaml.YAMLError, RecursionError) as error:
        raise SpecError(f"not YAML: {why_unreadable(error)}", where=str(path)) from None
    if not isinstance(raw, dict):
        raise SpecError("holds no mapping", where=str(path))
    return raw
