"""Cut the bytes of a CSV into blocks of whole records, however many lines a record has."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import numpy as np

from slarisk.errors import InputError

if TYPE_CHECKING:
    from numpy.typing import NDArray

_QUOTE, _NEWLINE = ord('"'), ord("\n")
LONGEST = 1 << 26  # bytes; a quote that is still open after as many was never meant to be one


@dataclass(frozen=True)
class Block:
    """Records of a CSV in UTF-8, each ended by a newline, and the line on which the first begins.

    ``broken``: a single line with a quote that is never closed, or not doubled. The lines after it
    are read as if it were not there.
    """

    data: bytes
    line: int
    newlines: int
    broken: bool = False


class Readable(Protocol):
    """A source of bytes."""

    def read(self, size: int, /) -> bytes:
        """Read at most ``size`` bytes; none at the end."""
        ...


def cut_blocks(name: str, stream: Readable, delimiter: str, size: int) -> Iterator[Block]:
    """Cut a stream into blocks of about ``size`` bytes.

    Parameters
    ----------
    name : str
        Of the file, in messages.
    stream : readable
        A CSV in UTF-8. Lines may end in any way; inside quotes too, a line comes to end in a
        newline.
    delimiter : str
        One ASCII character.
    size : int
        The bytes to read at a time. What the records are does not depend on it.

    Raises
    ------
    InputError
        A line does not end.
    """
    quoted = _match_quoted(delimiter)
    rest, line, final = b"", 1, False
    for chunk in read_lines(stream, size):
        final = chunk == b""
        pieces, rest = _cut(rest + chunk, final, quoted)
        if len(rest) > 2 * LONGEST + size:
            raise InputError(f"{name}, line {line}: has more than {LONGEST:,} bytes and no end.")
        for data, broken in pieces:
            newlines = data.count(b"\n")
            if data:
                yield Block(data, line, newlines, broken)
            line += newlines


def _match_quoted(delimiter: str) -> re.Pattern[bytes]:
    """Match a quoted field with what stands before it; group 1 is missing where it is broken."""
    mark = re.escape(delimiter)
    # possessive, so that each byte is looked at once
    return re.compile(rf'(?:\A|[{mark}\n])"(?:[^"]++|"")*+(?:("(?=[{mark}\n]|\Z))|)'.encode())


def read_lines(stream: Readable, size: int) -> Iterator[bytes]:
    """Read chunks in which every line ends in a newline; an empty one is the end."""
    held = b""
    while chunk := stream.read(size):
        chunk = held + chunk
        held = b"\r" if chunk.endswith(b"\r") else b""  # a newline may follow
        text = chunk[: len(chunk) - len(held)]
        yield from [_mend(text)] if text else []
    yield from [b"\n", b""] if held else [b""]


def _mend(chunk: bytes) -> bytes:
    return chunk.replace(b"\r\n", b"\n").replace(b"\r", b"\n") if b"\r" in chunk else chunk


def _cut(
    buffer: bytes, final: bool, quoted: re.Pattern[bytes]
) -> tuple[list[tuple[bytes, bool]], bytes]:
    """Split a buffer into complete records, whether they are malformed, and the rest."""
    pieces: list[tuple[bytes, bool]] = []
    start = record = after = 0  # of what is not yet in a piece; the last record; the last quotes
    look = 0
    has_quotes = b'"' in buffer
    while has_quotes and (match := quoted.search(buffer, look)):
        quote = match.start() + (buffer[match.start()] != _QUOTE)
        newline = buffer.rfind(b"\n", after, quote)
        record = newline + 1 if newline >= 0 else record
        hopeless = final or len(buffer) - quote > LONGEST
        if match.end() == len(buffer) and not hopeless:
            return [*pieces, (buffer[start:record], False)], buffer[record:]
        if match.group(1) is not None and match.end() - quote <= LONGEST:
            look = after = match.end()
            continue
        end = buffer.find(b"\n", quote) + 1
        if not end and not final:
            return [*pieces, (buffer[start:record], False)], buffer[record:]
        end = end or len(buffer)
        pieces += [(buffer[start:record], False), (buffer[record:end], True)]
        start = record = after = end
        look = end - 1  # its newline stands before the next field
        if end == len(buffer):
            break
    newline = buffer.rfind(b"\n", after)
    record = len(buffer) if final else max(record, newline + 1)
    return [*pieces, (buffer[start:record], False)], buffer[record:]


def number_lines(block: Block, delimiter: str, records: int) -> NDArray[np.int64]:
    """Return the line of the file on which each record of a block begins.

    Parameters
    ----------
    block : Block
        Not a broken one.
    delimiter : str
        One ASCII character.
    records : int
        How many there are: every line outside of quotes, but for empty ones.

    Returns
    -------
    int array of shape (records,)
    """
    data = block.data
    if block.newlines + (not data.endswith(b"\n")) == records:
        return np.arange(block.line, block.line + records)
    newlines = np.flatnonzero(np.frombuffer(data, dtype=np.uint8) == _NEWLINE)
    starts = np.concatenate([[0], newlines + 1])
    ends = np.concatenate([newlines, [len(data)]])
    begins = starts < ends  # an empty line is no record
    for match in _match_quoted(delimiter).finditer(data) if b'"' in data else ():
        inside = np.searchsorted(newlines, [match.start() + 1, match.end()])
        begins[inside[0] + 1 : inside[1] + 1] = False
    return block.line + np.flatnonzero(begins)
