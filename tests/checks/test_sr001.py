"""SR001: worth more than a trivial rule."""

from dataclasses import replace

import numpy as np
import pytest

from slarisk.decisions.costs import dollars
from slarisk.decisions.effect import make_effect
from slarisk.evaluation.baselines import decide_baselines
from slarisk.evaluation.evaluate import evaluate


@pytest.fixture
def judge(clean, with_probability, examine):
    """The finding on a model that says this of the test tickets, and its evaluation."""

    def judge_saying(probability, test=clean.test, confidence=0.95, **metrics):
        evaluation = replace(clean.config.evaluation, confidence=confidence)
        config = replace(clean.config, evaluation=evaluation)
        context = with_probability(replace(clean, config=config, test=test), probability)
        result = evaluate(
            context.test_breach,
            context.probability,
            context.decide(test, context.probability, context.test_costs),
            context.test_costs,
            decide_baselines(
                clean.training,
                test,
                clean.costs,
                context.test_costs,
                config.data.segments,
                make_effect(config.cost),
            ),
            evaluation.bootstrap_draws,
            confidence,
            evaluation.seed,
        )
        context = replace(context, metrics=result.metrics | metrics)
        return examine("SR001", context), result

    return judge_saying


def test_who_knows_the_outcome_is_worth_more(judge, clean):
    found, result = judge(clean.test_breach)
    assert found.verdict.value == "ok"
    assert dollars(result.metrics["value_over_baseline"]) in found.detail
    assert repr(result.best_baseline) in found.detail


def test_who_says_the_opposite_is_worth_nothing(judge, clean):
    found, result = judge(~clean.test_breach)
    assert found.verdict.value == "warning"
    assert result.metrics["value_over_baseline"] < 0
    assert dollars(result.metrics["value_over_baseline"]) in found.detail


def test_a_config_cannot_narrow_the_interval(judge, clean):
    """What is gained on forty tickets by chance is luck, however narrow the logged interval."""
    test = clean.test.head(40)
    noise, breach = np.random.default_rng(0).random(40), clean.test_breach[:40]
    for known in np.linspace(0, 1, 101):  # the least that beats the rules
        found, result = judge((1 - known) * noise + known * breach, test, confidence=0.01)
        if result.metrics["value_over_baseline_low"] > 0:
            break
    assert found.verdict.value == "warning"


@pytest.mark.parametrize(
    "name", ["expected_loss", "best_baseline_loss", "value_over_baseline_low", "roc_auc"]
)
def test_a_logged_metric_that_is_another_fails(judge, clean, name):
    right, result = judge(clean.probability)
    wrong, _ = judge(clean.probability, **{name: result.metrics[name] + 0.01})
    assert (right.verdict.value == "failed", wrong.verdict.value) == (False, "failed")
    assert name in wrong.detail
