"""The stages of a calculation and what each needs to know about itself."""

from __future__ import annotations

from enum import StrEnum

from kalloy.errors import SpecError, nearest


class Takes(StrEnum):
    """What a stage takes from a finished parent."""

    STRUCTURE = "structure"
    """CONTCAR of the parent becomes POSCAR."""
    CELL = "cell"
    """The parent's lattice, after whose fractional coordinates were taken: they stay."""
    CHARGE_DENSITY = "charge density"
    """The parent's charge density: ``CHGCAR`` of VASP, ``gpaw.gpw`` of kalloy-gpaw."""
    ENERGY_WINDOW = "energy window"
    """EMIN and EMAX around the parent's gap, so that the grid of the DOS is spent where one looks."""
    BANDS = "bands"
    """NBANDS as a multiple of the parent's occupied bands, or of its bands, as the preset's ``nbands`` says."""


class Program(StrEnum):
    """Which build of an engine runs a stage; a site's ``commands`` says how each is started."""

    STANDARD = "std"
    NONCOLLINEAR = "ncl"
    GAMMA_ONLY = "gam"
    GPAW = "gpaw"


class Stage(StrEnum):
    """One step of a calculation; its settings are data in a preset."""

    RELAX = "relax"
    STATIC = "static"
    DOS = "dos"
    BANDS = "bands"
    OPTICS = "optics"
    SOC = "soc"
    HSE = "hse"

    @classmethod
    def parse(cls, text: str, where: str) -> Stage:
        """From its name; raises `SpecError` with the nearest known one."""
        try:
            return cls(text)
        except ValueError:
            raise SpecError(f"no stage '{text}'", where=where, mend=nearest(text, [s.value for s in cls])) from None

    @property
    def parents(self) -> dict[Stage, tuple[Takes, ...]]:
        """The stages of the same member that must be done first, and what is taken from each.

        ``static`` takes the relaxed structure where the campaign relaxes at all.
        """
        return _PARENTS[self]

    @property
    def is_relaxation(self) -> bool:
        """Whether atoms move."""
        return self is Stage.RELAX

    @property
    def is_on_a_path(self) -> bool:
        """Whether its k-points lie on lines instead of a mesh."""
        return self is Stage.BANDS

    @property
    def is_noncollinear(self) -> bool:
        """Whether its states are spinors: twice the bands, and a moment of three components for every atom."""
        return self is Stage.SOC

    @property
    def engines(self) -> tuple[str, ...]:
        """The engines that can compute it."""
        return ("vasp",) if self is Stage.HSE else ("vasp", "gpaw")

    def program(self, engine: str, *, gamma_only: bool = False) -> Program:
        """The build that runs it.

        Parameters
        ----------
        engine : ``vasp`` or ``gpaw``.
        gamma_only : whether Γ is its one k-point, where VASP's wave functions are real.
        """
        if engine == "gpaw":
            return Program.GPAW
        if self.is_noncollinear:
            return Program.NONCOLLINEAR
        return Program.GAMMA_ONLY if gamma_only else Program.STANDARD

    @property
    def optional_parents(self) -> frozenset[Stage]:
        """Parents that a campaign may leave out: then the member's own structure is used."""
        return frozenset({Stage.RELAX}) if self is Stage.STATIC else frozenset()


_FROM_STATIC = (Takes.STRUCTURE, Takes.CHARGE_DENSITY)
_FROM_STATIC_AND_BANDS = (*_FROM_STATIC, Takes.BANDS)
_PARENTS: dict[Stage, dict[Stage, tuple[Takes, ...]]] = {
    Stage.RELAX: {},
    Stage.STATIC: {Stage.RELAX: (Takes.STRUCTURE,)},
    Stage.DOS: {Stage.STATIC: (*_FROM_STATIC, Takes.ENERGY_WINDOW)},
    Stage.BANDS: {Stage.STATIC: _FROM_STATIC},
    Stage.OPTICS: {Stage.STATIC: _FROM_STATIC_AND_BANDS},
    Stage.SOC: {Stage.STATIC: _FROM_STATIC_AND_BANDS},
    Stage.HSE: {Stage.STATIC: _FROM_STATIC},
}
