"""SR019: the threshold is known."""

from dataclasses import replace

import numpy as np
import pytest

from slarisk.decisions.thresholds import bootstrap_threshold


@pytest.fixture
def judge(clean, examine):
    """Some tickets, their out-of-fold probabilities, and the interval that is logged."""

    def judge_scores(probability, rows, decision="threshold", confidence=0.95, moved=0.0):
        training = clean.training.iloc[rows]
        eligible = clean.learned.eligible[rows]
        settings = replace(clean.config.evaluation, confidence=confidence)
        kind = type(clean.config.decision.name)(decision)
        config = replace(
            clean.config, evaluation=settings, decision=replace(clean.config.decision, name=kind)
        )
        learned = replace(clean.learned, probability=probability[rows], eligible=eligible)
        context = replace(clean, config=config, training=training, learned=learned)
        low, high = bootstrap_threshold(
            context.eligible_probability,
            context.eligible_breach,
            context.eligible_costs,
            settings.threshold_draws,
            confidence,
            np.random.default_rng(settings.seed),
        )
        logged = {"optimal_threshold_low": low, "optimal_threshold_high": high + moved}
        return examine("SR019", replace(context, metrics=logged))

    return judge_scores


ALL, FEW = slice(None), slice(-60, None)


@pytest.fixture(scope="module")
def noise(clean):
    return np.random.default_rng(0).random(len(clean.training))


def test_an_interval_that_leaves_half_of_the_tickets_open_is_a_doubt(judge, clean, noise):
    known = np.where(clean.breach, 0.9, 0.1) + noise / 100
    assert judge(known, ALL).verdict.value == "ok"
    assert judge(noise, FEW).verdict.value == "warning"


def test_a_config_cannot_narrow_the_interval(judge, noise):
    assert judge(noise, FEW, confidence=0.01).verdict.value == "warning"


def test_it_does_not_matter_to_who_decides_otherwise(judge, noise):
    assert judge(noise, FEW, "per_ticket").verdict.value == "ok"


def test_a_logged_interval_of_other_tickets_fails(judge, clean):
    assert judge(clean.learned.probability, ALL, moved=0.01).verdict.value == "failed"
