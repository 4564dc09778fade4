"""Durations as exports write them."""

import pandas as pd
import pytest

from slarisk.times.durations import UNITS, read_durations


@pytest.mark.parametrize(
    ("written", "hours"),
    [
        ("90", 1.5),
        ("90.0", 1.5),
        ("0", 0),
        ("1:30", 1.5),
        ("01:30:00", 1.5),
        ("100:30:00", 100.5),
        ("3 days 04:30:00", 76.5),
        ("3 days, 4:30:00", 76.5),
        ("1.04:30:00", 28.5),  # as .NET writes a day
        ("3d 4h 30m", 76.5),
        ("3 days 4 hours 30 minutes", 76.5),
        ("1 hour and 30 minutes", 1.5),
        ("1,5 h", 1.5),
        ("PT1H30M", 1.5),
        ("P3DT4H30M", 76.5),
        ("2 weeks", 336),
    ],
)
def test_durations_say_their_units_or_take_the_columns(written, hours):
    assert read_durations(pd.Series([written], dtype="str"), "minutes").tolist() == [
        pytest.approx(hours)
    ]


@pytest.mark.parametrize("written", ["-5", "-1:30", "soon", "1:75", "2 months", "P", "PT", "h", ""])
def test_what_is_no_duration_is_not_read(written):
    assert read_durations(pd.Series([written], dtype="str"), "hours").isna().all()


@pytest.mark.parametrize("unit", UNITS)
def test_whole_hours_are_exact(unit):
    """An SLA of 8 hours is met by a ticket that took 8 hours, in any unit."""
    numbers = {"seconds": 3600, "minutes": 60, "hours": 1, "days": 1 / 24}[unit]
    whole = [hours for hours in range(500) if unit != "days" or hours % 24 == 0]
    text = pd.Series([repr(hours * numbers) for hours in whole], dtype="str")
    assert read_durations(text, unit).tolist() == whole
