"""SR006: no feature tells the outcome alone."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import roc_auc_score

from slarisk.config import FeatureSet


def with_feature(context, make, kind):
    """CheckContext in which one field, made from the outcome, is the only feature."""
    parts = {
        name: part.assign(x=make(part["breach"].to_numpy(), np.random.default_rng(len(part))))
        for name, part in (("training", context.training), ("test", context.test))
    }
    features = FeatureSet(name="one", **{kind: ["x"]})
    return replace(context, config=replace(context.config, features=features), **parts)


def hidden(rate, missing):
    """Known for the tickets that met their target alone, and a number that says nothing."""

    def make(breach, rng):
        return np.where(
            breach & (rng.random(len(breach)) < missing), np.nan, rng.normal(size=len(breach))
        )

    return make


def test_the_figure_is_that_of_the_best_guess_by_value(clean, examine):
    found = examine("SR006", clean)
    assert found.verdict.value == "ok"
    name, auc = found.detail.split("feature, ")[1].split(",")[0], found.detail.split()
    rates = clean.training.groupby("subject")["breach"].agg(["sum", "count"])
    guess = (rates["sum"] + clean.breach.mean()) / (rates["count"] + 1)
    by_subject = roc_auc_score(clean.test["breach"], clean.test["subject"].map(guess))
    assert name == "subject"
    assert f"{by_subject:.3f}" in auc


@pytest.mark.parametrize(("errors", "verdict"), [(0.005, "failed"), (0.03, "warning"), (0.2, "ok")])
def test_a_category_is_judged_by_how_well_it_separates(clean, examine, errors, verdict):
    def make(breach, rng):
        return np.where(breach ^ (rng.random(len(breach)) < errors), "late", "in time")

    assert examine("SR006", with_feature(clean, make, "categorical")).verdict.value == verdict


def test_a_number_that_separates_by_its_middle_is_found(clean, examine):
    """Not by its order: breaches lie between the others."""

    def make(breach, rng):
        return np.where(
            breach,
            rng.uniform(-1, 1, len(breach)),
            rng.choice([-3, 3], len(breach)) * rng.uniform(0.5, 1, len(breach)),
        )

    assert examine("SR006", with_feature(clean, make, "numeric")).verdict.value != "ok"


def test_a_number_and_its_gaps_are_one_feature(clean, examine):
    found = examine("SR006", with_feature(clean, hidden(0, 1.0), "numeric"))
    assert found.verdict.value == "failed"
    assert examine("SR006", with_feature(clean, hidden(0, 0.2), "numeric")).verdict.value == "ok"


def test_a_rate_that_leaves_each_ticket_out_is_found(clean, examine):
    """Its two values in a group differ by the ticket's own label, which a forest reads off."""

    def make(breach, rng):
        group = rng.integers(0, 10, len(breach))
        frame = pd.DataFrame({"group": group, "breach": breach.astype(float)})
        total = frame.groupby("group")["breach"].transform("sum")
        count = frame.groupby("group")["breach"].transform("count")
        return ((total - frame["breach"]) / (count - 1)).to_numpy()

    context = with_feature(clean, make, "numeric")
    both = pd.concat([context.training, context.test])
    both["x"] = make(both["breach"].to_numpy(), np.random.default_rng(0))
    count = len(context.training)
    context = replace(context, training=both.iloc[:count], test=both.iloc[count:])
    assert examine("SR006", context).verdict.value == "failed"


def test_few_tickets_of_a_kind_accuse_nobody(clean, examine):
    context = replace(clean, test=clean.test[~clean.test["breach"]])
    assert examine("SR006", context).verdict.value == "ok"
