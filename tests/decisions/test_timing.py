"""What it costs to escalate a ticket at an age."""

import numpy as np
import pytest

from slarisk.config import CostPolicy, EffectKind
from slarisk.decisions.costs import cost_matrix
from slarisk.decisions.effect import make_effect
from slarisk.decisions.timing import TicketTimes, TimedCosts


def time_costs(policy, price, open_hours, target):
    """Costs of tickets whose target is known."""
    effect = make_effect(policy)
    costs = cost_matrix(price, policy.escalation_cost, policy.charged, effect.at_creation)
    target = np.broadcast_to(np.asarray(target, float), len(price)).copy()
    times = TicketTimes(np.asarray(open_hours, float), target, np.ones(len(price), bool))
    return TimedCosts(costs, times, effect)


def test_losses_by_hand():
    policy = CostPolicy("", 20, 0.5, 0.8, EffectKind.fading)
    timed = time_costs(policy, [100.0] * 5, [3, 3, 9, 9, 0], 8)
    breach = np.array([False, False, True, True, True])
    # the first is closed by then; half of the effect is gone at 4 h; the last arrived resolved
    assert timed.losses(breach, np.array([3.0, 2.9, 4.0, np.inf, 0.0])).tolist() == pytest.approx(
        [0, 20, 0.5 * 20 + (1 - 0.8 * 0.5) * 100, 100, 100]
    )


@pytest.mark.parametrize("effect", EffectKind)
def test_at_creation_they_are_those_of_the_matrix(effect):
    policy = CostPolicy("", 20, 1, 0.8, effect)
    timed = time_costs(policy, [500.0, 500.0, 50.0, 50.0], [1.0, 9.0, np.inf, 2.0], 4)
    breach = np.array([False, True, True, False])
    everyone = np.ones(4, dtype=bool)
    assert timed.losses(breach, np.zeros(4)) == pytest.approx(timed.costs.losses(breach, everyone))


def test_an_escalation_without_any_effect_only_costs():
    timed = time_costs(CostPolicy("", 20, 1, 0.0), [100.0], [9.0], 8)
    assert timed.losses(np.array([True]), np.array([4.0])).tolist() == [120]
