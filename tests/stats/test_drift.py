import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from slarisk.stats.drift import band, population_stability_index

COUNTS = st.lists(st.tuples(st.integers(0, 500), st.integers(0, 500)), min_size=1, max_size=12)


def test_the_index_is_that_of_the_shares_by_hand():
    """Half a ticket more in each bin: 10.5 and 30.5 of 41, against 30.5 and 10.5 of 41."""
    by_hand = 2 * (20 / 41) * math.log(30.5 / 10.5)
    assert population_stability_index([10, 30], [30, 10]) == pytest.approx(by_hand)


def test_an_empty_bin_is_far_but_not_infinitely_far():
    moved = population_stability_index([100, 100, 0], [100, 0, 100])
    assert 1 < moved < math.inf


def test_a_bin_that_nobody_uses_does_not_count():
    assert population_stability_index([60, 40, 0], [5, 15, 0]) == population_stability_index(
        [60, 40], [5, 15]
    )


@given(COUNTS)
def test_the_index_has_no_direction_and_is_never_negative(counts):
    expected, actual = (np.array(side) for side in zip(*counts, strict=True))
    if expected.sum() == 0 or actual.sum() == 0:
        with pytest.raises(ValueError, match="no tickets"):
            population_stability_index(expected, actual)
        return
    index = population_stability_index(expected, actual)
    assert index == pytest.approx(population_stability_index(actual, expected))
    assert index >= 0
    assert population_stability_index(expected, expected) == 0


def test_chance_alone_is_as_large_as_the_docstring_says():
    rng = np.random.default_rng(0)
    shares = np.full(10, 0.1)
    drawn = [
        population_stability_index(rng.multinomial(4000, shares), rng.multinomial(1000, shares))
        for _ in range(500)
    ]
    assert np.mean(drawn) == pytest.approx(9 * (1 / 4000 + 1 / 1000), rel=0.1)


@pytest.mark.parametrize(
    ("expected", "actual", "message"),
    [
        ([1, 2], [1], "do not fit"),
        ([[1, 2]], [[1, 2]], "do not fit"),
        ([1, -1], [1, 1], "at least 0"),
        ([1, float("nan")], [1, 1], "finite"),
        ([], [], "no tickets"),
    ],
)
def test_counts_that_mean_nothing_are_refused(expected, actual, message):
    with pytest.raises(ValueError, match=message):
        population_stability_index(expected, actual)


def test_bands_are_the_usual_ones():
    indices = [0.0, 0.0999, 0.1, 0.25, 0.2501]
    assert [band(each) for each in indices] == ["stable", "stable", *["moderate"] * 2, "major"]
