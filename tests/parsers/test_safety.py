"""Hostile, absurd and damaged files: a clear answer within bounded memory and time, never a traceback."""

import bz2
import gzip
import lzma
import random
import re
import subprocess
import sys
import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from kalloy.errors import ParseError
from kalloy.parsers.result import read_result
from kalloy.parsers.vasprun import read_vasprun

REAL = Path(__file__).parents[3] / "shared" / "vasp"
Put = Callable[..., Path]


@pytest.fixture(scope="module")
def small(vasprun: Callable[..., bytes]) -> bytes:
    energies = np.sort(np.random.default_rng(3).normal(size=(1, 30, 6)), axis=2)
    energies[..., 3:] += 9
    kpoints = np.array([[k / 30, 0, 0] for k in range(30)])
    return vasprun(energies, (energies < 5).astype(float), kpoints, np.full(30, 1 / 30), 6)


def test_the_small_file_is_sound(small: bytes, folder: Put) -> None:
    row = read_result(folder(small)).to_json()
    assert (row["complete"], row["electronic_converged"], row["warnings"]) == (True, True, [])


def test_entities_are_refused(small: bytes, folder: Put) -> None:
    bomb = b'<!DOCTYPE x [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;&a;">]>\n<modeling>'
    with pytest.raises(ParseError, match="declares a document type"):
        read_result(folder(small.replace(b"<modeling>", bomb)))
    with pytest.raises(ParseError, match="declares a document type"):
        read_result(folder(small.replace(b"<modeling>", b'<modeling>\n<!ENTITY x SYSTEM "file:///etc/passwd">')))


def test_what_is_no_vasprun_is_said_to_be_none(folder: Put) -> None:
    for rubbish in (
        b"",
        b"hello",
        b"<html><body>404</body></html>",
        bytes(100_000),
        b"\x1f\x8b",
        b"\x1f\x8bxxxxxxxxxxx",
    ):
        with pytest.raises(ParseError, match="no vasprun"):
            read_vasprun(folder(rubbish) / "vasprun.xml")


@pytest.mark.parametrize(
    "nested",
    [
        b"<a>" * 1_000_000,
        b"<a>" * 1_000_000 + b"</a>" * 1_000_000,
        b"<calculation>" * 200_000,
        b"<i " * 1_000_000,
        b"<incar>" + b'<i name="A">' * 300_000 + b"</incar>",
        b"<structure>" + b"<varray>" * 300_000 + b"</structure>",
        b"<" + b"a" * 3_000_000 + b">",
        b"</x>" * 300_000,
        b"<incar><i name=" + b'"' * 1_000_000 + b"></incar>",
    ],
    ids=["open", "closed", "calculations", "half-tags", "items", "arrays", "long-name", "closings", "quotes"],
)
def test_nesting_ends_in_an_incomplete_row(nested: bytes, small: bytes, folder: Put) -> None:
    row = read_result(folder(small.replace(b" <kpoints>", nested + b" <kpoints>"))).to_json()
    assert row["complete"] is False
    assert not row["electronic_converged"]
    assert any(w.startswith("incomplete: line") for w in row["warnings"])


def test_declared_counts_are_not_believed(small: bytes, folder: Put) -> None:
    text = small.replace(b"<field>eigene</field>", b'<dimension dim="1000000000">band</dimension><field>eigene</field>')
    assert read_result(folder(text)).complete
    eigenval = b"1 1 1 1\n1.0\n1e-4\nCAR\nx\n 8 1000000000 1000000000\n\n 0 0 0 1\n 1 2.0 1.0\n"
    (folder(text) / "vasprun.xml").unlink()
    with pytest.raises(ParseError, match="cannot be read"):
        read_result(folder(eigenval, "EIGENVAL"))


BOMBS = {
    "blanks after the root": (b"<modeling>", b"\n"),
    "text in a section": (b"<modeling><incar>", b"x"),
    "text in a skipped block": (b"<modeling><calculation><projected>", b" "),
    "rows of numbers": (b"<modeling><calculation><dos><total><array><set>\n", b"<r> 0.0000 0.0000 0.0000 </r>\n"),
    "a row that never ends": (b"<modeling><calculation><dos><total><array><set>\n<r>", b" 1.0"),
}


