import numpy as np
import pytest

from slarisk.stats.replicates import mean_interval


def test_the_interval_of_independent_draws_is_students():
    # n 4, mean 5, standard deviation 2, t(.975, 3) 3.1824: 5 -+ 3.1824 * 2 / 2
    mean, low, high = mean_interval(np.array([3.0, 5.0, 5.0, 7.0]) * 1.0)
    sd = np.sqrt(8 / 3)
    assert mean == 5
    assert (low, high) == pytest.approx((5 - 3.182446 * sd / 2, 5 + 3.182446 * sd / 2))


def test_splits_of_the_same_tickets_get_a_wider_interval():
    values = np.array([3.0, 5.0, 5.0, 7.0])
    alone, shared = mean_interval(values), mean_interval(values, overlap=0.25)
    # variance times 1/4 + 1/4 instead of 1/4
    assert shared[2] - shared[0] == pytest.approx(np.sqrt(2) * (alone[2] - alone[0]))


def test_one_draw_has_no_interval():
    mean, low, high = mean_interval(np.array([3.0]))
    assert mean == 3
    assert np.isnan([low, high]).all()


def test_the_interval_covers_what_it_states():
    rng = np.random.default_rng(0)
    ends = [mean_interval(rng.normal(1, 2, 5)) for _ in range(2000)]
    covered = np.mean([low <= 1 <= high for _, low, high in ends])
    assert covered == pytest.approx(0.95, abs=0.015)
