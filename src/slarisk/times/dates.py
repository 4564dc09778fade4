"""Read dates as exports write them: to the day or the second, as numbers, in other languages."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from slarisk.errors import InputError
from slarisk.times.words import translate_words
from slarisk.times.zones import carries_offset

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from slarisk.arrays import Bools

ISO_8601 = "ISO8601"
EPOCHS = {"epoch_s": 1, "epoch_ms": 10**3, "epoch_us": 10**6, "epoch_ns": 10**9}  # in a second
SECOND, MINUTE, HOUR, DAY = range(4)
PRECISIONS = ("second", "minute", "hour", "day")
_LIKE_ISO = (ISO_8601, "%Y-%m-%d %H:%M:%S")
_DIRECTIVES = {SECOND: "STXcfs", MINUTE: "MR", HOUR: "HIkl"}
_WIDTHS = {"Y": 4, "y": 2, "m": 2, "d": 2, "H": 2, "I": 2, "M": 2, "S": 2, "j": 3}
# how ISO 8601 begins, if it says the day; digits alone are a day, or a day and a whole time
_ISO_DAY = r"(?:\d{8}|\d{12}|\d{14}|\d{8}[T ].*|\d{4}\D\d{1,2}\D\d.*)$"
_ISO_TIME = (  # most precise first
    (SECOND, r"^\d{14}|[T ]\d{1,2}:?\d{2}:?\d{2}"),
    (MINUTE, r"^\d{12}|[T ]\d{1,2}:?\d{2}"),
    (HOUR, r"[T ]\d{1,2}"),
)
# numbers beyond were counted in another unit: 1 of a thousand is in 1970, a thousandfold after 2200
_EPOCH_FIRST, _EPOCH_LAST = pd.Timestamp("1980-01-01"), pd.Timestamp("2200-01-01")
_TIME_OF_DAY = re.compile(
    r"^(?:\d{4}-\d\d-\d\d[T ])?"
    r"(\d{1,2})(?::(\d\d)(?::(\d\d(?:[.,]\d+)?))?)?\s*([AaPp]\.?\s?[Mm]\.?)?$"
)


@dataclass(frozen=True, eq=False)
class Dates:
    """Dates that were read.

    Parameters
    ----------
    times : Series of datetime64
        Without time zone; NaT where nothing could be read.
    precision : int8 array of shape (n,)
        To what each was written: SECOND, MINUTE, HOUR or DAY.
    absolute : bool array of shape (n,)
        Which were written with an offset or counted since 1970, and are in UTC.
    """

    times: pd.Series
    precision: NDArray[np.int8]
    absolute: Bools


def read_dates(text: pd.Series, formats: Iterable[str]) -> pd.Series:
    """Read dates written in any of several formats; the first that fits a value wins.

    Parameters
    ----------
    text : Series of str
        Missing values stay missing.
    formats : iterable of str
        ``strptime`` formats (numbers need no padding, unless nothing separates them), ``ISO8601``,
        where a year or a month alone is no date, or ``epoch_s``, ``epoch_ms``, ``epoch_us``,
        ``epoch_ns``: what has passed since 1970.

    Returns
    -------
    Series of datetime64
        Without time zone; a date with an offset is turned to UTC. NaT where no format fits.

    Examples
    --------
    >>> read_dates(pd.Series(["29/2/2016 01:16", "soon"], dtype="str"), ["%d/%m/%Y %H:%M"]).tolist()
    [Timestamp('2016-02-29 01:16:00'), NaT]
    >>> read_dates(pd.Series(["1772442000000"], dtype="str"), ["epoch_ms"]).tolist()
    [Timestamp('2026-03-02 09:00:00')]
    """
    return parse_dates(text, formats).times


def parse_dates(text: pd.Series, formats: Iterable[str]) -> Dates:
    """Read dates as :func:`read_dates` does, and to what each is written."""
    formats = list(formats)
    precision = np.zeros(len(text), dtype=np.int8)
    if formats[0] in _LIKE_ISO and (quick := _read_whole(text)) is not None:
        return Dates(quick, precision, np.zeros(len(text), dtype=np.bool_))
    absolute = carries_offset(text)
    parsed = pd.Series(pd.NaT, index=text.index, dtype="datetime64[us]")
    left = text.notna().to_numpy(dtype=bool).copy()
    text = _plain_spaces(text)
    for date_format in formats:
        if not left.any():
            break
        values = text[left]
        times = _read_format(values, date_format)
        found = times.notna().to_numpy()
        places = np.flatnonzero(left)[found]
        parsed.iloc[places] = times[found].to_numpy()
        precision[places] = _find_precisions(values[found], date_format)
        absolute[places] |= date_format in EPOCHS
        left[places] = False
    return Dates(parsed, precision, absolute & ~left)


def _read_whole(text: pd.Series) -> pd.Series | None:
    """Read dates that are all written to the second, as ISO 8601 has them; None if one is not."""
    import pyarrow as pa
    import pyarrow.compute as pc

    written = pa.array(text.astype("str"))
    whole = pc.match_substring_regex(written, r"^\d{4}-\d{2}-\d{2}[ T]\d{2}:\d{2}:\d{2}$")
    if not pc.all(whole, min_count=0).as_py():
        return None
    try:
        times = written.cast(pa.timestamp("us"))
    except pa.ArrowInvalid:  # a 30th of February
        return None
    return pd.Series(times.to_pandas().array, index=text.index)


def _plain_spaces(text: pd.Series) -> pd.Series:
    """Turn every kind of space into a plain one: Java writes U+202F before AM, French exports too.

    Marks of the direction of writing are left out.
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    if pc.all(pc.string_is_ascii(pa.array(text.astype("str"))), min_count=0).as_py() is not False:
        return text
    return text.map(_plain_text, na_action="ignore").astype("str")


