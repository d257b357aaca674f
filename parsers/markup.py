"""A forward-only walk over XML elements, forgiving of damage, deaf to entities and document types."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from kalloy.errors import ParseError
from kalloy.parsers.source import CutOffError, MalformedError, Source
from kalloy.parsers.tables import Table, read_pieces

LONGEST_TAG = 1 << 10
DOCUMENT_TYPE = "declares a document type or entities, which no VASP file does"
MOST_DEFECTS = 20
"""Damaged places after which reading stops: a file so broken is not worth a minute of anybody's time."""
MOST_UNKNOWN = 10_000

_NAME = re.compile(rb"</?([A-Za-z_][\w.:-]*)")
_CONTROL = re.compile(rb"[\x00-\x08\x0e-\x1f]")
_USERS_WORDS = re.compile(rb'<i\b[^<>\n]*type="string"[^<>\n]*>.*</i>')
_ATTRIBUTE = re.compile(rb'([\w:]+)\s*=\s*"([^"]*)"')


@dataclass(frozen=True)
class Tag:
    """An opening or closing tag."""

    name: str
    """Element name."""
    attributes: dict[str, str]
    """Attributes of an opening tag."""
    start: int
    """Position of its ``<``."""
    end: int
    """Position after its ``>``."""
    closing: bool = False
    """Whether it is a closing tag."""
    empty: bool = False
    """Whether it closes itself (``<set/>``)."""

    @property
    def close(self) -> bytes:
        """The tag that ends this element."""
        return f"</{self.name}>".encode()


def refuse_damage(text: bytes) -> None:
    """Look for the traces that overwritten or missing bytes leave in markup.

    What a user wrote (string settings) is left out: the program copies it as it is.

    Raises
    ------
    MalformedError
        If there are control characters, or opening and closing tags do not balance.
    """
    bare = _USERS_WORDS.sub(b"", text) if b'"string"' in text else text
    if _CONTROL.search(bare):
        raise MalformedError("control characters in the text")
    brackets, closing, empty = bare.count(b"<"), bare.count(b"</"), bare.count(b"/>")
    if bare.count(b">") != brackets or brackets != 2 * closing + empty:
        raise MalformedError("opening and closing tags do not balance")


class Walker:
    """Goes through the elements of one file and keeps a list of its defects."""

    def __init__(self, source: Source) -> None:
        self.source = source
        self.position = 0
        self.defects: list[str] = []
        self._unknown = 0

    def children(self, parent: str) -> Iterator[Tag]:
        """The elements inside ``parent``, until it closes; the caller reads or skips each before the next.

        Raises
        ------
        CutOffError
            If the file ends first.
        """
        while True:
            tag = self._next_tag()
            if tag.closing and tag.name == parent:
                return
            if tag.closing:
                self.defect(f"</{tag.name}> closes nothing")
                continue
            yield tag

    def section(self, tag: Tag) -> bytes:
        """The whole text inside a short element.

        Raises
        ------
        CutOffError
            If the file ends first.
        MalformedError
            If another of its kind opens before it closes.
        """
        if tag.empty:
            return b""
        stop = self.source.find(tag.close, tag.end)
        if stop < 0:
            raise CutOffError
        text = self.source.take(tag.end, stop)
        self._leave(stop + len(tag.close))
        if re.search(rb"<" + tag.name.encode() + rb"[\s>]", text):
            raise MalformedError(f"<{tag.name}> opens again before it closes")
        refuse_damage(text)
        return text

    def table(self, tag: Tag) -> Table:
        """The numbers inside a long element, read in pieces.

        Raises
        ------
        CutOffError
            If the file ends first.
        MalformedError
            If they make no table.
        """
        if tag.empty:
            raise MalformedError(f"<{tag.name}> is empty")
        try:
            return read_pieces(self._following(tag))
        except MalformedError:
            # What is left of it is no better: go on behind it.
            self._leave(self.source.skip_past(tag.close, max(self.position, tag.end)))
            raise

    def _following(self, tag: Tag) -> Iterator[tuple[int, bytes]]:
        for position, piece in self.source.pieces(tag.end, tag.close, b"</r>"):
            self.position = position + len(piece)
            yield position, piece
        self._leave(self.position + len(tag.close))

    def skip(self, tag: Tag) -> None:
        """Pass over an element of a kind that is known to be long.

        Raises
        ------
        CutOffError
            If the file ends first.
        """
        if not tag.empty:
            self._leave(self.source.skip_past(tag.close, tag.end))

    def skip_unknown(self, tag: Tag) -> None:
        """Pass over an element of a kind that is not known; where it never closes, only over its opening tag."""
        self._unknown += 1
        if self._unknown > MOST_UNKNOWN:
            raise MalformedError(f"more than {MOST_UNKNOWN} elements that no VASP writes; reading stopped here")
        if tag.empty:
            return
        try:
            stop = self.source.find(tag.close, tag.end)
        except MalformedError:
            stop = -1
        if stop < 0:
            self.defect(f"<{tag.name}> never closes", tag.start)
        else:
            self._leave(stop + len(tag.close))

    def defect(self, what: str, position: int | None = None) -> None:
        """Put a damaged place on record.

        Raises
        ------
        MalformedError
            If there are too many to go on.
        """
        line = self.source.line(self.position if position is None else position)
        self.defects.append(f"line {line}: {what}")
        if len(self.defects) >= MOST_DEFECTS:
            raise MalformedError("too much is damaged; reading stopped here")

    def _leave(self, position: int) -> None:
        self.position = position
        self.source.release(position)

    def _next_tag(self) -> Tag:
        while True:
            start = self.source.find(b"<", self.position)
            if start < 0:
                raise CutOffError
            if self.source.take(self.position, start).strip():
                self.defect("text where only elements may stand")
            tag = self._tag_at(start)
            if tag is not None:
                return tag

    def _tag_at(self, start: int) -> Tag | None:
        """The tag that starts there, or None for what is no element (a declaration, a comment, rubbish)."""
        if self.source.starts_with(b"<!--", start):
            self._leave(self.source.skip_past(b"-->", start))
            return None
        try:
            end = self.source.find(b">", start, LONGEST_TAG)
        except MalformedError:
            end = start
        if end < 0:
            raise CutOffError
        text = self.source.take(start, end + 1)
        self._leave(end + 1)
        if text.startswith((b"<!DOCTYPE", b"<!ENTITY")):
            raise ParseError(DOCUMENT_TYPE, where=str(self.source.path))
        match = _NAME.match(text)
        if match is None or b"<" in text[1:] or _CONTROL.search(text):
            if not text.startswith(b"<?"):
                self.defect("a tag that is none")
            return None
        attributes = {k.decode("latin-1"): v.decode("latin-1") for k, v in _ATTRIBUTE.findall(text)}
        name = match.group(1).decode("latin-1")
        return Tag(name, attributes, start, end + 1, text.startswith(b"</"), text.endswith(b"/>"))
