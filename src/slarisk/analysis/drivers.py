"""Which fields are associated with breaches, how strongly, and whether beyond priority.

The p-values of all tests are corrected together. A test shows an association, not that changing
the field would change the breaches.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from enum import Enum

import numpy as np
import pandas as pd
from scipy import stats

from slarisk.analysis.fields import Field, label_field, pool_rare
from slarisk.arrays import Bools, Floats
from slarisk.stats.association import cramers_v
from slarisk.stats.independence import (
    HypothesisTest,
    contingency_test,
    count_cells,
    mann_whitney_test,
    mantel_haenszel_test,
    van_elteren_test,
)

# J. Cohen (1988), "Statistical Power Analysis for the Behavioral Sciences", chapter 7: w, which is
# Cramér's V where one of the two fields has two values; for r, chapter 3.
WEAK, MEDIUM, STRONG = 0.1, 0.3, 0.5


class DriverVerdict(Enum):
    """The conclusion of the tests of a driver."""

    matters = "matters"
    by_priority = "explained by priority"
    weak = "too weak to matter"
    no_evidence = "no evidence"


@dataclass(frozen=True)
class Driver:
    """A candidate driver of breaches, tested.

    Attributes
    ----------
    name : str
    tickets : int
        Tickets with a value.
    test : HypothesisTest
        Of independence of the field and the breach.
    effect, measure : float, str
        Cramér's V with bias correction, or the rank-biserial correlation (positive where breached
        tickets have the higher values).
    low, high : str
        The level with the lowest and the highest breach rate, with the rate; or the mean of the
        tickets that met their target and of those that breached.
    welch : HypothesisTest or None
        Of numeric fields: Welch's t test of the means.
    confounding : float or None
        Cramér's V of the field and the priority; of numbers, the root of epsilon squared.
    within : HypothesisTest or None
        Of independence within each priority; None for the priority itself, and where no priority
        has both outcomes and several values of the field.
    q_value, within_q_value : float
        Corrected for all tests of the analysis; the second is NaN without the test.
    verdict : DriverVerdict
    """

    name: str
    tickets: int
    test: HypothesisTest
    effect: float
    measure: str
    low: str
    high: str
    welch: HypothesisTest | None = None
    confounding: float | None = None
    within: HypothesisTest | None = None
    q_value: float = float("nan")
    within_q_value: float = float("nan")
    verdict: DriverVerdict = DriverVerdict.no_evidence

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
        Numeric candidates; NaN is missing.
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
    tested = [_test_field(field, breach, priority, fewest, rng) for field in fields]
    tested += [_test_number(name, x, breach, priority, rng) for name, x in numbers.items()]
    drivers = [driver for driver in tested if driver is not None]
    if not drivers:
        return []
    p_values = [driver.test.p_value for driver in drivers]
    p_values += [driver.within.p_value for driver in drivers if driver.within]
    corrected = iter(stats.false_discovery_control(p_values).tolist())
    drivers = [replace(driver, q_value=next(corrected)) for driver in drivers]
    drivers = [
        replace(driver, within_q_value=next(corrected)) if driver.within else driver
        for driver in drivers
    ]
    drivers = [replace(each, verdict=_conclude(each, 1 - confidence)) for each in drivers]
    rank = [*DriverVerdict].index
    return sorted(drivers, key=lambda each: (rank(each.verdict), -abs(each.effect), each.q_value))


def _conclude(driver: Driver, level: float) -> DriverVerdict:
    if not driver.q_value < level:
        return DriverVerdict.no_evidence
    if abs(driver.effect) < WEAK:
        return DriverVerdict.weak
    separate = driver.confounding is None or driver.within_q_value < level
    return DriverVerdict.matters if separate else DriverVerdict.by_priority


def _test_field(
    field: Field, breach: Bools, priority: Field | None, fewest: int, rng: np.random.Generator
) -> Driver | None:
    field = pool_rare(field, fewest)
    table = count_cells((field.codes, breach), (len(field.levels), 2))
    present = np.flatnonzero(table.any(axis=1))
    if len(present) < 2:
        return None
    rates = table[present, 1] / table[present].sum(axis=1)
    low, high = (
        f"{field.levels[present[i]]} {rates[i]:.1%}" for i in (rates.argmin(), rates.argmax())
    )
    driver = Driver(
        name=field.name,
        tickets=len(breach),
        test=contingency_test(table[present], rng),
        effect=cramers_v(table[present]),
        measure="Cramér's V",
        low=low,
        high=high,
    )
    if priority is None or priority.name == field.name:
        return driver
    both = count_cells((field.codes, priority.codes), (len(field.levels), len(priority.levels)))
    return replace(
        driver,
        confounding=cramers_v(both),
        within=mantel_haenszel_test(field.codes, breach, priority.codes, rng),
    )


def _test_number(
    name: str, values: Floats, breach: Bools, priority: Field | None, rng: np.random.Generator
) -> Driver | None:
    known = ~np.isnan(values)
    values, breach = values[known], breach[known]
    met, late = values[~breach], values[breach]
    if min(len(met), len(late)) < 2 or values.min() == values.max():
        return None
    ranked = mann_whitney_test(late, met, rng)
    welch = _test_means(late, met)
    driver = Driver(
        name=name,
        tickets=len(values),
        test=ranked,
        effect=2 * ranked.statistic / (len(met) * len(late)) - 1,
        measure="rank-biserial r",
        low=f"met: mean {met.mean():,.1f}",
        high=f"breached: mean {late.mean():,.1f}",
        welch=welch,
    )
    if priority is None:
        return driver
    strata = priority.codes[known]
    groups = [values[strata == level] for level in np.unique(strata)]
    # epsilon squared is a share of variance; its root is on the scale of V
    square = stats.kruskal(*groups).statistic / len(values) if len(groups) > 1 else 0.0
    return replace(
        driver, confounding=float(square**0.5), within=van_elteren_test(values, breach, strata)
    )


def _test_means(late: Floats, met: Floats) -> HypothesisTest | None:
    """Test the means by Welch's t; None where neither group varies."""
    if late.min() == late.max() and met.min() == met.max():
        return None
    with warnings.catch_warnings():  # one of few equal numbers may vary less than floats do
        warnings.filterwarnings("ignore", "Precision loss", RuntimeWarning)
        welch = stats.ttest_ind(late, met, equal_var=False)
    return HypothesisTest("Welch's t", float(welch.statistic), float(welch.pvalue), float(welch.df))


def tabulate_drivers(drivers: Sequence[Driver]) -> pd.DataFrame:
    """Write the tests as a table, one row per driver."""
    untested = HypothesisTest("", np.nan, np.nan)
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
