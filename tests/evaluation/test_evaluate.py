from dataclasses import replace

import numpy as np
import pytest

from slarisk.config import CostPolicy
from slarisk.decisions.costs import cost_matrix
from slarisk.decisions.effect import Effect
from slarisk.decisions.policies import PerTicket
from slarisk.decisions.timing import TicketTimes, TimedCosts
from slarisk.evaluation.baselines import Baselines
from slarisk.evaluation.evaluate import evaluate
from slarisk.evaluation.metrics import decision_metrics, probability_metrics
from slarisk.evaluation.regret import Truth
from slarisk.stats.bootstrap import paired_interval

BREACH = np.array([True, True, False, False, True])
PROBABILITY = np.array([0.9, 0.2, 0.6, 0.1, 0.7])
ESCALATE = np.array([True, False, True, False, True])
COSTS = cost_matrix([500.0, 50.0, 200.0, 10.0, 100.0], 20, charged=1, effectiveness=1)
BASELINES = {
    "never": np.zeros(5, dtype=bool),
    "always": np.ones(5, dtype=bool),
    "priority": np.array([True, True, True, False, False]),
}


def rules(costs, **escalate):
    """Rules that decide at creation about tickets that stay open."""
    n = len(costs)
    times = TicketTimes(np.full(n, np.inf), np.full(n, np.nan), np.zeros(n, dtype=bool))
    effect = Effect(CostPolicy("", 20, 1, 1.0))
    at = {name: np.where(chosen, 0.0, np.inf) for name, chosen in escalate.items()}
    return Baselines(at, TimedCosts(costs, times, effect))


def judge(truth=None, escalate=ESCALATE, baselines=BASELINES):
    truth = None if truth is None else Truth(truth)
    against = rules(COSTS, **baselines)
    return evaluate(BREACH, PROBABILITY, escalate, COSTS, against, 500, 0.95, seed=0, truth=truth)


def test_losses_by_hand():
    judged = judge()

    assert judged.losses.tolist() == [20, 50, 20, 0, 20]
    assert judged.baseline_losses["never"].tolist() == [500, 50, 0, 0, 100]
    assert judged.baseline_losses["priority"].tolist() == [20, 20, 20, 0, 100]
    assert judged.metrics["expected_loss"] == 110


def test_best_baseline_by_hand():
    judged = judge()

    assert judged.metrics["baseline_never_loss"] == 650
    assert judged.metrics["baseline_always_loss"] == 100
    assert judged.metrics["baseline_priority_loss"] == 160
    assert judged.best_baseline == "always"
    assert judged.metrics["best_baseline_loss"] == 100
    assert judged.metrics["value_over_baseline"] == -10  # the model loses more


def test_of_equal_baselines_the_first_is_best():
    always = BASELINES["always"]

    assert judge(baselines={"b": always, "a": always}).best_baseline == "b"


def test_value_interval_is_the_paired_bootstrap_of_baseline_minus_model():
    rng = np.random.default_rng(1)
    probability = rng.random(80)
    breach = rng.random(80) < probability
    costs = cost_matrix(rng.gamma(2, 50, 80), 20, charged=1, effectiveness=0.8)
    escalate = PerTicket().decide(probability, costs)
    always = rules(costs, always=np.ones(80, dtype=bool))

    for seed in (3, 4):
        judged = evaluate(breach, probability, escalate, costs, always, 300, 0.9, seed=seed)
        saved = judged.baseline_losses["always"] - judged.losses
        low, high = paired_interval(saved, 300, 0.9, np.random.default_rng(seed))
        assert judged.metrics["value_over_baseline"] == pytest.approx(saved.sum())
        assert judged.metrics["value_over_baseline_low"] == low
        assert judged.metrics["value_over_baseline_high"] == high
        assert low < saved.sum() < high


def test_the_baseline_itself_is_worth_exactly_nothing():
    metrics = judge(escalate=BASELINES["always"]).metrics

    assert metrics["value_over_baseline"] == 0
    assert metrics["value_over_baseline_low"] == 0
    assert metrics["value_over_baseline_high"] == 0


def test_all_other_metrics_are_there():
    metrics = judge().metrics
    own = probability_metrics(BREACH, PROBABILITY) | decision_metrics(BREACH, ESCALATE, COSTS)

    assert own.items() <= metrics.items()
    assert metrics["breach_rate"] == 0.6
    assert metrics["test_tickets"] == 5
    assert "regret_at_creation" not in metrics
    assert {type(value) for value in metrics.values()} == {float}
    assert len(metrics) == len(own) + 3 + 1 + 2 + 3 + 2


def test_regret_by_hand():
    # The truth escalates the first, second and last: 20 + 20 + 20 = 60.
    truth = np.array([0.9, 0.9, 0.05, 0.1, 0.9])
    assert PerTicket().decide(truth, COSTS).tolist() == [True, True, False, False, True]

    assert judge(truth).metrics["regret_at_creation"] == pytest.approx((110 - 60) / (100 - 60))
    perfect = np.array([True, True, False, False, True])
    assert judge(truth, escalate=perfect).metrics["regret_at_creation"] == 0
    assert judge(truth, escalate=BASELINES["always"]).metrics["regret_at_creation"] == 1


def test_regret_is_left_out_when_the_truth_wins_nothing():
    unlucky = np.zeros(5)  # escalates nobody and loses 650
    lucky = {"never": BASELINES["never"]}

    assert "regret_at_creation" not in judge(unlucky).metrics
    assert "regret_at_creation" not in judge(unlucky, baselines=lucky).metrics  # exactly 0 to win


def test_one_outcome_is_evaluated_without_warnings():
    met = np.zeros(3, dtype=bool)
    costs = cost_matrix(np.full(3, 50.0), 20, charged=1, effectiveness=1)
    judged = evaluate(
        met, np.array([0.1, 0.2, 0.3]), met, costs, rules(costs, never=met), 100, 0.95, seed=0
    )

    assert judged.metrics["expected_loss"] == 0
    assert judged.metrics["value_over_baseline_high"] == 0
    assert {"roc_auc", "pr_auc", "savings"}.isdisjoint(judged.metrics)


def test_nobody_escalates_what_arrives_resolved():
    against = rules(COSTS, never=np.zeros(5, dtype=bool), always=np.ones(5, dtype=bool))
    times = replace(against.timed.times, open_hours=np.array([0.0, np.inf, 0.0, 1.0, 1.0]))
    against = replace(against, timed=replace(against.timed, times=times))
    costs = replace(COSTS, fp=np.array([0.0, 20, 0, 20, 20]), tp=np.array([500.0, 20, 200, 20, 20]))
    metrics = evaluate(
        BREACH, PROBABILITY, ESCALATE, costs, against, 100, 0.95, seed=0, truth=None
    ).metrics

    # the first breaches, the second is left and breaches, and only the last is escalated
    assert metrics["expected_loss"] == 500 + 50 + 20
    assert metrics["baseline_always_loss"] == 500 + 20 + 20 + 20
    assert (metrics["escalation_rate"], metrics["false_alarms"]) == (0.2, 0)
