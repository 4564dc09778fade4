"""Association measures."""

from __future__ import annotations

import numpy as np
import pandas as pd
from scipy import stats

from slarisk.arrays import Bools, Codes, Floats

_BINS = 20


def measure_auc(breach: Bools, score: Floats) -> float:
    """Measure the area under the ROC curve; NaN where all or none breached.

    Examples
    --------
    >>> measure_auc(np.array([False, True, True]), np.array([0.1, 0.1, 0.9]))
    0.75
    """
    breached, met = int(breach.sum()), int((~breach).sum())
    if not breached or not met:
        return float("nan")
    ranks = stats.rankdata(score)[breach].sum()
    return float((ranks - breached * (breached + 1) / 2) / (breached * met))


def auc_error(auc: float, breach: Bools) -> float:
    """Estimate the standard error of an area under the ROC curve (Hanley and McNeil 1982)."""
    breached, met = int(breach.sum()), int((~breach).sum())
    if not breached or not met:
        return float("nan")
    both_breached, both_met = auc / (2 - auc), 2 * auc**2 / (1 + auc)
    variance = auc * (1 - auc)
    variance += (breached - 1) * (both_breached - auc**2) + (met - 1) * (both_met - auc**2)
    return float(np.sqrt(max(variance, 0.0) / (breached * met)))


def cramers_v(table: Floats) -> float:
    """Measure association by Cramér's V with bias correction: 0 none, 1 complete.

    Parameters
    ----------
    table : array of shape (r, c)
        Counts; empty rows and columns are left out.

    References
    ----------
    W. Bergsma (2013), "A bias-correction for Cramér's V and Tschuprow's T", Journal of the Korean
    Statistical Society 42.

    Examples
    --------
    >>> round(cramers_v(np.array([[40.0, 10.0], [10.0, 40.0]])), 4)
    0.5945
    """
    table = table[table.any(axis=1)][:, table.any(axis=0)]
    n, (rows, columns) = table.sum(), table.shape
    if min(rows, columns) < 2:
        return 0.0
    square = stats.chi2_contingency(table, correction=False).statistic / n
    square = max(0.0, square - (rows - 1) * (columns - 1) / (n - 1))
    sides = [size - (size - 1) ** 2 / (n - 1) for size in (rows, columns)]
    return float(min(1.0, (square / (min(sides) - 1)) ** 0.5))


def code_values(known: pd.Series, new: pd.Series, bins: int = _BINS) -> tuple[Codes, Codes, int]:
    """Code the values of a feature: categories and repeated numbers as such, others in bins.

    Parameters
    ----------
    known, new : Series
        The feature of the training and of other tickets: text, or floats with NaN for unknown.
    bins : int
        Number of bins, of about equal size among the known values; used where most numbers
        differ.

    Returns
    -------
    known, new : int arrays
        Codes from 0. A missing number has a code of its own.
    levels : int
        Number of codes. Values that are not among the known ones have the last code.
    """
    if not pd.api.types.is_float_dtype(known):
        values = pd.Index(known.unique())
        return _code(values, known), _code(values, new), len(values) + 1
    present = known.dropna()
    distinct = np.sort(present.unique())
    if len(distinct) * 10 <= len(present):
        values = pd.Index(np.append(distinct, np.nan))
        return _code(values, known), _code(values, new), len(values) + 1
    edges = np.unique(np.quantile(present, np.linspace(0, 1, bins + 1)[1:-1]))
    levels = len(edges) + 3

    def bin_numbers(numbers: pd.Series) -> Codes:
        codes = np.searchsorted(edges, numbers.to_numpy(), side="right").astype(np.int64)
        codes[numbers.isna().to_numpy()] = len(edges) + 1
        return codes

    return bin_numbers(known), bin_numbers(new), levels


def _code(values: pd.Index, series: pd.Series) -> Codes:
    codes = values.get_indexer(pd.Index(series)).astype(np.int64)
    return np.where(codes < 0, len(values), codes)


def rate_values(codes: Codes, breach: Bools, levels: int) -> Floats:
    """Estimate the breach rate of each code, smoothed by one ticket of the overall rate."""
    count = np.bincount(codes, minlength=levels)
    breached = np.bincount(codes, weights=breach, minlength=levels)
    rates: Floats = (breached + breach.mean()) / (count + 1)
    return rates


def share_information(codes: Codes, other: Codes, levels: tuple[int, int]) -> Floats:
    """Measure how much information each value of one code carries about another, in nats.

    Parameters
    ----------
    codes, other : int arrays of shape (n,)
        Below the two ``levels``.

    Returns
    -------
    array of shape (levels[0],)
        The Kullback-Leibler divergence of the other code's distribution given the value from its
        overall distribution, less the expected bias of a sample (Miller 1955). Their mean weighted
        by tickets is the mutual information. 0 for a value without tickets.
    """
    table = np.bincount(codes * levels[1] + other, minlength=levels[0] * levels[1])
    table = table.reshape(levels).astype(float)
    rows, columns = table.sum(1), table.sum(0)
    expected = np.outer(rows, columns) / table.sum()
    filled = table > 0
    logs = np.zeros_like(table)
    np.log(np.divide(table, expected, where=filled, out=logs), where=filled, out=logs)
    tickets = np.maximum(rows, 1)
    # the bias of a part of the tickets against all of them
    noise = np.maximum(filled.sum(1) - 1, 0) / (2 * tickets) * (1 - rows / table.sum())
    information: Floats = (table * logs).sum(1) / tickets - noise
    return information
