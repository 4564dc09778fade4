"""The clock: how much time counts between two moments, and when so much time will have passed.

Moments are microseconds since 1970 in UTC. Working hours are laid out once as intervals in UTC, so
that changes of local clocks are exact, with the time worked before each: how much time counts
between two moments is then a difference, and when it has passed is a search.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from datetime import date
from functools import cached_property, lru_cache
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from slarisk.constraints import parse_shift
from slarisk.errors import InputError
from slarisk.times.zones import DAY, SECOND, as_moments, as_times, find_offsets

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from slarisk.arrays import Bools
    from slarisk.config import SlaPolicy, WorkingHours

    Ints = NDArray[np.int64]

MINUTE = 60 * SECOND
HOUR = 60 * MINUTE
_LAST = 9998  # the last year that is laid out: a target is not passed after it
_MOST_BUCKETS = 1 << 20
_Pieces = tuple[tuple[int, int], ...]
_EPOCH = date(1970, 1, 1)


@dataclass(frozen=True)
class _Layout:
    """Working hours as a key: per weekday the pieces in minutes, the zone, holidays, closed days.

    Days are counted from 1970 on.
    """

    pieces: tuple[_Pieces, ...]
    zone: str | None
    holidays: tuple[tuple[str, str | None], ...]
    closed: tuple[int, ...]


class _Sorted:
    """Finds places in sorted values, as ``searchsorted(values, x, side="right")``.

    Three times as fast: a table says how many values lie before each bucket, and a bucket is so
    narrow that it has one value at most.
    """

    def __init__(self, values: Ints) -> None:
        self._values = np.append(values, np.iinfo(np.int64).max)
        gap = int(np.diff(values).min()) if len(values) > 1 else 1
        self._shift = max(gap.bit_length() - 1, 0)
        span = int(values[-1] - values[0]) if len(values) else 0
        self._table: Ints | None = None
        if len(values) > 0 and span >> self._shift < _MOST_BUCKETS:
            buckets = np.arange((span >> self._shift) + 1) << self._shift
            self._table = np.searchsorted(values, values[0] + buckets)

    def place(self, values: Ints) -> Ints:
        """Count the sorted values up to each of some others."""
        if self._table is None:
            return np.searchsorted(self._values[:-1], values, side="right")
        bucket = (values - self._values[0]) >> self._shift
        before = self._table[np.clip(bucket, 0, len(self._table) - 1, out=bucket)]
        found: Ints = before + (self._values[before] <= values)
        return found


@dataclass(frozen=True, eq=False)
class WorkingTime:
    """Working intervals in order, which neither overlap nor touch: int arrays of shape (n,).

    Attributes
    ----------
    begins, ends : int arrays
        Moments; the end is not included.
    before : int array
        Microseconds worked before each interval.
    """

    begins: Ints
    ends: Ints
    before: Ints

    @property
    def total(self) -> int:
        """Microseconds worked in all."""
        return int(self.before[-1] + self.ends[-1] - self.begins[-1]) if len(self.ends) else 0

    @cached_property
    def _by_begin(self) -> _Sorted:
        return _Sorted(self.begins)

    @cached_property
    def _by_amount(self) -> _Sorted:
        return _Sorted(self.before)

    def count(self, moments: Ints) -> Ints:
        """Count the microseconds worked until each moment."""
        if not len(self.begins):
            return np.zeros_like(moments)
        place = self._by_begin.place(moments) - 1
        inside = np.minimum(moments, self.ends[place]) - self.begins[place]
        return np.where(place < 0, 0, self.before[place] + inside)

    def find(self, worked: Ints) -> Ints:
        """Find the last moment until which no more than so much was worked.

        That is the first moment of the next interval, if an interval ends with it: the clock stands
        until then, and no target that was met at the end of a day is missed overnight. Moments
        after all intervals are the largest integer.
        """
        place = self._by_amount.place(worked) - 1
        moments: Ints = np.full(len(worked), np.iinfo(np.int64).max)
        known = (worked < self.total) & (place >= 0)
        place = place[known]
        moments[known] = self.begins[place] + (worked[known] - self.before[place])
        return moments


@dataclass(frozen=True, eq=False)
class Pauses:
    """Pauses of tickets, each in a row: int arrays of shape (k,), in order of tickets.

    Attributes
    ----------
    tickets : int array
        The position of each pause's ticket.
    begins, ends : int arrays
        Moments. The pauses of one ticket do not overlap.
    """

    tickets: Ints
    begins: Ints
    ends: Ints


def unite_pauses(tickets: Ints, begins: Ints, ends: Ints) -> Pauses:
    """Put pauses in order and take off each what an earlier one of its ticket covers."""
    order = np.lexsort((begins, tickets))
    tickets, begins, ends = tickets[order], begins[order], ends[order]
    latest = pd.Series(ends).groupby(tickets).cummax()
    covered = latest.groupby(tickets).shift(fill_value=np.iinfo(np.int64).min).to_numpy()
    begins = np.maximum(begins, covered)
    kept = begins < ends
    return Pauses(tickets[kept], begins[kept], ends[kept])


@dataclass(frozen=True, eq=False)
class TicketClock:
    """The clock of n tickets.

    Attributes
    ----------
    calendars : list of WorkingHours
        Working hours, by code.
    codes : int array of shape (n,)
        Which of them each ticket has.
    zone : str or None
        The time zone of working hours that do not name one; None is UTC.
    pauses : Pauses, optional
    paused : int array of shape (n,), optional
        Microseconds on the clock that each ticket was paused in all, where it is not known when.

    Examples
    --------
    A desk works Monday to Friday, 8 to 18. A ticket opened on Friday at 17:00 and answered on
    Monday at 10:00 took 3 hours, and would have had until 15:00 to meet a target of 8:

    >>> from slarisk.config import Week, WorkingHours
    >>> day = ["08:00-18:00"]
    >>> clock = TicketClock([WorkingHours(Week(day, day, day, day, day))], np.array([0]))
    >>> opened, answered = (
    ...     pd.Series(pd.to_datetime([text])) for text in ("2024-05-03 17:00", "2024-05-06 10:00")
    ... )
    >>> (clock.elapsed(opened, answered) / pd.Timedelta(hours=1)).item()
    3.0
    >>> due = clock.pass_at(opened, pd.Series([8.0]))
    >>> str(due.item()), (answered > due).item()
    ('2024-05-06 15:00:00', False)
    """

    calendars: list[WorkingHours]
    codes: Ints
    zone: str | None = None
    pauses: Pauses | None = None
    paused: Ints | None = None

    def elapsed(self, begin: pd.Series, end: pd.Series) -> pd.Series:
        """Count the time on the clock between two moments of each ticket.

        Parameters
        ----------
        begin, end : Series of datetimes, shape (n,)

        Returns
        -------
        Series of timedeltas
            Negative where a ticket ends before it begins; NaT where a moment is missing.
        """
        (first, no_first), (last, no_last) = as_moments(begin), as_moments(end)
        known = ~(no_first | no_last)
        line = self._lay_out([first[known], last[known]])
        worked = line.count(first), line.count(last)
        taken = worked[1] - worked[0]
        if self.pauses is not None:
            rows = self.pauses.tickets
            stood = np.minimum(line.count(self.pauses.ends, rows), worked[1][rows])
            stood -= np.maximum(line.count(self.pauses.begins, rows), worked[0][rows])
            taken -= _sum(rows, np.maximum(stood, 0), len(taken))
        if self.paused is not None:
            taken = np.where(taken > 0, np.maximum(taken - self.paused, 0), taken)
        elapsed = taken.astype("timedelta64[us]")
        elapsed[~known] = np.timedelta64("NaT")
        return pd.Series(elapsed, index=begin.index)

    def pass_at(self, begin: pd.Series, hours: pd.Series) -> pd.Series:
        """Find the last moment until which no more than some hours count, for each ticket.

        A ticket that ends later has taken longer. Where working hours or a pause begin in between,
        that is when the clock starts again: 8 hours that are used up when the desk closes have
        passed when it opens.

        Parameters
        ----------
        begin : Series of datetimes, shape (n,)
        hours : Series of float, shape (n,)

        Returns
        -------
        Series of datetimes
            NaT where either is missing, or where the moment is further away than dates go.
        """
        first, no_first = as_moments(begin)
        known = ~(no_first | hours.isna().to_numpy())
        amount = np.rint(np.where(known, hours.to_numpy(dtype=float), 0) * HOUR).astype(np.int64)
        return self._find(first, amount, known, begin.index)

    def move(self, begin: pd.Series, due: pd.Series) -> pd.Series:
        """Move the due date of each ticket by the time that its clock stood in a pause before it.

        A due date that no pause moves stays as it is, inside or outside of working hours.
        """
        (first, no_first), (last, no_last) = as_moments(begin), as_moments(due)
        if self.pauses is None and self.paused is None:
            return due
        known = ~(no_first | no_last)
        line = self._lay_out([first[known], last[known]])
        amount = np.where(known, np.maximum(line.count(last) - line.count(first), 0), 0)
        plain = TicketClock(self.calendars, self.codes, self.zone)
        unmoved = plain._find(first, amount, known, begin.index)
        moved = self._find(first, amount, known, begin.index)
        return due.where(~known | (moved == unmoved), moved)

    def _find(self, first: Ints, amount: Ints, known: Bools, index: pd.Index) -> pd.Series:
        ahead = amount + self.paused if self.paused is not None else amount
        line = self._lay_out([first[known]], int(ahead[known].max(initial=0)))
        start = line.count(first)
        goal = start + ahead
        if self.pauses is not None:
            rows = self.pauses.tickets
            begins = np.maximum(line.count(self.pauses.begins, rows), start[rows])
            stood = np.maximum(line.count(self.pauses.ends, rows) - begins, 0)
            # what counted of a ticket's time before each of its pauses
            before = np.cumsum(stood) - stood
            own = np.searchsorted(rows, rows, side="left")
            counted = begins - start[rows] - (before - before[own])
            goal += _sum(rows, np.where(counted <= ahead[rows], stood, 0), len(goal))
            line = self._lay_out([first[known]], int((goal - start)[known].max(initial=0)))
        moments = line.find(goal)
        return as_times(moments, ~known | (moments == np.iinfo(np.int64).max), index)

    def _lay_out(self, moments: list[Ints], ahead: int = 0) -> _Lines:
        """Lay out the working hours around some moments, and for so long after the last."""
        if self.pauses is not None:
            moments = [*moments, self.pauses.begins, self.pauses.ends]
        moments = [each for each in moments if len(each)]
        first = min((int(each.min()) for each in moments), default=0)
        last = max((int(each.max()) for each in moments), default=0)
        lines = [_reach(hours, self.zone, first, last, ahead) for hours in self.calendars]
        return _Lines(lines, self.codes)


@dataclass(frozen=True, eq=False)
class _Lines:
    """Working time by code, and the code of each of n tickets."""

    lines: list[WorkingTime | None]
    codes: Ints

    def count(self, moments: Ints, rows: Ints | None = None) -> Ints:
        """Count the microseconds worked until moments: of each ticket, or of those in ``rows``."""
        return self._apply(moments, rows, lambda line, moments: line.count(moments))

    def find(self, worked: Ints) -> Ints:
        """Find when each ticket's line has so many microseconds behind it."""
        return self._apply(worked, None, lambda line, worked: line.find(worked))

    def _apply(
        self, values: Ints, rows: Ints | None, function: Callable[[WorkingTime, Ints], Ints]
    ) -> Ints:
        if len(self.lines) == 1:
            return values if self.lines[0] is None else function(self.lines[0], values)
        codes = self.codes if rows is None else self.codes[rows]
        result = values.copy()
        for code, line in enumerate(self.lines):
            if line is not None:
                mine = codes == code
                result[mine] = function(line, values[mine])
        return result


