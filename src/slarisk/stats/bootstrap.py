"""Bootstrap intervals of a difference in dollars."""

from __future__ import annotations

import numpy as np

from slarisk.arrays import Floats, Integers
from slarisk.stats.resampling import draw_weights


def paired_interval(
    difference: Floats, draws: int, confidence: float, rng: np.random.Generator
) -> tuple[float, float]:
    """Find the percentile bootstrap interval of the sum of differences.

    Resampling tickets, and with each ticket what both policies lose on it, keeps the two losses
    paired. Divide both ends by n for the interval of the mean.

    Parameters
    ----------
    difference : array of shape (n,)
        Dollars that one policy loses more than another, ticket by ticket; n at least 1.
    draws : int
        Resamples of n tickets with replacement.
    confidence : float
        The share of them inside the interval, such as 0.95.
    rng : numpy Generator

    Returns
    -------
    low, high : float
        Dollars on all n tickets. The interval does not depend on the order of the tickets.

    References
    ----------
    B. Efron and R. Tibshirani (1993), "An Introduction to the Bootstrap", chapter 13.

    Examples
    --------
    >>> paired_interval(np.array([3.0, 3.0]), 100, 0.95, np.random.default_rng(0))
    (6.0, 6.0)
    """
    # Most differences are 0 or one of a few costs: tickets with equal differences share a cell.
    values, counts = np.unique(difference, return_counts=True)
    sums = np.concatenate([weights @ values for weights in draw_weights(counts, draws, rng)])
    tail = (1 - confidence) / 2
    low, high = np.quantile(sums, [tail, 1 - tail])
    return float(low), float(high)


def day_interval(
    difference: Floats, day: Integers, draws: int, confidence: float, rng: np.random.Generator
) -> tuple[float, float]:
    """Find the percentile bootstrap interval of the sum of differences, resampling whole days.

    The tickets of one day are correlated (an outage, a short-staffed team). Days are drawn with
    replacement, each with all its tickets: a cluster bootstrap. With one ticket a day it equals
    :func:`paired_interval`, whose parameters and result it shares.

    Parameters
    ----------
    day : int array of shape (n,)
        The day each ticket was created on; -1 where unknown: such a ticket is a cluster of its own.

    References
    ----------
    A. C. Davison and D. V. Hinkley (1997), "Bootstrap Methods and their Application", section 3.8.

    Examples
    --------
    Two days, on one of which the policy lost $2 more, and on the other nothing:

    >>> difference, day = np.array([1.0, 1.0, 0.0]), np.array([5, 5, 6])
    >>> day_interval(difference, day, 1000, 0.95, np.random.default_rng(0))
    (0.0, 4.0)
    """
    known = day >= 0
    sums = np.bincount(np.unique(day[known], return_inverse=True)[1], weights=difference[known])
    return paired_interval(np.concatenate([sums, difference[~known]]), draws, confidence, rng)
