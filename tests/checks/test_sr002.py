"""SR002: nothing chosen on the test tickets."""

from dataclasses import replace

import pytest

from slarisk.learning.calibration import fit_calibrator
from slarisk.learning.features import make_features


@pytest.mark.parametrize("calibration", ["none", "sigmoid", "isotonic"])
def test_what_the_training_tickets_give_is_fine(gather, sample, examine, calibration):
    evidence = gather(sample, f"calibration={calibration}", "decision=threshold")
    assert examine("SR002", evidence).verdict.value == "ok"


def test_a_threshold_of_the_test_tickets_fails(gather, sample, examine):
    grid = examine("SR002", gather(sample, "decision=grid"))
    assert grid.verdict.value == "failed"
    assert "picked on the test tickets" in grid.detail
    evidence = gather(sample, "decision=threshold")
    found = examine("SR002", replace(evidence, threshold=evidence.threshold + 0.01))
    assert found.verdict.value == "failed"
    assert "the threshold of the model" in found.detail


@pytest.mark.parametrize("name", ["optimal_threshold", "decision_threshold", "objective"])
def test_a_logged_choice_of_other_tickets_fails(gather, sample, examine, name):
    evidence = gather(sample, "decision=threshold")
    metrics = {**evidence.metrics, name: evidence.metrics[name] + 0.01}
    found = examine("SR002", replace(evidence, metrics=metrics))
    assert found.verdict.value == "failed"
    assert name in found.detail


@pytest.mark.parametrize("decision", ["per_ticket", "threshold", "capacity"])
def test_what_was_chosen_is_found_again_by_every_policy(gather, sample, examine, decision):
    perday = ["decision.per_day=2"] if decision == "capacity" else []
    evidence = gather(sample, f"decision={decision}", *perday)
    assert examine("SR002", evidence).verdict.value == "ok"
    assert examine("SR001", evidence).verdict.value != "failed"


@pytest.mark.parametrize("calibration", ["sigmoid", "isotonic"])
def test_a_calibration_of_the_test_tickets_fails(gather, sample, examine, calibration):
    evidence = gather(sample, f"calibration={calibration}")
    model = evidence.learned.model
    score = model.score(make_features(evidence.test, evidence.config.features))
    kind = evidence.config.calibration.name
    touched = replace(model, calibrator=fit_calibrator(kind, score, evidence.test_breach))
    found = examine("SR002", replace(evidence, learned=replace(evidence.learned, model=touched)))
    assert found.verdict.value == "failed"
    assert "calibration" in found.detail
