"""Neutralise text that a spreadsheet would run as a formula."""

from __future__ import annotations

import pandas as pd

_FORMULA = r"[=+\-@\t\r]"


def neutralise(frame: pd.DataFrame) -> pd.DataFrame:
    """Put an apostrophe before text that a spreadsheet would run as a formula; numbers stay.

    Examples
    --------
    >>> neutralise(pd.DataFrame({"id": ["=1+1", "-5", "A-7"]}))["id"].tolist()
    ["'=1+1", '-5', 'A-7']
    """
    columns = {}
    for position in range(frame.shape[1]):  # by position: the notebook's export repeats a name
        column = frame.iloc[:, position]
        if isinstance(column.dtype, pd.StringDtype) or column.dtype == object:
            column = neutralise_text(column.astype("str"))
        columns[position] = column
    return pd.DataFrame(columns, index=frame.index).set_axis(frame.columns, axis="columns")


def neutralise_text(text: pd.Series) -> pd.Series:
    """Put an apostrophe before each text that a spreadsheet would run as a formula."""
    risky = text.str.match(_FORMULA, na=False)
    if not risky.any():
        return text
    risky &= pd.to_numeric(text.where(risky), errors="coerce").isna()
    return text.mask(risky, "'" + text)
