import numpy as np
import pytest
from scipy import stats

from slarisk.stats.independence import (
    contingency_test,
    mann_whitney_test,
    mantel_haenszel_test,
    van_elteren_test,
)

# men and women admitted and rejected in six departments of Berkeley, 1973
BERKELEY = [
    [(512, 313), (89, 19)],
    [(353, 207), (17, 8)],
    [(120, 205), (202, 391)],
    [(138, 279), (131, 244)],
    [(53, 138), (94, 299)],
    [(22, 351), (24, 317)],
]


@pytest.fixture
def rng():
    return np.random.default_rng(0)


def spell_out(tables):
    """Write tables of counts, a stratum each, as one row per case."""
    rows = [
        (stratum, level, outcome)
        for stratum, table in enumerate(tables)
        for level, counts in enumerate(table)
        for outcome, count in enumerate(counts)
        for _ in range(count)
    ]
    strata, codes, breach = np.array(rows).T
    return codes, breach.astype(bool), strata


def test_berkeley_discriminates_in_all_but_not_within_departments(rng):
    codes, admitted, department = spell_out(BERKELEY)
    pooled = np.array(BERKELEY).sum(axis=0).astype(float)
    assert contingency_test(pooled, rng).p_value < 1e-15
    within = mantel_haenszel_test(codes, admitted, department, rng)
    # R: mantelhaen.test(UCBAdmissions, correct = FALSE)
    assert within.statistic == pytest.approx(1.5246, abs=5e-5)
    assert within.p_value == pytest.approx(0.2169, abs=5e-5)
    assert (within.name, within.df) == ("Cochran-Mantel-Haenszel", 1)


def test_in_one_stratum_it_is_the_chi_square_test(rng):
    table = [(30, 10), (20, 25), (15, 40)]
    codes, breach, strata = spell_out([table])
    plain = stats.chi2_contingency(table, correction=False)
    within = mantel_haenszel_test(codes, breach, strata, rng)
    assert within.statistic == pytest.approx(plain.statistic * 139 / 140)
    assert within.p_value == pytest.approx(stats.chi2.sf(within.statistic, 2))


def test_small_strata_are_shuffled_and_agree_with_the_exact_test(rng):
    table = [(5, 1), (1, 4)]
    codes, breach, strata = spell_out([table])
    within = mantel_haenszel_test(codes, breach, strata, rng)
    assert within.name.endswith("Monte Carlo")
    assert within.p_value == pytest.approx(stats.fisher_exact(table).pvalue, abs=0.02)


def test_a_field_that_is_the_priority_leaves_nothing_to_compare(rng):
    codes, breach, _ = spell_out([[(30, 10), (20, 25)]])
    assert mantel_haenszel_test(codes, breach, codes, rng) is None


def test_ranks_in_one_stratum_are_those_of_kruskal_and_wallis(rng):
    values, breach = rng.integers(0, 9, 80).astype(float), rng.random(80) < 0.4
    theirs = stats.kruskal(values[breach], values[~breach])
    ours = van_elteren_test(values, breach, np.zeros(80, np.int64))
    assert (ours.statistic, ours.p_value) == pytest.approx(tuple(theirs))


def test_ranks_are_compared_within_strata_only():
    """Within each stratum the breached ticket has the higher value, by chance as likely as not."""
    values = np.array([1.0, 2, 101, 102])
    breach, strata = np.array([False, True, False, True]), np.array([0, 0, 1, 1])
    tested = van_elteren_test(values, breach, strata)
    # two surpluses of (1/2) / 3, each with variance (1/2) (1/9) (1/2)
    assert tested.statistic == pytest.approx((2 / 6) ** 2 / (2 / 36))
    assert van_elteren_test(values, strata == 1, strata) is None


@pytest.mark.parametrize(
    ("table", "name", "df"),
    [
        ([[40, 10], [35, 20]], "chi-square, Yates", 1),
        ([[40, 10], [35, 20], [9, 8]], "chi-square", 2),
        ([[8, 2], [1, 5]], "Fisher's exact", None),
        ([[8, 2], [1, 5], [3, 3]], "chi-square, Monte Carlo", None),
    ],
)
def test_the_test_fits_the_table(table, name, df, rng):
    tested = contingency_test(np.array(table, float), rng)
    assert tested.name == name
    assert np.isnan(tested.df) if df is None else tested.df == df
    if name == "Fisher's exact":
        assert tested.p_value == pytest.approx(0.034965, abs=1e-6)
    else:
        assert tested.p_value == pytest.approx(stats.chi2_contingency(table).pvalue, abs=0.03)


def test_few_values_are_permuted(rng):
    values = np.arange(12.0)
    few = mann_whitney_test(values[:3], values[3:], rng)
    assert few.p_value == pytest.approx(2 / 220, abs=1e-3)  # of the 12 choose 3 ways
    assert few.statistic == 0
    values = np.arange(40.0)
    many = mann_whitney_test(values[:20], values[20:], rng)
    assert many.p_value == stats.mannwhitneyu(values[:20], values[20:]).pvalue
