"""SR021: no drift from training to test."""

from dataclasses import replace

import numpy as np
import pytest

from slarisk.config import FeatureSet
from slarisk.stats.drift import population_stability_index


def with_categories(context, before, now, levels=3):
    rng = np.random.default_rng(0)
    names = np.array([f"level {number}" for number in range(levels)])
    parts = {
        name: part.assign(x=rng.choice(names, len(part), p=shares))
        for name, part, shares in (
            ("training", context.training, before),
            ("test", context.test, now),
        )
    }
    config = replace(context.config, features=FeatureSet(name="one", categorical=["x"]))
    return replace(context, config=config, **parts)


def test_tickets_of_the_same_kind_are_fine(clean, examine):
    found = examine("SR021", clean)
    assert found.verdict.value == "ok"


@pytest.mark.parametrize(
    ("now", "verdict", "word"),
    [
        ([0.3, 0.3, 0.4], "ok", "largest PSI"),
        ([0.15, 0.35, 0.5], "ok", "moderate"),
        ([0.1, 0.2, 0.7], "warning", "major"),
    ],
)
def test_the_bands_are_the_usual_ones(clean, examine, now, verdict, word):
    moved = with_categories(clean, [0.3, 0.3, 0.4], now)
    found = examine("SR021", moved)
    counts = [part["x"].value_counts().sort_index() for part in (moved.training, moved.test)]
    assert (found.verdict.value, word in found.detail) == (verdict, True)
    if word != "largest PSI":
        assert f"x {population_stability_index(*counts):.2f}" in found.detail


def test_an_index_that_chance_makes_large_is_no_drift(clean, examine):
    """Nineteen values and few tickets: an index above 0.25 without any drift."""
    shares = np.full(19, 1 / 19)
    few = replace(clean, test=clean.test.head(40))
    moved = with_categories(few, shares, shares, levels=19)
    counts = [
        part["x"].value_counts().reindex(moved.training["x"].unique(), fill_value=0)
        for part in (moved.training, moved.test)
    ]
    assert population_stability_index(*counts) > 0.25
    assert examine("SR021", moved).verdict.value == "ok"


def test_drift_of_the_score_is_told(clean, with_probability, examine):
    found = examine("SR021", with_probability(clean, clean.probability * 0.3))
    assert found.verdict.value == "warning"
    assert "the score" in found.detail
