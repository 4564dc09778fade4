"""SR008: features known at the prediction moment."""

from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import spearmanr

from slarisk.config import FeatureSet


def with_number(context, number):
    features = FeatureSet(name="one", numeric=["x"])
    training = context.training.assign(x=number)
    return replace(context, config=replace(context.config, features=features), training=training)


@pytest.mark.parametrize(("noise", "verdict"), [(0.1, "failed"), (0.9, "warning"), (5.0, "ok")])
def test_a_number_that_ranks_tickets_by_the_time_they_took(clean, examine, noise, verdict):
    rng = np.random.default_rng(0)
    hours = clean.training["resolution_hours"].fillna(24)
    number = -np.log(hours) + rng.normal(scale=noise, size=len(hours))
    found = examine("SR008", with_number(clean, number))
    by_scipy = abs(spearmanr(number, clean.training["resolution_hours"], nan_policy="omit")[0])
    assert f"{by_scipy:.2f}" in found.detail
    assert found.verdict.value == verdict


def test_the_target_of_a_ticket_is_no_leak(clean, examine):
    target = clean.training["sla_target_hours"]
    assert examine("SR008", with_number(clean, target)).verdict.value == "ok"


def test_the_number_of_fields_is_on_record(clean, examine, read_figures):
    found = examine("SR008", clean)
    assert found.verdict.value == "ok"
    assert read_figures(found)[0] == len(clean.fields) == 6
    assert "'created'" in found.detail


def test_the_date_of_the_label_counts_as_the_end(clean, examine):
    """An export whose label is known long after the resolution."""
    rng = np.random.default_rng(0)
    closed = clean.training["created_at"] + np.array(
        rng.integers(1, 10**6, len(clean.training)), dtype="timedelta64[s]"
    )
    training = clean.training.assign(closed_at=closed)
    data = replace(clean.config.data, label=replace(clean.config.data.label, known_at="closed_at"))
    features = FeatureSet(name="one", days_since=["closed_at"])
    config = replace(clean.config, data=data, features=features)
    found = examine("SR008", replace(clean, config=config, training=training))
    assert found.verdict.value == "failed"
    assert "days_since_closed_at" in found.detail
