from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pandas as pd
import pytest

from slarisk.scoring import score_cache as recall_module
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
    """Notes frames, by threads, and recalls each of them; gives the model and the recall."""

    def run(frames):
        model = Model()
        recall = ScoreCache(model.score, tmp_path / "numbers")
        with ThreadPoolExecutor(4) as pool:
            for numbers in pool.map(recall.number, frames):
                recall.note(numbers)
        recall.score()
        for number, numbers in enumerate(recall.read(len(frames[0]))):
            frame = frames[number]
            looks = recall.look(numbers, lambda frame=frame: frame)
            assert len(looks.distinct) == len(frame.drop_duplicates())
            found = looks.distinct.iloc[looks.place].reset_index(drop=True)
            pd.testing.assert_frame_equal(found, frame)
            assert looks.scores[looks.place].tolist() == expect(frame).tolist()
        return model, recall

    return run


def test_equal_rows_are_scored_once_in_all(check):
    frames = [draw(500, seed) for seed in range(8)]
    model, recall = check(frames)
    assert recall.recalls
    assert model.asked == len(pd.concat(frames).drop_duplicates())


def test_values_that_come_later_do_not_confuse_it(check):
    sizes = [(2, 1), (40, 3), (5, 90), (2000, 300), (2, 1)]
    check([draw(400, seed, *each) for seed, each in enumerate(sizes)])


@pytest.mark.parametrize("limit", ["_MOST_VALUES", "_MOST_ROWS", "_MOST_BITS"])
def test_what_is_too_much_to_remember_is_scored_all_the_same(check, monkeypatch, limit):
    monkeypatch.setattr(recall_module, limit, 5)
    frames = [draw(300, seed) for seed in range(3)]
    model, recall = check(frames)
    assert recall.recalls == (limit == "_MOST_ROWS")
    assert model.asked > len(pd.concat(frames).drop_duplicates())


def test_a_feature_of_one_value_takes_no_room(check):
    check([draw(50, seed, 1, 1) for seed in range(2)])


def test_no_rows(tmp_path):
    recall = ScoreCache(Model().score, tmp_path / "numbers")
    recall.score()
    assert list(recall.read(10)) == []
