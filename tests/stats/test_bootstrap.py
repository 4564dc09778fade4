import tracemalloc

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from slarisk.stats.bootstrap import day_interval, paired_interval


@pytest.mark.parametrize(
    "difference",
    [
        pytest.param(np.random.default_rng(1).normal(3, 10, 400), id="all different"),
        pytest.param(np.random.default_rng(1).choice([0.0, 0, 0, 20, -480], 400), id="few values"),
    ],
)
def test_interval_equals_the_plain_bootstrap(difference):
    rng = np.random.default_rng(0)
    low, high = paired_interval(difference, 10_000, 0.9, rng)
    sums = difference[rng.integers(400, size=(10_000, 400))].sum(axis=1)

    # A quantile of 10,000 draws errs by 0.02 standard deviations; 0.1 is wrong.
    expected = np.quantile(sums, [0.05, 0.95])
    assert [low, high] == pytest.approx(expected.tolist(), abs=sums.std() / 10)


@pytest.mark.parametrize("discrete", [False, True])
def test_interval_covers_the_true_sum_as_often_as_it_says(discrete):
    rng = np.random.default_rng(2)
    covered = 0
    for _ in range(400):
        values = rng.choice([-1.0, 0, 4], 150) if discrete else rng.normal(1, 3, 150)
        low, high = paired_interval(values, 300, 0.8, rng)
        covered += low <= 150 <= high  # the expected sum: 150 tickets of mean 1

    # 0.8 of 400 is 320, with a standard deviation of 8.
    assert 296 <= covered <= 344


def test_interval_of_equal_differences_is_their_sum():
    interval = paired_interval(np.full(50, -2.0), 200, 0.95, np.random.default_rng(0))

    assert interval == (-100, -100)


def test_interval_is_of_the_sum_and_widens_with_confidence():
    values = np.random.default_rng(3).normal(5, 1, 1000)
    half = paired_interval(values, 500, 0.5, np.random.default_rng(0))
    most = paired_interval(values, 500, 0.99, np.random.default_rng(0))

    assert 4800 < most[0] < half[0] < values.sum() < half[1] < most[1] < 5200


def test_interval_is_repeatable_and_ignores_row_order():
    values = np.random.default_rng(4).normal(size=300)
    first = paired_interval(values, 200, 0.95, np.random.default_rng(5))

    assert paired_interval(values[::-1], 200, 0.95, np.random.default_rng(5)) == first
    assert paired_interval(values, 200, 0.95, np.random.default_rng(6)) != first


def test_interval_of_many_tickets_stays_below_100_mb():
    values = np.random.default_rng(7).normal(size=1_000_000)
    tracemalloc.start()
    paired_interval(values, 3, 0.95, np.random.default_rng(0))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()

    assert peak < 100e6


DIFFERENCES = arrays(float, st.integers(1, 30), elements=st.integers(-500, 500).map(float))


def draw(interval, *arguments):
    return interval(*arguments, 200, 0.9, np.random.default_rng(0))


@given(DIFFERENCES, st.booleans())
def test_a_day_for_each_ticket_is_the_ticket_bootstrap(difference, known):
    day = np.arange(len(difference)) if known else np.full(len(difference), -1)

    assert draw(day_interval, difference, day) == draw(paired_interval, difference)


@given(DIFFERENCES, st.integers(2, 5))
def test_a_day_counts_as_one_ticket_however_many_it_had(difference, tickets):
    """Each ticket of a day tells the same: the day's sum, once."""
    day = np.repeat(np.arange(len(difference)), tickets)
    found = draw(day_interval, np.repeat(difference, tickets), day)

    assert found == draw(paired_interval, difference * tickets)


@given(DIFFERENCES)
def test_the_order_and_the_numbers_of_days_do_not_matter(difference):
    day = np.arange(len(difference)) // 3

    found = draw(day_interval, difference, day)
    assert draw(day_interval, difference[::-1], 7 + 2 * day[::-1]) == found


def test_days_that_have_their_luck_in_common_widen_the_interval():
    """Of 10 equal tickets a day, the interval is wider by the root of 10."""
    by_day = np.random.default_rng(1).normal(0, 10, 400)
    difference, day = np.repeat(by_day, 10), np.repeat(np.arange(400), 10)
    days, tickets = draw(day_interval, difference, day), draw(paired_interval, difference)

    assert np.ptp(days) / np.ptp(tickets) == pytest.approx(np.sqrt(10), rel=0.2)


def test_days_cover_the_true_sum_where_tickets_do_not():
    rng = np.random.default_rng(2)
    covered = {day_interval: 0, paired_interval: 0}
    day = np.repeat(np.arange(60), 8)
    for _ in range(200):
        values = np.repeat(rng.normal(1, 3, 60), 8) + rng.normal(0, 1, 480)
        for interval in covered:
            days = [day] if interval is day_interval else []
            low, high = interval(values, *days, 300, 0.8, rng)
            covered[interval] += low <= 480 <= high

    # 0.8 of 200 is 160, with a standard deviation of 6.
    assert 142 <= covered[day_interval] <= 178
    assert covered[paired_interval] < 110
