"""Dates as exports of many systems and languages write them, and to what they are written."""

import pandas as pd
import pytest

from slarisk.times.dates import (
    DAY,
    HOUR,
    MINUTE,
    SECOND,
    Dates,
    add_times,
    confuses_day_and_month,
    parse_dates,
    read_dates,
)

NINE = pd.Timestamp("2026-03-02 09:05")


def texts(*values):
    return pd.Series(list(values), dtype="str")


@pytest.mark.parametrize(
    ("written", "date_format"),
    [
        ("2. März 2026 09:05", "%d. %B %Y %H:%M"),
        ("2. Mrz. 2026 09:05", "%d. %b %Y %H:%M"),
        ("2 mars 2026 09:05", "%d %B %Y %H:%M"),
        ("2-mrt-2026 09:05", "%d-%b-%Y %H:%M"),
        ("2 de março de 2026 09:05", "%d de %B de %Y %H:%M"),
        ("02/mar/26 9:05 AM", "%d/%b/%y %I:%M %p"),
        ("2 марта 2026 09:05", "%d %B %Y %H:%M"),
        ("3/2/26, 9:05\u202fAM", "%m/%d/%y, %I:%M %p"),
        ("02/03/2026 09:05 a. m.", "%d/%m/%Y %I:%M %p"),
        ("02/03/2026 9:05\u00a0a.m.", "%d/%m/%Y %I:%M %p"),
        ("2026/3/2 上午9:05", "%Y/%m/%d %p%I:%M"),
        ("2026. 3. 2. 오전 9:05", "%Y. %m. %d. %p %I:%M"),
        ("1772442300", "epoch_s"),
        ("1772442300000", "epoch_ms"),
        ("1772442300000.0", "epoch_ms"),
        ("1772442300000000", "epoch_us"),
        ("202603020905", "%Y%m%d%H%M"),
        ("\u200e2026-03-02 09:05", "ISO8601"),
    ],
)
def test_one_moment_in_many_ways_of_writing(written, date_format):
    assert read_dates(texts(written), [date_format]).tolist() == [NINE]


@pytest.mark.parametrize(
    ("written", "date_format"),
    [
        ("2 Foo 2026", "%d %B %Y"),
        ("1772442300", "epoch_ms"),  # seconds: they would be a day in 1970
        ("1772442300000", "epoch_s"),  # milliseconds: the year 58135
        ("1772442300000", "%Y%m%d%H%M%S"),
        ("1772442300000", "ISO8601"),
        ("13:05 PM 02/03/2026", "%I:%M %p %d/%m/%Y"),
        ("inf", "epoch_s"),
    ],
)
def test_what_a_format_does_not_mean_is_not_read(written, date_format):
    assert read_dates(texts(written), [date_format]).isna().all()


def test_seconds_and_milliseconds_in_one_column_are_told_apart():
    written = texts("1772442300", "1772442300000")
    for formats in (["epoch_s", "epoch_ms"], ["epoch_ms", "epoch_s"]):
        assert read_dates(written, formats).tolist() == [NINE, NINE]


def test_each_date_knows_to_what_it_is_written():
    written = texts("2026-03-02 09:05:00", "2026-03-02 09:05", "2026-03-02T09", "2026-03-02", None)
    assert parse_dates(written, ["ISO8601"]).precision.tolist() == [SECOND, MINUTE, HOUR, DAY, 0]
    formats = ["%d.%m.%Y %H:%M", "%d.%m.%Y"]
    assert parse_dates(texts("2.3.2026 9:05", "2.3.2026"), formats).precision.tolist() == [
        MINUTE,
        DAY,
    ]


@pytest.mark.parametrize(
    ("clock", "read", "precision"),
    [
        ("9:05", NINE, MINUTE),
        ("09:05:00", NINE, SECOND),
        ("0905", NINE, MINUTE),
        ("905", NINE, MINUTE),
        ("90500", NINE, SECOND),
        ("9:05 a.m.", NINE, MINUTE),
        ("9:05 PM", pd.Timestamp("2026-03-02 21:05"), MINUTE),
        ("12:05 am", pd.Timestamp("2026-03-02 00:05"), MINUTE),
        ("1899-12-30 09:05:00", NINE, SECOND),
        (None, pd.Timestamp("2026-03-02"), DAY),
        ("25:00", pd.NaT, HOUR),
        ("13:05 PM", pd.NaT, HOUR),
        ("soon", pd.NaT, HOUR),
    ],
)
def test_a_time_of_day_in_a_column_of_its_own(clock, read, precision):
    dates, lost = add_times(parse_dates(texts("2026-03-02"), ["%Y-%m-%d"]), texts(clock))
    assert isinstance(dates, Dates)
    assert lost.tolist() == [read is pd.NaT]
    if read is pd.NaT:
        assert dates.times.isna().all()
    else:
        assert dates.times.tolist() == [read]
        assert dates.precision.tolist() == [precision]


@pytest.mark.parametrize(
    ("one", "other", "confused"),
    [
        ("%d/%m/%Y", "%m/%d/%Y", True),
        ("%m/%d/%Y %H:%M", "%d/%m/%Y %H:%M", True),
        ("%Y-%d-%m", "ISO8601", True),
        ("%d/%m/%Y", "%m/%d/%y", False),
        ("%d/%m/%Y", "%m-%d-%Y", False),
        ("%Y-%m-%d", "ISO8601", False),
        ("%d/%m/%Y", "epoch_s", False),
    ],
)
def test_formats_that_read_a_day_as_a_month(one, other, confused):
    assert confuses_day_and_month(one, other) == confused
