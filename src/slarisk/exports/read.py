"""Read a ticket export: one file or many, or a query of a database, whole or part by part."""

from __future__ import annotations

import gzip
import lzma
import shutil
import tempfile
import zipfile
import zlib
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from functools import partial
from typing import IO, TYPE_CHECKING

import pandas as pd

from slarisk.errors import InputError
from slarisk.exports.databases import is_database, read_query
from slarisk.exports.files import (
    STDIN,
    Recoded,
    brief,
    find_files,
    guess_format,
    name_file,
    open_raw,
    open_text,
)
from slarisk.exports.json_rows import (
    cut_json_lines,
    is_lines,
    list_columns,
    list_json_columns,
    load_records,
    make_frame,
    parse_json_lines,
)
from slarisk.exports.records import Block, cut_blocks
from slarisk.exports.rows import (
    SEPARATOR,
    SOURCE_FILE,
    SOURCE_LINE,
    SOURCE_ROW,
    Layout,
    Rows,
    hint_delimiter,
    parse_batch,
    parse_csv,
    read_header,
)
from slarisk.exports.workbooks import read_workbook

if TYPE_CHECKING:
    from slarisk.config import DataPolicy

from slarisk.exports.rows import Broken

PART_BYTES, PART_ROWS = 1 << 23, 1 << 16  # of a CSV, and of a Parquet file


@dataclass(frozen=True)
class Part:
    """A part of a file that is still to be parsed, which any thread may do.

    ``read`` is how many bytes of all the files are behind it.
    """

    file: str
    parse: Callable[[], Rows]
    read: int


@dataclass(frozen=True, eq=False)
class ReadFields:
    """The rows of an export, and those that could not be read.

    Parameters
    ----------
    frame : DataFrame
        One row per row of the files: text (dates and numbers too, where the file is typed), with
        missing values as NA, plus ``source_file`` and ``source_row`` (1 is the first after the
        header).
    broken : list of Broken
    """

    frame: pd.DataFrame
    broken: list[Broken]


def read_fields(policy: DataPolicy, required: Iterable[str], path: str | None = None) -> ReadFields:
    """Read the columns that a data policy names, under the names of its fields.

    Parameters
    ----------
    policy : DataPolicy
        Says what the file looks like and which column is which field.
    required : iterable of str
        The fields that must be there. Other fields of the policy are read where they exist.
    path : str, optional
        A file, a glob or the address of a database to read instead of the policy's own.

    Raises
    ------
    InputError
        A file is missing, empty or unreadable, lacks a required column, or none of its rows fits.
    """
    frames = []
    broken: list[Broken] = []
    before: dict[str, int] = {}
    for part in read_parts(policy, required, policy.columns, path):
        rows = part.parse()
        behind = before.get(part.file, 0)
        broken += [
            Broken(part.file, behind + each.row, each.reason, each.detail)
            for each in rows.malformed
        ]
        frame = rows.frame.drop(columns=SOURCE_LINE)
        frame[SOURCE_FILE], frame[SOURCE_ROW] = part.file, frame[SOURCE_ROW] + behind
        before[part.file] = behind + len(rows)
        frames.append(frame)
    table = pd.concat(frames, ignore_index=True) if frames else pd.DataFrame()
    if table.empty and broken:
        first = broken[0]
        raise InputError(f"{first.file}, row {first.row}: {first.detail} No row can be read.")
    if table.empty:
        raise InputError(f"{path or policy.path}: there are no tickets in it, only a header.")
    return ReadFields(table, broken)


def count_groups(policy: DataPolicy, file: str) -> list[int]:
    """Count the rows of each row group of a Parquet file; no other file has any.

    Raises
    ------
    InputError
        The file cannot be read.
    """
    import pyarrow.parquet as pq

    if is_database(file):
        return []
    with _told_errors(name_file(file), policy), open_raw(file) as raw:
        if _find_format(policy, file, raw) != "parquet":
            return []
        with pq.ParquetFile(raw) as source:
            found = source.metadata
            return [found.row_group(each).num_rows for each in range(found.num_row_groups)]


