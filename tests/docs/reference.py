"""The tables of the reference pages, made from the code: ``python -m tests.docs.reference`` writes them anew.

What stands between ``<!-- generated -->`` and ``<!-- end -->`` of a page is made here, the words around it by hand.
"""

from __future__ import annotations

import ast
import inspect
import re
import textwrap
import types
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, Union, get_args, get_origin

import click
from pydantic import BaseModel
from pydantic.fields import FieldInfo

from kalloy.cli import VERBS, cli
from kalloy.workflows.inputs.preset import BandsSettings, Preset, RestartSettings, bundled_presets, load_preset
from kalloy.workflows.inputs.stage import Stage
from kalloy.workflows.report.tables import FIELDS
from kalloy.workflows.spec import Spec

FOLDER = Path(__file__).resolve().parents[2] / "docs" / "reference"


def filled(page: str, made: str) -> str:
    """A page with its generated part made anew."""
    before, rest = page.split("<!-- generated -->", 1)
    return f"{before}<!-- generated -->\n\n{made.strip()}\n\n<!-- end -->{rest.split('<!-- end -->', 1)[1]}"


def _row(*cells: str) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def _table(head: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> str:
    return "\n".join([_row(*head), "|" + "---|" * len(head), *(_row(*row) for row in rows)])


def _one_line(text: str) -> str:
    """As it is written in a docstring, for a page: rst's code marks are those of Markdown."""
    return re.sub(r"\s+", " ", text).strip().replace("``", "`")


# The verbs


def commands() -> str:
    """Every verb with its help and its options, in the order of the work."""
    return "\n\n".join(_verb(name) for name in VERBS)


def _verb(name: str) -> str:
    context = click.Context(cli, info_name="kalloy")
    command = cli.get_command(context, name)
    assert command is not None
    inside = click.Context(command, info_name=name, parent=context)
    parts = [f"## kalloy {name}", f"`kalloy {name} {' '.join(command.collect_usage_pieces(inside))}`"]
    for paragraph in textwrap.dedent("    " + (command.help or "")).split("\n\n"):
        if paragraph.startswith("\b\n"):
            parts.append(f"<!-- block: named: examples -->\n```\n{paragraph[2:].strip()}\n```")
        else:
            parts.append(_one_line(paragraph))
    options = [p for p in command.params if isinstance(p, click.Option) and "--help" not in p.opts]
    if rows := [record for option in options if (record := option.get_help_record(inside))]:
        parts.append(_table(("option", "meaning"), [(f"`{option}`", _option(words)) for option, words in rows]))
    return "\n\n".join(parts)


def _option(words: str) -> str:
    """What an option means; its default and bounds, which click puts into brackets, in italics."""
    return re.sub(r"\s*\[((?:default|required|env var|x|\d)[^\]]*)\]$", r" *(\1)*", _one_line(words))


# kalloy.toml


def spec() -> str:
    """Every table of kalloy.toml with its keys."""
    titles: dict[type[BaseModel], list[str]] = {}
    for title, model in _tables(Spec, ""):
        titles.setdefault(model, []).append(title)
    return "\n\n".join(_model(", ".join(written), model) for model, written in titles.items())


def _tables(model: type[BaseModel], above: str) -> Iterator[tuple[str, type[BaseModel]]]:
    """Each table below a model with how it is written, each before those inside it."""
    for name, field in model.model_fields.items():
        for inner, times in _models_in(field.annotation):
            key = f"{above}{field.alias or name}"
            title = {"list": f"[[{key}]]", "dict": f"[{key}.NAME]"}.get(times, f"[{key}]")
            yield title.replace(".stage.NAME", ".stage.STAGE"), inner
            yield from _tables(inner, title.strip("[]") + ".")


def _models_in(annotation: Any, times: str = "") -> Iterator[tuple[type[BaseModel], str]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation, times
    origin = get_origin(annotation)
    for argument in get_args(annotation):
        yield from _models_in(argument, origin.__name__ if origin in (list, dict) else times)


def _model(title: str, model: type[BaseModel]) -> str:
    meanings = _meanings(model)
    words = re.sub(r"^`[^:]*`: ", "", _one_line(inspect.getdoc(model) or ""))
    rows = [
        (f"`{field.alias or name}`", _value(field), _default(field), meanings.get(name, ""))
        for name, field in model.model_fields.items()
    ]
    head = ("key", "value", "default", "meaning")
    return f"## {title}\n\n{words[0].upper()}{words[1:]}\n\n{_table(head, rows)}"


def _meanings(model: type[BaseModel]) -> dict[str, str]:
    """The docstring under each attribute, of the models it inherits from too."""
    found: dict[str, str] = {}
    for base in reversed([m for m in model.__mro__ if issubclass(m, BaseModel) and m is not BaseModel]):
        body = ast.parse(textwrap.dedent(inspect.getsource(base))).body[0]
        assert isinstance(body, ast.ClassDef)
        for this, after in zip(body.body, body.body[1:], strict=False):
            if isinstance(this, ast.AnnAssign) and isinstance(after, ast.Expr):
                found[ast.unparse(this.target)] = _one_line(ast.literal_eval(after.value))
    return found


def _value(field: FieldInfo) -> str:
    """What a key may be, with its bounds."""
    signs = {"ge": "≥", "gt": ">", "le": "≤", "lt": "<"}
    bounds = [
        f"{sign} {getattr(m, name):.12g}" for m in field.metadata for name, sign in signs.items() if hasattr(m, name)
    ]
    return " ".join([_kind(field.annotation), ", ".join(bounds)]).strip()


def _kind(annotation: Any) -> str:
    """A type in TOML's words."""
    origin, inside = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        return _kind(inside[0])
    if origin is Literal:
        return " or ".join(f"`{_toml(value)}`" for value in inside)
    if origin in (Union, types.UnionType):
        return " or ".join(dict.fromkeys(_kind(part) for part in inside if part is not type(None)))
    if origin in (list, tuple):
        return f"list of {f'{len(inside)} ' if origin is tuple else ''}{_kind(inside[0])}s"
    if origin is dict or (isinstance(annotation, type) and issubclass(annotation, BaseModel)):
        return "table"
    return _WORDS.get(annotation, "string")


_WORDS = {bool: "boolean", int: "integer", float: "number", Stage: "stage"}


def _default(field: FieldInfo) -> str:
    if field.is_required():
        return "required"
    value = field.get_default(call_default_factory=True)
    said = _toml(value)
    return "–" if value is None or said in ("[]", "{}", '""') else f"`{said}`"


def _toml(value: object) -> str:
    if isinstance(value, BaseModel):
        return _toml(value.model_dump(exclude_defaults=True))
    if isinstance(value, dict):
        return f"{{ {', '.join(f'{k} = {_toml(v)}' for k, v in value.items())} }}" if value else "{}"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, list):
        return f"[{', '.join(map(_toml, value))}]"
    return f'"{value}"' if isinstance(value, str) else f"{value:g}" if isinstance(value, float) else str(value)


# Presets


def presets() -> str:
    """Every preset with the settings it comes to, its parents' merged in; parents before their children."""
    loaded = sorted(map(load_preset, bundled_presets()), key=lambda p: (len(_ancestors(p)), p.name))
    return "\n\n".join(map(_preset, loaded))


def _ancestors(preset: Preset) -> list[str]:
    return [preset.parent, *_ancestors(load_preset(preset.parent))] if preset.parent else []


def _preset(preset: Preset) -> str:
    parent = f"from `{preset.parent}`, " if preset.parent else ""
    head = f"Of {preset.dated}, {parent}for engine `{preset.engine}`."
    rough = " Rough: for learning and checking, not for answers." if preset.rough else ""
    rows = [(f"`{s}`", _tags(preset.incar.get(s, {})), preset.kpoints[s].words) for s in Stage]
    more = [
        f"NBANDS: {', '.join(f'`{s}` {_bands(b)}' for s, b in preset.nbands.items())}." if preset.nbands else "",
        _restarts(preset.relax_restarts),
        f"Energies of the DOS from {preset.dos_window[0]:g} to {preset.dos_window[1]:g} eV about the VBM.",
        f"POTCAR: {', '.join(preset.potcar.values())}." if preset.potcar else "",
    ]
    return "\n\n".join(
        [
            f"## {preset.name}",
            f"{preset.summary[0].upper()}{preset.summary[1:]}. {head}{rough}",
            f"Every stage: {_tags(preset.incar.get('all', {}))}",
            _table(("stage", "INCAR besides", "k-points"), rows),
            " ".join(filter(None, more)),
        ]
    )


def _tags(tags: dict[str, Any]) -> str:
    return ", ".join(f"`{name} = {_tag(value)}`" for name, value in tags.items())


def _tag(value: object) -> str:
    if isinstance(value, bool):
        return f".{str(value).upper()}."
    if isinstance(value, list):
        return " ".join(map(_tag, value))
    return f"{value:g}" if isinstance(value, float) else str(value)


def _restarts(restarts: RestartSettings | None) -> str:
    if restarts is None:
        return "One run a relaxation."
    settled = f"until a run takes at most {restarts.until_steps} ionic steps"
    return f"Relaxations of the cell are begun anew {settled}, at most {restarts.at_most} times."


def _bands(bands: BandsSettings) -> str:
    if bands.times_occupied is not None:
        return f"{bands.times_occupied:g} times the occupied bands of static"
    return f"{bands.times_bands:g} times the bands of static"


# The ranking


def ranking() -> str:
    """Every key of a row of ranking.json."""
    rows = [("`schema`", "1"), *((f"`{name}`", what) for name, (_, what) in FIELDS.items())]
    return _table(("key", "meaning"), rows)


MADE: dict[str, Callable[[], str]] = {
    "commands.md": commands,
    "spec.md": spec,
    "presets.md": presets,
    "files.md": ranking,
}

if __name__ == "__main__":
    for name, made in MADE.items():
        (FOLDER / name).write_text(filled((FOLDER / name).read_text(), made()))
