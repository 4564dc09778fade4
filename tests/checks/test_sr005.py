"""SR005: creation times observed."""

import re

import pytest


@pytest.fixture(scope="module")
def imputed(gather, sample):
    table = sample.assign(**{"Ticket Description": "It does not work"})
    return gather(table, data="kaggle")


def test_observed_times_are_fine(clean, examine):
    assert examine("SR005", clean).verdict.value == "ok"


def test_the_share_of_labels_that_hang_on_the_draw_is_counted(imputed, examine):
    """With each of the five draws in turn."""
    found = examine("SR005", imputed)
    assert found.verdict.value == "warning"
    frame = imputed.tickets.frame
    worked = (frame["resolved_at"] - frame["first_response_at"]).dt.total_seconds() / 3600
    outcomes = [worked + hours > frame["sla_target_hours"] for hours in (1, 2, 3, 4, 5)]
    undecided = sum(each.astype(int) for each in outcomes).between(1, 4).mean()
    assert 0.01 < undecided < 0.5
    assert f"{undecided:.0%}" in found.detail


def test_the_score_is_measured_with_other_draws_and_with_the_draw_alone(imputed, examine):
    detail = examine("SR005", imputed).detail
    drawn, again, alone = (float(figure) for figure in re.findall(r"\b0\.\d{3}\b", detail))
    assert abs(drawn - again) < 0.05  # what the model knows is not the draw
    assert 0.4 < alone < drawn
    assert re.search(r"\b(hour|weekday|weekend)", detail)