def _plain_text(text: str) -> str:
    text = re.sub("[\u200e\u200f\ufeff]", "", text)
    return re.sub(r"\s", " ", text).strip()


def _read_format(values: pd.Series, date_format: str) -> pd.Series:
    """Read dates in one format; the Series keeps its index."""
    if date_format in EPOCHS:
        return _read_epoch(values, EPOCHS[date_format])
    fits = None
    if date_format == ISO_8601:
        fits = values.str.match(_ISO_DAY)
    elif (pattern := _fixed_width(date_format)) is not None:
        fits = values.str.fullmatch(pattern)
    elif re.search(r"%[bBhpaA]", date_format):
        values = translate_words(values, date_format)
    if fits is not None:
        values = values.where(fits)
    times = pd.to_datetime(values, format=date_format, errors="coerce", utc=True)
    return times.dt.tz_localize(None).astype("datetime64[us]")


def _read_epoch(values: pd.Series, in_second: int) -> pd.Series:
    numbers = pd.to_numeric(values, errors="coerce").astype(float)
    moments = numbers * (1e6 / in_second)
    low, high = (each.value / 1000 for each in (_EPOCH_FIRST, _EPOCH_LAST))
    moments = moments.where((moments >= low) & (moments < high))
    whole = moments.round().fillna(0).astype("int64").astype("datetime64[us]")
    return whole.where(moments.notna())


@lru_cache
def _fixed_width(date_format: str) -> str | None:
    """Give the pattern of a format in which nothing separates two numbers; None of any other.

    Unpadded, ``%m%d`` would read 111 as the 11th of January.
    """
    if not re.search(r"%[YymdHIMSj]%[YymdHIMSj]", date_format):
        return None
    parts = re.split(r"%(.)", date_format)
    pattern = ""
    for place, part in enumerate(parts):
        if place % 2 == 0:
            pattern += re.escape(part)
        elif part in _WIDTHS:
            pattern += rf"\d{{{_WIDTHS[part]}}}"
        else:
            pattern += ".+?"
    return pattern


def _find_precisions(values: pd.Series, date_format: str) -> NDArray[np.int8]:
    """Say to what some values are written that a format has read."""
    if date_format != ISO_8601:
        return np.full(len(values), find_precision(date_format), dtype=np.int8)
    found = np.full(len(values), DAY, dtype=np.int8)
    for precision, pattern in reversed(_ISO_TIME):
        found[values.str.contains(pattern).to_numpy(dtype=bool)] = precision
    return found


@lru_cache
def find_precision(date_format: str) -> int:
    """Say to what a format writes: SECOND, MINUTE, HOUR or DAY.

    Examples
    --------
    >>> [PRECISIONS[find_precision(each)] for each in ("%d.%m.%Y %H:%M", "%Y-%m-%d", "epoch_ms")]
    ['minute', 'day', 'second']
    """
    if date_format in EPOCHS:
        return SECOND
    used = set(re.findall(r"%-?(.)", date_format))
    for precision, directives in _DIRECTIVES.items():
        if used & set(directives):
            return precision
    return DAY


def floor_times(times: pd.Series, precision: NDArray[np.int8]) -> pd.Series:
    """Cut times down to a precision each."""
    floored = times
    for level, unit in ((MINUTE, "min"), (HOUR, "h"), (DAY, "D")):
        rows = precision == level
        if rows.any():
            floored = floored.mask(rows, times.dt.floor(unit))
    return floored


