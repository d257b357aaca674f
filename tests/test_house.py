"""The house's rule: imports run one way."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parent.parent
ALLOWED = {
    "structures": {"kalloy.structures", "kalloy.errors", "kalloy.compiled"},
    "parsers": {"kalloy.parsers", "kalloy.structures.crystal", "kalloy.errors", "kalloy.compiled"},
    "workflows/gpaw_engine": {"kalloy.workflows.gpaw_engine", "kalloy.errors"},
    "workflows": {"kalloy.workflows", "kalloy.structures", "kalloy.parsers", "kalloy.errors", "kalloy.__version__"}
    | {"kalloy.compiled"},
}
FILES = [p for room in ("structures", "parsers", "workflows") for p in sorted((REPOSITORY / room).rglob("*.py"))]


def imports(path: Path) -> set[str]:
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= {f"kalloy.{a.name}" for a in node.names} if node.module == "kalloy" else {node.module}
    return {name for name in found if name.split(".")[0] == "kalloy"}


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(REPOSITORY)))
def test_imports_run_one_way(path: Path) -> None:
    room = next(r for r in ALLOWED if path.is_relative_to(REPOSITORY / r)) if "gpaw_engine" not in path.parts else ""
    allowed = ALLOWED[room or "workflows/gpaw_engine"]
    wrong = {n for n in imports(path) if not any(n == a or n.startswith(f"{a}.") for a in allowed)}
    assert not wrong


def test_nothing_imports_the_command_line() -> None:
    assert not [p for p in FILES if any(n.startswith("kalloy.cli") for n in imports(p))]


@pytest.mark.xdist_group("house")
def test_groups_are_seen(request: pytest.FixtureRequest) -> None:
    """What is grouped shares campaigns and schedulers; pytest 9.2 with pytest-xdist 3.8 loses the groups unsaid."""
    assert not request.config.getoption("loadgroup", False) or request.node.nodeid.endswith("@house")
