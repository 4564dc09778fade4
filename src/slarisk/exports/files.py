"""Find and open the files of an export: plain, zipped, gzipped, or standard input."""

from __future__ import annotations

import codecs
import glob
import gzip
import io
import re
import sys
import textwrap
import zipfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, TYPE_CHECKING

from slarisk.errors import InputError
from slarisk.exports.databases import is_database
from slarisk.exports.records import Readable

if TYPE_CHECKING:
    from slarisk.config import DataPolicy

STDIN = "-"
SPREADSHEETS = (".xlsx", ".xlsm", ".xls", ".xlsb", ".ods")
_PARQUET_MAGIC, _GZIP_MAGIC = b"PAR1", b"\x1f\x8b"
_HEAD = 4096  # bytes, looked at before a file is read as text


def find_files(pattern: str) -> list[str]:
    """List the files that a path, a folder, a glob or ``-`` stands for, in order of their names.

    The address of a database stands for itself.

    Raises
    ------
    InputError
        There is none, or the folder cannot be read.
    """
    if pattern == STDIN or is_database(pattern):
        return [pattern]
    try:
        path = Path(pattern)
        if path.is_dir():
            # others leave marks in a folder: .DS_Store, _SUCCESS
            found = [entry for entry in path.iterdir() if not entry.name.startswith((".", "_"))]
        else:
            found = [path] if path.exists() else [Path(name) for name in glob.glob(pattern)]
        found = sorted(entry for entry in found if not entry.is_dir())
    except OSError as error:
        raise InputError(f"{pattern}: cannot be read ({error.strerror}).") from error
    if not found and path.is_dir():
        raise InputError(f"{pattern}: there is no file in the folder.")
    if not found:
        raise InputError(
            f"{pattern}: no such file. Give the export's place with data.path=... "
            "(train.py) or input=... (score.py)."
        )
    return [str(entry) for entry in found]


def name_file(file: str) -> str:
    """Name a file in a message."""
    return "standard input" if file == STDIN else file


def count_bytes(files: Iterable[str]) -> int | None:
    """Return the total size of files in bytes; None if it is unknown, as for standard input."""
    try:
        return sum(Path(file).stat().st_size for file in files)
    except OSError:
        return None


@contextmanager
def open_raw(file: str) -> Iterator[IO[bytes]]:
    """Open a file for reading bytes."""
    if file == STDIN:
        yield sys.stdin.buffer
    else:
        with Path(file).open("rb") as raw:
            yield raw


def guess_format(file: str, raw: IO[bytes], policy: DataPolicy) -> str:
    """Guess from the ending of a file, or its beginning: csv, parquet, json, jsonl or excel."""
    ending = Path(file).suffix.lower()
    if file == STDIN:
        if _peek(raw).startswith(_PARQUET_MAGIC):
            return "parquet"
    elif ending in {".parquet", ".pq"}:
        return "parquet"
    elif ending in SPREADSHEETS:
        return "excel"
    elif ending == ".gz":
        ending = Path(file).with_suffix("").suffix.lower()
    elif ending == ".zip":
        with zipfile.ZipFile(raw) as archive:
            ending = Path(_find_member(file, archive, policy)).suffix.lower()
        raw.seek(0)
    if ending in {".jsonl", ".ndjson"}:
        return "jsonl"
    # the header of a CSV does not begin so, whatever the file is called
    looks = re.match(rb"(?:\xef\xbb\xbf)?\s*(?:\{|\[\s*(?:[\]{]|\Z))", _peek(raw, _HEAD))
    return "json" if ending == ".json" or looks else "csv"


def _peek(raw: IO[bytes], size: int = 4) -> bytes:
    return raw.peek(size) if isinstance(raw, io.BufferedReader) else b""


@contextmanager
def open_text(file: str, raw: IO[bytes], policy: DataPolicy) -> Iterator[Recoded]:
    """Open the text of a CSV file in UTF-8, through the zip or gzip around it."""
    ending = Path(file).suffix.lower()
    if ending == ".zip":
        with (
            zipfile.ZipFile(raw) as archive,
            archive.open(_find_member(file, archive, policy)) as inner,
        ):
            yield _recode(file, inner, policy)
    elif ending == ".gz" or (file == STDIN and _peek(raw).startswith(_GZIP_MAGIC)):
        with gzip.open(raw) as inner:
            yield _recode(file, inner, policy)
    else:
        yield _recode(file, raw, policy)


def _find_member(file: str, archive: zipfile.ZipFile, policy: DataPolicy) -> str:
    names = [name for name in archive.namelist() if not _is_clutter(name)]
    if policy.member is not None:
        if policy.member not in names:
            raise InputError(f"{file}: holds no file {policy.member!r}, only {brief(names)}.")
        return policy.member
    if not names:
        raise InputError(f"{file}: there is no file in the archive.")
    if len(names) > 1:
        raise InputError(
            f"{file}: holds {len(names)} files ({brief(names)}). Name one: data.member=..."
        )
    return names[0]


def _is_clutter(name: str) -> bool:
    """Whether a member is a folder, or what macOS puts beside the files."""
    return name.endswith("/") or name.startswith("__MACOSX/") or Path(name).name.startswith(".")


def _recode(file: str, stream: Readable, policy: DataPolicy) -> Recoded:
    head = stream.read(_HEAD)
    _refuse_binary(file, head, policy)
    return Recoded(head, stream, policy.encoding)


def _refuse_binary(file: str, head: bytes, policy: DataPolicy) -> None:
    name = name_file(file)
    if head.startswith(_PARQUET_MAGIC):
        raise InputError(f"{name}: this is a Parquet file. Say so: data.format=parquet.")
    if head.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return  # text, and full of NULs where the policy names another encoding
    if "\0" in head.decode(policy.encoding, errors="ignore"):
        raise InputError(
            f"{name}: this is a binary file, not a CSV. The name of a compressed file must end in "
            f".zip or .gz, that of a workbook in {', '.join(SPREADSHEETS)}."
        )


class Recoded:
    """A stream of text in some encoding, read as UTF-8 without a byte-order mark.

    Text that is in UTF-8 already is passed on as it is, right or wrong.
    """

    def __init__(self, head: bytes, stream: Readable, encoding: str) -> None:
        codec = codecs.lookup(encoding)
        self._begun = b""
        self._decoder = None if codec.name == "utf-8" else codec.incrementaldecoder()
        # with a byte-order mark the first column would have another name
        self._head = head.removeprefix(codecs.BOM_UTF8) if self._decoder is None else head
        self._stream = stream

    def peek(self, size: int) -> bytes:
        """Give the text that :meth:`read` begins with, and leave it there; about ``size`` bytes."""
        begun = self.read(size)
        self._begun = begun
        return begun

    def read(self, size: int, /) -> bytes:
        """Read about ``size`` bytes; none at the end."""
        if self._begun:
            begun, self._begun = self._begun, b""
            return begun
        while chunk := self._head or self._stream.read(size):
            self._head = b""
            if self._decoder is None:
                return chunk
            if text := self._decoder.decode(chunk):
                return text.encode()
        return b"" if self._decoder is None else self._decoder.decode(b"", final=True).encode()


def brief(names: Iterable[str]) -> str:
    """List names, not all of a great many."""
    return textwrap.shorten(", ".join(names), 500, placeholder=" ...")
