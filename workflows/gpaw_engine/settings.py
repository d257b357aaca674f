"""The settings of one calculation: INCAR read once, with VASP's defaults, into typed values in eV and Å."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any

from kalloy.errors import VaspInputError
from kalloy.workflows.gpaw_engine.tags import check_tags


class Freedom(Enum):
    """What a relaxation may change, as ISIF says it: (ions, shape of the cell, volume)."""

    IONS_WITHOUT_STRESS = 0
    IONS_WITH_PRESSURE = 1
    IONS = 2
    ALL = 3
    IONS_AND_SHAPE = 4
    SHAPE = 5
    SHAPE_AND_VOLUME = 6
    VOLUME = 7
    IONS_AND_VOLUME = 8

    @property
    def ions(self) -> bool:
        """Do the ions move?"""
        return self.value in (0, 1, 2, 3, 4, 8)

    @property
    def shape(self) -> bool:
        """May the shape of the cell change?"""
        return self.value in (3, 4, 5, 6)

    @property
    def volume(self) -> bool:
        """May the volume change?"""
        return self.value in (3, 6, 7, 8)

    @property
    def cell(self) -> bool:
        """Does the cell change at all?"""
        return self.shape or self.volume

    @property
    def stress(self) -> bool:
        """Is the stress tensor computed?"""
        return self is not Freedom.IONS_WITHOUT_STRESS


@dataclass(frozen=True)
class Settings:
    """One INCAR, as this engine will honour it."""

    system: str
    """SYSTEM, the title."""
    encut: float
    """Cut-off of the plane waves, eV."""
    reach: float
    """PREC: radius that the real-space grid holds, in radii of the sphere of plane waves: 2 for Accurate, else 3/2."""
    ediff: float
    """Electronic convergence: change of the cell's energy between two steps, eV (absolute, as in VASP)."""
    nelm: int
    """Most electronic steps for one geometry."""
    nelmin: int
    """Fewest electronic steps for one geometry."""
    nbands: int | None
    """Bands asked for; None for VASP's default."""
    amix: float | None
    """AMIX: how much of a step's new density is taken; None for the engine's own choice. It changes the way alone."""
    ismear: int
    """-5 tetrahedra with Bloechl's corrections, -1 Fermi-Dirac, 0 Gaussian, N > 0 Methfessel-Paxton of order N."""
    sigma: float
    """Width of the smearing, eV."""
    spins: int
    """1 or 2 spin channels."""
    magmoms: tuple[float, ...] | None
    """Initial moments in Bohr magnetons, one an atom; None for VASP's default (1 an atom with two channels)."""
    isym: int
    """-1 no symmetry at all, 0 only k and -k, otherwise the crystal's symmetry."""
    symprec: float
    """Tolerance in Å within which two positions are the same."""
    steps: int
    """Most ionic steps (geometries computed); 0 for a static calculation."""
    freedom: Freedom
    """What a relaxation may change."""
    ediffg: float
    """Ionic convergence: below zero the largest force in eV/Å, above zero a change of energy in eV."""
    fixed_density: bool
    """ICHARG = 11: eigenvalues in the density that an earlier calculation left in gpaw.gpw."""
    continues: bool
    """ISTART = 1 to 3, or ICHARG = 1: self-consistency begins with gpaw.gpw where that fits."""
    lorbit: int
    """0 no projections, 10 by angular momentum, 11 by orbital."""
    nedos: int
    """Points of the density of states."""
    emin: float | None
    """Lower end of the density of states, eV; None for just below the lowest eigenvalue."""
    emax: float | None
    """Upper end of the density of states, eV; None for just above the highest eigenvalue."""
    optics: bool
    """LOPTICS: the dielectric function of independent particles."""
    cshift: float
    """Complex shift of the frequency, eV."""
    omegamax: float | None
    """Largest frequency, eV; None for a little beyond the largest transition."""
    spinors: bool
    """LSORBIT: spin-orbit coupling, added to the states of the kept density without a new self-consistency."""
    keep_density: bool
    """LCHARG: write the density to gpaw.gpw."""
    keep_waves: bool
    """LWAVE: write the wave functions to gpaw.gpw too."""

    @property
    def relaxes(self) -> bool:
        """Is this a relaxation?"""
        return self.steps > 0


