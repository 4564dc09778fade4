"""Tests of whether a field and the breach are independent, in all tickets and within strata."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy import stats

from slarisk.arrays import Bools, Codes, Floats

RESAMPLES = 9_999
_FEW = 8  # with fewer in a group, the normal approximation of the rank test is not reliable


@dataclass(frozen=True)
class HypothesisTest:
    """The result of a test.

    ``df`` are the degrees of freedom; NaN where the p-value rests on none (exact, permutation and
    Monte Carlo tests, Mann-Whitney).
    """

    name: str
    statistic: float
    p_value: float
    df: float = float("nan")


def count_cells(codes: Sequence[npt.NDArray[Any]], shape: tuple[int, ...]) -> Floats:
    """Count the tickets of every combination of codes: an array of ``shape``."""
    flat = np.ravel_multi_index([each.astype(np.int64) for each in codes], shape)
    return np.bincount(flat, minlength=int(np.prod(shape))).astype(np.float64).reshape(shape)


def _chi_square_holds(expected: Floats) -> bool:
    """Cochran's rule for the chi-square approximation: none below 1, at most a fifth below 5."""
    return bool(expected.min() >= 1 and (expected < 5).mean() <= 0.2)


def contingency_test(table: Floats, rng: np.random.Generator) -> HypothesisTest:
    """Test a table of levels by outcomes for independence.

    The chi-square test where its approximation holds, otherwise Fisher's exact test of a 2 x 2
    table, or the chi-square statistic over random tables with the same margins.

    Parameters
    ----------
    table : array of shape (levels, 2)
        Counts, without empty rows or columns.

    References
    ----------
    W. G. Cochran (1954), "Some methods for strengthening the common chi-square tests", Biometrics
    10.
    """
    if _chi_square_holds(stats.contingency.expected_freq(table)):
        found = stats.chi2_contingency(table)
        name = "chi-square" + ", Yates" * (found.dof == 1)  # SciPy corrects 2 x 2 tables
        return HypothesisTest(name, float(found.statistic), float(found.pvalue), found.dof)
    whole = table.astype(np.int64)
    if table.shape == (2, 2):
        exact = stats.fisher_exact(whole)
        return HypothesisTest("Fisher's exact", float(exact.statistic), float(exact.pvalue))
    method = stats.MonteCarloMethod(n_resamples=RESAMPLES, rng=rng)
    found = stats.chi2_contingency(whole, correction=False, method=method)
    return HypothesisTest("chi-square, Monte Carlo", float(found.statistic), float(found.pvalue))


def mantel_haenszel_test(
    codes: Codes, breach: Bools, strata: Codes, rng: np.random.Generator
) -> HypothesisTest | None:
    """Test field and breach for independence within strata: Cochran, Mantel and Haenszel.

    The generalised statistic for more than two levels. Where the expected counts are small, its
    p-value comes from random tables with the same margins in every stratum.

    Returns
    -------
    HypothesisTest or None
        None where every stratum has but one level or one outcome.

    References
    ----------
    A. Agresti (2002), "Categorical Data Analysis", 2nd edition, section 7.5.3.
    """
    levels, layers = int(codes.max()) + 1, int(strata.max()) + 1
    surplus, spread, expected = np.zeros(levels), np.zeros((levels, levels)), np.zeros((levels, 2))
    informative = []
    for table in count_cells((strata, codes, breach), (layers, levels, 2)):
        n, size, (met, late) = table.sum(), table.sum(axis=1), table.sum(axis=0)
        if n < 2 or not met or not late or (size > 0).sum() < 2:
            continue
        informative.append(table)
        surplus += table[:, 1] - size * late / n
        spread += met * late / (n**2 * (n - 1)) * (n * np.diag(size) - np.outer(size, size))
        expected += np.outer(size, [met, late]) / n
    if not informative:
        return None
    inverse = np.linalg.pinv(spread, hermitian=True)
    statistic = float(surplus @ inverse @ surplus)
    if _chi_square_holds(expected[expected.sum(axis=1) > 0]):
        df = int(np.linalg.matrix_rank(spread, hermitian=True))
        p_value = float(stats.chi2.sf(statistic, df))
        return HypothesisTest("Cochran-Mantel-Haenszel", statistic, p_value, df)
    drawn = np.zeros((RESAMPLES, levels))
    for table in informative:
        size, outcomes = table.sum(axis=1), table.sum(axis=0)
        tables = stats.random_table(size, outcomes).rvs(RESAMPLES, random_state=rng)
        drawn += tables[:, :, 1] - size * outcomes[1] / table.sum()
    resampled = np.einsum("ij,jk,ik->i", drawn, inverse, drawn)
    p_value = (1 + int((resampled >= statistic * (1 - 1e-9)).sum())) / (RESAMPLES + 1)
    return HypothesisTest("Cochran-Mantel-Haenszel, Monte Carlo", statistic, p_value)


def mann_whitney_test(breached: Floats, met: Floats, rng: np.random.Generator) -> HypothesisTest:
    """Test whether the values of breached tickets rank higher or lower than those that met."""
    few = min(len(met), len(breached)) < _FEW
    method = stats.PermutationMethod(n_resamples=RESAMPLES, rng=rng) if few else "asymptotic"
    found = stats.mannwhitneyu(breached, met, method=method)
    name = "Mann-Whitney" + ", permutation" * few
    return HypothesisTest(name, float(found.statistic), float(found.pvalue))


def van_elteren_test(values: Floats, breach: Bools, strata: Codes) -> HypothesisTest | None:
    """Test whether breached tickets rank higher or lower within strata: van Elteren.

    None where no stratum has both outcomes, or all its values are equal.

    References
    ----------
    E. L. Lehmann (1975), "Nonparametrics: Statistical Methods Based on Ranks", section 3.3.
    """
    ranks = pd.Series(values).groupby(strata).rank().to_numpy()
    surplus = variance = 0.0
    for stratum in np.unique(strata):
        inside = strata == stratum
        rank, late = ranks[inside], breach[inside]
        n, b = len(rank), int(late.sum())
        if n < 2 or b in (0, n):
            continue
        centred = (rank - rank.mean()) / (n + 1)
        surplus += float(centred[late].sum())
        variance += b * (n - b) / (n * (n - 1)) * float(centred @ centred)
    if variance == 0:
        return None
    statistic = surplus**2 / variance
    return HypothesisTest("van Elteren", statistic, float(stats.chi2.sf(statistic, 1)), df=1)
