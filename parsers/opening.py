"""Open a file, plain or compressed, so that damage ends it early instead of losing what came before."""

from __future__ import annotations

import bz2
import io
import lzma
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

from kalloy.errors import ParseError

SUFFIXES = ("", ".gz", ".bz2", ".xz")
"""What a file's name may end with, in order of preference."""

_RAW_BYTES = 1 << 16  # compressed bytes read at a time
_BOMB_BYTES = 1 << 30
_BOMB_RATIO = 400  # real output shrinks 10 to 60-fold; only a bomb, or nothing but zeros, shrinks more


def open_binary(path: Path) -> Opened:
    """Open a file for reading, decompressed by what its first bytes say, whatever its name.

    Raises
    ------
    ParseError
        If it cannot be opened.
    """
    try:
        raw = path.open("rb")
        head = raw.read(6)
        raw.seek(0)
    except OSError as error:
        raise ParseError(f"cannot be read ({error.strerror or error})", where=str(path)) from None
    for magic, decompressor in _DECOMPRESSORS.items():
        if head.startswith(magic):
            return Opened(_Inflated(raw, decompressor))
    return Opened(raw)


class Opened(io.BufferedReader):
    """A file open for reading."""

    @property
    def damage(self) -> str | None:
        """Why a compressed stream ended early, once it has; None while it is sound."""
        return self.raw.damage if isinstance(self.raw, _Inflated) else None


class _Inflated(io.RawIOBase):
    """A compressed file's content; a cut or damaged stream ends where the damage begins."""

    def __init__(self, raw: Any, decompressor: Callable[[], _Decompressor]) -> None:
        self._raw = raw
        self._new = decompressor
        self._decompressor = decompressor()
        self._begun = False
        self._inflated = 0
        self.damage: str | None = None

    def readable(self) -> bool:
        """It is."""
        return True

    def close(self) -> None:
        """Close the compressed file too."""
        self._raw.close()
        super().close()

    def readinto(self, buffer: Any) -> int:
        """Fill ``buffer`` as far as the stream gives."""
        if self.damage is not None:
            return 0
        try:
            content = self._some(len(buffer))
        except (OSError, EOFError, zlib.error, lzma.LZMAError, ValueError) as error:
            self.damage = str(error)
            return 0
        buffer[: len(content)] = content
        return len(content)

    def _some(self, most: int) -> bytes:
        """At least one byte and at most ``most``; none at the end."""
        while True:
            hungry = self._decompressor.hungry
            compressed = self._raw.read(_RAW_BYTES) if hungry else b""
            if hungry and not compressed and not self._begun:
                return b""
            content = self._decompressor.feed(compressed, most)
            self._begun = True
            if self._decompressor.ended:
                self._next_member()
            elif hungry and not compressed and not content:
                raise EOFError("it ends before its end marker")
            if content:
                self._refuse_bombs(len(content))
                return content

    def _refuse_bombs(self, count: int) -> None:
        self._inflated += count
        if self._inflated > _BOMB_BYTES and self._inflated > _BOMB_RATIO * self._raw.tell():
            raise ValueError(f"it inflates more than {_BOMB_RATIO}-fold to more than {_BOMB_BYTES >> 20} MiB")

    def _next_member(self) -> None:
        """Go on with what follows a finished stream: another one, or nothing (rubbish is ignored, as gzip does)."""
        rest = self._decompressor.rest
        self._decompressor = self._new()
        self._begun = False
        if rest.strip(b"\x00"):
            self._decompressor.give_back(rest)
            self._begun = True


class _Decompressor:
    """One face for the three libraries' decompressors."""

    def __init__(self, library: Any) -> None:
        self._library = library
        self._waiting = b""

    def give_back(self, compressed: bytes) -> None:
        """Compressed bytes to begin with."""
        self._waiting = compressed

    @property
    def hungry(self) -> bool:
        """Whether it can go on only with more compressed bytes."""
        return not self._waiting and getattr(self._library, "needs_input", True)

    def feed(self, compressed: bytes, most: int) -> bytes:
        """Decompress; at most ``most`` bytes come out, the rest later."""
        content: bytes = self._library.decompress(self._waiting + compressed, most)
        # zlib hands back what it did not take; the others keep it.
        self._waiting = getattr(self._library, "unconsumed_tail", b"")
        return content

    @property
    def ended(self) -> bool:
        """Whether the stream's end marker was reached."""
        return bool(self._library.eof)

    @property
    def rest(self) -> bytes:
        """What followed the end marker."""
        return bytes(self._library.unused_data)


def _gunzip() -> _Decompressor:
    return _Decompressor(zlib.decompressobj(wbits=31))


def _bunzip2() -> _Decompressor:
    return _Decompressor(bz2.BZ2Decompressor())


def _unxz() -> _Decompressor:
    return _Decompressor(lzma.LZMADecompressor())


_DECOMPRESSORS: dict[bytes, Callable[[], _Decompressor]] = {
    b"\x1f\x8b": _gunzip,
    b"BZh": _bunzip2,
    b"\xfd7zXZ\x00": _unxz,
}
