"""Number formats of the report: one function for each kind of number."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import pandas as pd

from slarisk.decisions.costs import dollars

MISSING = "\u2013"


def format_value(value: Any, kind: str) -> str:
    """Format a value of a kind named in `FORMATS`; a missing number is a dash.

    Examples
    --------
    >>> format_value(0.3277, "rate"), format_value(float("nan"), "rate") == MISSING
    ('32.8%', True)
    """
    return MISSING if kind not in ("text", "right") and pd.isna(value) else FORMATS[kind](value)


def format_cents(amount: float) -> str:
    """Format dollars and cents, with the sign before the dollar.

    Examples
    --------
    >>> format_cents(-1234.5), format_cents(-0.001)
    ('-$1,234.50', '$0.00')
    """
    return f"{'-' if round(amount, 2) < 0 else ''}${abs(amount):,.2f}"


def format_points(points: float) -> str:
    """Format percentage points with their sign.

    Examples
    --------
    >>> format_points(-2.04), format_points(-0.04)
    ('-2.0', '+0.0')
    """
    return f"{round(points, 1) + 0.0:+.1f}"  # -0.0 + 0.0 is 0.0


def format_share(share: float) -> str:
    """Format a share that the config states: a percentage with all its digits.

    Examples
    --------
    >>> format_share(0.15), format_share(0.075), format_share(0.999)
    ('15%', '7.5%', '99.9%')
    """
    return f"{100 * share:g}%"


def format_p(p_value: float) -> str:
    """Format a p-value with two or three digits.

    Examples
    --------
    >>> [format_p(p) for p in (0.2345, 0.012, 0.00001)]
    ['0.23', '0.012', '< 0.001']
    """
    if p_value < 0.001:
        return "< 0.001"
    return f"{p_value:.3f}" if p_value < 0.1 else f"{p_value:.2f}"


def format_interval(rate: float, low: float, high: float) -> str:
    """Format a rate with its interval.

    Examples
    --------
    >>> format_interval(0.3277, 0.306, 0.3503)
    '32.8% (30.6% to 35.0%)'
    """
    return f"{rate:.1%} ({low:.1%} to {high:.1%})"


def format_count(number: float, noun: str) -> str:
    """Format a number with its noun, in the plural unless it is 1.

    Examples
    --------
    >>> format_count(1, "point"), format_count(2500, "point"), format_count(0.5, "point")
    ('1 point', '2,500 points', '0.5 points')
    """
    written = f"{number:,}" if isinstance(number, int) else f"{number:,g}"
    return f"{written} {noun}{'' if number == 1 else 's'}"


def _format_statistic(value: float) -> str:
    return f"{value:,.4f}" if abs(value) < 1e5 else f"{value:,.0f}"


def _format_degrees(value: float) -> str:
    return f"{value:,.0f}" if value == round(value) else f"{value:,.1f}"


def _format_exact_p(p_value: float) -> str:
    return f"{p_value:.5g}" if p_value > 0 else "< 1e-300"


def format_saving(saving: tuple[float, float, float]) -> str:
    """Format dollars with the ends of their interval.

    Examples
    --------
    >>> format_saving((50, -10, 90))
    '$50 [-$10 to $90]'
    """
    value, low, high = map(dollars, saving)
    return f"{value} [{low} to {high}]"


def format_money_interval(metrics: Mapping[str, float], name: str) -> str:
    """Format a metric in dollars with its interval, ``<name>_low`` to ``<name>_high``."""
    return format_saving((metrics[name], metrics[f"{name}_low"], metrics[f"{name}_high"]))


FORMATS: dict[str, Callable[[Any], str]] = {
    "text": str,
    "right": str,  # text that is aligned like a number
    "whole": "{:,.0f}".format,
    "share": format_share,
    "rate": "{:.1%}".format,
    "rate4": "{:.2%}".format,
    "points": format_points,
    "dollars": dollars,
    "cents": format_cents,
    "one": "{:,.1f}".format,
    "two": "{:,.2f}".format,
    "general": "{:g}".format,
    "statistic": _format_statistic,
    "degrees": _format_degrees,
    "p": format_p,
    "exact_p": _format_exact_p,
}
