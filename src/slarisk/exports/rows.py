"""Parse a part of a file into rows of text: what fits its header, and what does not."""

from __future__ import annotations

import csv
import re
import reprlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from slarisk.errors import InputError
from slarisk.exports.numbers import POINT
from slarisk.exports.records import Block, number_lines

if TYPE_CHECKING:
    import pyarrow as pa

    from slarisk.config import DataPolicy

HEADER_WITHIN = 100  # lines
SEPARATOR = re.compile(r'\s*"?sep=(.)"?\s*', re.IGNORECASE)  # the first line that Excel reads
SOURCE_FILE, SOURCE_ROW, SOURCE_LINE = "source_file", "source_row", "source_line"
BROKEN_QUOTE, FIELD_COUNT = "broken_quote", "wrong_number_of_fields"


@dataclass(frozen=True)
class Malformed:
    """A row that does not fit the header of its file, and why."""

    row: int
    line: int
    reason: str
    detail: str


@dataclass(frozen=True, eq=False)
class Rows:
    """Some rows of a file, in its order.

    Parameters
    ----------
    frame : DataFrame
        The fields as text, missing ones as NA; ``source_row``, counted in this part from 1 on; and
        ``source_line``, counted in the file from 1 on (0 in a file that has no lines).
    malformed : list of Malformed
        The other rows, counted with them.
    """

    frame: pd.DataFrame
    malformed: list[Malformed] = field(default_factory=list)

    def __len__(self) -> int:
        """Count the rows, the malformed ones too."""
        return len(self.frame) + len(self.malformed)


@dataclass(frozen=True)
class Layout:
    """The header of a file, and the columns to read with the names of their fields."""

    header: list[str]
    fields: Mapping[str, str]


def read_header(
    name: str, block: Block, policy: DataPolicy, needed: Sequence[str]
) -> tuple[list[str], Block]:
    """Take the header off the first block of a CSV, and what stands before it.

    No names if there are only blank lines.
    """
    csv.field_size_limit(2**31 - 1)  # by default csv refuses a value of 131,073 characters
    if block.broken:
        raise InputError(
            f"{name}, line {block.line}: a quote in the header is never closed, or not doubled."
        )
    refuse_undecoded(name, block.data, block.line, policy)
    lines: list[int] = []  # where each record ends
    header, place = pick_header(_read_records(block, policy, lines), policy, needed)
    if not header:
        return [], Block(b"", block.line, 0)
    end = lines[place - 1] if place else 0
    parts = block.data.split(b"\n", end)
    rest = parts[-1] if len(parts) > end else b""
    return header, Block(rest, block.line + end, block.newlines - min(end, block.newlines))


def _read_records(block: Block, policy: DataPolicy, lines: list[int]) -> Iterator[list[str]]:
    """Read records one by one; a line of title with a quote in it is a record of its own."""
    text = block.data.decode().split("\n")
    while (start := lines[-1] if lines else 0) < len(text):
        if start < policy.skip_lines:
            lines.append(start + 1)
            yield []
            continue
        reader = csv.reader(
            (f"{line}\n" for line in text[start:]), delimiter=policy.delimiter, strict=True
        )
        try:
            values = next(reader)
            lines.append(start + reader.line_num)
        except csv.Error:
            values = [text[start]]
            lines.append(start + 1)
        yield [] if SEPARATOR.fullmatch(policy.delimiter.join(values)) else values


def pick_header(
    rows: Iterable[list[str]], policy: DataPolicy, needed: Sequence[str]
) -> tuple[list[str], int]:
    """Pick the header of a file, whatever stands before it: the first row with all columns needed.

    Returns
    -------
    list of str
        The names; numbers from 1 on, if the file has no header. Without a row that has them all,
        the first row that is not blank; empty if there is none.
    int
        Place of the row after it, or of the first row if there is no header.
    """
    first: tuple[list[str], int] = ([], 0)
    for place, values in enumerate(rows):
        if place >= policy.skip_lines + HEADER_WITHIN:
            break
        if not "".join(values).strip():  # a blank line, or only delimiters
            continue
        if not policy.header:
            return [str(number) for number in range(1, len(values) + 1)], place
        header = [value.strip() for value in values]
        if set(needed) <= set(header):
            return header, place + 1
        first = first if first[0] else (header, place + 1)
    return first


