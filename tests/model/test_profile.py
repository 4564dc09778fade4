import numpy as np
import pandas as pd
import pytest

from slarisk.model.profile import bin_values


def text(*values):
    return pd.Series(values, dtype="str")


def test_categories_have_a_bin_each_and_one_for_others():
    bins = bin_values(text("b", "a", "a", "a"))
    assert (bins.categories, bins.edges, bins.counts) == (["a", "b"], [], [3, 1, 0])
    assert bins.count(text("c", "a", "d")).tolist() == [1, 0, 2]


def test_rare_categories_share_a_bin():
    bins = bin_values(text(*[f"c{n:02}" for n in range(60) for _ in range(70 - n)]))
    assert bins.categories == [f"c{n:02}" for n in range(50)]
    assert bins.counts[-1] == sum(70 - n for n in range(50, 60))


def test_numbers_have_tenths_of_the_training_and_a_bin_for_gaps():
    bins = bin_values(pd.Series([*range(100), np.nan], dtype=float))
    assert bins.edges == [9, 19, 29, 39, 49, 59, 69, 79, 89]
    assert bins.counts == [10] * 10 + [1]
    assert bins.count(pd.Series([9.0, 9.5, 1e9, -1e9, np.nan])).tolist() == (
        [2, 1] + [0] * 7 + [1] + [1]
    )


def test_a_constant_and_a_gap():
    constant = bin_values(pd.Series([3.0] * 5))
    assert (constant.edges, constant.counts) == ([3.0], [5, 0, 0])
    assert constant.count(pd.Series([2.0, 4.0])).tolist() == [1, 1, 0]
    nothing = bin_values(pd.Series([np.nan] * 2))
    assert (nothing.edges, nothing.counts) == ([], [0, 2])


@pytest.mark.parametrize("values", [text("a", "b", "a"), pd.Series([1.0, 2.0, 1.0])])
def test_weights_say_how_often_a_row_stands_for_itself(values):
    bins = bin_values(values)
    distinct, weights = values.iloc[:2], np.array([2, 1])
    assert bins.count(distinct, weights).tolist() == bins.counts