def add_times(days: Dates, clock: pd.Series) -> tuple[Dates, pd.Series]:
    """Put days and times of day, which stand in columns of their own, together.

    Parameters
    ----------
    days : Dates
    clock : Series of str
        ``9:05``, ``09:05:30``, ``9:05 PM``, ``0905``; what stands before it as a date, as
        spreadsheets write it, is left out. A day without a time stays a day.

    Returns
    -------
    Dates
    Series of bool
        Where a time could not be read.
    """
    clock = translate_words(_plain_spaces(clock), "%p")
    digits = clock.str.fullmatch(r"\d{3,6}").fillna(False).astype(bool)
    if digits.any():
        padded = clock[digits].map(lambda text: text.zfill(6 if len(text) > 4 else 4))
        clock = clock.mask(digits, padded.str.replace(r"(\d\d)(?=\d)", r"\1:", regex=True))
    parts = clock.str.extract(_TIME_OF_DAY)
    hour, minute = (pd.to_numeric(parts[place]) for place in (0, 1))
    second = pd.to_numeric(parts[2].str.replace(",", "."))
    half = parts[3].str[0].str.lower()
    shown = half.isna() | hour.between(1, 12)
    hour = (hour % 12 + 12 * (half == "p")).where(half.notna(), hour)
    good = hour.between(0, 23) & shown & ~(minute > 59) & ~(second >= 60)
    seconds = hour * 3600 + minute.fillna(0) * 60 + second.fillna(0)
    added = pd.to_timedelta((seconds * 1e6).round().where(good).astype("Int64"), unit="us")
    times = days.times.dt.floor("D") + added
    given = clock.notna()
    level = np.where(second.notna(), SECOND, np.where(minute.notna(), MINUTE, HOUR))
    precision = np.where(given, level, days.precision).astype(np.int8)
    lost = given & ~good
    return Dates(times.where(given, days.times), precision, days.absolute & ~given), lost


def validate_formats(key: str, formats: Sequence[str]) -> None:
    """Raise if a date format can read no date, or two would read a day as a month.

    Raises
    ------
    InputError
        Names the key, and the format.
    """
    if not formats:
        raise InputError(f"{key}: must name a format, such as %d/%m/%Y %H:%M or {ISO_8601}.")
    for each in formats:
        try:
            parse_dates(pd.Series(["2000-01-01"], dtype="str"), [each])
        except (ValueError, re.error) as error:
            raise InputError(f"{key}: {each!r}: {error}.") from error
        if "%" not in each and each != ISO_8601 and each not in EPOCHS:
            raise InputError(
                f"{key}: {each!r} reads no date. Write it as %d/%m/%Y %H:%M, for example, as "
                f"{ISO_8601}, or as {' or '.join(EPOCHS)}."
            )
        used = set(re.findall(r"%-?(.)", each))
        if "p" in used and "I" not in used:
            raise InputError(
                f"{key}: {each!r}: %H counts to 24 and leaves %p (AM or PM) unread. Write %I for "
                "hours that count to 12."
            )
        if "I" in used and "p" not in used:
            raise InputError(
                f"{key}: {each!r}: %I counts to 12 and needs %p (AM or PM). Write %H for hours "
                "that count to 24."
            )
    for place, one in enumerate(formats):
        for other in formats[place + 1 :]:
            if confuses_day_and_month(one, other):
                raise InputError(
                    f"{key}: {one!r} and {other!r} read the same text as different days. Leave "
                    "one out; if columns differ, give a column its own: data.formats_of.<field>."
                )


@lru_cache
def confuses_day_and_month(one: str, other: str) -> bool:
    """Whether what one format reads as a day, another reads as a month.

    Examples
    --------
    >>> confuses_day_and_month("%d/%m/%Y", "%m/%d/%Y"), confuses_day_and_month("%d/%m/%Y", "%Y")
    (True, False)
    """
    probe = pd.Timestamp(2003, 4, 5, 6, 7, 8)
    for writes, reads in ((one, other), (other, one)):
        if writes in EPOCHS or reads in EPOCHS:
            continue
        texts = ["%Y-%m-%d", "%Y-%m-%d %H:%M", "%Y-%m-%d %H:%M:%S"]
        for text in texts if writes == ISO_8601 else [writes]:
            read = read_dates(pd.Series([probe.strftime(text)], dtype="str"), [reads]).iloc[0]
            if (read.year, read.month, read.day) == (2003, 5, 4):
                return True
    return False
