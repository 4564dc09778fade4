"""The clock against one that looks at every second, and by hand."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from slarisk.config import PublicHolidays, Week, WorkingHours
from slarisk.errors import InputError
from slarisk.times.clock import TicketClock, _Sorted, counts_all_time, unite_pauses

DAY = 86_400
FIRST, LAST = (int(pd.Timestamp(day).timestamp()) for day in ("2023-09-20", "2024-11-20"))
OFFICE = ["08:00-18:00"]
NIGHT = ["22:00-06:00"]
SPLIT = ["07:45-12:15", "13:00-17:30"]
CALENDARS = {
    "all the time": WorkingHours(),
    "office": WorkingHours(
        Week(OFFICE, OFFICE, OFFICE, OFFICE, OFFICE),
        "Europe/Berlin",
        [PublicHolidays("DE", "BY"), PublicHolidays("AT")],
        ["2023-12-24", "2024-07-15"],
    ),
    # the clocks change in the middle of these shifts
    "night": WorkingHours(Week(*[NIGHT] * 7), "America/Chicago", [PublicHolidays("US")]),
    "half an hour": WorkingHours(
        Week(SPLIT, SPLIT, SPLIT, [*SPLIT, "20:00-02:15"], sunday=["01:00-04:30", "04:00-05:00"]),
        "Australia/Lord_Howe",
        [PublicHolidays("AU", "NSW")],
    ),
    "closed on some days": WorkingHours(
        timezone="Europe/London", closed=["2024-03-31", "2024-10-27", "2024-05-01"]
    ),
    # on the first day of summer the gap is in working hours, on the last the hour that is repeated
    "sundays": WorkingHours(Week(sunday=["01:30-02:45"]), "Europe/Berlin"),
}


def draw_tickets(rng: np.random.Generator, count: int):
    """Draw beginnings, ends, amounts in seconds, and pauses that may lie in one another."""
    length = LAST - FIRST
    begin = rng.integers(2 * DAY, length - 75 * DAY, count)
    # a third near a change of the clocks
    changes = [pd.Timestamp(day).timestamp() - FIRST
               for day in ("2023-10-29", "2023-11-05", "2024-03-10", "2024-03-31", "2024-04-07",
                           "2024-10-06")]  # fmt: skip
    near = rng.random(count) < 1 / 3
    begin[near] = (rng.choice(changes, near.sum()) + rng.integers(-DAY, DAY, near.sum())).clip(
        2 * DAY, length - 75 * DAY
    )
    begin[rng.random(count) < 0.2] //= 3600  # on the hour, where working hours begin and end
    begin = np.where(begin < 2 * DAY, begin * 3600, begin)
    end = begin + rng.integers(0, 14 * DAY, count) * rng.integers(0, 2, count)
    end += rng.integers(0, 3 * DAY, count)
    amount = rng.integers(0, 30, count) * 3600  # whole hours: used up when a shift ends
    amount += rng.integers(0, 3600, count) * rng.integers(0, 2, count)
    number = rng.integers(0, 5, count)
    owner = np.repeat(np.arange(count), number)
    start = begin[owner] + rng.integers(-DAY, 5 * DAY, len(owner))
    stop = start + rng.integers(0, 2 * DAY, len(owner)) // rng.choice([1, 20], len(owner))
    whole = rng.random(len(owner)) < 0.3
    start[whole], stop[whole] = (each[whole] // 3600 * 3600 for each in (start, stop))
    return begin, end, amount, owner, start, stop


def compare(worked_seconds, name: str, count: int, seed: int) -> int:
    """Count the tickets whose elapsed time or deadline differs between the two clocks."""
    rng = np.random.default_rng(seed)
    hours = CALENDARS[name]
    begin, end, amount, owner, start, stop = draw_tickets(rng, count)
    worked = worked_seconds(hours, FIRST, LAST)

    def moments(seconds):
        return (FIRST + seconds) * 1_000_000

    pauses = unite_pauses(owner, moments(start), moments(stop))
    clock = TicketClock([hours], np.zeros(count, dtype=np.int64), None, pauses)
    begins, ends = (pd.Series(moments(each).astype("datetime64[us]")) for each in (begin, end))
    elapsed = clock.elapsed(begins, ends).dt.total_seconds().to_numpy()
    passes = clock.pass_at(begins, pd.Series(amount / 3600))
    passes = passes.to_numpy().astype("datetime64[s]").astype(np.int64) - FIRST
    edges = np.searchsorted(owner, np.arange(count + 1))
    wrong = 0
    for ticket in range(count):
        first = begin[ticket]
        for days in (5, 20, 70):
            mine = worked[first : first + days * DAY].copy()
            for place in range(edges[ticket], edges[ticket + 1]):
                mine[max(start[place] - first, 0) : max(stop[place] - first, 0)] = False
            if np.count_nonzero(mine) > amount[ticket] and end[ticket] - first <= len(mine):
                break
        counted = np.count_nonzero(mine[: end[ticket] - first])
        if np.count_nonzero(mine) > amount[ticket]:
            passed = first + np.flatnonzero(mine)[amount[ticket]]  # it begins one second too much
        else:
            passed = passes[ticket] if passes[ticket] >= first + len(mine) else None
        wrong += counted != elapsed[ticket] or passed != passes[ticket]
    return wrong


@pytest.mark.parametrize("name", CALENDARS)
def test_every_second_counts(worked_seconds, name):
    assert compare(worked_seconds, name, 300, seed=1) == 0


@pytest.mark.slow
@pytest.mark.parametrize("name", CALENDARS)
def test_every_second_of_100_000_tickets_counts(worked_seconds, name):
    assert compare(worked_seconds, name, 100_000 // len(CALENDARS) + 1, seed=2) == 0


# By hand ------------------------------------------------------------------------------------------

MON_TO_FRI = WorkingHours(Week(OFFICE, OFFICE, OFFICE, OFFICE, OFFICE))


def times(*texts):
    return pd.Series(pd.to_datetime(list(texts))).astype("datetime64[us]")


def clock_of(*calendars, codes=None, zone=None, **settings):
    codes = np.zeros(1, dtype=np.int64) if codes is None else np.array(codes)
    return TicketClock(list(calendars), codes, zone, **settings)


def hours_between(clock, begin, end):
    return (clock.elapsed(times(*begin), times(*end)) / pd.Timedelta(hours=1)).tolist()


def test_a_day_on_which_clocks_change_has_an_hour_more_or_less():
    whole_day = WorkingHours(Week(*[["00:00-24:00"]] * 7), "Europe/Berlin")
    clock = clock_of(whole_day, codes=[0, 0, 0])
    midnights = ["2024-03-30 23:00", "2024-10-26 22:00", "2024-06-01 22:00"]  # UTC
    ends = ["2024-03-31 22:00", "2024-10-27 23:00", "2024-06-02 22:00"]
    assert hours_between(clock, midnights, ends) == [23, 25, 24]
    night = WorkingHours(Week(saturday=["22:00-06:00"]), "Europe/Berlin")
    assert hours_between(clock_of(night, codes=[0, 0, 0]), midnights, ends)[:2] == [5, 7]


def test_a_shift_past_midnight_stops_where_a_closed_day_begins():
    week = Week(monday=["22:00-06:00"])
    begin, end = ["2024-05-06 12:00"], ["2024-05-07 12:00"]
    assert hours_between(clock_of(WorkingHours(week)), begin, end) == [8]
    assert hours_between(clock_of(WorkingHours(week, closed=["2024-05-07"])), begin, end) == [2]
    assert hours_between(clock_of(WorkingHours(week, closed=["2024-05-06"])), begin, end) == [6]


def test_public_holidays_are_those_of_the_region():
    begin, end = ["2024-05-30 00:00"], ["2024-05-31 00:00"]  # Corpus Christi: not in all of Germany
    for region, hours in (("BY", 0), ("BE", 10)):
        calendar = WorkingHours(MON_TO_FRI.week, holidays=[PublicHolidays("DE", region)])
        assert hours_between(clock_of(calendar), begin, end) == [hours]


def test_hours_used_up_in_the_evening_have_passed_when_the_desk_opens():
    clock = clock_of(MON_TO_FRI)
    friday = times("2024-05-03 10:00")
    assert clock.pass_at(friday, pd.Series([8.0])).tolist() == times("2024-05-06 08:00").tolist()
    # a ticket of Friday night has not used anything on Monday at 8
    assert clock.pass_at(times("2024-05-03 23:00"), pd.Series([0.0])).tolist() == (
        times("2024-05-06 08:00").tolist()
    )


def test_a_target_of_many_years_passes_in_many_years():
    calendar = WorkingHours(Week(monday=["09:00-10:00"]))
    passes = clock_of(calendar).pass_at(times("2024-01-01 00:00"), pd.Series([5217.5]))
    assert passes.tolist() == [pd.Timestamp("2024-01-01 09:30") + pd.Timedelta(weeks=5217)]


def test_missing_times_stay_missing():
    clock = clock_of(MON_TO_FRI, codes=[0, 0])
    begin = pd.Series(pd.to_datetime([None, "2024-05-03 10:00"])).astype("datetime64[us]")
    assert clock.elapsed(begin, begin.shift()).isna().all()
    assert clock.pass_at(begin, pd.Series([1.0, np.nan])).isna().all()


def test_minutes_paused_are_taken_off_what_was_worked():
    clock = clock_of(MON_TO_FRI, codes=[0, 0], paused=np.array([3, 99]) * 3600 * 1_000_000)
    begin, end = times(*["2024-05-03 10:00"] * 2), times(*["2024-05-06 10:00"] * 2)
    assert (clock.elapsed(begin, end) / pd.Timedelta(hours=1)).tolist() == [7, 0]
    assert clock.pass_at(begin, pd.Series([6.0, 6.0])).iloc[0] == pd.Timestamp("2024-05-06 09:00")


def test_a_calendar_without_an_hour_and_a_country_without_holidays_are_refused():
    never = WorkingHours(Week(monday=OFFICE), holidays=[PublicHolidays("XX")])
    with pytest.raises(InputError, match="XX"):
        hours_between(clock_of(never), ["2024-05-03 10:00"], ["2024-05-06 10:00"])


def test_only_a_week_without_shifts_and_closed_days_is_all_time():
    assert counts_all_time(WorkingHours())
    assert not counts_all_time(WorkingHours(closed=["2024-05-01"]))
    assert not counts_all_time(MON_TO_FRI)


@given(
    st.lists(st.integers(-(2**50), 2**50), max_size=30, unique=True).map(sorted),
    st.lists(st.integers(-(2**52), 2**52)),
    st.integers(0, 40),
)
def test_a_place_is_that_of_a_search(values, more, shift):
    values = np.unique(np.array(values, dtype=np.int64) >> shift)
    among = np.array([*more, *values, *(values + 1), *(values - 1)], dtype=np.int64)
    assert np.array_equal(_Sorted(values).place(among), np.searchsorted(values, among, "right"))
