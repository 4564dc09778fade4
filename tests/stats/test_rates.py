import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from slarisk.stats.rates import difference_interval, loss_interval, wilson_interval


@pytest.mark.parametrize(("successes", "trials"), [(0, 5), (3, 10), (10, 10), (500, 1721)])
@pytest.mark.parametrize("confidence", [0.8, 0.95])
def test_wilson_is_that_of_scipy(successes, trials, confidence):
    low, high = wilson_interval([successes], [trials], confidence)
    theirs = stats.binomtest(successes, trials).proportion_ci(confidence, method="wilson")
    assert low[0] == pytest.approx(theirs.low, abs=1e-12)
    assert high[0] == pytest.approx(theirs.high, abs=1e-12)


def test_a_difference_turned_round_is_its_mirror():
    low, high = difference_interval((48, 56), (80, 70))
    assert difference_interval((56, 48), (70, 80)) == pytest.approx((-high, -low))


def test_with_one_price_the_interval_of_the_loss_is_that_of_the_rate():
    breach = np.arange(40) < 10
    low, high = wilson_interval([10], [40], 0.9)
    lost = loss_interval(breach, np.full(40, 200.0), 0.9)
    assert lost == pytest.approx((low[0] * 8000, high[0] * 8000))


def test_intervals_of_two_prices_add_up_in_quadrature():
    breach = np.array([True] * 5 + [False] * 15 + [True] * 10 + [False] * 10)
    price = np.repeat([500.0, 10.0], 20)
    low, high = wilson_interval([5, 10], [20, 20])
    down = np.hypot((5 - 20 * low[0]) * 500, (10 - 20 * low[1]) * 10)
    up = np.hypot((20 * high[0] - 5) * 500, (20 * high[1] - 10) * 10)
    assert loss_interval(breach, price, 0.95) == pytest.approx((2600 - down, 2600 + up))


def test_a_price_for_every_ticket_takes_the_interval_of_the_mean():
    rng = np.random.default_rng(0)
    price, breach = rng.uniform(1, 500, 60), rng.random(60) < 0.5
    loss = np.where(breach, price, 0)
    theirs = stats.t.interval(0.95, 59, loss.mean(), stats.sem(loss))
    assert loss_interval(breach, price, 0.95) == pytest.approx([60 * end for end in theirs])


def test_no_tickets_lose_nothing():
    assert loss_interval(np.zeros(0, bool), np.zeros(0), 0.95) == (0, 0)


@given(st.lists(st.tuples(st.booleans(), st.sampled_from([0.0, 10.0, 500.0])), min_size=1))
def test_the_interval_holds_the_loss_and_no_more_than_all(tickets):
    breach = np.array([breached for breached, _ in tickets])
    price = np.array([dollars for _, dollars in tickets])
    low, high = loss_interval(breach, price, 0.95)
    lost = price[breach].sum()
    assert -1e-9 <= low <= lost + 1e-9
    assert lost - 1e-9 <= high <= price.sum() + 1e-9
