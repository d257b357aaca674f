"""The model that relaxes: any ASE calculator by its import path, and what says which one it was."""

from __future__ import annotations

import io
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stdout
from dataclasses import asdict, dataclass, field
from hashlib import sha256
from importlib import import_module
from importlib.metadata import packages_distributions, version
from inspect import signature
from pathlib import Path
from typing import Any

from kalloy.errors import InputError, nearest
from kalloy.workflows.files import hash_of
from kalloy.workflows.prescreen.table import PrescreenTable

BUILT_IN = {"chgnet": "kalloy.workflows.prescreen.chgnet:calculator"}


@dataclass(frozen=True)
class Model:
    """A calculator and the criteria that it relaxes to: two runs of one model give the same energies."""

    name: str
    version: str
    """Of weights and package, in words; empty where the calculator's package says none."""
    calculator: str
    """``module:factory``."""
    options: dict[str, Any]
    files: dict[str, str]
    """SHA-256 of weights, of the factory's source where it is no installed package, and of files among the options."""
    fmax_eV_A: float
    smax_GPa: float
    rattle_A: float
    steps: int
    ase: str = field(default="", compare=False)
    """Version of ASE, whose filter and optimizer do the steps."""

    @property
    def key(self) -> str:
        """The folder of its results: ``chgnet-3f2a9c1e``, another one for every other setting."""
        plain = {k: v for k, v in self.to_json().items() if k != "ase"}
        return f"{self.name}-{sha256(repr(sorted(plain.items())).encode()).hexdigest()[:8]}"

    @property
    def words(self) -> str:
        """In a line: name, version, criteria."""
        start = f" from positions rattled by {self.rattle_A:g} Å" if self.rattle_A else ""
        return f"{self.name} {self.version}".strip() + f", to {self.fmax_eV_A:g} eV/Å and {self.smax_GPa:g} GPa{start}"

    def to_json(self) -> dict[str, Any]:
        """Plain data."""
        return asdict(self)

    @classmethod
    def from_json(cls, raw: dict[str, Any]) -> Model:
        """From `to_json`."""
        return cls(**raw)

    def build(self, root: Path) -> Any:
        """The ASE calculator.

        Parameters
        ----------
        root : the campaign's folder, where modules of the user's are found.

        Raises
        ------
        InputError
            Where the factory refuses its options.
        """
        with _modules_in(root), redirect_stdout(io.StringIO()):  # models greet
            factory = _factory(self.calculator)
            try:
                return factory(**_resolved(self.options, root))
            except (TypeError, ValueError) as error:
                raise InputError(
                    f"{self.calculator} refuses its options: {error}", where="[prescreen] options"
                ) from error


def model_of(table: PrescreenTable, root: Path) -> Model:
    """The model that a table asks for, as it is installed here.

    Raises
    ------
    InputError
        Where it is unknown or not installed, or does not take its options.
    """
    import ase

    path = table.calculator or BUILT_IN.get(table.model)
    if path is None:
        known = nearest(table.model, list(BUILT_IN))
        mend = f'{known}; any other ASE calculator: calculator = "module:factory"'
        raise InputError(f"no model '{table.model}'", where="[prescreen] model", mend=mend)
    with _modules_in(root):
        words, files = _provenance(path, table.options, root)
    return Model(
        name=table.model,
        version=words,
        calculator=path,
        options=table.options,
        files={f.name: hash_of(f) for f in files},
        fmax_eV_A=table.fmax,
        smax_GPa=table.smax,
        rattle_A=table.rattle,
        steps=table.steps,
        ase=ase.__version__,
    )


def _provenance(path: str, options: dict[str, Any], root: Path) -> tuple[str, list[Path]]:
    """Version in words and the files that decide energies; a factory may say itself, by ``provenance`` beside it."""
    factory = _factory(path)
    try:
        signature(factory).bind(**options)
    except TypeError as error:
        raise InputError(f"{path} does not take its options: {error}", where="[prescreen] options") from None
    module = sys.modules[path.partition(":")[0]]
    if hasattr(module, "provenance"):
        words, files = module.provenance(**options)
        return str(words), list(files)
    named = [root / value for value in options.values() if _is_file(value)]
    for file in named:
        if not file.is_file():
            raise InputError(f"no file '{file}'", where="[prescreen] options", mend="paths are relative to kalloy.toml")
    package = packages_distributions().get(module.__name__.partition(".")[0])
    if package:
        return f"({package[0]} {version(package[0])})", named
    return "", [*named, *([Path(module.__file__)] if module.__file__ else [])]


def _factory(path: str) -> Callable[..., Any]:
    module, _, name = path.partition(":")
    try:
        found = getattr(import_module(module), name)
    except (ImportError, AttributeError) as error:
        mend = "install it, or put the module beside kalloy.toml"
        raise InputError(f"{path} cannot be imported: {error}", where="[prescreen] calculator", mend=mend) from error
    if not callable(found):
        raise InputError(f"{path} is no factory", where="[prescreen] calculator", mend="name a class or a function")
    return found


def _resolved(options: dict[str, Any], root: Path) -> dict[str, Any]:
    """Files named relative to kalloy.toml as paths that hold anywhere."""
    return {k: str((root / v).resolve()) if _is_file(v) else v for k, v in options.items()}


def _is_file(value: Any) -> bool:
    return isinstance(value, str) and value.startswith(("./", "../"))


@contextmanager
def _modules_in(root: Path) -> Iterator[None]:
    """Modules beside kalloy.toml can be imported, for the block only."""
    sys.path.insert(0, str(root.resolve()))
    try:
        yield
    finally:
        sys.path.remove(str(root.resolve()))