def read_parts(
    policy: DataPolicy,
    required: Iterable[str],
    fields: Iterable[str],
    path: str | None = None,
    groups: Iterable[int] | None = None,
) -> Iterator[Part]:
    """Read an export part by part.

    Parameters
    ----------
    policy : DataPolicy
        Says what the file looks like and which column is which field.
    required : iterable of str
        The fields that must be there.
    fields : iterable of str
        Those that are read where they exist.
    path : str, optional
        A file, a folder, a glob, ``-`` (standard input) or the address of a database to read
        instead of the policy's own.
    groups : iterable of int, optional
        The row groups to read of a Parquet file, by default all.

    Raises
    ------
    InputError
        A file is missing, empty or unreadable, or lacks a required column; some of it may only be
        found when a part is parsed.
    """
    needed = {policy.columns[name]: name for name in required if name in policy.columns}
    names = list(dict.fromkeys(name for name in [*fields, *required] if name in policy.columns))
    # a column is read once, for the last field that it feeds
    wanted = {policy.columns[name]: name for name in names}
    twins = {name: wanted[policy.columns[name]] for name in names}
    twins = {name: other for name, other in twins.items() if name != other}
    before = 0
    for file in find_files(path or policy.path):
        name = name_file(file)
        read = 0
        with ExitStack() as opened:
            opened.enter_context(_told_errors(name, policy))
            lay_out = partial(_lay_out, name, wanted=wanted, needed=needed)
            if is_database(file):
                for parse in read_query(file, policy, lay_out, PART_ROWS):
                    yield Part(name, partial(_parse, parse, name, policy, twins), 0)
                continue
            raw = opened.enter_context(open_raw(file))
            form = _find_format(policy, file, raw)
            if form == "parquet":
                parts = _read_parquet(file, raw, policy, lay_out, groups)
            elif form == "excel":
                parts = read_workbook(name, raw, policy, list(needed), lay_out, PART_ROWS)
            else:
                text = opened.enter_context(open_text(file, raw, policy))
                if form == "csv":
                    parts = _read_csv(name, text, policy, list(needed), lay_out)
                else:
                    parts = _read_json(name, text, policy, form == "jsonl", lay_out)
            for parse in parts:
                read = raw.tell() if raw.seekable() else 0
                yield Part(name, partial(_parse, parse, name, policy, twins), before + read)
        before += read


def _find_format(policy: DataPolicy, file: str, raw: IO[bytes]) -> str:
    return policy.format if policy.format != "auto" else guess_format(file, raw, policy)


def _parse(parse: Callable[[], Rows], name: str, policy: DataPolicy, twins: dict[str, str]) -> Rows:
    """Parse a part, and give each field of a column that feeds several its copy."""
    with _told_errors(name, policy):
        rows = parse()
    for field, other in twins.items():
        if other in rows.frame:
            rows.frame[field] = rows.frame[other]
    return rows


def _read_csv(
    name: str,
    text: Recoded,
    policy: DataPolicy,
    needed: list[str],
    lay_out: Callable[[list[str]], Layout],
) -> Iterator[Callable[[], Rows]]:
    first_line = text.peek(1 << 12).partition(b"\n")[0].decode(errors="replace")
    if mark := SEPARATOR.fullmatch(first_line):
        policy = replace(policy, delimiter=mark[1])
    layout: Layout | None = None
    broken: Block | None = None  # before the header
    for block in cut_blocks(name, text, policy.delimiter, PART_BYTES):
        if layout is None and block.broken and broken is None:
            broken = block
            continue
        if layout is None:
            header, block = read_header(name, block, policy, needed)
            if broken is not None and not set(needed) <= set(header):
                read_header(name, broken, policy, needed)  # raises
            layout = lay_out(header) if header else None
        if layout is not None and block.data.strip():
            yield partial(parse_csv, name, block, layout, policy)
    if broken is not None and layout is None:
        read_header(name, broken, policy, needed)  # raises
    if layout is None:
        raise InputError(f"{name}: the file is empty.")