def _reach(
    hours: WorkingHours, zone: str | None, first: int, last: int, ahead: int
) -> WorkingTime | None:
    """Lay out working hours until so much was worked after the last moment, or dates end."""
    line = lay_out(hours, zone, first, last)
    if line is None:
        return None
    span = 2 * DAY * 365
    latest = int(np.datetime64(f"{_LAST}-01-01", "us").astype(np.int64))
    while int(line.count(np.array([last]))[0]) + ahead >= line.total and last + span < latest:
        line = lay_out(hours, zone, first, last + span)
        assert line is not None
        if not line.total:
            raise InputError("sla.clock: there are no working hours on any day.")
        span *= 2
    return line


def _sum(rows: Ints, values: Ints, size: int) -> Ints:
    """Add the values of each row up."""
    total = np.zeros(size, dtype=np.int64)
    np.add.at(total, rows, values)
    return total


def lay_out(hours: WorkingHours, zone: str | None, first: int, last: int) -> WorkingTime | None:
    """Lay out working hours from one moment to another, in whole years; None if all time counts.

    Parameters
    ----------
    hours : WorkingHours
    zone : str or None
        The time zone of working hours that do not name one; None is UTC.
    first, last : int
        Moments.

    Raises
    ------
    InputError
        A country or a region has no public holidays here.
    """
    layout = _make_layout(hours, zone)
    if layout is None:
        return None
    years = np.array([first, last], dtype="datetime64[us]").astype("datetime64[Y]").astype(int)
    return _lay_out(layout, int(years[0]) + 1970 - 1, min(int(years[1]) + 1970 + 1, _LAST))