def read_settings(incar: Mapping[str, Any], atoms: int) -> Settings:
    """Settings from an INCAR's tags.

    Parameters
    ----------
    incar : tags in upper case, values as pymatgen's ``Incar`` reads them.
    atoms : atoms in the cell, for the length of MAGMOM.

    Raises
    ------
    VaspInputError : for the first tag that is unknown or cannot be honoured.
    """
    check_tags(incar)
    tags = _Tags(incar)
    ediff = tags.number("EDIFF", 1e-4, above=0)
    nsw = tags.integer("NSW", 0, least=0)
    ibrion = tags.choice("IBRION", -1 if nsw == 0 else 0, (-1, 0, 1, 2) if nsw == 0 else (-1, 1, 2))
    emin, emax = tags.number("EMIN", 10.0), tags.number("EMAX", -10.0)
    spins = tags.choice("ISPIN", 1, (1, 2))
    tags.require_kept_density()
    spinors = tags.flag("LSORBIT", False)
    if spinors and "MAGMOM" in incar:
        tags.require_no_moments(atoms)
    return Settings(
        system=str(incar.get("SYSTEM", "unknown system")),
        encut=tags.cutoff(),
        reach=2.0 if tags.precision() in ("ACCURATE", "HIGH") else 1.5,
        ediff=ediff,
        nelm=tags.integer("NELM", 60, least=1),
        nelmin=tags.integer("NELMIN", 2, least=1),
        nbands=tags.integer("NBANDS", 0, least=1) if "NBANDS" in incar else None,
        amix=tags.number("AMIX", 0.4, above=0) if "AMIX" in incar else None,
        ismear=tags.smearing(),
        sigma=tags.number("SIGMA", 0.2, above=0),
        spins=spins,
        magmoms=tags.moments(atoms) if spins == 2 else None,
        isym=tags.choice("ISYM", 2, (-1, 0, 1, 2, 3)),
        symprec=tags.number("SYMPREC", 1e-5, above=0),
        steps=0 if ibrion == -1 else nsw,
        freedom=Freedom(tags.choice("ISIF", 2, tuple(range(9)))),
        ediffg=tags.number("EDIFFG", 10 * ediff),
        fixed_density=tags.charge() == 11,
        continues=tags.charge() == 1 or tags.start() > 0,
        lorbit=tags.choice("LORBIT", 0, (0, 10, 11)),
        nedos=tags.integer("NEDOS", 301, least=2),
        emin=emin if emin < emax else None,
        emax=emax if emin < emax else None,
        optics=tags.flag("LOPTICS", False),
        cshift=tags.number("CSHIFT", 0.1, above=0),
        omegamax=tags.number("OMEGAMAX", 0.0, above=0) if "OMEGAMAX" in incar else None,
        spinors=spinors,
        keep_density=tags.flag("LCHARG", True),
        keep_waves=tags.flag("LWAVE", True),
    )


