"""Read a ticket export: CSV or Parquet, plain or compressed, one file or many."""

from __future__ import annotations

import codecs
import csv
import glob
import gzip
import io
import lzma
import reprlib
import textwrap
import zipfile
import zlib
from collections.abc import Iterable
from contextlib import contextmanager
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import pandas as pd

from slarisk.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from slarisk.config import DataPolicy

SOURCE_FILE, SOURCE_ROW = "source_file", "source_row"
_PARQUET_MAGIC = b"PAR1"


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
        A file is missing, empty or unreadable, or lacks a required column.
    """
    wanted = {column: name for name, column in policy.columns.items()}
    needed = {policy.columns[name]: name for name in required if name in policy.columns}
    frames = []
    for file in _find_files(path or policy.path):
        with _told_errors(file, policy):
            raw = _read_file(file, policy, wanted, needed)
        frame = raw.rename(columns=wanted)
        frame[SOURCE_FILE] = str(file)
        frame[SOURCE_ROW] = range(1, len(frame) + 1)
        frames.append(frame)
    table = pd.concat(frames, ignore_index=True) if len(frames) > 1 else frames[0]
    if table.empty:
        raise InputError(f"{path or policy.path}: there are no tickets in it, only a header.")
    return table


def where(row: pd.Series) -> str:
    """Name the place a row of :func:`read_fields` came from."""
    return f"{row[SOURCE_FILE]}, row {row[SOURCE_ROW]}"


def show(value: Any) -> str:
    """Write a value of the data in a message, not all of a long one."""
    return "an empty value" if pd.isna(value) else reprlib.repr(str(value))


def _find_files(pattern: str) -> list[Path]:
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
    return found


@contextmanager
def _told_errors(file: Path, policy: DataPolicy) -> Iterator[None]:
    """Turn what the readers raise into one sentence about the file."""
    try:
        yield
    except UnicodeError as error:
        raise InputError(
            f"{file}: is not {policy.encoding}. If it has another encoding, name it: "
            "data.encoding=latin-1 or utf-16, for example."
        ) from error
    except (zipfile.BadZipFile, gzip.BadGzipFile, zlib.error, lzma.LZMAError, EOFError) as error:
        raise InputError(f"{file}: the archive is damaged or cut short ({error}).") from error
    except RuntimeError as error:  # of zipfile: encrypted, or compressed in a way it does not know
        raise InputError(f"{file}: the archive cannot be opened ({error}).") from error
    except pd.errors.ParserError as error:
        raise InputError(f"{file}: not a readable CSV file ({_one_line(error)}).") from error
    except LookupError as error:
        if "encoding" not in str(error):
            raise
        raise InputError(f"data.encoding={policy.encoding}: no such encoding.") from error
    except OSError as error:
        reason = error.strerror or _one_line(error)
        raise InputError(f"{file}: cannot be read ({reason}).") from error


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())


def _read_file(
    file: Path, policy: DataPolicy, wanted: dict[str, str], needed: dict[str, str]
) -> pd.DataFrame:
    kind = policy.format if policy.format != "auto" else _guess_format(file)
    if kind == "parquet":
        return _read_parquet(file, wanted, needed)
    with _open_bytes(file, policy) as stream:
        _refuse_binary(file, stream, policy)
        # with a byte-order mark the first column would have another name
        utf_8 = codecs.lookup(policy.encoding).name == "utf-8"
        text = io.TextIOWrapper(stream, "utf-8-sig" if utf_8 else policy.encoding)
        try:
            return _read_csv(file, text, policy, wanted, needed)
        finally:
            text.detach()


def _guess_format(file: Path) -> str:
    return "parquet" if file.suffix.lower() in {".parquet", ".pq"} else "csv"


@contextmanager
def _open_bytes(file: Path, policy: DataPolicy) -> Iterator[IO[bytes]]:
    """Open a CSV file as bytes, through the zip or gzip around it."""
    if file.suffix.lower() == ".zip":
        with zipfile.ZipFile(file) as archive, archive.open(_find_member(archive, policy)) as inner:
            yield inner
    elif file.suffix.lower() == ".gz":
        with gzip.open(file) as inner:
            yield inner  # type: ignore[misc]
    else:
        with file.open("rb") as inner:
            yield inner


def _find_member(archive: zipfile.ZipFile, policy: DataPolicy) -> str:
    names = [name for name in archive.namelist() if not _is_clutter(name)]
    if policy.member is not None:
        if policy.member not in names:
            raise InputError(
                f"{archive.filename}: holds no file {policy.member!r}, only {_brief(names)}."
            )
        return policy.member
    if not names:
        raise InputError(f"{archive.filename}: there is no file in the archive.")
    if len(names) > 1:
        raise InputError(
            f"{archive.filename}: holds {len(names)} files ({_brief(names)}). "
            "Name one: data.member=..."
        )
    return names[0]


def _is_clutter(name: str) -> bool:
    """Whether a member is a folder, or what macOS puts beside the files."""
    return name.endswith("/") or name.startswith("__MACOSX/") or Path(name).name.startswith(".")


def _refuse_binary(file: Path, stream: IO[bytes], policy: DataPolicy) -> None:
    head = stream.read(4096)
    stream.seek(0)
    if head.startswith(_PARQUET_MAGIC):
        raise InputError(f"{file}: this is a Parquet file. Say so: data.format=parquet.")
    if head.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return  # text, and full of NULs where the policy names another encoding
    if "\0" in head.decode(policy.encoding, errors="ignore"):
        raise InputError(
            f"{file}: this is a binary file, not a CSV. Save a workbook as CSV; the name of a "
            "compressed file must end in .zip or .gz."
        )


def _read_csv(
    file: Path, text: IO[str], policy: DataPolicy, wanted: dict[str, str], needed: dict[str, str]
) -> pd.DataFrame:
    names = _check_rows(file, text, policy)
    columns = _check_columns(file, names, wanted, needed)
    text.seek(0)
    table: pd.DataFrame = pd.read_csv(
        text,
        sep=policy.delimiter,
        header=0,
        names=_unique_names(names),
        usecols=columns,
        index_col=False,
        dtype="str",
        keep_default_na=False,
        na_values=list(policy.missing),
    )
    return table[columns]


def _check_rows(file: Path, text: IO[str], policy: DataPolicy) -> list[str]:
    """Give the names in the header; refuse the first row that does not fit it.

    pandas would fill up a short row with gaps, and drop the end of a long one.
    """
    csv.field_size_limit(2**31 - 1)  # by default csv refuses a description of 131,073 characters
    reader = csv.reader(text, delimiter=policy.delimiter, strict=True)
    names: list[str] = []
    row = 0
    try:
        for values in reader:
            if not values or (len(values) == 1 and values[0].isspace()):
                continue  # a blank line
            if len(values) != len(names):
                if names:
                    raise InputError(
                        f"{file}, row {row + 1}: has {len(values)} fields, the header has "
                        f"{len(names)}. Quote a value that contains {policy.delimiter!r}."
                        + _hint_delimiter(names)
                    )
                names = [name.strip() for name in values]
            else:
                row += 1
    except csv.Error as error:
        raise InputError(
            f"{file}, row {row + 1}: a quote in it is never closed, or not doubled ({error})."
        ) from error
    except UnicodeDecodeError as error:
        line = reader.line_num + 1 + error.object[: error.start].count(b"\n")
        raise InputError(
            f"{file}: byte {error.object[error.start]:#x} in line {line} is not {policy.encoding}. "
            "If it has another encoding, name it: data.encoding=latin-1 or utf-16, for example."
        ) from error
    if not names:
        raise InputError(f"{file}: the file is empty.")
    return names


def _unique_names(names: list[str]) -> list[str]:
    """Give a repeated column name a name of its own: only unread columns may repeat."""
    return [name if name not in names[:i] else f"{name}\0{i}" for i, name in enumerate(names)]


def _read_parquet(file: Path, wanted: dict[str, str], needed: dict[str, str]) -> pd.DataFrame:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        with pq.ParquetFile(file) as source:
            columns = _check_columns(file, source.schema_arrow.names, wanted, needed)
            table = source.read(columns=columns)
            table.validate(full=True)
            # a whole number with gaps beside it would become a float, and lose digits
            frame: pd.DataFrame = table.to_pandas(integer_object_nulls=True)
    except pa.ArrowException as error:
        raise InputError(f"{file}: not a readable Parquet file ({_one_line(error)}).") from error
    return as_text(frame)


def as_text(frame: pd.DataFrame) -> pd.DataFrame:
    """Write typed columns as the text a CSV would hold, dates in ISO 8601; gaps stay gaps."""
    return pd.DataFrame({name: _column_as_text(frame[name]) for name in frame}, index=frame.index)


def _column_as_text(column: pd.Series) -> pd.Series:
    if isinstance(column.dtype, pd.StringDtype):
        return column
    if pd.api.types.is_datetime64_any_dtype(column):
        return column.map(lambda time: time.isoformat(), na_action="ignore").astype("str")
    if pd.api.types.is_float_dtype(column):
        # a whole-number column with gaps comes back as floats: 7.0 is the ticket "7"
        return column.map(_number_as_text, na_action="ignore").astype("str")
    return column.map(str, na_action="ignore").astype("str")


def _number_as_text(number: float) -> str:
    return str(int(number)) if float(number).is_integer() else repr(float(number))


def _check_columns(
    file: Path, names: list[str], wanted: dict[str, str], needed: dict[str, str]
) -> list[str]:
    """Name the columns to read, in file order; refuse a missing or an ambiguous one."""
    missing = [
        f"{column!r} (field {name})" for column, name in needed.items() if column not in names
    ]
    if missing:
        raise InputError(
            f"{file}: there is no column {', '.join(missing)}. The file has: {_brief(names)}. "
            f"Map the columns in the data policy.{_hint_delimiter(names)}"
        )
    repeated = sorted({name for name in names if name in wanted and names.count(name) > 1})
    if repeated:
        raise InputError(f"{file}: the column {', '.join(repeated)} stands there more than once.")
    return [name for name in names if name in wanted]


def _hint_delimiter(names: list[str]) -> str:
    """Ask about the delimiter where the names of a header hold what could be one."""
    header = "".join(names)
    mark = max(";\t|,", key=header.count)
    return f" Or is the delimiter {mark!r}? Name it: data.delimiter." if mark in header else ""


def _brief(names: list[str]) -> str:
    """List names, not all of a great many."""
    return textwrap.shorten(", ".join(names), 500, placeholder=" ...")
