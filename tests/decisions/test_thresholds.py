import tracemalloc

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from slarisk.decisions.costs import CostMatrix, cost_matrix
from slarisk.decisions.thresholds import (
    Threshold,
    best_threshold,
    bootstrap_threshold,
    grid_threshold,
    threshold_curve,
)
from slarisk.stats.resampling import draw_weights

DOLLARS = st.integers(0, 50).map(float)
TICKET = st.tuples(st.integers(0, 8), st.booleans(), DOLLARS, DOLLARS, DOLLARS, DOLLARS)


@st.composite
def scored_tickets(draw):
    """Few distinct scores, so that ties are common; whole dollars, so that sums are exact."""
    rows = draw(st.lists(TICKET, min_size=1, max_size=25))
    score, breach, *costs = (np.array(column) for column in zip(*rows, strict=True))
    return score / 8, breach, CostMatrix(*costs)


def lose(score, breach, costs, threshold):
    return sum(
        (costs.tp[i] if breach[i] else costs.fp[i])
        if score[i] >= threshold
        else (costs.fn[i] if breach[i] else costs.tn[i])
        for i in range(len(score))
    )


@given(scored_tickets())
def test_best_threshold_equals_brute_force(tickets):
    score, breach, costs = tickets
    candidates = [np.inf, *sorted(set(score), reverse=True)]
    losses = [lose(score, breach, costs, threshold) for threshold in candidates]
    best = best_threshold(score, breach, costs)

    assert best.loss == min(losses)
    # Of equals the first, that is the highest.
    assert best.threshold == candidates[losses.index(min(losses))]


@given(scored_tickets(), st.floats(-0.5, 1.5))
def test_no_other_threshold_loses_less(tickets, threshold):
    score, breach, costs = tickets

    assert best_threshold(score, breach, costs).loss <= lose(score, breach, costs, threshold)
    assert best_threshold(score, breach, costs).loss <= grid_threshold(score, breach, costs).loss


@given(scored_tickets())
def test_curve_gives_the_loss_of_every_threshold(tickets):
    score, breach, costs = tickets
    curve = threshold_curve(score, breach, costs)

    assert curve.thresholds.tolist() == [np.inf, *sorted(set(score), reverse=True)]
    assert curve.losses.tolist() == [lose(score, breach, costs, t) for t in curve.thresholds]


@given(scored_tickets(), st.randoms())
def test_row_order_does_not_matter(tickets, random):
    score, breach, costs = tickets
    cents = CostMatrix(*(cost / 100 for cost in (costs.tn, costs.fp, costs.fn, costs.tp)))
    order = np.array(random.sample(range(len(score)), len(score)))
    best = best_threshold(score, breach, cents)
    shuffled = best_threshold(score[order], breach[order], cents.take(order))

    assert shuffled.threshold == best.threshold
    assert shuffled.loss == pytest.approx(best.loss, abs=1e-9)


@given(scored_tickets())
def test_only_the_order_of_scores_matters(tickets):
    score, breach, costs = tickets
    best = best_threshold(score, breach, costs)
    squeezed = best_threshold(score * score * score - 4, breach, costs)

    assert squeezed.loss == best.loss
    assert squeezed.threshold == best.threshold * best.threshold * best.threshold - 4


def test_best_threshold_by_hand():
    # Escalating nobody loses 550; the first saves 499, the second is a false alarm, and so on.
    score, breach = np.array([0.8, 0.6, 0.4, 0.1]), np.array([True, False, True, False])
    costs = cost_matrix([500.0, 50.0, 50.0, 50.0], [2.0, 2.0, 2.0, 2.0], 0.5, 1)

    assert threshold_curve(score, breach, costs).losses.tolist() == [550, 51, 53, 4, 6]
    assert best_threshold(score, breach, costs) == Threshold(0.4, 4)


def test_nobody_is_escalated_when_no_escalation_pays():
    costs = cost_matrix([10.0, 10.0], 20, charged=1, effectiveness=1)
    best = best_threshold(np.array([1.0, 0.5]), np.array([True, True]), costs)

    assert best == Threshold(np.inf, 20)
    assert best.finite == 1.0
    assert Threshold(0.25, 0).finite == 0.25


@pytest.mark.parametrize("cents", [(1, 2, 3), (1, 7, 8), (2, 7, 9), (6, 3, 9)])
def test_equal_losses_in_cents_do_not_break_ties_by_rounding(cents):
    # 0.1 + 0.2 - 0.3 is above 0 in floating point and 0.8 - 0.1 - 0.7 below, yet the three
    # escalations gain nothing.
    first, second, third = np.array(cents) / 10
    score, breach = np.array([0.9, 0.8, 0.7]), np.array([False, False, True])
    nothing = np.zeros(3)
    costs = CostMatrix(nothing, np.array([first, second, 9]), np.array([9, 9, third]), nothing)
    flipped = CostMatrix(np.array([first, second, 9]), nothing, nothing, np.array([9, 9, third]))

    assert best_threshold(score, breach, costs).threshold == np.inf
    assert best_threshold(score, breach, flipped).threshold == 0.8


def test_no_tickets_lose_nothing():
    empty = np.array([])
    best = best_threshold(empty, empty.astype(bool), cost_matrix(empty, 2, 0, 1))

    assert best == Threshold(np.inf, 0)


