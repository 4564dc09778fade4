"""Read durations as exports write them: numbers, ``HH:MM:SS``, ``3 days 04:05:06``, ISO 8601."""

from __future__ import annotations

import re

import numpy as np
import pandas as pd

UNITS = {"seconds": 3600, "minutes": 60, "hours": 1, "days": 1 / 24}  # of them in an hour
_CLOCK = re.compile(
    r"^(?P<sign>-)?(?:(?P<days>\d+(?:[.,]\d+)?)\s*(?:d|days?|tage?|jours?|d[ií]as?)?[\s,.]+)?"
    r"(?P<hours>\d+):(?P<minutes>[0-5]?\d)(?::(?P<seconds>[0-5]?\d(?:[.,]\d+)?))?$",
    re.IGNORECASE,
)
_PART = re.compile(
    r"(\d+(?:[.,]\d+)?)\s*(?:(?P<w>w|weeks?|wochen?)|(?P<d>d|days?|tage?n?)"
    r"|(?P<h>h|hrs?|hours?|std|stunden?)|(?P<m>m|mins?|minutes?|minuten?)"
    r"|(?P<s>s|secs?|seconds?|sekunden?))\b\.?[\s,]*(?:and\s+|und\s+)?",
    re.IGNORECASE,
)
_ISO = re.compile(
    r"^P(?:(\d+(?:\.\d+)?)W)?(?:(\d+(?:\.\d+)?)D)?"
    r"(?:T(?:(\d+(?:\.\d+)?)H)?(?:(\d+(?:\.\d+)?)M)?(?:(\d+(?:\.\d+)?)S)?)?$"
)
_HOURS_OF = {"w": 168.0, "d": 24.0, "h": 1.0, "m": 1 / 60, "s": 1 / 3600}


def read_durations(text: pd.Series, unit: str) -> pd.Series:
    """Read durations in hours.

    Parameters
    ----------
    text : Series of str
        Numbers in ``unit``; ``HH:MM``, ``HH:MM:SS`` (hours may be more than 24), ``3 days
        04:05:06``, ``2d 4h 30m`` or ISO 8601 (``PT4H30M``), which say their own units.
    unit : str
        ``seconds``, ``minutes``, ``hours`` or ``days``.

    Returns
    -------
    Series of float
        Hours; NaN where nothing could be read.

    Examples
    --------
    >>> written = ["90", "1:30", "3 days 04:30:00", "2d 4h", "PT45M", "-5", "soon"]
    >>> read_durations(pd.Series(written, dtype="str"), "minutes").tolist()
    [1.5, 1.5, 76.5, 52.0, 0.75, nan, nan]
    """
    numbers = pd.to_numeric(text, errors="coerce").astype(float) / UNITS[unit]
    left = numbers.isna() & text.notna()
    if left.any():
        numbers = numbers.where(~left, text[left].map(_read_written).reindex(text.index))
    return numbers.where(numbers >= 0)


def _read_written(text: str) -> float:
    text = text.strip()
    if match := _CLOCK.match(text):
        if match["sign"]:
            return np.nan
        days, seconds = (
            float((match[key] or "0").replace(",", ".")) for key in ("days", "seconds")
        )
        return days * 24 + int(match["hours"]) + (int(match["minutes"]) * 60 + seconds) / 3600
    if (match := _ISO.match(text.upper())) and any(match.groups()):
        parts = zip(match.groups(), _HOURS_OF.values(), strict=True)
        return sum(float(number) * hours for number, hours in parts if number)
    total, place = 0.0, 0
    while match := _PART.match(text, place):
        assert match.lastgroup is not None
        total += float(match[1].replace(",", ".")) * _HOURS_OF[match.lastgroup]
        place = match.end()
    return total if place and place == len(text) else np.nan
