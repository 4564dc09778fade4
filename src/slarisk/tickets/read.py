"""Read a ticket export: CSV or Parquet, one file or many, whole or part by part."""

from __future__ import annotations

import gzip
import lzma
import reprlib
import shutil
import tempfile
import zipfile
import zlib
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from typing import IO, TYPE_CHECKING, Any

import pandas as pd

from slarisk.errors import InputError
from slarisk.tickets.files import (
    STDIN,
    Recoded,
    brief,
    find_files,
    guess_format,
    name_file,
    open_raw,
    open_text,
)
from slarisk.tickets.records import cut_blocks
from slarisk.tickets.rows import (
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

if TYPE_CHECKING:
    from slarisk.config import DataPolicy

PART_BYTES, PART_ROWS = 1 << 23, 1 << 16  # of a CSV, and of a Parquet file


@dataclass(frozen=True)
class Part:
    """A part of a file that is still to be parsed, which any thread may do.

    ``read`` is how many bytes of all the files are behind it.
    """

    file: str
    parse: Callable[[], Rows]
    read: int


def read_fields(
    policy: DataPolicy, required: Iterable[str], path: str | None = None
) -> pd.DataFrame:
    """Read the columns that a data policy names, under the names of its fields.

    Parameters
    ----------
    policy : DataPolicy
        Says what the file looks like and which column is which field.
    required : iterable of str
        The fields that must be there. Other fields of the policy are read where they exist.
    path : str, optional
        A file or a glob to read instead of the policy's own.

    Returns
    -------
    DataFrame
        One row per row of the files: text (dates and numbers too, where the file is typed), with
        missing values as NA, plus ``source_file`` and ``source_row`` (1 is the first after the
        header).

    Raises
    ------
    InputError
        A file is missing, empty or unreadable, lacks a required column or has a malformed row.
    """
    frames = []
    before: dict[str, int] = {}
    for part in read_parts(policy, required, policy.columns, path):
        rows = part.parse()
        behind = before.get(part.file, 0)
        for wrong in rows.malformed:
            raise InputError(f"{part.file}, row {behind + wrong.row}: {wrong.detail}")
        frame = rows.frame.drop(columns=SOURCE_LINE)
        frame[SOURCE_FILE], frame[SOURCE_ROW] = part.file, frame[SOURCE_ROW] + behind
        before[part.file] = behind + len(rows)
        frames.append(frame)
    table = pd.concat(frames, ignore_index=True) if frames else pd.DataFrame()
    if table.empty:
        raise InputError(f"{path or policy.path}: there are no tickets in it, only a header.")
    return table


def count_groups(policy: DataPolicy, file: str) -> list[int]:
    """Count the rows of each row group of a Parquet file; a CSV has none.

    Raises
    ------
    InputError
        The file cannot be read.
    """
    import pyarrow.parquet as pq

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
        A file, a folder, a glob or ``-`` (standard input) to read instead of the policy's own.
    groups : iterable of int, optional
        The row groups to read of a Parquet file, by default all.

    Raises
    ------
    InputError
        A file is missing, empty or unreadable, or lacks a required column; some of it may only be
        found when a part is parsed.
    """
    needed = {policy.columns[name]: name for name in required if name in policy.columns}
    wanted = {policy.columns[name]: name for name in fields if name in policy.columns} | needed
    before = 0
    for file in find_files(path or policy.path):
        name = name_file(file)
        read = 0
        with ExitStack() as opened:
            opened.enter_context(_told_errors(name, policy))
            raw = opened.enter_context(open_raw(file))
            if _find_format(policy, file, raw) == "parquet":
                parts = _read_parquet(file, raw, wanted, needed, groups)
            else:
                text = opened.enter_context(open_text(file, raw, policy))
                parts = _read_csv(name, text, policy, wanted, needed)
            for parse in parts:
                read = raw.tell() if raw.seekable() else 0
                yield Part(name, partial(_parse, parse, name, policy), before + read)
        before += read


def _find_format(policy: DataPolicy, file: str, raw: IO[bytes]) -> str:
    return policy.format if policy.format != "auto" else guess_format(file, raw)


def _parse(parse: Callable[[], Rows], name: str, policy: DataPolicy) -> Rows:
    with _told_errors(name, policy):
        return parse()


def _read_csv(
    name: str,
    text: Recoded,
    policy: DataPolicy,
    wanted: dict[str, str],
    needed: dict[str, str],
) -> Iterator[Callable[[], Rows]]:
    layout: Layout | None = None
    for block in cut_blocks(name, text, policy.delimiter, PART_BYTES):
        if layout is None:
            header, block = read_header(name, block, policy)
            layout = _lay_out(name, header, wanted, needed) if header else None
        if layout is not None and block.data.strip():
            yield partial(parse_csv, name, block, layout, policy)
    if layout is None:
        raise InputError(f"{name}: the file is empty.")


def _read_parquet(
    file: str,
    raw: IO[bytes],
    wanted: dict[str, str],
    needed: dict[str, str],
    groups: Iterable[int] | None,
) -> Iterator[Callable[[], Rows]]:
    import pyarrow.parquet as pq

    with ExitStack() as opened:
        if file == STDIN:  # Parquet is read from its end
            raw = opened.enter_context(_keep(raw))
        source = opened.enter_context(pq.ParquetFile(raw))
        layout = _lay_out(name_file(file), source.schema_arrow.names, wanted, needed)
        for batch in source.iter_batches(PART_ROWS, groups, columns=list(layout.fields)):
            yield partial(parse_batch, batch, layout)


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


def locate_row(row: pd.Series) -> str:
    """Format the file and row that a ticket was read from."""
    return f"{row[SOURCE_FILE]}, row {row[SOURCE_ROW]}"


def quote_value(value: Any) -> str:
    """Quote a value for a message, shortened if it is long."""
    return "an empty value" if pd.isna(value) else reprlib.repr(str(value))


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
