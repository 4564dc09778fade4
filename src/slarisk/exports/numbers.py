"""Numbers as exports write them: with a decimal comma, or with marks between thousands."""

from __future__ import annotations

import re
from functools import lru_cache

import pandas as pd

POINT, COMMA = ".", ","
THOUSANDS = (".", ",", "'", " ")
# as they are written, too: spaces that do not break, and the apostrophe of Swiss typewriters
_LIKE = {" ": " \u00a0\u2009\u202f", "'": "'\u2019"}
_FOREIGN = (
    r"[+-]?(?:\d+|\d{1,3}(?:[.\s'\u2019]\d{3})+),\d+"
    r"|[+-]?\d{1,3}(?:[,\s'\u2019]\d{3})+(?:\.\d+)?"
)


def read_plain(text: pd.Series, decimal: str, thousands: str | None) -> pd.Series:
    """Write numbers with a decimal point and without marks between thousands.

    Parameters
    ----------
    text : Series of str
    decimal : str
        The decimal mark: a point or a comma.
    thousands : str, optional
        What may stand between groups of three digits.

    Returns
    -------
    Series of str
        What is not a number in this way of writing stays as it is, but not as a number: a point
        that is neither mark becomes no decimal point.

    Examples
    --------
    >>> written = pd.Series(["12,50", "1.234,00", "-7", "1.5", "soon"], dtype="str")
    >>> read_plain(written, ",", ".").tolist()
    ['12.50', '1234.00', '-7', '1.5 (not a number)', 'soon']
    """
    if decimal == POINT and thousands is None:
        return text
    return text.map(lambda each: _plain(each, decimal, thousands), na_action="ignore").astype("str")


def _plain(written: str, decimal: str, thousands: str | None) -> str:
    if (match := _match(decimal, thousands).fullmatch(written.strip())) is not None:
        sign, whole, part, power = match.groups(default="")
        digits = re.sub(r"\D", "", whole)
        return f"{sign}{digits}{'.' + part if part else ''}{power}"
    try:
        float(written)
    except ValueError:
        return written
    return f"{written} (not a number)"  # 1.5 could be 15, or one and a half


@lru_cache
def _match(decimal: str, thousands: str | None) -> re.Pattern[str]:
    mark = f"[{re.escape(_LIKE.get(thousands, thousands))}]" if thousands else ""
    groups = rf"\d{{1,3}}(?:{mark}\d{{3}})+|" if thousands else ""
    return re.compile(rf"([+-]?)({groups}\d+)(?:{re.escape(decimal)}(\d+))?([eE][+-]?\d+)?")


def hint_marks(values: pd.Series) -> str:
    """Name the keys that read some numbers, if they look as if they had other marks.

    Examples
    --------
    >>> hint_marks(pd.Series(["1.234,00", "12,50"], dtype="str"))
    " If commas are decimal marks: data.decimal=',' data.thousands='.'."
    """
    found = values.dropna().astype("str").str.strip()
    found = found[found.str.fullmatch(_FOREIGN)]
    if found.empty:
        return ""
    comma = found.str.contains(r",\d{1,2}$|,\d{4,}$|[.'\s]\d{3},").any()
    between = found.str.extract(r"\d([.,'\u2019\s])\d{3}(?:\D|$)")[0].dropna()
    between = between[between != (COMMA if comma else POINT)]
    mark = "" if between.empty else between.iloc[0]
    mark = {"\u2019": "'"}.get(mark, " " if mark.isspace() else mark)
    more = f' data.thousands="{mark}"' if mark == "'" else f" data.thousands='{mark}'"
    more = more if mark else ""
    if comma:
        return f" If commas are decimal marks: data.decimal=','{more}."
    return f" If marks stand between thousands:{more}." if more else ""
