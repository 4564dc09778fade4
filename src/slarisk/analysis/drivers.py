"""Why tickets breach: which fields go with breaches, how strongly, and beyond priority or not.

Every candidate is tested, and the p-values of all tests are corrected together. What a test says
is an association; that a change of the field would change the breaches it does not say.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from enum import Enum
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy import stats

from slarisk.analysis.fields import Field, label_field, pool_rare
from slarisk.arrays import Bools, Floats

RESAMPLES = 9_999
# J. Cohen (1988), "Statistical Power Analysis for the Behavioral Sciences", chapter 7: w, which is
# Cramér's V where one of the two fields has two values; for r, chapter 3.
WEAK, MEDIUM, STRONG = 0.1, 0.3, 0.5
_FEW = 8  # below this many of a kind the normal approximation of the rank test is not to be trusted


class Verdict(Enum):
    """What a driver comes to."""

    matters = "matters"
    by_priority = "explained by priority"
    weak = "too weak to matter"
    no_evidence = "no evidence"


@dataclass(frozen=True)
class Tested:
    """One test.

    Attributes
    ----------
    name : str
    statistic, p_value : float
    df : float
        Degrees of freedom; NaN where the p-value does not rest on any (exact, permutation and Monte
        Carlo tests, Mann-Whitney).
    """

    name: str
    statistic: float
    p_value: float
    df: float = float("nan")


@dataclass(frozen=True)
class Driver:
    """A candidate driver of breaches, tested.

    Attributes
    ----------
    name : str
    tickets : int
        Tickets with a value.
    test : Tested
        Of independence of the field and the breach.
    effect, measure : float, str
        Cramér's V with bias correction, or the rank-biserial correlation (positive where breached
        tickets have the higher values).
    low, high : str
        The level with the lowest and the highest breach rate, with the rate; or the mean of the
        tickets that met their target and of those that breached.
    welch : Tested or None
        Of numeric fields: Welch's t test of the means.
    confounding : float or None
        Cramér's V of the field and the priority.
    within : Tested or None
        Of independence within each priority; None for the priority itself, and where a field
        leaves nothing to compare within a priority.
    q_value, within_q_value : float
        Corrected for all tests of the analysis; the second is NaN without the test.
    rare : int
        Levels that were pooled because they have few tickets.
    verdict : Verdict
    """

    name: str
    tickets: int
    test: Tested
    effect: float
    measure: str
    low: str
    high: str
    welch: Tested | None = None
    confounding: float | None = None
    within: Tested | None = None
    q_value: float = float("nan")
    within_q_value: float = float("nan")
    rare: int = 0
    verdict: Verdict = Verdict.no_evidence

    @property
    def strength(self) -> str:
        """The size of the effect in a word."""
        sizes = ((STRONG, "strong"), (MEDIUM, "medium"), (WEAK, "small"))
        return next((word for least, word in sizes if abs(self.effect) >= least), "negligible")


def find_drivers(
    fields: Sequence[Field],
    numbers: Mapping[str, Floats],
    breach: Bools,
    priority: Field | None,
    confidence: float,
    fewest: int,
    seed: int,
) -> list[Driver]:
    """Test every candidate, the strongest evidence first.

    Parameters
    ----------
    fields : sequence of Field
        Categorical candidates, the priority among them; one with a single level is left out.
    numbers : mapping of str to array of shape (n,)
        Numeric candidates; NaN is a gap.
    breach : bool array of shape (n,)
    priority : Field or None
    confidence : float
        A driver is called significant below a corrected p-value of 1 minus this.
    fewest : int
        Levels with fewer tickets are pooled.
    seed : int
        Of the Monte Carlo tests.

    References
    ----------
    Y. Benjamini and Y. Hochberg (1995), "Controlling the false discovery rate", Journal of the
    Royal Statistical Society B 57.
    """
    if not breach.any() or breach.all():
        return []
    rng = np.random.default_rng(seed)
    drivers = [_test_field(field, breach, priority, fewest, rng) for field in fields]
    drivers += [_test_number(name, x, breach, priority, rng) for name, x in numbers.items()]
    tested = [driver for driver in drivers if driver is not None]
    return sorted(_correct(tested, 1 - confidence), key=_by_evidence)


def _by_evidence(driver: Driver) -> tuple[int, float, float]:
    return [*Verdict].index(driver.verdict), -abs(driver.effect), driver.q_value


def _correct(drivers: list[Driver], level: float) -> list[Driver]:
    """Correct the p-values of all tests together, and give the verdicts."""
    if not drivers:
        return []
    p_values = [driver.test.p_value for driver in drivers]
    p_values += [driver.within.p_value for driver in drivers if driver.within]
    corrected = iter(stats.false_discovery_control(p_values))
    drivers = [replace(driver, q_value=float(next(corrected))) for driver in drivers]
    drivers = [
        replace(driver, within_q_value=float(next(corrected))) if driver.within else driver
        for driver in drivers
    ]
    return [replace(driver, verdict=_judge(driver, level)) for driver in drivers]


def _judge(driver: Driver, level: float) -> Verdict:
    if not driver.q_value < level:
        return Verdict.no_evidence
    if abs(driver.effect) < WEAK:
        return Verdict.weak
    separate = driver.confounding is None or driver.within_q_value < level
    return Verdict.matters if separate else Verdict.by_priority


def _test_field(
    field: Field, breach: Bools, priority: Field | None, fewest: int, rng: np.random.Generator
) -> Driver | None:
    field, rare = pool_rare(field, fewest)
    table = count_cells((field.codes, breach), (len(field.levels), 2))
    there = np.flatnonzero(table.sum(axis=1))
    if len(there) < 2:
        return None
    rates = table[there, 1] / table[there].sum(axis=1)
    low, high = (there[pick(rates)] for pick in (np.argmin, np.argmax))
    named = [f"{field.levels[i]} {table[i, 1] / table[i].sum():.1%}" for i in (low, high)]
    driver = Driver(
        name=field.name,
        tickets=len(breach),
        test=measure_independence(table[there], rng),
        effect=correct_v(table[there]),
        measure="Cramér's V",
        low=named[0],
        high=named[1],
        rare=rare,
    )
    if priority is None or priority.name == field.name:
        return driver
    both = count_cells((field.codes, priority.codes), (len(field.levels), len(priority.levels)))
    return replace(
        driver,
        confounding=correct_v(both),
        within=measure_within(field.codes, breach, priority.codes, rng),
    )


def _test_number(
    name: str, values: Floats, breach: Bools, priority: Field | None, rng: np.random.Generator
) -> Driver | None:
    known = ~np.isnan(values)
    values, breach = values[known], breach[known]
    met, late = values[~breach], values[breach]
    if min(len(met), len(late)) < 2 or values.min() == values.max():
        return None
    few = min(len(met), len(late)) < _FEW
    method = stats.PermutationMethod(n_resamples=RESAMPLES, rng=rng) if few else "asymptotic"
    ranked = stats.mannwhitneyu(late, met, method=method)
    welch = stats.ttest_ind(late, met, equal_var=False)
    driver = Driver(
        name=name,
        tickets=len(values),
        test=Tested(
            "Mann-Whitney" + ", permutation" * few, float(ranked.statistic), float(ranked.pvalue)
        ),
        effect=float(2 * ranked.statistic / (len(met) * len(late)) - 1),
        measure="rank-biserial r",
        low=f"met: mean {met.mean():,.1f}",
        high=f"breached: mean {late.mean():,.1f}",
        welch=Tested("Welch's t", float(welch.statistic), float(welch.pvalue), float(welch.df)),
    )
    if priority is None:
        return driver
    strata = priority.codes[known]
    groups = [values[strata == level] for level in np.unique(strata)]
    kruskal = stats.kruskal(*groups) if len(groups) > 1 else None
    return replace(
        driver,
        # epsilon squared is a share of variance; its root is on the scale of V
        confounding=0.0 if kruskal is None else float((kruskal.statistic / len(values)) ** 0.5),
        within=measure_ranks_within(values, breach, strata),
    )


def count_cells(codes: Sequence[npt.NDArray[Any]], shape: tuple[int, ...]) -> Floats:
    """Count the tickets of every combination of codes."""
    flat = np.ravel_multi_index([each.astype(np.int64) for each in codes], shape)
    return np.bincount(flat, minlength=int(np.prod(shape))).astype(np.float64).reshape(shape)


def measure_independence(table: Floats, rng: np.random.Generator) -> Tested:
    """Test a table of levels by outcomes for independence.

    The chi-square test where its approximation holds (Cochran's rule: no expected count below 1,
    at most a fifth below 5), otherwise Fisher's exact test of a 2 x 2 table, or the chi-square
    statistic over random tables with the same margins.

    Parameters
    ----------
    table : array of shape (levels, 2)
        Without empty rows or columns.

    References
    ----------
    W. G. Cochran (1954), "Some methods for strengthening the common chi-square tests", Biometrics
    10.
    """
    expected = stats.contingency.expected_freq(table)
    if expected.min() >= 1 and (expected < 5).mean() <= 0.2:
        tested = stats.chi2_contingency(table)
        name = "chi-square" + ", Yates" * (tested.dof == 1)  # SciPy corrects 2 x 2 tables
        return Tested(name, float(tested.statistic), float(tested.pvalue), tested.dof)
    whole = table.astype(np.int64)
    if table.shape == (2, 2):
        exact = stats.fisher_exact(whole)
        return Tested("Fisher's exact", float(exact.statistic), float(exact.pvalue))
    method = stats.MonteCarloMethod(n_resamples=RESAMPLES, rng=rng)
    tested = stats.chi2_contingency(whole, correction=False, method=method)
    return Tested("chi-square, Monte Carlo", float(tested.statistic), float(tested.pvalue))


def correct_v(table: Floats) -> float:
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
    >>> round(correct_v(np.array([[40.0, 10.0], [10.0, 40.0]])), 4)
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


def measure_within(
    codes: npt.NDArray[np.int64],
    breach: Bools,
    strata: npt.NDArray[np.int64],
    rng: np.random.Generator,
) -> Tested | None:
    """Test field and breach for independence within each stratum: Cochran, Mantel and Haenszel.

    The generalised statistic for more than two levels. Where the expected counts are small, its
    p-value comes from random tables with the same margins in every stratum.

    Returns
    -------
    Tested or None
        None where every stratum has but one level or one outcome.

    References
    ----------
    A. Agresti (2002), "Categorical Data Analysis", 2nd edition, section 7.5.3.
    """
    levels, layers = int(codes.max()) + 1, int(strata.max()) + 1
    tables = count_cells((strata, codes, breach), (layers, levels, 2))
    surplus, spread, expected = np.zeros(levels), np.zeros((levels, levels)), np.zeros((levels, 2))
    informative = []
    for table in tables:
        n, (met, late) = table.sum(), table.sum(axis=0)
        size = table.sum(axis=1)
        if n < 2 or not met or not late or (size > 0).sum() < 2:
            continue
        informative.append(table)
        surplus += table[:, 1] - size * late / n
        spread += met * late / (n**2 * (n - 1)) * (n * np.diag(size) - np.outer(size, size))
        expected += np.outer(size, [met, late]) / n
    if not informative:
        return None
    inverse = np.linalg.pinv(spread, hermitian=True)
    degrees = int(np.linalg.matrix_rank(spread, hermitian=True))
    statistic = float(surplus @ inverse @ surplus)
    seen = expected[expected.sum(axis=1) > 0]
    if seen.min() >= 1 and (seen < 5).mean() <= 0.2:
        p_value = float(stats.chi2.sf(statistic, degrees))
        return Tested("Cochran-Mantel-Haenszel", statistic, p_value, degrees)
    drawn = np.zeros((RESAMPLES, levels))
    for table in informative:
        size, outcomes = table.sum(axis=1), table.sum(axis=0)
        tables_like_it = stats.random_table(size, outcomes).rvs(RESAMPLES, random_state=rng)
        drawn += tables_like_it[:, :, 1] - size * outcomes[1] / table.sum()
    resampled = np.einsum("ij,jk,ik->i", drawn, inverse, drawn)
    p_value = (1 + int((resampled >= statistic * (1 - 1e-9)).sum())) / (RESAMPLES + 1)
    return Tested("Cochran-Mantel-Haenszel, Monte Carlo", statistic, p_value)


def measure_ranks_within(
    values: Floats, breach: Bools, strata: npt.NDArray[np.int64]
) -> Tested | None:
    """Test whether breached tickets rank higher or lower within each stratum: van Elteren.

    References
    ----------
    E. L. Lehmann (1975), "Nonparametrics: Statistical Methods Based on Ranks", section 3.3.
    """
    ranks = pd.Series(values).groupby(strata).rank().to_numpy()
    surplus = variance = 0.0
    for stratum in np.unique(strata):
        mine = strata == stratum
        rank, late = ranks[mine], breach[mine]
        n, b = len(rank), int(late.sum())
        if n < 2 or b in (0, n):
            continue
        centred = (rank - rank.mean()) / (n + 1)
        surplus += float(centred[late].sum())
        variance += b * (n - b) / (n * (n - 1)) * float(centred @ centred)
    if variance == 0:
        return None
    statistic = surplus**2 / variance
    return Tested("van Elteren", statistic, float(stats.chi2.sf(statistic, 1)), df=1)


def tabulate_drivers(drivers: Sequence[Driver]) -> pd.DataFrame:
    """Write the tests as a table, one row per driver."""
    untested = Tested("", np.nan, np.nan)
    rows = []
    for each in drivers:
        welch, within = each.welch or untested, each.within or untested
        rows.append(
            {
                "driver": label_field(each.name),
                "tickets": each.tickets,
                "test": each.test.name,
                "statistic": each.test.statistic,
                "df": each.test.df,
                "p_value": each.test.p_value,
                "q_value": each.q_value,
                "effect": each.effect,
                "measure": each.measure,
                "strength": each.strength,
                "lowest": each.low,
                "highest": each.high,
                "welch_t": welch.statistic,
                "welch_df": welch.df,
                "welch_p": welch.p_value,
                "with_priority": np.nan if each.confounding is None else each.confounding,
                "within_test": within.name,
                "within_statistic": within.statistic,
                "within_df": within.df,
                "within_p": within.p_value,
                "within_q": each.within_q_value,
                "verdict": each.verdict.value,
            }
        )
    return pd.DataFrame(rows)
