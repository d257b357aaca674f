"""Python, the libraries and what may be there besides, held against what kalloy's own metadata ask for."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator
from importlib.metadata import PackageNotFoundError, metadata, requires, version

from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet

from kalloy.compiled import compiler, is_compiled
from kalloy.errors import how_to_install
from kalloy.workflows.doctor.finding import Finding, failure, ok, warning

Installed = Callable[[str], str | None]
"""The version of a distribution; None where it is not installed."""
EXTRAS = {
    "gpaw": "the free engine",
    "h5": "reading vaspout.h5",
    "chgnet": "the prescreen's model",
    "jobflow": "a campaign as a flow of jobflow's",
}
MODULES = ("numpy", "scipy", "spglib", "pymatgen.core", "ase", "seekpath", "custodian", "matplotlib", "pydantic")
"""What is imported to see whether it can be: all with compiled parts, and what kalloy cannot do a thing without."""
KERNELS = (("kalloy.structures", "kernel"), ("kalloy.parsers", "scanner"))
PATIENCE = 120.0
"""Seconds for all imports together: file systems of clusters can be slow."""


def installed(name: str) -> str | None:
    """The version of a distribution on this machine."""
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def examine_installation() -> Iterator[Finding]:
    """Everything of this room."""
    yield python_version()
    asked = [Requirement(text) for text in requires("kalloy") or ()]
    yield from libraries([r for r in asked if _extra_of(r) is None], installed)
    yield from imports(MODULES)
    yield corrections()
    for extra, purpose in EXTRAS.items():
        yield extra_libraries(extra, purpose, [r for r in asked if _extra_of(r) == extra], installed)
    yield kernels(compiler(), all(is_compiled(*kernel) for kernel in KERNELS))


def python_version(found: tuple[int, ...] = sys.version_info[:3], bound: str | None = None) -> Finding:
    """Against ``requires-python``."""
    asked = bound if bound is not None else metadata("kalloy")["Requires-Python"]
    said = ".".join(map(str, found))
    if SpecifierSet(asked or "").contains(said, prereleases=True):
        return ok("Python", f"{said}, {sys.executable}")
    return failure("Python", f"{said}, and kalloy needs {asked}", "install kalloy with a newer Python")


def libraries(asked: Iterable[Requirement], installed: Installed) -> Iterator[Finding]:
    """Every required library that is not there or out of bounds; one line where all are well."""
    asked = list(asked)
    wrong = [words for r in asked if (words := out_of_bounds(r, installed(r.name)))]
    for words in wrong:
        yield failure(
            "libraries", words, "give kalloy an environment of its own, and install it there anew: python3 -m venv"
        )
    if not wrong:
        custodian = installed("custodian")
        yield ok("libraries", f"{len(asked)} as asked, custodian {custodian} among them")


def extra_libraries(extra: str, purpose: str, asked: Iterable[Requirement], installed: Installed) -> Finding:
    """An extra may be missing; it must not be half there."""
    asked = list(asked)
    there = {r.name: found for r in asked if (found := installed(r.name))}
    install = how_to_install(extra)
    subject = f"extra {extra}"
    if not there:
        return ok(subject, f"not installed: {purpose} ({install})")
    if wrong := [words for r in asked if (words := out_of_bounds(r, installed(r.name)))]:
        return warning(subject, f"{purpose}: {'; '.join(wrong)}", install)
    return ok(subject, f"{purpose}: {', '.join(f'{name} {found}' for name, found in there.items())}")


def out_of_bounds(asked: Requirement, found: str | None) -> str | None:
    """What is wrong with an installed version, in words; None where nothing is."""
    if found is None:
        return f"{asked.name} is not installed"
    if asked.specifier.contains(found, prereleases=True):
        return None
    return f"{asked.name} {found} is not {asked.specifier}"


def imports(modules: Iterable[str]) -> Iterator[Finding]:
    """Import all in another process: a library built for another processor ends the one that loads it."""
    modules = list(modules)
    code = "import importlib, sys\nfor name in sys.argv[1:]:\n importlib.import_module(name); print(name, flush=True)"
    command = [sys.executable, "-W", "ignore", "-c", code, *modules]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=PATIENCE)
    except subprocess.TimeoutExpired:
        yield warning("imports", f"not done after {PATIENCE:.0f} s", "put the environment on a faster disk")
        return
    loaded = done.stdout.split()
    if done.returncode == 0:
        return
    last = (done.stderr.strip().splitlines() or [f"ended by signal {-done.returncode}"])[-1]
    name = modules[len(loaded)] if len(loaded) < len(modules) else modules[-1]
    again = name.split(".")[0]
    yield failure(
        "imports", f"{name} cannot be loaded: {last}", f"pip install --force-reinstall --no-cache-dir {again}"
    )


def corrections() -> Finding:
    """Whether the custodian that is here knows every handler and error that ``corrections.yaml`` names."""
    from kalloy.workflows.execution.policy import unknown_to_custodian

    try:
        unknown = unknown_to_custodian()
    except ImportError as error:
        return failure("custodian", f"cannot be loaded: {error}", "pip install --upgrade custodian")
    if unknown:
        mend = "these errors of VASP are not mended; install the custodian that kalloy was released with"
        return warning("custodian", f"does not know {', '.join(unknown)}", mend)
    return ok("custodian", "knows every error whose cure kalloy has classed")


def kernels(found: str | None, compiled: bool) -> Finding:
    """The compiled parts of kalloy itself are made where there is a C compiler."""
    if compiled:
        return ok("compiled kernels", "made")
    if found:
        return ok("compiled kernels", f"made when first needed, with {found}")
    mend = "install one for speed (Debian: apt-get install gcc)"
    return warning("compiled kernels", "no C compiler: enumerating and reading work, slower", mend)


def _extra_of(asked: Requirement) -> str | None:
    marker = asked.marker
    return next((e for e in EXTRAS if marker.evaluate({"extra": e})), None) if marker else None