def parse_csv(name: str, block: Block, layout: Layout, policy: DataPolicy) -> Rows:
    """Parse a block of a CSV.

    Raises
    ------
    InputError
        The text is not in the policy's encoding.
    """
    import pyarrow as pa
    from pyarrow import csv as arrow

    columns = list(layout.fields)
    refuse_undecoded(name, block.data, block.line, policy)
    if block.broken:
        detail = "a quote in it is never closed, or not doubled."
        nothing = pd.DataFrame(columns=[*layout.fields.values(), SOURCE_ROW, SOURCE_LINE])
        return Rows(nothing, [Malformed(1, block.line, BROKEN_QUOTE, detail)])
    odd: list[arrow.InvalidRow] = []

    def skip(row: arrow.InvalidRow) -> str:
        odd.append(row)
        return "skip"

    table = arrow.read_csv(
        pa.BufferReader(block.data),
        arrow.ReadOptions(
            column_names=_unique_names(layout.header),
            use_threads=False,
            block_size=len(block.data) + 1,
        ),
        arrow.ParseOptions(
            delimiter=policy.delimiter,
            newlines_in_values=b'"' in block.data,
            invalid_row_handler=skip,
        ),
        arrow.ConvertOptions(
            include_columns=columns,
            column_types=dict.fromkeys(columns, pa.string()),
            null_values=list(policy.missing),
            strings_can_be_null=True,
        ),
    )
    records = len(table) + len(odd)
    blank = [row.number for row in odd if not row.text.strip()]
    counted = np.ones(records, dtype=np.int64)
    counted[np.array(blank, dtype=np.int64) - 1] = 0
    numbers = np.cumsum(counted)
    lines = number_lines(block, policy.delimiter, records)
    fits = np.ones(records, dtype=np.bool_)
    fits[[row.number - 1 for row in odd]] = False
    frame = table.rename_columns(list(layout.fields.values())).to_pandas()
    frame[SOURCE_ROW], frame[SOURCE_LINE] = numbers[fits], lines[fits]
    malformed = [
        Malformed(
            int(numbers[row.number - 1]),
            int(lines[row.number - 1]),
            FIELD_COUNT,
            f"has {row.actual_columns} fields, the header has {row.expected_columns}. Quote a "
            f"value that contains {policy.delimiter!r}.{hint_delimiter(layout.header)}",
        )
        for row in odd
        if row.text.strip()
    ]
    return Rows(frame, malformed)


def _unique_names(names: list[str]) -> list[str]:
    """Rename repeated column names; only columns that are not read may repeat."""
    return [name if name not in names[:i] else f"{name}\0{i}" for i, name in enumerate(names)]


def refuse_undecoded(name: str, data: bytes, line: int, policy: DataPolicy) -> None:
    """Raise if some text is not UTF-8, which it is if it was in the policy's encoding."""
    if data.isascii():
        return
    try:
        data.decode()
    except UnicodeDecodeError as error:
        at = line + data[: error.start].count(b"\n")
        raise InputError(
            f"{name}: byte {data[error.start]:#x} in line {at} is not {policy.encoding}. If it has "
            "another encoding, name it: data.encoding=latin-1 or utf-16, for example."
        ) from error


def parse_batch(batch: pa.RecordBatch, layout: Layout, decimal: str = POINT) -> Rows:
    """Write the typed rows of a Parquet file as text."""
    batch.validate(full=True)
    plain = batch.replace_schema_metadata(None)  # what pandas left in it may be spoilt
    # a whole number with gaps beside it would become a float, and lose digits
    typed = plain.to_pandas(integer_object_nulls=True)
    frame = as_text(typed, decimal).rename(columns=layout.fields)
    frame[SOURCE_ROW], frame[SOURCE_LINE] = np.arange(1, len(frame) + 1), 0
    return Rows(frame)


def as_text(frame: pd.DataFrame, decimal: str = POINT) -> pd.DataFrame:
    """Write typed columns as the text a CSV would hold, dates in ISO 8601; gaps stay gaps.

    ``decimal`` is the decimal mark of the data policy: it reads numbers that are text, too.
    """
    columns = {name: _column_as_text(frame[name], decimal) for name in frame}
    return pd.DataFrame(columns, index=frame.index)


def _column_as_text(column: pd.Series, decimal: str) -> pd.Series:
    if isinstance(column.dtype, pd.StringDtype):
        return column
    if pd.api.types.is_datetime64_any_dtype(column):
        return column.map(lambda time: time.isoformat(), na_action="ignore").astype("str")
    if pd.api.types.is_float_dtype(column):
        # a whole-number column with gaps comes back as floats: 7.0 is the ticket "7"
        return column.map(lambda x: number_as_text(x, decimal), na_action="ignore").astype("str")
    return column.map(lambda x: _value_as_text(x, decimal), na_action="ignore").astype("str")


def _value_as_text(value: Any, decimal: str) -> str:
    if isinstance(value, float):
        return number_as_text(value, decimal)
    if isinstance(value, Decimal):
        return f"{value:f}".replace(POINT, decimal)
    return value.decode(errors="replace") if isinstance(value, bytes) else str(value)


def number_as_text(number: float, decimal: str = POINT) -> str:
    """Write a number: a whole one without decimals, any other with all of its digits."""
    if float(number).is_integer():
        return str(int(number))
    return repr(float(number)).replace(POINT, decimal)


def hint_delimiter(names: list[str]) -> str:
    """Ask about the delimiter where the names of a header hold what could be one."""
    header = "".join(names)
    mark = max(";\t|,", key=header.count)
    return f" Or is the delimiter {mark!r}? Name it: data.delimiter." if mark in header else ""


@dataclass(frozen=True)
class Broken:
    """A row that does not fit its file: where it stands, and why."""

    file: str
    row: int
    reason: str
    detail: str


def locate_row(row: pd.Series) -> str:
    """Format the file and row that a ticket was read from."""
    return f"{row[SOURCE_FILE]}, row {row[SOURCE_ROW]}"


def quote_value(value: Any) -> str:
    """Quote a value for a message, shortened if it is long."""
    return "an empty value" if pd.isna(value) else reprlib.repr(str(value))