class _Tags:
    """Typed access to the tags, with refusals that name them."""

    def __init__(self, incar: Mapping[str, Any]) -> None:
        self.incar = incar

    def refuse(self, tag: str, why: str, mend: str | None = None) -> VaspInputError:
        return VaspInputError(f"{tag} = {self.incar.get(tag)} {why}", where="INCAR", mend=mend)

    def number(self, tag: str, default: float, above: float | None = None) -> float:
        value = self.incar.get(tag, default)
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise self.refuse(tag, "is not a number")
        if above is not None and not value > above:
            raise self.refuse(tag, f"is not above {above:g}")
        return float(value)

    def integer(self, tag: str, default: int, least: int) -> int:
        value = self.incar.get(tag, default)
        if isinstance(value, bool) or not isinstance(value, int):
            raise self.refuse(tag, "is not an integer")
        if value < least:
            raise self.refuse(tag, f"is below {least}")
        return value

    def choice(self, tag: str, default: int, values: Sequence[int]) -> int:
        value = self.incar.get(tag, default)
        if isinstance(value, bool) or value not in values:
            if tag not in self.incar:
                raise VaspInputError(
                    f"{tag} is not given, and VASP's default for it, {default}, cannot be honoured by kalloy-gpaw",
                    where="INCAR",
                    mend=f"choose {tag} among {', '.join(map(str, values))}",
                )
            raise self.refuse(
                tag, "cannot be honoured by kalloy-gpaw", f"choose among {', '.join(map(str, values))}, or use vasp_std"
            )
        return int(value)

    def flag(self, tag: str, default: bool) -> bool:
        value = self.incar.get(tag, default)
        if not isinstance(value, bool):
            raise self.refuse(tag, "is neither .TRUE. nor .FALSE.")
        return value

    def start(self) -> int:
        return self.choice("ISTART", 0, (0, 1, 2, 3))

    def charge(self) -> int:
        """ICHARG; 0, the density of the orbitals read, is the default with ISTART > 0 and means nothing without."""
        charge = self.choice("ICHARG", 0 if self.start() else 2, (0, 1, 2, 11))
        if charge == 0 and not self.start():
            mend = "set ISTART = 1 too, or choose ICHARG = 2"
            raise self.refuse("ICHARG", "takes the density from orbitals that ISTART = 0 does not read", mend)
        return charge

    def cutoff(self) -> float:
        if "ENCUT" not in self.incar:
            raise VaspInputError(
                "ENCUT is not given, and there is no POTCAR to take it from", where="INCAR", mend="add ENCUT = (eV)"
            )
        return self.number("ENCUT", 0.0, above=0)

    def precision(self) -> str:
        given = str(self.incar.get("PREC", "Normal")).upper()
        kinds = [k for k in ("NORMAL", "ACCURATE", "HIGH", "MEDIUM", "LOW", "SINGLE") if k.startswith(given[:1])]
        if not kinds:
            raise self.refuse("PREC", "is not one that VASP knows", "choose Normal or Accurate")
        return next((k for k in kinds if k.startswith(given[:2])), kinds[0])

    def smearing(self) -> int:
        value = self.incar.get("ISMEAR", 1)
        if value == -5 and self.incar.get("ICHARG") != 11:
            why = "cannot be honoured by kalloy-gpaw in a self-consistent run"
            raise self.refuse(
                "ISMEAR", why, "choose 0 and SIGMA here, and -5 with ICHARG = 11 for the density of states"
            )
        if isinstance(value, bool) or not isinstance(value, int) or (value < -1 and value != -5):
            why = "cannot be honoured by kalloy-gpaw"
            raise self.refuse("ISMEAR", why, "choose -5 (with ICHARG = 11), -1, 0, or a positive order, and SIGMA")
        return value

    def require_kept_density(self) -> None:
        """Refuse what is done in a kept density only, where it is asked of a self-consistent run."""
        for tag, what in (("LOPTICS", "optical spectra"), ("LSORBIT", "spin-orbit coupling")):
            if self.flag(tag, False) and self.incar.get("ICHARG") != 11:
                mend = "set ICHARG = 11 and copy gpaw.gpw from a static calculation"
                raise self.refuse(tag, f"needs a kept density here: kalloy-gpaw adds {what} to it", mend)
        for tag in ("LOPTICS", "LSORBIT"):
            if self.flag(tag, False) and self.incar.get("ISPIN", 1) != 1:
                raise self.refuse(tag, "cannot be honoured by kalloy-gpaw with two spin channels", "set ISPIN = 1")
        if self.flag("LOPTICS", False) and self.flag("LSORBIT", False):
            raise self.refuse("LOPTICS", "cannot be honoured by kalloy-gpaw with LSORBIT", "ask for one of them")

    def require_no_moments(self, atoms: int) -> None:
        """Spinors of a density without moments: MAGMOM is three zeros an atom."""
        moments = self.incar["MAGMOM"]
        if not isinstance(moments, Sequence) or len(moments) != 3 * atoms:
            raise self.refuse("MAGMOM", f"is not three numbers for each of {atoms} atoms, as LSORBIT needs")
        if any(moments):
            mend = "set all moments to zero, or use vasp_ncl"
            raise self.refuse("MAGMOM", "cannot be honoured by kalloy-gpaw with LSORBIT", mend)

    def moments(self, atoms: int) -> tuple[float, ...] | None:
        if "MAGMOM" not in self.incar:
            return None
        moments = self.incar["MAGMOM"]
        if not isinstance(moments, Sequence) or not all(isinstance(m, int | float) for m in moments):
            raise self.refuse("MAGMOM", "is not a list of numbers")
        if len(moments) != atoms:
            raise self.refuse("MAGMOM", f"has {len(moments)} moments for {atoms} atoms")
        return tuple(float(m) for m in moments)