def test_grid_is_the_notebooks():
    rng = np.random.default_rng(0)
    for _ in range(20):
        score, breach = rng.random(30).round(2), rng.random(30) < 0.4
        dollars = rng.choice([500.0, 200.0, 0.0, 10.0], 30)
        costs = cost_matrix(dollars, 2, charged=0, effectiveness=1)

        results = []
        for threshold in np.linspace(0.05, 0.95, 19):
            predicted = (score >= threshold).astype(int)
            missed = dollars[(breach == 1) & (predicted == 0)].sum()
            alarms = 2 * ((breach == 0) & (predicted == 1)).sum()
            results.append((threshold, missed + alarms))
        expected = sorted(results, key=lambda result: result[1])[0]

        assert grid_threshold(score, breach, costs) == Threshold(*expected)


def test_grid_takes_the_first_of_equals():
    costs = cost_matrix([50.0, 50.0], 2, charged=0, effectiveness=1)
    grid = grid_threshold(np.array([0.9, 0.1]), np.array([True, False]), costs)

    assert grid.loss == 0
    assert grid.threshold == np.linspace(0.05, 0.95, 19)[2]  # 0.15, the first above 0.1


@pytest.mark.parametrize("counts", [[3, 1, 2], [60, 20, 40]])  # ticket by ticket; by cell
def test_weights_are_a_bootstrap(counts):
    counts = np.array(counts)
    total, draws = counts.sum(), 20_000
    chunks = list(draw_weights(counts, draws, np.random.default_rng(0)))
    weights = np.concatenate(chunks)

    assert weights.shape == (draws, 3)
    assert (weights.sum(axis=1) == total).all()
    # Multinomial: mean n p, variance n p (1 - p).
    share = counts / total
    assert weights.mean(axis=0) == pytest.approx(counts, rel=0.02)
    assert weights.var(axis=0) == pytest.approx(total * share * (1 - share), rel=0.05)


def test_weights_come_in_chunks_of_bounded_size():
    counts = np.ones(400_000, dtype=np.int64)
    chunks = [len(chunk) for chunk in draw_weights(counts, 5, np.random.default_rng(0))]

    assert chunks == [2, 2, 1]


def simulate(tickets, rng):
    probability = rng.beta(1, 4, tickets)
    breach = rng.random(tickets) < probability
    return probability, breach, cost_matrix(rng.choice([500.0, 50.0], tickets), 20, 1, 0.8)


def test_bootstrap_takes_the_exact_best_of_each_resample():
    score, breach, costs = simulate(80, np.random.default_rng(5))
    descending = np.argsort(-score)
    each = np.ones(80, dtype=np.int64)
    refitted = []
    for weights in np.concatenate(list(draw_weights(each, 300, np.random.default_rng(6)))):
        drawn = np.repeat(descending, weights)
        refitted.append(best_threshold(score[drawn], breach[drawn], costs.take(drawn)).finite)
    interval = bootstrap_threshold(score, breach, costs, 300, 0.5, np.random.default_rng(6))

    assert interval == tuple(np.quantile(refitted, [0.25, 0.75]))


def test_bootstrap_equals_refitting_on_resamples_with_ties():
    rng = np.random.default_rng(1)
    score, breach, costs = simulate(60, rng)
    score = score.round(1)  # ties
    low, high = bootstrap_threshold(score, breach, costs, 4000, 0.8, rng)
    refitted = []
    for _ in range(4000):
        drawn = rng.integers(60, size=60)
        best = best_threshold(score[drawn], breach[drawn], costs.take(drawn))
        refitted.append(best.finite)

    # Scores are tenths, so the ends are too, but for the odd draw.
    assert [low, high] == pytest.approx(np.quantile(refitted, [0.1, 0.9]), abs=1e-9)


def test_bootstrap_is_repeatable_ordered_and_narrows():
    rng = np.random.default_rng(2)
    score, breach, costs = simulate(4000, rng)
    few = np.arange(100)

    def interval(tickets, confidence, seed=7):
        draws = np.random.default_rng(seed)
        data = score[tickets], breach[tickets], costs.take(tickets)
        return bootstrap_threshold(*data, 300, confidence, draws)

    everybody = np.arange(4000)
    assert interval(everybody, 0.95) == interval(rng.permutation(4000), 0.95)
    wide, narrow = interval(everybody, 0.95), interval(everybody, 0.5)
    assert 0 <= wide[0] < narrow[0] < narrow[1] < wide[1] <= 1
    assert np.diff(interval(few, 0.95)) > np.diff(wide)


def test_bootstrap_ignores_row_order_also_within_ties():
    rng = np.random.default_rng(4)
    score, breach, costs = simulate(200, rng)
    score, order = score.round(2), rng.permutation(200)
    shuffled = score[order], breach[order], costs.take(order)

    for seed in range(20):
        first = bootstrap_threshold(score, breach, costs, 9, 0.9, np.random.default_rng(seed))
        again = bootstrap_threshold(*shuffled, 9, 0.9, np.random.default_rng(seed))
        assert again == first


def test_bootstrap_caps_escalating_nobody_at_one():
    costs = cost_matrix(np.full(30, 10.0), 20, charged=1, effectiveness=1)
    score, breach = np.linspace(0, 0.5, 30), np.ones(30, dtype=bool)

    assert bootstrap_threshold(score, breach, costs, 50, 0.9, np.random.default_rng(0)) == (1, 1)


def test_bootstrap_of_a_million_tickets_stays_below_100_mb():
    score, breach, costs = simulate(1_000_000, np.random.default_rng(3))
    tracemalloc.start()
    bootstrap_threshold(score, breach, costs, 2, 0.95, np.random.default_rng(0))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()

    assert peak < 100e6
