"""Rows of JSON: a line each, or all of them in a list."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from slarisk.errors import InputError
from slarisk.exports.numbers import POINT
from slarisk.exports.records import Block, read_lines
from slarisk.exports.rows import (
    SOURCE_LINE,
    SOURCE_ROW,
    Layout,
    Malformed,
    Rows,
    refuse_undecoded,
)

if TYPE_CHECKING:
    from slarisk.config import DataPolicy
    from slarisk.exports.records import Readable

BROKEN_JSON = "broken_json"
_LONGEST = 1 << 28  # bytes of a line


def cut_json_lines(name: str, stream: Readable, size: int) -> Iterator[Block]:
    """Cut JSON lines into blocks of about ``size`` bytes.

    Raises
    ------
    InputError
        A line does not end.
    """
    rest, line = b"", 1
    for chunk in read_lines(stream, size):
        whole, _, rest = (rest + chunk).rpartition(b"\n") if chunk else (rest, b"", b"")
        if len(rest) > _LONGEST:
            raise InputError(f"{name}, line {line}: has more than {_LONGEST:,} bytes and no end.")
        if whole.strip():
            yield Block(whole, line, whole.count(b"\n"))
        line += whole.count(b"\n") + 1


def parse_json_lines(name: str, block: Block, layout: Layout, policy: DataPolicy) -> Rows:
    """Parse a block of JSON lines; a line that is no JSON object is malformed."""
    records, lines, malformed = _read_lines(name, block, policy)
    bad = {each.row for each in malformed}
    numbers = [n for n in range(1, len(records) + len(bad) + 1) if n not in bad]
    return Rows(make_frame(records, layout, numbers, lines), malformed)


def list_json_columns(name: str, block: Block, policy: DataPolicy) -> list[str]:
    """List the columns that the first lines have."""
    return list_columns(_read_lines(name, block, policy)[0])


def _read_lines(
    name: str, block: Block, policy: DataPolicy
) -> tuple[list[dict[str, Any]], list[int], list[Malformed]]:
    """Read the records of a block, their lines in the file, and what is no record."""
    refuse_undecoded(name, block.data, block.line, policy)
    decoder = _make_decoder(policy)
    records: list[dict[str, Any]] = []
    lines: list[int] = []
    malformed: list[Malformed] = []
    for line, text in enumerate(block.data.decode().split("\n"), block.line):
        if not text.strip():
            continue
        try:
            record = decoder.decode(text)
            problem = "" if isinstance(record, dict) else "holds no object"
            if "\\ud" in text.lower():
                json.dumps(record, ensure_ascii=False).encode()
        except (ValueError, RecursionError) as error:
            problem = f"is no JSON ({str(error).splitlines()[0]})"
        if problem:
            row = len(records) + len(malformed) + 1
            malformed.append(Malformed(row, line, BROKEN_JSON, f"{problem}."))
        else:
            records.append(record)
            lines.append(line)
    return records, lines, malformed


def is_lines(head: bytes) -> bool:
    """Whether text that begins so is JSON lines: a whole object on its first line, then more."""
    first, _, rest = head.lstrip().partition(b"\n")
    try:
        return bool(rest.strip()) and isinstance(json.loads(first), dict)
    except (ValueError, RecursionError):
        return False


def load_records(name: str, data: bytes, policy: DataPolicy) -> list[dict[str, Any]]:
    """Load a list of objects: the whole text, or the only such list in the object that it is.

    Raises
    ------
    InputError
        There is none, or more than one.
    """
    refuse_undecoded(name, data, 1, policy)
    try:
        found = _make_decoder(policy).decode(data.decode().strip())
    except (ValueError, RecursionError) as error:
        raise InputError(f"{name}: is no JSON ({str(error).splitlines()[0]}).") from error
    if isinstance(found, dict):
        lists = {key: each for key, each in found.items() if _is_table(each)}
        if len(lists) > 1:
            raise InputError(
                f"{name}: has several lists of objects ({', '.join(lists)}). Save the one with the "
                "tickets in a file of its own."
            )
        found = next(iter(lists.values())) if lists else [found]
    if not isinstance(found, list) or not all(isinstance(each, dict) for each in found):
        raise InputError(f"{name}: is no list of JSON objects.")
    return found


def _is_table(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and all(isinstance(each, dict) for each in value)


def _make_decoder(policy: DataPolicy) -> json.JSONDecoder:
    """Make a decoder that leaves numbers as they are written, with the policy's decimal mark."""

    def keep(number: str) -> str:
        return number.replace(POINT, policy.decimal)

    return json.JSONDecoder(
        parse_float=keep, parse_int=str, parse_constant=lambda _: None, strict=False
    )


def list_columns(records: list[dict[str, Any]]) -> list[str]:
    """List the columns of some records; those of objects in objects as ``fields.priority.name``."""
    columns: dict[str, None] = {}
    for record in records:
        for key, value in record.items():
            columns[key] = None
            if isinstance(value, dict):
                columns |= dict.fromkeys(f"{key}.{each}" for each in list_columns([value]))
    return list(columns)


def make_frame(
    records: list[dict[str, Any]], layout: Layout, rows: list[int], lines: list[int]
) -> pd.DataFrame:
    """Write the columns to read of some records as text."""
    frame = pd.DataFrame(
        {
            name: pd.Series([_find_text(each, column) for each in records], dtype="str")
            for column, name in layout.fields.items()
        }
    )
    frame[SOURCE_ROW] = np.array(rows, dtype=np.int64)
    frame[SOURCE_LINE] = np.array(lines, dtype=np.int64)
    return frame


def _find_text(record: dict[str, Any], column: str) -> str | None:
    value: Any = record
    if column in record:
        value = record[column]
    else:
        for key in column.split("."):
            value = value.get(key) if isinstance(value, dict) else None
    if isinstance(value, bool):
        return str(value)  # True, as of any typed column
    if isinstance(value, (dict, list)):
        return json.dumps(value, ensure_ascii=False)
    return None if value is None else str(value)
