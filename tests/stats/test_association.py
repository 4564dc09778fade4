import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import mutual_info_score, roc_auc_score

from slarisk.stats.association import (
    auc_error,
    code_values,
    cramers_v,
    measure_auc,
    rate_values,
    share_information,
)


def draw_scores(rng, tickets=400):
    breach = rng.random(tickets) < 0.3
    return breach, (rng.normal(size=tickets) + breach).round(1)


def test_the_area_is_that_of_scikit_learn_with_ties():
    breach, score = draw_scores(np.random.default_rng(0))
    assert measure_auc(breach, score) == pytest.approx(roc_auc_score(breach, score))
    assert np.isnan(measure_auc(np.ones(3, dtype=bool), np.arange(3.0)))


def test_the_error_is_how_far_the_area_varies():
    rng = np.random.default_rng(0)
    samples = [draw_scores(rng) for _ in range(400)]
    areas = [measure_auc(*sample) for sample in samples]
    stated = auc_error(float(np.mean(areas)), samples[0][0])
    assert stated == pytest.approx(np.std(areas), rel=0.15)


def test_values_are_coded_alike_on_both_sides():
    known, new = pd.Series(["a", "b", "a"]), pd.Series(["b", "c"])
    codes, other, levels = code_values(known, new)
    assert (codes.tolist(), other.tolist(), levels) == ([0, 1, 0], [1, 2], 3)


def test_a_missing_number_has_a_code_of_its_own():
    rng = np.random.default_rng(0)
    many = pd.Series(np.append(rng.normal(size=400), [np.nan] * 100))
    few = pd.Series(np.append(rng.integers(0, 5, 400).astype(float), [np.nan] * 100))
    for numbers in (many, few):
        codes, other, levels = code_values(numbers, pd.Series([np.nan, 0.0, 99.0]))
        assert len(set(codes[400:])) == 1
        assert codes[400] not in codes[:400]
        assert other[0] == codes[400]
        assert {*codes, *other} <= set(range(levels))


def test_bins_are_of_equal_size():
    numbers = pd.Series(np.random.default_rng(0).normal(size=1000))
    codes, _, _ = code_values(numbers, numbers, bins=10)
    assert np.bincount(codes)[:10].tolist() == [100] * 10


def test_a_rate_is_drawn_towards_that_of_all_by_one_ticket():
    codes, breach = np.array([0, 0, 1, 1]), np.array([True, True, False, True])
    assert rate_values(codes, breach, 3).tolist() == pytest.approx([2.75 / 3, 1.75 / 3, 0.75])


def test_shared_information_makes_up_the_mutual_information():
    rng = np.random.default_rng(0)
    one = rng.integers(0, 4, 5_000)
    other = np.where(rng.random(5_000) < 0.3, one, rng.integers(0, 6, 5_000))
    shared = share_information(one, other, (5, 6))
    noise = (4 - 1) * (6 - 1) / (2 * 5_000)
    assert shared[4] == 0
    weights = np.bincount(one, minlength=5) / 5_000
    assert weights @ shared == pytest.approx(mutual_info_score(one, other) - noise, rel=1e-9)


def test_chance_shares_no_information_on_average():
    rng = np.random.default_rng(0)
    found = []
    for _ in range(300):
        one, other = rng.integers(0, 4, 1_000), rng.integers(0, 30, 1_000)
        found.append(share_information(one, other, (4, 30)).mean())
    assert abs(np.mean(found)) < 4 * np.std(found) / np.sqrt(300) + 0.002


def test_v_is_corrected_by_hand():
    # chi-square 36 of 100 tickets: .36 - 1/99, over (2 - 1/99) - 1
    v = cramers_v(np.array([[40.0, 10.0], [10.0, 40.0]]))
    assert v == pytest.approx(((0.36 - 1 / 99) / (98 / 99)) ** 0.5)
    assert cramers_v(np.array([[20.0, 20.0], [20.0, 20.0]])) == 0
    assert cramers_v(np.array([[9.0, 0.0], [0.0, 9.0]])) == 1
    assert cramers_v(np.array([[9.0, 1.0]])) == 0
