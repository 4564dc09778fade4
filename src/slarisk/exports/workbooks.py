"""Rows of a spreadsheet: xlsx, xls, xlsb or ods."""

from __future__ import annotations

import datetime as dt
import io
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import IO, TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from slarisk.errors import InputError
from slarisk.exports.rows import (
    SOURCE_LINE,
    SOURCE_ROW,
    Layout,
    Rows,
    number_as_text,
    pick_header,
)

if TYPE_CHECKING:
    from slarisk.config import DataPolicy

    Cells = list[list[Any]]


def read_workbook(
    name: str,
    raw: IO[bytes],
    policy: DataPolicy,
    needed: Sequence[str],
    lay_out: Callable[[list[str]], Layout],
    rows: int,
) -> Iterator[Callable[[], Rows]]:
    """Read a sheet of a workbook, ``rows`` at a time.

    That is the policy's ``sheet``, by default the only one that has the columns ``needed``.

    Raises
    ------
    InputError
        The file is no workbook, or it is not to be known which of its sheets has the tickets.
    """
    sheets = load_sheets(name, raw, policy.sheet)
    has = {sheet: _find_header(cells, policy, needed)[0] for sheet, cells in sheets.items()}
    fitting = [sheet for sheet, header in has.items() if set(needed) <= set(header)]
    if len(sheets) > 1 and len(fitting) != 1:
        which = f"{len(fitting)} of its sheets have" if fitting else "no sheet of it has"
        raise InputError(
            f"{name}: {which} the columns {', '.join(map(repr, needed))}. Name the sheet: "
            f"data.sheet=... (there are: {', '.join(sheets)})."
        )
    cells = sheets[fitting[0] if fitting else next(iter(sheets))]
    header, body = _find_header(cells, policy, needed)
    if not header:
        raise InputError(f"{name}: the sheet is empty.")
    layout = lay_out(header)
    lines = [line for line in range(body, len(cells)) if any(cell != "" for cell in cells[line])]
    texts = {
        field: _as_texts([cells[line][header.index(column)] for line in lines], policy.decimal)
        for column, field in layout.fields.items()
    }
    frame = pd.DataFrame({field: pd.Series(text, dtype="str") for field, text in texts.items()})
    frame[SOURCE_LINE] = np.array(lines, dtype=np.int64) + 1
    for start in range(0, len(frame), rows):
        part = frame.iloc[start : start + rows].reset_index(drop=True)
        part[SOURCE_ROW] = np.arange(1, len(part) + 1)
        yield partial(Rows, part)


def load_sheets(name: str, raw: IO[bytes], sheet: str | None) -> dict[str, Cells]:
    """Load the cells of all sheets, or of the one that is named; empty sheets are left out."""
    from python_calamine import CalamineError, CalamineWorkbook

    try:
        book = CalamineWorkbook.from_filelike(io.BytesIO(raw.read()))
        if sheet is not None and sheet not in book.sheet_names:
            raise InputError(
                f"{name}: has no sheet {sheet!r}. Its sheets: {', '.join(book.sheet_names)}."
            )
        names = book.sheet_names if sheet is None else [sheet]
        cells = {
            each: book.get_sheet_by_name(each).to_python(skip_empty_area=False) for each in names
        }
    except CalamineError as error:
        detail = str(error).splitlines()[0].rstrip(".")
        raise InputError(f"{name}: is no workbook that can be read ({detail}).") from error
    filled = {each: rows for each, rows in cells.items() if any(any(row) for row in rows)}
    if not filled:
        raise InputError(f"{name}: the workbook is empty.")
    return filled


def _find_header(cells: Cells, policy: DataPolicy, needed: Sequence[str]) -> tuple[list[str], int]:
    """Find the header of a sheet, and the place of the first row after it."""
    texts = ([str(cell).strip() for cell in row] for row in cells[policy.skip_lines :])
    header, place = pick_header(texts, policy, needed)
    return header, place + policy.skip_lines


def _as_texts(values: list[Any], decimal: str) -> list[str | None]:
    """Write the cells of a column as text; dates to the day only if all of them are."""
    times = [each for each in values if isinstance(each, dt.date)]
    whole = all(not isinstance(each, dt.datetime) or each.time() == dt.time() for each in times)
    return [_as_text(each, decimal, whole) for each in values]


def _as_text(value: Any, decimal: str, days: bool) -> str | None:
    if value == "" or value is None:
        return None
    if isinstance(value, dt.datetime):
        return value.date().isoformat() if days else value.isoformat(" ")
    if isinstance(value, dt.date):
        return value.isoformat() if days else f"{value.isoformat()} 00:00:00"
    if isinstance(value, float):
        return number_as_text(value, decimal)
    return str(value)
