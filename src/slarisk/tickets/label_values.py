"""What the values of a label column mean: a breach, a target that was met, or nothing."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from slarisk.errors import InputError
from slarisk.exports.rows import quote_value

if TYPE_CHECKING:
    from slarisk.arrays import Bools
    from slarisk.config import DataPolicy, Label

_YES, _NO = "true", "false"
_TRUTH = dict.fromkeys((_YES, "t", "yes", "y", "on", "1"), _YES)
_TRUTH |= dict.fromkeys((_NO, "f", "no", "n", "off", "0"), _NO)
_OPPOSITE = {_YES: _NO, _NO: _YES}
_MOST_SHOWN = 20


def fold_value(value: str) -> str:
    """Write a value so that spellings of the same are equal: letter case, numbers, yes and no.

    Examples
    --------
    >>> [fold_value(each) for each in ("Yes", "1.0", "TRUE", "n", "2.0", "Overdue")]
    ['true', 'true', 'true', 'false', '2', 'overdue']
    """
    folded = value.strip().casefold()
    try:
        number = float(folded)
    except ValueError:
        pass
    else:
        if math.isfinite(number):
            folded = str(int(number)) if number.is_integer() else repr(number)
    return _TRUTH.get(folded, folded)


def list_breach_values(label: Label) -> list[str]:
    """List the values of the label column that mean a breach."""
    given = label.breach_value
    return [str(each) for each in given] if isinstance(given, list) else [str(given)]


def read_labels(text: pd.Series, label: Label) -> pd.Series:
    """Read who breached, by the values of a label column.

    Without ``met_values`` the opposite of a yes or no is met, and where the breach value is neither
    every other value is.

    Returns
    -------
    Series of boolean
        Missing where the column has no value, or one that means neither.
    """
    late = {fold_value(each) for each in list_breach_values(label)}
    met = {fold_value(each) for each in label.met_values}
    truth = late <= {*_OPPOSITE}
    if not met and truth:
        met = {_OPPOSITE[each] for each in late} - late
    codes, values = pd.factorize(text)
    means: list[bool | None] = []
    for value in values:
        folded = fold_value(value)
        if folded in late:
            means.append(True)
        elif folded in met or not (met or truth):
            means.append(False)
        else:
            means.append(None)
    found = np.array([*means, None], dtype=object)[codes]
    return pd.Series(found, index=text.index).astype("boolean")


def validate_label_values(text: pd.Series, ended: Bools, data: DataPolicy) -> None:
    """Raise if the breach value is none of the column's, or it is unclear what met a target.

    Parameters
    ----------
    text : Series of str
        The label column.
    ended : bool array
        The tickets that have an outcome.
    data : DataPolicy

    Raises
    ------
    InputError
        Lists the values there are.
    """
    label = data.label
    column = data.columns[label.column or ""]
    late = {fold_value(each) for each in list_breach_values(label)}
    both = sorted(late & {fold_value(each) for each in label.met_values})
    if both:
        raise InputError(
            f"data policy {data.name}: {', '.join(both)} stands in data.label.breach_value and "
            "data.label.met_values."
        )
    written = text.dropna()
    if written.empty:
        return
    if not any(fold_value(each) in late for each in written.unique()):
        raise InputError(
            f"{data.path}: no row has data.label.breach_value="
            f"{_list_values(list_breach_values(label))} in column {column!r}. It holds "
            f"{_count_values(written)}."
        )
    if label.met_values:
        return
    others = text[ended].dropna()
    others = others[[fold_value(each) not in late for each in others]]
    names = {fold_value(each) for each in others.unique()}
    truth = late <= {*_OPPOSITE}
    clear = not names or bool(names & {_OPPOSITE[each] for each in late}) if truth else True
    if not clear or (not truth and len(names) > 1):
        raise InputError(
            f"{data.path}: column {column!r} holds {_count_values(others)} beside "
            f"data.label.breach_value={_list_values(list_breach_values(label))}. Name those that "
            "mean that the target was met: data.label.met_values; all others are then no label."
        )


def list_unnamed_values(text: pd.Series, outcomes: pd.Series) -> str:
    """List the values of a label column that are no label, with their numbers; empty if none is."""
    unnamed = text[text.notna() & outcomes.isna()]
    return _count_values(unnamed) if len(unnamed) else ""


def _list_values(values: list[str]) -> str:
    return values[0] if len(values) == 1 else f"[{', '.join(values)}]"


def _count_values(text: pd.Series) -> str:
    counts = text.value_counts()
    shown = [f"{quote_value(value)} ({n:,})" for value, n in counts.head(_MOST_SHOWN).items()]
    more = [f"{len(counts) - _MOST_SHOWN:,} more"] if len(counts) > _MOST_SHOWN else []
    return ", ".join([*shown, *more])
