"""Neutral data as pymatgen's and ASE's objects, against what these packages read from the same file."""

from pathlib import Path

import numpy as np
import pytest

from kalloy.parsers.conversions import fermi_energy, to_ase, to_pymatgen_bands, to_pymatgen_dos
from kalloy.parsers.result import read_result

REAL = Path(__file__).parents[3] / "shared" / "vasp"
if not REAL.is_dir():
    pytest.skip("the real calculations are not beside this checkout (../shared/vasp)", allow_module_level=True)

pytestmark = pytest.mark.filterwarnings("ignore")


@pytest.mark.parametrize("name", ["pmgval_GaAs_fullset", "custodian_K4Sn4O6_fullset"])
def test_pymatgen_reads_the_same(name: str) -> None:
    from pymatgen.electronic_structure.core import Spin
    from pymatgen.io.vasp import Vasprun

    result = read_result(REAL / name)
    assert result.mesh is not None
    assert result.dos is not None
    assert result.crystal is not None
    theirs = Vasprun(str(REAL / name / "vasprun.xml.gz"), parse_potcar_file=False)
    bands = to_pymatgen_bands(result.mesh, result.crystal, fermi_energy(result))
    assert bands.get_band_gap()["energy"] == pytest.approx(result.gap.gap)
    assert bands.get_band_gap()["direct"] is result.gap.direct
    assert np.allclose(bands.bands[Spin.up], theirs.get_band_structure().bands[Spin.up])
    dos, reference = to_pymatgen_dos(result.dos, result.crystal, fermi_energy(result)), theirs.complete_dos
    assert np.allclose(dos.densities[Spin.down], reference.densities[Spin.down])
    for element, density in reference.get_element_dos().items():
        ours = next(d for e, d in dos.get_element_dos().items() if e.symbol == element.symbol)
        assert np.allclose(ours.densities[Spin.up], density.densities[Spin.up])


def test_a_labelled_path_becomes_a_symmetry_line() -> None:
    from pymatgen.electronic_structure.bandstructure import BandStructureSymmLine

    result = read_result(REAL / "atomate_Si_nscf_line_fullset")
    assert result.path is not None
    assert result.crystal is not None
    assert all(all(segment.labels) for segment in result.path.segments)
    bands = to_pymatgen_bands(result.path, result.crystal, fermi_energy(result))
    assert isinstance(bands, BandStructureSymmLine)
    assert bands.get_band_gap()["energy"] == pytest.approx(result.gap.gap)
    assert len(bands.branches) == len(result.path.segments)


@pytest.mark.parametrize("name", ["pmgval_GaAs_fullset", "doped_AgBr_hse"])
def test_ase_reads_the_same(name: str) -> None:
    import gzip
    import io

    from ase.io import read

    text = gzip.decompress((REAL / name / "vasprun.xml.gz").read_bytes()).decode("latin-1")
    theirs = read(io.StringIO(text), format="vasp-xml", index=-1)
    ours = to_ase(read_result(REAL / name))
    assert ours.get_chemical_symbols() == theirs.get_chemical_symbols()
    assert np.allclose(ours.cell[:], theirs.cell[:])
    assert np.allclose(ours.get_scaled_positions(), theirs.get_scaled_positions())
    assert ours.get_potential_energy() == pytest.approx(theirs.get_potential_energy())
    assert np.allclose(ours.get_forces(), theirs.get_forces())
    assert np.allclose(ours.get_stress(), theirs.get_stress(), rtol=1e-6)
