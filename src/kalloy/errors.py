"""The one tree of errors: a message names the offender, the place and the mend."""

from __future__ import annotations


def brief(text: object, most: int = 200) -> str:
    """What somebody else's error or value says, cut where it goes on for ever."""
    whole = str(text)
    return whole if len(whole) <= most else whole[: most - 1] + "…"


def why_unreadable(error: Exception) -> str:
    """What the reader of a format says of a file, in one line; what nests deeper than Python follows is called so."""
    return "nested too deeply" if isinstance(error, RecursionError) else " ".join(str(error).split())


class KalloyError(Exception):
    """Base of everything kalloy raises on purpose.

    Parameters
    ----------
    what : the offender and what is wrong with it, as a sentence without its full stop.
    where : the file, line, tag or option in which it stands.
    mend : what to do about it, as a sentence without its full stop.
    """

    exit_code = 1

    def __init__(self, what: str, *, where: str | None = None, mend: str | None = None) -> None:
        self.what, self.where, self.mend = what, where, mend
        place = f"{where}: " if where else ""
        remedy = f"; {mend}" if mend else ""
        super().__init__(f"{place}{what}{remedy}")


class InputError(KalloyError):
    """What the user gave cannot be used; nothing has been written."""

    exit_code = 2


class HostError(InputError):
    """A host structure that cannot be read, or lacks what a substitution names."""


class SubstitutionError(InputError):
    """A substitution that is malformed or cannot be made on its host."""


class SpecError(InputError):
    """A kalloy.toml, preset or site table with a wrong or unknown key."""


class VaspInputError(InputError):
    """An INCAR, KPOINTS, POSCAR or POTCAR that an engine or a check refuses."""


class EngineMissingError(InputError):
    """The engine that a campaign asks for is not installed."""


class EnumerationError(KalloyError):
    """An enumeration that contradicts the exact count; a fault of kalloy or of the host's symmetry."""


class ParseError(KalloyError):
    """A file that should hold results and holds none that can be read."""


class EngineError(KalloyError):
    """An engine stopped before it reached what was asked."""


class RemoteError(KalloyError):
    """A machine over ssh that cannot be reached or is not ready; what runs there is not touched by it."""


class AgreementError(KalloyError):
    """Results that were not computed alike and must not be compared."""


class AverageError(KalloyError):
    """An average or a thermodynamic figure that what is computed cannot carry."""


class CampaignError(KalloyError):
    """A campaign folder whose files contradict each other."""


class LockedError(KalloyError):
    """Another driver works on the campaign."""

    exit_code = 4


def how_to_install(extra: str) -> str:
    """The command that adds an extra: from kalloy's own source, for its name at a package index may be anybody's."""
    command = "CC=g++ pip install --no-cache-dir" if extra == "gpaw" else "pip install"
    return f"in kalloy's source folder: {command} '.[{extra}]'"


def nearest(word: str, known: list[str] | tuple[str, ...]) -> str:
    """A phrase that names the known word closest to a misspelt one.

    Returns
    -------
    ``did you mean 'x'?`` where something is close, else what is known, up to 80 words of it.
    """
    from difflib import get_close_matches

    folded = {k.casefold(): k for k in known}
    close = get_close_matches(word.casefold(), folded, n=1, cutoff=0.6)
    if close:
        return f"did you mean '{folded[close[0]]}'?"
    shown = sorted(known)[:80]
    return "known are " + ", ".join(shown) + (", …" if len(shown) < len(known) else "")
