"""A small vasprun.xml written from numbers, so that tests know the answer and need no file."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

Written = Callable[..., bytes]


def _varray(name: str, rows: np.ndarray, indent: str) -> str:
    lines = "".join(f"{indent} <v>{''.join(f'{x:17.8f}' for x in np.atleast_1d(row))} </v>\n" for row in rows)
    return f'{indent}<varray name="{name}" >\n{lines}{indent}</varray>\n'


def _structure(name: str, indent: str = " ") -> str:
    attribute = f' name="{name}"' if name else ""
    return (
        f"{indent}<structure{attribute} >\n{indent} <crystal>\n"
        + _varray("basis", np.diag([4.0, 4.0, 5.0]), indent + "  ")
        + f"{indent} </crystal>\n"
        + _varray("positions", np.array([[0.0, 0, 0], [0.5, 0.5, 0.5]]), indent + " ")
        + f"{indent}</structure>\n"
    )


def _eigenvalues(energies: np.ndarray, occupations: np.ndarray) -> str:
    lines = [
        "  <eigenvalues>\n   <array>\n    <field>eigene</field>\n    <field>occ</field>\n    <set>\n",
    ]
    for s, (by_k, occ_k) in enumerate(zip(energies, occupations, strict=True)):
        lines.append(f'     <set comment="spin {s + 1}">\n')
        for k, (bands, occ) in enumerate(zip(by_k, occ_k, strict=True)):
            lines.append(f'      <set comment="kpoint {k + 1}">\n')
            lines += [f"       <r>{e:10.4f} {o:10.4f} </r>\n" for e, o in zip(bands, occ, strict=True)]
            lines.append("      </set>\n")
        lines.append("     </set>\n")
    return "".join(lines) + "    </set>\n   </array>\n  </eigenvalues>\n"


def vasprun_text(
    energies: np.ndarray,
    occupations: np.ndarray,
    kpoints: np.ndarray,
    weights: np.ndarray,
    nelect: float,
    electronic_steps: int = 3,
    nelm: int = 60,
    spinors: bool = False,
) -> bytes:
    """A calculation with the given bands; shapes (spin, k, band), (k, 3), (k,)."""
    steps = '  <scstep>\n   <energy>\n    <i name="e_fr_energy">   -10.00000000 </i>\n   </energy>\n  </scstep>\n'
    return (
        '<?xml version="1.0" encoding="ISO-8859-1"?>\n<modeling>\n'
        ' <generator>\n  <i name="program" type="string">vasp </i>\n  <i name="version" type="string">6.4.1 </i>\n'
        " </generator>\n <kpoints>\n"
        + _varray("kpointlist", kpoints, "  ")
        + _varray("weights", weights, "  ")
        + ' </kpoints>\n <parameters>\n  <separator name="electronic" >\n'
        f'   <i name="NELECT">{nelect:16.8f}</i>\n   <i type="int" name="NELM">{nelm:6d}</i>\n'
        f'   <i type="logical" name="LNONCOLLINEAR"> {"T" if spinors else "F"}  </i>\n  </separator>\n'
        '  <i type="int" name="NSW">     0</i>\n  <i type="int" name="IBRION">    -1</i>\n </parameters>\n'
        ' <atominfo>\n  <array name="atoms" >\n   <set>\n    <rc><c>K </c><c>   1</c></rc>\n'
        "    <rc><c>Br</c><c>   2</c></rc>\n   </set>\n  </array>\n"
        '  <array name="atomtypes" >\n   <set>\n'
        "    <rc><c>   1</c><c>K </c><c>     39.098</c><c>      9.0</c><c>  PAW_PBE K_sv 06Sep2000 </c></rc>\n"
        "    <rc><c>   1</c><c>Br</c><c>     79.904</c><c>      7.0</c><c>  PAW_PBE Br 06Sep2000 </c></rc>\n"
        "   </set>\n  </array>\n </atominfo>\n"
        + _structure("initialpos")
        + " <calculation>\n"
        + steps * electronic_steps
        + _structure("", "  ")
        + '  <energy>\n   <i name="e_fr_energy">   -10.00000000 </i>\n   <i name="e_wo_entrp">   -10.00000000 </i>\n'
        '   <i name="e_0_energy">   -10.00000000 </i>\n  </energy>\n'
        + _eigenvalues(energies, occupations)
        + " </calculation>\n"
        + _structure("finalpos")
        + "</modeling>\n"
    ).encode("latin-1")


@pytest.fixture(scope="session")
def vasprun() -> Written:
    """Writes a vasprun.xml from numbers."""
    return vasprun_text


@pytest.fixture
def folder(tmp_path: Path) -> Callable[[bytes], Path]:
    """Puts a vasprun.xml in a folder and gives the folder."""

    def put(content: bytes, name: str = "vasprun.xml") -> Path:
        (tmp_path / name).write_bytes(content)
        return tmp_path

    return put
