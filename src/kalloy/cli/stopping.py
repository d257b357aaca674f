"""Being stopped by a person or a machine: one sentence, the exit code that a shell expects, and nothing half done."""

from __future__ import annotations

import signal
import sys
from types import FrameType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sys import UnraisableHookArgs

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
"""Ctrl-C, a kill or a shutdown, a closed terminal."""
AGAIN = "type the same command again to go on"
MENDS = {"execute": "what it ran has ended with it: `kalloy retry` writes the next attempt"}
"""Of verbs that are not simply typed again."""


class Stop:
    """Whether this process was told to stop. Signals belong to the process, and so does this."""

    def __init__(self) -> None:
        self.number: int | None = None
        """The signal that came."""

    def listen(self) -> None:
        """From now on these signals end the program by an exception, so that everything is put away."""
        for number in SIGNALS:
            if signal.getsignal(number) is not signal.SIG_IGN:  # nohup means: go on
                signal.signal(number, self._heard)
        sys.unraisablehook = self._lost

    def forget(self) -> None:
        """From now on they end it at once: there is nothing left to put away."""
        for number in SIGNALS:
            if signal.getsignal(number) == self._heard:
                signal.signal(number, signal.SIG_DFL)

    def _lost(self, what: UnraisableHookArgs) -> None:
        """Our own exception that a finaliser swallowed is raised again by `obey`, and need not be told."""
        if self.number is None or not isinstance(what.exc_value, KeyboardInterrupt | SystemExit):
            sys.__unraisablehook__(what)

    def _heard(self, number: int, frame: FrameType | None) -> None:
        self.number = number
        self.obey()

    def obey(self) -> None:
        """Raise where a signal came: again, for what is raised while Python runs a finaliser is lost."""
        if self.number == signal.SIGINT:
            raise KeyboardInterrupt
        if self.number is not None:
            raise SystemExit(128 + self.number)


STOP = Stop()


def code_of(error: BaseException) -> int | None:
    """The exit code of a program that a signal ended; None for an exception that is no such end."""
    if isinstance(error, KeyboardInterrupt):
        return 128 + signal.SIGINT
    if isinstance(error, SystemExit) and error.code in [128 + number for number in SIGNALS]:
        assert isinstance(error.code, int)
        return error.code
    return 128 + STOP.number if STOP.number is not None else None


def sentence(code: int, verb: str | None) -> str:
    """What is said then."""
    name = signal.Signals(code - 128).name
    by = "" if name == "SIGINT" else f" by {name}"
    return f"stopped{by}; {MENDS.get(verb or '', AGAIN)}"
