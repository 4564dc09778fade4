from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pandas as pd
import pytest

from slarisk.scoring import score_cache
from slarisk.scoring.score_cache import ScoreCache


class Model:
    """Counts the rows it is asked for; a score is made of all features of its row."""

    def __init__(self):
        self.asked = 0

    def score(self, frame):
        self.asked += len(frame)
        return expect(frame)


def expect(frame):
    age = frame["age"].fillna(-1).to_numpy()
    return age + frame["channel"].map(hash).to_numpy() % 1000 * 1e-6


def draw(rows, seed, ages=30, channels=9):
    rng = np.random.default_rng(seed)
    age = rng.integers(0, ages, rows).astype(float)
    age[rng.random(rows) < 0.1] = np.nan
    channel = pd.Series([f"c{n}" for n in rng.integers(0, channels, rows)], dtype="str")
    return pd.DataFrame({"channel": channel, "age": age})


@pytest.fixture
def check(tmp_path):
    """Encodes frames in threads and looks each up again; gives the model and the cache."""

    def run(frames):
        model = Model()
        cache = ScoreCache(model.score, tmp_path / "codes")
        with ThreadPoolExecutor(4) as pool:
            for codes in pool.map(cache.encode, frames):
                cache.add(codes)
        cache.score()
        for number, codes in enumerate(cache.read(len(frames[0]))):
            frame = frames[number]
            unique = cache.look_up(codes, lambda frame=frame: frame)
            assert len(unique.rows) == len(frame.drop_duplicates())
            found = unique.rows.iloc[unique.inverse].reset_index(drop=True)
            pd.testing.assert_frame_equal(found, frame)
            assert unique.scores[unique.inverse].tolist() == expect(frame).tolist()
        return model, cache

    return run


def test_equal_rows_are_scored_once_in_all(check):
    frames = [draw(500, seed) for seed in range(8)]
    model, cache = check(frames)
    assert cache.usable
    assert model.asked == len(pd.concat(frames).drop_duplicates())


def test_values_that_first_occur_later_are_looked_up_correctly(check):
    sizes = [(2, 1), (40, 3), (5, 90), (2000, 300), (2, 1)]
    check([draw(400, seed, *each) for seed, each in enumerate(sizes)])


@pytest.mark.parametrize("limit", ["_MAX_VALUES", "_MAX_CACHED", "MAX_BITS"])
def test_rows_beyond_the_limits_are_scored_when_looked_up(check, monkeypatch, limit):
    monkeypatch.setattr(score_cache, limit, 5)
    frames = [draw(300, seed) for seed in range(3)]
    model, cache = check(frames)
    assert cache.usable == (limit == "_MAX_CACHED")
    assert model.asked > len(pd.concat(frames).drop_duplicates())


def test_features_of_one_value_need_no_bits(check):
    check([draw(50, seed, 1, 1) for seed in range(2)])


def test_no_rows(tmp_path):
    cache = ScoreCache(Model().score, tmp_path / "codes")
    cache.score()
    assert list(cache.read(10)) == []