def counts_all_time(hours: WorkingHours) -> bool:
    """Whether working hours are 24 hours, 7 days, without any closed day."""
    return _make_layout(hours, None) is None


def describe_clock(sla: SlaPolicy, timezone: str | None) -> str | None:
    """Say in a sentence when hours count under an SLA; None if they always do.

    Parameters
    ----------
    sla : SlaPolicy
    timezone : str or None
        That of the tickets.

    Examples
    --------
    >>> from slarisk.config import Clock, SlaPolicy, Week, WorkingHours
    >>> day = ["08:00-18:00"]
    >>> clock = Clock(week=Week(day, day, saturday=["9:00-12:00"]), closed=["2024-12-24"])
    >>> clock.priorities = {"Critical": WorkingHours()}
    >>> describe_clock(SlaPolicy(clock=clock), "Europe/Berlin")
    'Hours count on Monday and Tuesday 08:00-18:00, Saturday 9:00-12:00 (Europe/Berlin), but for 1
    closed day; of Critical tickets at all times.'
    """
    parts = [_describe_hours(sla.clock, timezone)]
    own = sla.clock.priorities.items()
    parts += [f"of {name} tickets {_describe_hours(hours, timezone)}" for name, hours in own]
    pause = sla.pause
    if pause.statuses:
        parts.append(f"not while the status is {' or '.join(pause.statuses)}")
    elif pause.begins or pause.minutes:
        parts.append("less what a ticket was paused")
    if len(parts) == 1 and counts_all_time(sla.clock):
        return None
    return f"Hours count {'; '.join(parts)}."


