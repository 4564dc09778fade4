"""Read a ticket export: CSV or Parquet, plain or compressed, one file or many."""

from __future__ import annotations

import glob
import warnings
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


def _find_files(pattern: str) -> list[Path]:
    path = Path(pattern)
    if path.is_dir():
        found = sorted(entry for entry in path.iterdir() if entry.is_file())
        if not found:
            raise InputError(f"{pattern}: the folder is empty.")
        return found
    if path.exists():
        return [path]
    found = sorted(Path(name) for name in glob.glob(pattern))
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
    except UnicodeDecodeError as error:
        raise InputError(
            f"{file}: byte {error.start} is not {policy.encoding}. If the file has another "
            "encoding, name it: data.encoding=latin-1, for example."
        ) from error
    except (zipfile.BadZipFile, zlib.error, EOFError) as error:
        raise InputError(f"{file}: the archive is damaged or cut short ({error}).") from error
    except pd.errors.ParserWarning as error:
        raise InputError(f"{file}: its rows have more fields than its header.") from error
    except pd.errors.ParserError as error:
        reason = str(error).strip().removeprefix("Error tokenizing data. C error: ")
        raise InputError(f"{file}: not a readable CSV file: {reason}") from error
    except pd.errors.EmptyDataError as error:
        raise InputError(f"{file}: the file is empty.") from error
    except LookupError as error:
        if "encoding" not in str(error):
            raise
        raise InputError(f"data.encoding={policy.encoding}: no such encoding.") from error
    except OSError as error:
        raise InputError(f"{file}: cannot be read ({error.strerror or error}).") from error


def _read_file(
    file: Path, policy: DataPolicy, wanted: dict[str, str], needed: dict[str, str]
) -> pd.DataFrame:
    kind = policy.format if policy.format != "auto" else _guess_format(file)
    if kind == "parquet":
        return _read_parquet(file, wanted, needed)
    with _open_text(file, policy) as stream:
        _refuse_binary(file, stream)
        return _read_csv(file, stream, policy, wanted, needed)


def _guess_format(file: Path) -> str:
    return "parquet" if file.suffix.lower() in {".parquet", ".pq"} else "csv"


@contextmanager
def _open_text(file: Path, policy: DataPolicy) -> Iterator[IO[bytes]]:
    """Open a CSV file as bytes, through the zip or gzip around it."""
    if file.suffix.lower() == ".zip":
        with zipfile.ZipFile(file) as archive, archive.open(_find_member(archive, policy)) as inner:
            yield inner
    elif file.suffix.lower() == ".gz":
        import gzip

        with gzip.open(file) as inner:
            yield inner  # type: ignore[misc]
    else:
        with file.open("rb") as inner:
            yield inner


def _find_member(archive: zipfile.ZipFile, policy: DataPolicy) -> str:
    names = [name for name in archive.namelist() if not name.endswith("/")]
    if policy.member is not None:
        if policy.member not in names:
            raise InputError(
                f"{archive.filename}: holds no file {policy.member!r}, only {', '.join(names)}."
            )
        return policy.member
    if len(names) != 1:
        raise InputError(
            f"{archive.filename}: holds {len(names)} files ({', '.join(names)}). "
            "Name one: data.member=..."
        )
    return names[0]


def _refuse_binary(file: Path, stream: IO[bytes]) -> None:
    head = stream.read(4096)
    if head.startswith(_PARQUET_MAGIC):
        raise InputError(f"{file}: this is a Parquet file. Say so: data.format=parquet.")
    if b"\0" in head and not head.startswith((b"\xff\xfe", b"\xfe\xff")):
        raise InputError(f"{file}: this is a binary file, not a CSV.")
    stream.seek(0)


def _read_csv(
    file: Path,
    stream: IO[bytes],
    policy: DataPolicy,
    wanted: dict[str, str],
    needed: dict[str, str],
) -> pd.DataFrame:
    options: dict[str, Any] = {
        "sep": policy.delimiter,
        # with a byte-order mark the first column would have another name
        "encoding": "utf-8-sig"
        if policy.encoding.lower() in {"utf-8", "utf8"}
        else policy.encoding,
        "dtype": "str",
        "keep_default_na": False,
    }
    header = pd.read_csv(stream, header=None, nrows=1, **options)
    names = [str(name).strip() for name in header.iloc[0]]
    columns = _check_columns(file, names, wanted, needed)
    stream.seek(0)
    with warnings.catch_warnings():
        warnings.simplefilter("error", pd.errors.ParserWarning)
        # all columns are parsed: given only some, pandas would not notice a row that has too many
        table: pd.DataFrame = pd.read_csv(
            stream,
            header=0,
            names=_unique_names(names),
            na_values=list(policy.missing),
            index_col=False,
            **options,
        )
    return table[columns]


def _unique_names(names: list[str]) -> list[str]:
    """Give a repeated column name a name of its own: only unread columns may repeat."""
    return [name if name not in names[:i] else f"{name}\0{i}" for i, name in enumerate(names)]


def _read_parquet(file: Path, wanted: dict[str, str], needed: dict[str, str]) -> pd.DataFrame:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        with pq.ParquetFile(file) as source:
            columns = _check_columns(file, source.schema_arrow.names, wanted, needed)
            frame: pd.DataFrame = source.read(columns=columns).to_pandas()
    except pa.ArrowInvalid as error:
        raise InputError(f"{file}: not a readable Parquet file ({error}).") from error
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
    if len(names) == 1 < len(needed):
        raise InputError(
            f"{file}: there is only one column, {names[0]!r}. If its parts are separated by "
            "something else than the policy says, name it in data.delimiter."
        )
    missing = [
        f"{column!r} (field {name})" for column, name in needed.items() if column not in names
    ]
    if missing:
        raise InputError(
            f"{file}: there is no column {', '.join(missing)}. "
            f"The file has: {', '.join(names[:40])}. Map the columns in the data policy."
        )
    repeated = sorted({name for name in names if name in wanted and names.count(name) > 1})
    if repeated:
        raise InputError(f"{file}: the column {', '.join(repeated)} stands there more than once.")
    return [name for name in names if name in wanted]