@pytest.mark.parametrize("kind", [pytest.param(k, marks=pytest.mark.slow if "row" in k else ()) for k in sorted(BOMBS)])
def test_a_gzip_bomb_ends_in_bounded_memory(kind: str, tmp_path: Path) -> None:
    """1.5 GiB from 1.5 MiB, in a process that is allowed as much address space, half of which its libraries map."""
    head, unit = BOMBS[kind]
    member = gzip.compress(unit * ((1 << 26) // len(unit)), 6)
    (tmp_path / "vasprun.xml.gz").write_bytes(gzip.compress(head) + member * 24)
    script = textwrap.dedent(
        f"""
        import resource
        resource.setrlimit(resource.RLIMIT_AS, (3 << 29, 3 << 29))
        from kalloy.parsers.many import read_row
        row = read_row({str(tmp_path)!r})
        assert row["complete"] is False, row
        print(row["warnings"][0])
        """
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("incomplete: line") or "memory" in done.stdout.lower()


def damaged(text: bytes, rng: random.Random, count: int) -> Iterator[tuple[str, bytes]]:
    """Cuts, flipped bits, overwritten markup, zeroed, doubled and missing stretches."""
    markup = [match.start() for match in re.finditer(rb'[<>/"]', text)]
    for _ in range(count):
        kind = rng.choice(["cut", "flip", "many", "gone", "doubled", "zeroed", *(["markup"] if markup else [])])
        made, at = bytearray(text), rng.randrange(len(text))
        if kind == "cut":
            del made[at:]
        elif kind == "flip":
            made[at] ^= 1 << rng.randrange(8)
        elif kind == "markup":
            made[rng.choice(markup)] = rng.randrange(256)
        elif kind == "many":
            for _ in range(20):
                made[rng.randrange(len(made))] = rng.randrange(256)
        elif kind == "gone":
            del made[at : at + rng.randrange(1, 2000)]
        elif kind == "doubled":
            made[at:at] = made[at : at + rng.randrange(1, 2000)]
        else:
            size = min(rng.randrange(1, 500), len(made) - at)
            made[at : at + size] = bytes(size)
        yield kind, bytes(made)


def assert_never_wrong(text: bytes, folder: Put, seed: int, count: int) -> None:
    """However it is damaged: no crash; cut, never complete; not converged, never both complete and converged.

    A stretch that is missing or doubled can by chance leave another sound file (one electronic step fewer), and a
    flipped digit another number: those two kinds are held to not crashing.
    """
    whole = read_result(folder(text)).to_json()
    converged = bool(whole["electronic_converged"]) and whole["ionic_converged"] is not False
    end = text.rindex(b"</modeling>") + len(b"</modeling>")
    for kind, made in damaged(text, random.Random(seed), count):
        try:
            row = read_result(folder(made)).to_json()
        except ParseError:
            continue
        if kind == "cut" and len(made) < end:
            assert not row["complete"], len(made)
            assert not row["electronic_converged"]
            assert not row["ionic_converged"]
        if not converged and kind in ("cut", "markup", "zeroed"):
            assert not (row["complete"] and row["electronic_converged"] and row["ionic_converged"] is not False)
        if row["complete"] and kind in ("markup", "zeroed"):
            assert row["gap_eV"] == whole["gap_eV"]
            assert row["energy_eV"] == whole["energy_eV"]


@pytest.mark.parametrize("electronic_steps", [3, 60])
def test_damaged_files(electronic_steps: int, vasprun: Callable[..., bytes], folder: Put) -> None:
    energies = np.array([[[-1.0, 1.0], [-2.0, 0.5]]])
    kpoints = np.array([[0.0, 0, 0], [0.5, 0, 0]])
    text = vasprun(energies, (energies < 0) * 1.0, kpoints, np.full(2, 0.5), 2, electronic_steps=electronic_steps)
    assert_never_wrong(text, folder, seed=electronic_steps, count=500)


FUZZED = [
    "addons_Si_nelm_fullset",
    "custodian_Al_static_smearing",
    "custodian_unconverged_ionic",
    "pydefect_Ne_flatband",
]


def real_text(name: str) -> bytes:
    """A real file without what takes long to read and tells nothing of convergence."""
    file = REAL / name / "vasprun.xml.gz"
    if not file.is_file():
        pytest.skip("the real calculations are not beside this checkout (../shared/vasp)")
    text = gzip.decompress(file.read_bytes())
    for tag in (b"projected", b"partial"):
        text = re.sub(rb"<" + tag + rb">.*?</" + tag + rb">\s*", b"", text, flags=re.DOTALL)
    return text


@pytest.mark.parametrize("name", FUZZED)
def test_damaged_real_files(name: str, folder: Put) -> None:
    assert_never_wrong(real_text(name), folder, seed=1, count=100)


@pytest.mark.slow
@pytest.mark.parametrize("name", FUZZED)
def test_real_files_damaged_at_thousands_of_places(name: str, folder: Put) -> None:
    assert_never_wrong(real_text(name), folder, seed=2, count=4000)


@pytest.mark.parametrize("name", ["OUTCAR", "EIGENVAL", "OSZICAR", "DOSCAR", "CONTCAR"])
def test_other_files_damaged(name: str, tmp_path: Path) -> None:
    source = REAL / "custodian_K4Sn4O6_fullset"
    file = next(iter(source.glob(f"{name}*")), None)
    if file is None:
        pytest.skip("the real calculations are not beside this checkout (../shared/vasp)")
    text = gzip.decompress(file.read_bytes()) if file.suffix == ".gz" else file.read_bytes()
    for kind, made in damaged(text, random.Random(5), 60):
        (tmp_path / name).write_bytes(made)
        try:
            row = read_result(tmp_path).to_json()
        except ParseError:
            continue
        assert not (kind == "cut" and row["complete"] and b"General timing" not in made)


@pytest.mark.parametrize("suffix", ["gz", "bz2", "xz"])
def test_a_cut_compressed_file_keeps_what_came_before(suffix: str, small: bytes, tmp_path: Path) -> None:
    modules: dict[str, Any] = {"gz": gzip, "bz2": bz2, "xz": lzma}
    noise = np.random.default_rng(0).integers(0, 10, 2_000_000).astype("U1")
    padded = small.replace(b"</modeling>", b"<!-- " + "".join(noise.tolist()).encode() + b" -->\n</modeling>")
    whole = modules[suffix].compress(padded)
    file = tmp_path / f"vasprun.xml.{suffix}"
    file.write_bytes(whole)
    assert read_result(file).complete
    file.write_bytes(whole[: -len(whole) // 3])
    result = read_result(file)
    assert not result.complete
    if suffix != "bz2":  # whose blocks are larger than what the cut leaves
        assert result.gap.gap is not None
    assert "compressed stream is broken" in result.warnings[0]