def _read_json(
    name: str,
    text: Recoded,
    policy: DataPolicy,
    lines: bool,
    lay_out: Callable[[list[str]], Layout],
) -> Iterator[Callable[[], Rows]]:
    if not lines and not is_lines(text.peek(PART_BYTES)):
        whole = b"".join(iter(lambda: text.read(PART_BYTES), b""))
        records = load_records(name, whole, policy)
        layout = lay_out(list_columns(records)) if records else None
        for start in range(0, len(records), PART_ROWS):
            part = records[start : start + PART_ROWS]
            assert layout is not None
            rows = list(range(1, len(part) + 1))
            yield partial(Rows, make_frame(part, layout, rows, [0] * len(part)))
        return
    found: Layout | None = None
    for block in cut_json_lines(name, text, PART_BYTES):
        if found is None:
            found = lay_out(list_json_columns(name, block, policy))
        yield partial(parse_json_lines, name, block, found, policy)


def _read_parquet(
    file: str,
    raw: IO[bytes],
    policy: DataPolicy,
    lay_out: Callable[[list[str]], Layout],
    groups: Iterable[int] | None,
) -> Iterator[Callable[[], Rows]]:
    import pyarrow.parquet as pq

    with ExitStack() as opened:
        if file == STDIN:  # Parquet is read from its end
            raw = opened.enter_context(_keep(raw))
        source = opened.enter_context(pq.ParquetFile(raw))
        layout = lay_out(source.schema_arrow.names)
        for batch in source.iter_batches(PART_ROWS, groups, columns=list(layout.fields)):
            yield partial(parse_batch, batch, layout, policy.decimal)


@contextmanager
def _keep(stream: IO[bytes]) -> Iterator[IO[bytes]]:
    with tempfile.TemporaryFile() as kept:
        shutil.copyfileobj(stream, kept)
        kept.seek(0)
        yield kept


def _lay_out(
    name: str, header: list[str], wanted: dict[str, str], needed: dict[str, str]
) -> Layout:
    """Name the columns to read, in file order; refuse a missing or an ambiguous one."""
    missing = [f"{column!r} (field {of})" for column, of in needed.items() if column not in header]
    if missing:
        raise InputError(
            f"{name}: there is no column {', '.join(missing)}. The file has: {brief(header)}. "
            f"Map the columns in the data policy.{hint_delimiter(header)}"
        )
    repeated = sorted(
        {column for column in header if column in wanted and header.count(column) > 1}
    )
    if repeated:
        raise InputError(f"{name}: the column {', '.join(repeated)} stands there more than once.")
    return Layout(header, {column: wanted[column] for column in header if column in wanted})


@contextmanager
def _told_errors(name: str, policy: DataPolicy) -> Iterator[None]:
    """Convert errors of the readers into an InputError that names the file."""
    import pyarrow as pa

    try:
        yield
    except UnicodeError as error:
        raise InputError(
            f"{name}: is not {policy.encoding}. If it has another encoding, name it: "
            "data.encoding=latin-1 or utf-16, for example."
        ) from error
    except (zipfile.BadZipFile, gzip.BadGzipFile, zlib.error, lzma.LZMAError, EOFError) as error:
        raise InputError(f"{name}: the archive is damaged or cut short ({error}).") from error
    except RuntimeError as error:  # of zipfile: encrypted, or compressed in a way it does not know
        raise InputError(f"{name}: the archive cannot be opened ({error}).") from error
    except pa.ArrowException as error:
        raise InputError(f"{name}: not a readable Parquet file ({_one_line(error)}).") from error
    except LookupError as error:
        if "encoding" not in str(error):
            raise
        raise InputError(f"data.encoding={policy.encoding}: no such encoding.") from error
    except OSError as error:
        reason = error.strerror or _one_line(error)
        raise InputError(f"{name}: cannot be read ({reason}).") from error


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())
