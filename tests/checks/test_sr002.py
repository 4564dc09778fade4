"""SR002: nothing chosen on the test tickets."""

from dataclasses import replace

import pytest

from slarisk.learning.calibration import fit_calibrator
from slarisk.learning.features import make_features


@pytest.mark.parametrize("calibration", ["none", "sigmoid", "isotonic"])
@pytest.mark.slow
def test_what_the_training_tickets_give_is_fine(gather, sample, examine, calibration):
    context = gather(sample, f"calibration={calibration}", "decision=threshold")
    assert examine("SR002", context).verdict.value == "ok"


@pytest.mark.slow
def test_a_threshold_of_the_test_tickets_fails(gather, sample, examine):
    grid = examine("SR002", gather(sample, "decision=grid"))
    assert grid.verdict.value == "failed"
    context = gather(sample, "decision=threshold")
    found = examine("SR002", replace(context, threshold=context.threshold + 0.01))
    assert found.verdict.value == "failed"
    assert f"{context.threshold + 0.01:.6g}" in found.detail


@pytest.mark.parametrize("name", ["optimal_threshold", "decision_threshold", "objective"])
@pytest.mark.slow
def test_a_logged_choice_of_other_tickets_fails(gather, sample, examine, name):
    context = gather(sample, "decision=threshold")
    metrics = {**context.metrics, name: context.metrics[name] + 0.01}
    found = examine("SR002", replace(context, metrics=metrics))
    assert found.verdict.value == "failed"
    assert name in found.detail


@pytest.mark.parametrize("decision", ["per_ticket", "threshold", "capacity"])
@pytest.mark.slow
def test_what_was_chosen_is_found_again_by_every_policy(gather, sample, examine, decision):
    perday = ["decision.per_day=2"] if decision == "capacity" else []
    context = gather(sample, f"decision={decision}", *perday)
    assert examine("SR002", context).verdict.value == "ok"
    assert examine("SR001", context).verdict.value != "failed"


@pytest.mark.parametrize("calibration", ["sigmoid", "isotonic"])
@pytest.mark.slow
def test_a_calibration_of_the_test_tickets_fails(gather, sample, examine, calibration):
    context = gather(sample, f"calibration={calibration}")
    model = context.learned.model
    score = model.score(make_features(context.test, context.config.features))
    kind = context.config.calibration.name
    touched = replace(model, calibrator=fit_calibrator(kind, score, context.test_breach))
    found = examine("SR002", replace(context, learned=replace(context.learned, model=touched)))
    assert found.verdict.value == "failed"
    assert "calibration" in found.detail