def _describe_hours(hours: WorkingHours, timezone: str | None) -> str:
    if counts_all_time(hours):
        return "at all times"
    alike: dict[str, list[str]] = {}
    for day in fields(hours.week):
        if shifts := getattr(hours.week, day.name):
            alike.setdefault(" and ".join(shifts), []).append(day.name.capitalize())
    days = [f"{_join(names)} {shifts}" for shifts, names in alike.items()]
    zone = hours.timezone or timezone
    text = f"on {', '.join(days)}" if days else "on all days"
    text += f" ({zone})" if zone else ""
    off = [" ".join(filter(None, [each.country, each.region])) for each in hours.holidays]
    without = [f"public holidays of {_join(off)}"] if off else []
    if hours.closed:
        without.append(f"{len(hours.closed)} closed day{'s' * (len(hours.closed) > 1)}")
    return text + (f", but for {_join(without)}" if without else "")


def _join(names: list[str]) -> str:
    return " and ".join(filter(None, [", ".join(names[:-1]), names[-1]]))


def _make_layout(hours: WorkingHours, zone: str | None) -> _Layout | None:
    shifts = [[parse_shift(text) for text in getattr(hours.week, day.name)]
              for day in fields(hours.week)]  # fmt: skip
    pieces: list[list[tuple[int, int]]] = [[] for _ in shifts]
    for day, of_day in enumerate(shifts):
        for begin, end in of_day:
            end = end if end > begin else end + 24 * 60
            pieces[day].append((begin, min(end, 24 * 60)))
            if end > 24 * 60:
                pieces[(day + 1) % 7].append((0, end - 24 * 60))
    if not any(shifts):
        if not (hours.holidays or hours.closed):
            return None
        pieces = [[(0, 24 * 60)]] * 7
    return _Layout(
        tuple(tuple(each) for each in pieces),
        hours.timezone or zone,
        tuple((each.country, each.region) for each in hours.holidays),
        tuple((pd.Timestamp(day) - pd.Timestamp("1970-01-01")).days for day in hours.closed),
    )


