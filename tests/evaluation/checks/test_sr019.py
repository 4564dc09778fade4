"""SR019: the threshold is known."""

from dataclasses import replace

import numpy as np
import pytest

from slarisk.config import DecisionKind


@pytest.fixture
def judge(clean, examine):
    def judge_interval(low, high, kind=DecisionKind.threshold):
        learned = replace(clean.learned, probability=np.linspace(0, 1, len(clean.breach)))
        metrics = dict(clean.metrics) | {
            "optimal_threshold_low": low,
            "optimal_threshold_high": high,
        }
        decision = replace(clean.config.decision, name=kind)
        config = replace(clean.config, decision=decision)
        return examine("SR019", replace(clean, config=config, metrics=metrics, learned=learned))

    return judge_interval


def test_an_interval_that_leaves_half_of_the_tickets_open_is_a_doubt(judge):
    assert judge(0.3, 0.6).verdict.value == "ok"
    wide = judge(0.2, 0.8)
    assert wide.verdict.value == "warning"
    assert "lies from 0.200 to 0.800" in wide.detail


def test_it_does_not_matter_to_who_decides_otherwise(judge):
    assert judge(0.2, 0.8, DecisionKind.per_ticket).verdict.value == "ok"


def test_the_shares_are_those_of_the_honest_tickets(judge, clean):
    honest = np.linspace(0, 1, len(clean.breach))[clean.learned.honest]
    detail = judge(0.3, 0.6).detail
    assert f"from {np.mean(honest >= 0.6):.0%} to {np.mean(honest >= 0.3):.0%}" in detail
