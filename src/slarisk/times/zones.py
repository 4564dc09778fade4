"""From local times to instants and back, exact to the second at every change of the clocks."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from slarisk.arrays import Bools

    Ints = NDArray[np.int64]

SECOND = 1_000_000  # moments are whole microseconds since 1970
DAY = 86_400 * SECOND
_OFFSET = (
    r"(?:\d:\d\d(?::\d\d)?|T\d{4}(?:\d\d)?)(?:[.,]\d+)?"  # a time of day ends
    r"\s*(?:[AaPp]\.?[Mm]\.?)?\s*(?:[Zz]|UTC|GMT|[+-]\d\d(?::?\d\d){0,2})\s*$"
)
_FIRST_YEAR, _LAST_YEAR = 1, 9999  # that Python's dates know


@dataclass(frozen=True, eq=False)
class Offsets:
    """The offsets from UTC of a time zone, in microseconds.

    Offset ``k`` (int array of shape (n,)) holds until ``changes[k]`` (shape (n - 1,)), in UTC.
    """

    changes: Ints
    offsets: Ints

    def to_local(self, moments: Ints) -> Ints:
        """Give the local times of instants."""
        return moments + self.offsets[np.searchsorted(self.changes, moments, side="right")]

    def to_utc(self, local: Ints) -> tuple[Ints, Bools, Bools]:
        """Give the instants of local times, by the rule of RFC 5545.

        A time that occurs twice, when clocks are set back, is the first of the two. One that does
        not occur, when they are set forward, is taken at the offset before the change: 02:30 is
        then what the changed clocks show as 03:30.

        Returns
        -------
        int array
            Instants.
        bool array
            Where the time occurs twice.
        bool array
            Where the time does not occur.
        """
        step = np.diff(self.offsets)
        # the offset before a change holds until neither of the two leaves a doubt
        until = self.changes + np.maximum(self.offsets[:-1], self.offsets[1:])
        place = np.searchsorted(until, local, side="right")
        ahead = np.append(until, np.iinfo(np.int64).max)[place]
        width = np.append(np.abs(step), 0)[place]
        doubtful = local >= ahead - width
        back = np.append(step < 0, False)[place]
        return local - self.offsets[place], doubtful & back, doubtful & ~back


def find_offsets(zone: str, first: int, last: int) -> Offsets:
    """Find the offsets of a time zone between two moments, and some time around them."""
    years = [int(np.datetime64(each, "us").astype("datetime64[Y]").astype(int)) + 1970
             for each in (first, last)]  # fmt: skip
    return _find_offsets(zone, max(years[0] - 1, _FIRST_YEAR), min(years[1] + 2, _LAST_YEAR))


@lru_cache(maxsize=64)
def _find_offsets(zone: str, first_year: int, last_year: int) -> Offsets:
    """Look at every day, and then for the second of each change."""
    info = ZoneInfo(zone)
    epoch = datetime(1970, 1, 1, tzinfo=UTC)

    def offset(second: int) -> int:
        found = (epoch + timedelta(seconds=second)).astimezone(info).utcoffset()
        assert found is not None
        return int(found.total_seconds())

    # a day from each end, where a local time would be no date
    begin, end = datetime(first_year, 1, 2, tzinfo=UTC), datetime(last_year, 12, 30, tzinfo=UTC)
    days = range(int((begin - epoch).total_seconds()), int((end - epoch).total_seconds()), 86_400)
    seen = np.array([offset(day) for day in days], dtype=np.int64)
    changes = []
    for place in np.flatnonzero(np.diff(seen)):
        low, high = days[place], days[place + 1]
        while high - low > 1:
            middle = (low + high) // 2
            low, high = (middle, high) if offset(middle) == seen[place] else (low, middle)
        changes.append(high)
    values = [seen[0], *(offset(second) for second in changes)]
    return Offsets(
        np.array(changes, dtype=np.int64) * SECOND, np.array(values, dtype=np.int64) * SECOND
    )


def carries_offset(text: pd.Series) -> Bools:
    """Mask of times that are written with their offset from UTC, or with ``Z``.

    Examples
    --------
    >>> written = ["2024-05-01T08:00:00+02:00", "2024-05-01T08:00Z", "20240501T080000-0500",
    ...            "5/1/2024 8:00 AM UTC", "2024-05-01 08:00", "08:00 01-05-2024", "2024-05-01"]
    >>> carries_offset(pd.Series(written, dtype="str")).tolist()
    [True, True, True, True, False, False, False]
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    found = pc.match_substring_regex(pa.array(text.astype("str")), _OFFSET)
    mask: Bools = pc.fill_null(found, False).to_numpy(zero_copy_only=False)
    return mask


def as_moments(times: pd.Series) -> tuple[Ints, Bools]:
    """Give times in microseconds since 1970, 0 where they are missing; and where they are."""
    missing = times.isna().to_numpy()
    moments = times.to_numpy(dtype="datetime64[us]").astype(np.int64)
    return np.where(missing, 0, moments), missing


def as_times(moments: Ints, missing: Bools, index: pd.Index) -> pd.Series:
    """Make a Series of times of microseconds since 1970."""
    times = moments.astype("datetime64[us]")
    times[missing] = np.datetime64("NaT")
    return pd.Series(times, index=index)


def show_local(times: pd.Series, zone: str | None) -> pd.Series:
    """Turn instants (UTC, without saying so) to local times; as they are without a zone."""
    if zone is None or not times.notna().any():
        return times
    moments, missing = as_moments(times)
    here = moments[~missing]
    offsets = find_offsets(zone, int(here.min()), int(here.max()))
    return as_times(offsets.to_local(moments), missing, times.index)


def read_local(times: pd.Series, zone: str) -> tuple[pd.Series, pd.Series, pd.Series]:
    """Turn local times to instants (UTC, without saying so): see :meth:`Offsets.to_utc`.

    Returns
    -------
    Series of datetimes
    Series of bool
        Where the local time occurs twice.
    Series of bool
        Where it does not occur.

    Examples
    --------
    >>> local = pd.Series(pd.to_datetime(["2024-03-31 02:30", "2024-10-27 02:30"]))
    >>> times, twice, never = read_local(local, "Europe/Berlin")
    >>> [str(time) for time in times], twice.tolist(), never.tolist()
    (['2024-03-31 01:30:00', '2024-10-27 00:30:00'], [False, True], [True, False])
    """
    if not times.notna().any():
        nowhere = pd.Series(False, index=times.index)
        return times, nowhere, nowhere
    moments, missing = as_moments(times)
    here = moments[~missing]
    offsets = find_offsets(zone, int(here.min()), int(here.max()))
    utc, twice, never = offsets.to_utc(moments)
    return (
        as_times(utc, missing, times.index),
        pd.Series(twice & ~missing, index=times.index),
        pd.Series(never & ~missing, index=times.index),
    )
