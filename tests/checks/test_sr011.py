"""SR011: training comes before the test."""

from dataclasses import replace

import numpy as np
import pandas as pd


def test_a_temporal_split_is_fine(clean, examine):
    found = examine("SR011", clean)
    assert found.verdict.value == "ok"
    assert f"{clean.test['created_at'].min():%Y-%m-%d %H:%M}" in found.detail


def test_a_training_ticket_of_the_test_period_fails(clean, examine, read_figures):
    begin = clean.test["created_at"].min()
    training = clean.training.copy()
    training.loc[3, ["created_at", "label_known_at"]] = begin, begin
    found = examine("SR011", replace(clean, training=training))
    assert found.verdict.value == "failed"
    assert read_figures(found) == [1, 1, 0]


def test_a_label_that_was_not_known_yet_fails(clean, examine, read_figures):
    training = clean.training.copy()
    training.loc[[3, 4], "label_known_at"] = clean.test["created_at"].min(), pd.NaT
    found = examine("SR011", replace(clean, training=training))
    assert found.verdict.value == "failed"
    assert read_figures(found) == [0, 2, 0]


def test_a_test_ticket_older_than_the_cut_fails(clean, examine):
    later = str(clean.test["created_at"].min() + pd.Timedelta(days=1))
    config = replace(clean.config, split=replace(clean.config.split, test_from=later))
    assert examine("SR011", replace(clean, config=config)).verdict.value == "failed"


def test_an_eligible_score_by_a_model_of_later_tickets_fails(clean, examine):
    eligible = np.ones_like(clean.learned.eligible)
    learned = replace(clean.learned, eligible=eligible)
    assert examine("SR011", replace(clean, learned=learned)).verdict.value == "failed"


def test_without_times_there_is_no_order(clean, examine):
    undated = clean.training.assign(created_at=pd.NaT)
    found = examine("SR011", replace(clean, training=undated))
    assert found.verdict.value == "ok"
