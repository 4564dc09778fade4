"""Timers, and the search for the best."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from slarisk.config import CostPolicy, EffectKind, FadingBy
from slarisk.decisions.costs import cost_matrix
from slarisk.decisions.effect import make_effect
from slarisk.decisions.timing import TicketTimes, TimedCosts
from slarisk.evaluation import timers
from slarisk.evaluation.baselines import decide_baselines
from slarisk.evaluation.timers import (
    choose_groups,
    find_implied_target,
    learn_timer,
    measure_by_share,
)

HOURS = st.integers(0, 16).map(lambda quarter: quarter / 4)
TICKET = st.tuples(HOURS, st.sampled_from([4.0, 8.0]), st.sampled_from([0.0, 30.0, 100.0]))
POLICIES = [
    CostPolicy("", 20, 1, 0.8),
    CostPolicy("", 20, 1, 1.0, EffectKind.expedited),
    CostPolicy("", 20, 0.5, 0.8, EffectKind.fading),
    CostPolicy(
        "", 20, 1, 0.8, EffectKind.fading, fading=[[0, 1], [3, 0.2]], fading_by=FadingBy.hours
    ),
]


def make_timed(policy, hours, target, price, certain=True):
    effect = make_effect(policy)
    costs = cost_matrix(price, policy.escalation_cost, policy.charged, effect.at_creation)
    n = len(hours)
    times = TicketTimes(np.array(hours), np.array(target), np.full(n, certain, dtype=bool))
    return TimedCosts(costs, times, effect)


@pytest.mark.parametrize("policy", POLICIES, ids=lambda policy: policy.effect.value)
@given(rows=st.lists(TICKET, min_size=1, max_size=12), certain=st.booleans())
def test_the_learnt_share_is_the_best_of_all(policy, rows, certain):
    hours, target, price = map(np.array, zip(*rows, strict=True))
    breach = hours > target if certain else price > 50
    timed = make_timed(policy, hours, target, price, certain)

    def lose(share):
        return timed.losses(breach, share * target).sum()

    (learnt,) = learn_timer(timed, breach, np.zeros(len(rows), dtype=np.int64))
    tried = [*np.linspace(0, 0.999 if certain else 4, 800), np.inf]
    tried += [share for share in hours / target if share < 1 or not certain]
    best = min(lose(share) for share in tried)
    assert lose(learnt) == pytest.approx(best, abs=1e-9) or lose(learnt) < best


@pytest.mark.parametrize("policy", POLICIES, ids=lambda policy: policy.effect.value)
def test_losses_by_share_are_those_of_the_tickets(policy):
    rng = np.random.default_rng(0)
    target = rng.choice([4.0, 8.0, 24.0], 200)
    hours = target * rng.lognormal(-0.3, 0.9, 200)
    timed = make_timed(policy, hours, target, rng.choice([50.0, 500.0], 200))
    breach = hours > target
    shares, losses, _ = measure_by_share(timed, breach)
    never = timed.losses(breach, np.full(200, np.inf)).sum()
    assert len(shares) == 1 + (~breach).sum()
    again = [timed.losses(breach, share * target).sum() - never for share in shares]
    assert losses == pytest.approx(again, abs=1e-6)


def test_with_too_many_targets_fewer_shares_are_tried(monkeypatch):
    monkeypatch.setattr(timers, "_MOST_CELLS", 2_000)
    rng = np.random.default_rng(0)
    target = rng.uniform(4, 8, 200)
    hours = target * rng.lognormal(-0.3, 0.9, 200)
    timed = make_timed(POLICIES[1], hours, target, np.full(200, 100.0))
    shares, losses, _ = measure_by_share(timed, hours > target)
    assert 5 <= len(shares) <= 11
    assert len(losses) == len(shares)


def test_a_group_that_does_not_pay_is_left():
    # one of two breaches at $500, one of ten at $50: 0.8 * 50 / 10 is less than the $20
    hours = np.array([1.0, 9.0] + [1.0] * 9 + [9.0])
    price = np.array([500.0] * 2 + [50.0] * 10)
    groups = np.array([0] * 2 + [1] * 10)
    timed = make_timed(POLICIES[0], hours, np.full(12, 8.0), price)
    breach = hours > 8
    # at half the target only those that breach are open
    assert choose_groups(timed, breach, groups, 0.5).tolist() == [True, True]
    assert choose_groups(timed, breach, groups, 0.0).tolist() == [True, False]
    assert learn_timer(timed, breach, groups).tolist() == [0.125, 0.125]


def test_an_implied_target_by_hand():
    hours = np.array([1.0, 2.0, 3.0, 50.0, 60.0, np.inf])
    found = find_implied_target(np.array([0, 1, 0, 1, 1, 1], dtype=bool), hours)
    assert (found.hours, found.accuracy) == (1.0, 5 / 6)  # of two the lower
    assert find_implied_target(np.array([True, False]), np.array([0.0, np.inf])) is None


def label(rows, target=8.0):
    frame = pd.DataFrame(rows, columns=["priority", "open_hours", "breach"])
    return frame.assign(breaches_after=target, breach=frame["breach"].astype(bool))


def decide(training, test, policy=POLICIES[0]):
    effect = make_effect(policy)
    costs = [
        cost_matrix(np.full(len(each), 100.0), 20, policy.charged, effect.at_creation)
        for each in (training, test)
    ]
    return decide_baselines(training, test, *costs, [], effect)


def test_timers_are_learnt_on_training_tickets_and_know_no_new_priority():
    training = label([("High", 1, 0), ("High", 2, 0), ("High", 9, 1), ("Low", 7.9, 0)] * 5)
    test = label([("High", 1, 0), ("High", 20, 1), ("Low", 9, 1), ("New", 9, 1)])
    decided = decide(training, test)
    assert decided.ages["timer"].tolist() == [2, 2, np.inf, np.inf]
    assert decided.ages["timer_50"].tolist() == [4, 4, np.inf, np.inf]
    assert decided.timer == "High at 25% of the target"
    # the first is closed before it is escalated, the second is escalated in time
    losses = decided.losses(test["breach"].to_numpy())["timer"]
    assert losses.tolist() == pytest.approx([0, 20 + 0.2 * 100, 100, 100])


def test_where_only_a_label_is_known_timers_run_in_hours():
    training = label([("High", 1, 0), ("High", 2, 0), ("High", 90, 1)] * 5, target=np.nan)
    decided = decide(training, label([("High", 3, 0), ("High", 1, 0)], target=np.nan))
    assert decided.implied.hours == 2
    assert decided.ages["timer"].tolist() == [2, 2]
    assert decided.ages["timer_75"].tolist() == [1.5, 1.5]
    assert decided.timer == "High after 2 h"
    assert len(decided.notes) == 1


def test_what_arrives_resolved_is_counted():
    training = label([("High", 1, 0), ("High", 9, 1)] * 5)
    decided = decide(training, label([("High", 0, 0), ("High", 9, 1), ("High", 0, 1)]))
    assert "2" in decided.notes[0].split()
