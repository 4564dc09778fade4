"""Confidence intervals of breach rates and of losses."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy import stats

from slarisk.arrays import Bools, Floats

MOST_PRICES = 10  # with more, a price has too few tickets for a rate of its own


def wilson_interval(
    successes: npt.ArrayLike, trials: npt.ArrayLike, confidence: float = 0.95
) -> tuple[Floats, Floats]:
    """Find the Wilson score interval of a proportion.

    Parameters
    ----------
    successes, trials : arrays of shape (m,)
        With every trials at least 1.
    confidence : float

    Returns
    -------
    low, high : arrays of shape (m,)
        From 0 to 1.

    References
    ----------
    E. B. Wilson (1927), "Probable inference, the law of succession, and statistical inference",
    Journal of the American Statistical Association 22.

    Examples
    --------
    >>> low, high = wilson_interval(np.array([0.0, 5.0]), np.array([10, 10]))
    >>> low.round(4), high.round(4)
    (array([0.    , 0.2366]), array([0.2775, 0.7634]))
    """
    trials = np.asarray(trials, dtype=np.float64)
    z = float(stats.norm.ppf((1 + confidence) / 2))
    share, spread = np.asarray(successes, dtype=np.float64) / trials, z**2 / trials
    centre = (share + spread / 2) / (1 + spread)
    half = np.sqrt(share * (1 - share) * spread + spread**2 / 4) / (1 + spread)
    return np.clip(centre - half, 0, 1), np.clip(centre + half, 0, 1)


def difference_interval(
    counts: npt.ArrayLike, trials: npt.ArrayLike, confidence: float = 0.95
) -> tuple[Floats, Floats]:
    """Find the interval of the second proportion minus the first (Newcombe's hybrid score).

    Parameters
    ----------
    counts, trials : arrays of shape (2, ...)
        Of the first and the second sample.
    confidence : float

    Returns
    -------
    low, high : arrays of shape (...)
        From -1 to 1.

    References
    ----------
    R. G. Newcombe (1998), "Interval estimation for the difference between independent
    proportions", Statistics in Medicine 17, method 10.

    Examples
    --------
    >>> low, high = difference_interval((48, 56), (80, 70))
    >>> round(float(low), 4), round(float(high), 4)
    (0.0524, 0.3339)
    """
    low, high = wilson_interval(counts, trials, confidence)
    first, second = np.asarray(counts, dtype=np.float64) / np.asarray(trials, dtype=np.float64)
    down = np.hypot(second - low[1], high[0] - first)
    up = np.hypot(high[1] - second, first - low[0])
    return second - first - down, second - first + up


def loss_interval(breach: Bools, price: Floats, confidence: float) -> tuple[float, float]:
    """Find the interval of what a group of tickets loses in a period like this one.

    The tickets of one price have a breach rate with a Wilson interval; the intervals of the prices
    are added in quadrature, each side for itself. With more than `MOST_PRICES` prices it is
    Student's interval of the mean loss.

    Parameters
    ----------
    breach : bool array of shape (n,)
    price : array of shape (n,)
        Dollars lost if the ticket breaches.
    confidence : float

    Returns
    -------
    low, high : float
        Dollars lost on n tickets; both 0 for none.

    References
    ----------
    G. Y. Zou and A. Donner (2008), "Construction of confidence limits about effect measures: a
    general approach", Statistics in Medicine 27.

    Examples
    --------
    >>> low, high = loss_interval(np.arange(100) < 20, np.full(100, 500.0), 0.95)
    >>> round(low), round(high)
    (6668, 14441)
    """
    if len(breach) == 0:
        return 0.0, 0.0
    codes, prices = pd.factorize(price)
    if len(prices) > MOST_PRICES:
        loss = np.where(breach, price, 0.0)
        low, high = student_interval(len(loss), loss.sum(), loss @ loss, confidence)
    else:
        tickets = np.bincount(codes)
        breaches = np.bincount(codes, weights=breach)
        low, high = priced_interval(tickets, breaches, prices, confidence)
    return float(low), float(high)


def priced_interval(
    tickets: npt.ArrayLike, breaches: npt.ArrayLike, prices: Floats, confidence: float
) -> tuple[Floats, Floats]:
    """Find the interval of what groups of tickets lose, from their counts by price.

    Parameters
    ----------
    tickets, breaches : arrays of shape (..., k)
        Of each group, by price.
    prices : array of shape (k,)
        Dollars lost by a breach.
    confidence : float

    Returns
    -------
    low, high : arrays of shape (...)
    """
    tickets, breaches = np.asarray(tickets, np.float64), np.asarray(breaches, np.float64)
    low, high = wilson_interval(breaches, np.maximum(tickets, 1), confidence)
    lost = breaches @ prices
    down = np.linalg.norm((breaches - low * tickets) * prices, axis=-1)
    up = np.linalg.norm((high * tickets - breaches) * prices, axis=-1)
    return lost - down, lost + up


def student_interval(
    tickets: npt.ArrayLike, total: npt.ArrayLike, squares: npt.ArrayLike, confidence: float
) -> tuple[Floats, Floats]:
    """Find Student's interval of a sum of losses, never below 0.

    Parameters
    ----------
    tickets, total, squares : arrays of shape (m,) or scalars
        Of each group: how many tickets, at least 2, the sum of their losses and of the squares.
    confidence : float

    Returns
    -------
    low, high : arrays of shape (m,)
    """
    n, total = np.asarray(tickets, np.float64), np.asarray(total, np.float64)
    variance = np.maximum(np.asarray(squares, np.float64) - total**2 / n, 0) / (n - 1)
    half = stats.t.ppf((1 + confidence) / 2, n - 1) * np.sqrt(n * variance)
    return np.maximum(total - half, 0), total + half
