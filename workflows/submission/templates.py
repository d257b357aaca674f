"""Job scripts from jinja2 templates; a user's file of the same name takes the place of ours."""

from __future__ import annotations

import os
import re
import shlex
from importlib.resources import files
from pathlib import Path
from typing import Any

from kalloy.errors import SpecError, nearest


def template_text(name: str, campaign: Path) -> tuple[str, str]:
    """A template's text and where it was found: in the campaign, in the user's configuration, or ours."""
    config = Path(os.environ.get("XDG_CONFIG_HOME", Path.home() / ".config")) / "kalloy"
    for folder in (campaign / "hpc_templates", config / "hpc_templates"):
        if (folder / name).is_file():
            return (folder / name).read_text(encoding="utf-8"), str(folder / name)
    return files("kalloy.hpc_templates").joinpath(name).read_text(encoding="utf-8"), name


def render(name: str, campaign: Path, variables: dict[str, Any]) -> str:
    """A job script; every string that is put into it is quoted for the shell.

    Raises
    ------
    SpecError
        Where the template uses a variable that is not there (the nearest known one is named), or is no template.
    """
    from jinja2 import Environment, StrictUndefined, TemplateError, UndefinedError

    text, where = template_text(name, campaign)
    environment = Environment(
        undefined=StrictUndefined, trim_blocks=True, keep_trailing_newline=True, finalize=_quoted, autoescape=False
    )
    try:
        return environment.from_string(text).render(variables)
    except UndefinedError as error:
        wrong = (re.findall(r"'(\w+)'", str(error)) or [""])[0]
        raise SpecError(f"unknown variable '{wrong}'", where=where, mend=nearest(wrong, list(variables))) from None
    except TemplateError as error:
        raise SpecError(f"not a template: {error}", where=where) from None


class Shell(str):
    """Text that is shell already and goes in as it is."""


def _quoted(value: Any) -> Any:
    return shlex.quote(value) if isinstance(value, str) and not isinstance(value, Shell) else value
