"""Parse a part of a file into rows of text: what fits its header, and what does not."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from slarisk.errors import InputError
from slarisk.tickets.records import Block, number_lines

if TYPE_CHECKING:
    import pyarrow as pa

    from slarisk.config import DataPolicy

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


def read_header(name: str, block: Block, policy: DataPolicy) -> tuple[list[str], Block]:
    """Take the header off the first block of a CSV; no names if there are only blank lines."""
    csv.field_size_limit(2**31 - 1)  # by default csv refuses a value of 131,073 characters
    if block.broken:
        raise InputError(
            f"{name}, line {block.line}: a quote in the header is never closed, or not doubled."
        )
    _refuse_undecoded(name, block.data, block.line, policy)
    text = io.StringIO(block.data.decode(), newline="")
    reader = csv.reader(text, delimiter=policy.delimiter, strict=True)
    for values in reader:
        if len(values) > 1 or "".join(values).strip():  # not a blank line
            header = [value.strip() for value in values]
            lines = block.data.split(b"\n", reader.line_num)
            rest = lines[-1] if len(lines) > reader.line_num else b""
            newlines = block.newlines - min(reader.line_num, block.newlines)
            return header, Block(rest, block.line + reader.line_num, newlines)
    return [], Block(b"", block.line, 0)


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
    _refuse_undecoded(name, block.data, block.line, policy)
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


def _refuse_undecoded(name: str, data: bytes, line: int, policy: DataPolicy) -> None:
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


def parse_batch(batch: pa.RecordBatch, layout: Layout) -> Rows:
    """Write the typed rows of a Parquet file as text."""
    batch.validate(full=True)
    plain = batch.replace_schema_metadata(None)  # what pandas left in it may be spoilt
    # a whole number with gaps beside it would become a float, and lose digits
    frame = as_text(plain.to_pandas(integer_object_nulls=True)).rename(columns=layout.fields)
    frame[SOURCE_ROW], frame[SOURCE_LINE] = np.arange(1, len(frame) + 1), 0
    return Rows(frame)


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


def hint_delimiter(names: list[str]) -> str:
    """Ask about the delimiter where the names of a header hold what could be one."""
    header = "".join(names)
    mark = max(";\t|,", key=header.count)
    return f" Or is the delimiter {mark!r}? Name it: data.delimiter." if mark in header else ""