@lru_cache(maxsize=32)
def _lay_out(layout: _Layout, first_year: int, last_year: int) -> WorkingTime:
    first, last = (
        int(np.datetime64(f"{year:04}-01-01", "D").astype(np.int64))
        for year in (first_year, last_year + 1)
    )
    days = np.arange(first - 2, last + 2)
    off = [*layout.closed, *_list_holidays(layout.holidays, first_year - 1, last_year + 1)]
    days = days[~np.isin(days, off)]
    begins, ends = [], []
    for weekday, pieces in enumerate(layout.pieces):
        midnight = days[(days + 3) % 7 == weekday] * DAY  # 1970 began on a Thursday
        begins += [midnight + begin * MINUTE for begin, _ in pieces]
        ends += [midnight + end * MINUTE for _, end in pieces]
    local = _unite(np.concatenate(begins), np.concatenate(ends))
    begin, end = _as_utc(*local, layout.zone) if layout.zone else local
    inside = (end > first * DAY) & (begin < last * DAY)
    begin, end = begin[inside], end[inside]
    return WorkingTime(begin, end, np.concatenate([[0], np.cumsum(end - begin)[:-1]])[: len(begin)])


def _list_holidays(
    places: Sequence[tuple[str, str | None]], first_year: int, last_year: int
) -> list[int]:
    """List public holidays as days since 1970."""
    if not places:
        return []
    import holidays

    found: set[int] = set()
    for country, region in places:
        try:
            days = holidays.country_holidays(
                country, subdiv=region, years=range(first_year, last_year + 1)
            )
        except NotImplementedError as error:
            key = f"country: {country}" + (f", region: {region}" if region else "")
            raise InputError(f"sla.clock.holidays: {key}: {error}.") from error
        found |= {(day - _EPOCH).days for day in days}
    return sorted(found)


def _unite(begins: Ints, ends: Ints) -> tuple[Ints, Ints]:
    """Unite intervals that overlap or touch."""
    order = np.argsort(begins, kind="stable")
    begins, ends = begins[order], np.maximum.accumulate(ends[order])
    new = np.append(True, begins[1:] > ends[:-1])[: len(begins)]
    last = np.append(new[1:], True)[: len(begins)]
    return begins[new], ends[last]


def _as_utc(begins: Ints, ends: Ints, zone: str) -> tuple[Ints, Ints]:
    """Give the instants at which the local clocks show a time within intervals, as intervals."""
    if not len(begins):
        return begins, ends
    found = find_offsets(zone, int(begins[0]), int(ends[-1]))
    limits = np.concatenate([[begins[0] - 2 * DAY], found.changes, [ends[-1] + 2 * DAY]])
    pieces = []
    for since, until, offset in zip(limits[:-1], limits[1:], found.offsets, strict=True):
        low = np.searchsorted(ends, since + offset, side="right")
        high = np.searchsorted(begins, until + offset, side="left")
        begin, end = begins[low:high] - offset, ends[low:high] - offset
        pieces.append((np.maximum(begin, since), np.minimum(end, until)))
    begin, end = (np.concatenate(each) for each in zip(*pieces, strict=True))
    return _unite(begin[begin < end], end[begin < end])
