"""K-points of a cell and of the smaller one that it repeats."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kalloy.parsers.folding import fold, supercell_matrix, unfold, unfold_gap
from kalloy.parsers.gap import Edge, Gap

entry = st.integers(-2, 2)
matrices = st.lists(entry, min_size=9, max_size=9).map(lambda m: np.array(m).reshape(3, 3))
# Rhombohedral vectors (obverse) in units of the hexagonal cell's, which holds three.
RHOMBOHEDRAL = np.array([[2, 1, 1], [-1, 1, 1], [-1, -2, 1]]) / 3


@settings(max_examples=60)
@given(matrices, st.tuples(*[st.integers(0, 11)] * 3))
def test_all_that_unfolds_folds_back(matrix: np.ndarray, twelfths: tuple[int, int, int]) -> None:
    cells = abs(round(np.linalg.det(matrix)))
    if cells == 0:
        return
    to_smaller = np.linalg.inv(matrix)
    k = np.array(twelfths) / 12
    found = unfold(k, to_smaller)
    assert len(found) == cells
    assert len({tuple(row) for row in np.round(found, 4).tolist()}) == cells
    difference = fold(found, to_smaller) - k
    assert np.allclose(difference, np.round(difference), atol=1e-6)


def test_the_zone_centre_of_the_hexagonal_cell_holds_thirds_of_the_rhombohedral_one() -> None:
    found = unfold([0, 0, 0], RHOMBOHEDRAL)
    assert np.allclose(found, np.outer([0, 1 / 3, 2 / 3], np.ones(3)))


def gap_between(vbm: tuple[float, float, float], cbm: tuple[float, float, float]) -> Gap:
    return Gap(False, 1.0, vbm == cbm, 1.0, vbm=Edge(0.0, (), (vbm,)), cbm=Edge(1.0, (), (cbm,)))


def test_an_indirect_gap_stays_indirect_and_a_direct_one_may_be_either() -> None:
    centre, edge = (0.0, 0.0, 0.0), (0.5, 0.0, 0.0)
    assert unfold_gap(gap_between(centre, edge), RHOMBOHEDRAL).direct is False
    direct = unfold_gap(gap_between(centre, centre), RHOMBOHEDRAL)
    assert direct.direct is None
    assert direct.cells == 3
    assert len(direct.vbm_kpoints) == 3
    assert unfold_gap(gap_between(centre, centre), np.eye(3)).direct is True


def test_a_cell_that_is_no_repetition_is_refused() -> None:
    with pytest.raises(ValueError, match="no whole repetition"):
        supercell_matrix(np.diag([0.4, 1, 1]))
    with pytest.raises(ValueError, match="no gap"):
        unfold_gap(Gap(True, 0.0), np.eye(3))
