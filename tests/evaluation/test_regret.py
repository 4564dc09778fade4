"""What can be lost at least."""

import numpy as np
import pytest

from slarisk.config import CostPolicy, EffectKind
from slarisk.decisions.costs import cost_matrix
from slarisk.decisions.effect import make_effect
from slarisk.decisions.timing import TicketTimes, TimedCosts
from slarisk.evaluation.regret import Truth

MEDIAN, SPREAD, TARGET, DRAWS = 6.0, 0.9, 8.0, 200_000


@pytest.fixture(scope="module")
def lives():
    """Lives of one and the same ticket."""
    return MEDIAN * np.random.default_rng(0).lognormal(0, SPREAD, DRAWS)


def make_timed(policy, hours, price=200.0):
    effect = make_effect(policy)
    n = len(hours)
    costs = cost_matrix(np.full(n, price), 20, policy.charged, effect.at_creation)
    times = TicketTimes(hours, np.full(n, TARGET), np.ones(n, dtype=bool))
    return TimedCosts(costs, times, effect)


@pytest.mark.parametrize(
    "policy",
    [
        CostPolicy("", 20, 1, 0.8),
        CostPolicy("", 20, 1, 1.0, EffectKind.expedited),
        CostPolicy("", 20, 1, 0.8, EffectKind.fading),
    ],
    ids=lambda policy: policy.effect.value,
)
def test_no_other_moment_loses_less(lives, policy):
    timed, breach = make_timed(policy, lives), lives > TARGET
    truth = Truth(np.full(1, breach.mean()), np.full(1, MEDIAN), np.full(1, SPREAD))
    (best,) = truth.find_best_age(make_timed(policy, lives[:1]))

    def lose(age):
        return timed.losses(breach, np.full(DRAWS, age)).mean()

    others = [lose(age) for age in [*np.linspace(0, 7.99, 60), np.inf]]
    assert lose(best) < min(others) + 0.05  # dollars; the draws leave this much open


def test_a_cheap_ticket_is_never_escalated(lives):
    truth = Truth(np.full(1, 0.1), np.full(1, MEDIAN), np.full(1, SPREAD))
    assert truth.find_best_age(make_timed(CostPolicy("", 20, 1, 0.8), lives[:1], 10.0)) == np.inf


def test_losses_at_creation_and_in_time(lives):
    timed, breach = make_timed(CostPolicy("", 20, 1, 1.0), lives), lives > TARGET
    chance = np.full(DRAWS, breach.mean())
    at_creation = Truth(chance).losses(timed, breach)
    assert list(at_creation) == ["at_creation"]
    both = Truth(chance, np.full(DRAWS, MEDIAN), np.full(DRAWS, SPREAD)).losses(timed, breach)
    assert (both["at_creation"] == at_creation["at_creation"]).all()
    # with a constant effect it is best to wait until the last moment
    assert both["in_time"].mean() == pytest.approx(20 * breach.mean(), rel=0.01)
    assert both["at_creation"].mean() == pytest.approx(20)
