"""SR013: no feature made from training and test tickets together."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from slarisk.config import FeatureSet


def list_parts(context):
    return [("training", context.training), ("test", context.test)]


def find_rows(context, part):
    """Positions of the tickets of a part among all that are labelled."""
    return np.flatnonzero(context.tickets.frame["ticket_id"].isin(part["ticket_id"]))


def with_number(context, make):
    """CheckContext with one number as its feature, made from a table of all labelled tickets."""
    frame = context.tickets.frame
    frame = frame.assign(x=make(frame))
    rows = {name: find_rows(context, part) for name, part in list_parts(context)}
    training, test = (frame.iloc[rows[name]].reset_index(drop=True) for name in rows)
    features = FeatureSet(name="one", numeric=["x"])
    return replace(
        context,
        config=replace(context.config, features=features),
        tickets=replace(context.tickets, frame=frame),
        training=training,
        test=test,
    )


def rate(by, weight=0.0, rows=slice(None), digits=9):
    def make(frame):
        known = frame.iloc[rows]
        groups = known.groupby(by)["breach"].agg(["sum", "count"])
        rates = (groups["sum"] + weight * known["breach"].mean()) / (groups["count"] + weight)
        return frame[by].map(rates).round(digits)

    return make


@pytest.mark.parametrize("weight", [0, 1, 20])
@pytest.mark.parametrize("digits", [4, 9])
@pytest.mark.parametrize("stretch", [1, -300])
def test_a_breach_rate_of_all_tickets_fails(clean, examine, weight, digits, stretch):
    def make(frame):
        return 7 + stretch * rate("product", weight, digits=digits)(frame)

    found = examine("SR013", with_number(clean, make))
    assert found.verdict.value == "failed"
    assert found.detail.startswith("x: ")


def test_a_breach_rate_of_the_training_tickets_is_a_doubt(clean, examine):
    rates = rate("product", 20, find_rows(clean, clean.training))
    found = examine("SR013", with_number(clean, rates))
    assert found.verdict.value == "warning"
    assert found.detail.startswith("x: ")


HARMLESS = {
    "a property of the product": lambda frame: frame["product"].astype("str").str.len(),
    "how often the product comes": lambda frame: frame.groupby("product")["breach"].transform(
        "count"
    ),
    "an age": lambda frame: frame["customer_age"],
    "a rate of earlier tickets": lambda frame: rate("product", 5, slice(0, 500))(frame),
    "a normal number": lambda frame: np.random.default_rng(0).normal(size=len(frame)),
}


@pytest.mark.parametrize("make", HARMLESS.values(), ids=HARMLESS)
def test_other_numbers_are_fine(clean, examine, make):
    assert examine("SR013", with_number(clean, make)).verdict.value == "ok"


def standardise(values):
    return (values - values.mean()) / values.std()


def test_what_was_scaled_over_all_is_told_from_what_was_scaled_in_training(clean, examine):
    def make(frame):
        return standardise(frame["created_at"].dt.hour + frame["created_at"].dt.minute / 60)

    found = examine("SR013", with_number(clean, make))
    assert found.verdict.value == "warning"
    assert found.detail.startswith("x: ")

    def from_training(frame):
        hour = frame["created_at"].dt.hour + frame["created_at"].dt.minute / 60
        known = hour.iloc[find_rows(clean, clean.training)]
        return (hour - known.mean()) / known.std()

    assert examine("SR013", with_number(clean, from_training)).verdict.value == "ok"


@pytest.mark.parametrize("statistic", ["mean", "median"])
def test_what_was_filled_from_all_is_told_from_what_was_filled_in_training(
    clean, examine, statistic
):
    def make(frame, rows=slice(None)):
        rng = np.random.default_rng(0)
        values = pd.Series(rng.exponential(1, len(frame)) + np.arange(len(frame)) / 1000)
        values = values.where(rng.random(len(frame)) > 0.1)
        return values.fillna(getattr(values.iloc[rows], statistic)())

    assert examine("SR013", with_number(clean, make)).verdict.value == "warning"

    def from_training(frame):
        return make(frame, find_rows(clean, clean.training))

    assert examine("SR013", with_number(clean, from_training)).verdict.value == "ok"
