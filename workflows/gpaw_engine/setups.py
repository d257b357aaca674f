"""The PAW datasets that GPAW finds for an element, and how they are named in the files."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

from kalloy.errors import VaspInputError


@dataclass(frozen=True)
class Dataset:
    """One element's PAW data."""

    symbol: str
    """The element."""
    valence: int
    """Electrons treated as valence."""
    fingerprint: str
    """Hash of the data's file."""
    momenta: tuple[int, ...]
    """Angular momenta of the radial projectors."""

    @property
    def projectors(self) -> int:
        """Projectors of one atom."""
        return sum(2 * ell + 1 for ell in self.momenta)

    @property
    def radial(self) -> int:
        """Radial projectors."""
        return len(self.momenta)

    @property
    def lmax(self) -> int:
        """The largest angular momentum."""
        return max(self.momenta)

    @property
    def title(self) -> str:
        """What stands where VASP has POTCAR's TITEL."""
        return f"PAW_PBE {self.symbol} gpaw {self.fingerprint}"


@cache
def dataset(symbol: str) -> Dataset:
    """The PBE dataset of an element.

    Raises
    ------
    VaspInputError : GPAW's data have none.
    """
    from gpaw.setup_data import SetupData

    try:
        data = SetupData(symbol, "PBE")
    except FileNotFoundError as error:
        raise VaspInputError(
            f"GPAW has no PBE dataset for {symbol}", where="POSCAR", mend="install gpaw-data, or use vasp_std"
        ) from error
    return Dataset(symbol, int(data.Nv), str(data.fingerprint), tuple(int(ell) for ell in data.l_j))
