from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pandas as pd
import pytest

from slarisk.scoring import recall as recall_module
from slarisk.scoring.recall import Recall


class Model:
    """Counts the rows it is asked for; a score is made of all features of its row."""

    def __init__(self):
        self.asked = 0

    def calibrate(self, frame):
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


def check(recall, frame):
    distinct, place, scores = recall.score(frame)
    assert len(distinct) == len(frame.drop_duplicates())
    pd.testing.assert_frame_equal(
        distinct.iloc[place].reset_index(drop=True), frame.reset_index(drop=True)
    )
    assert scores[place].tolist() == expect(frame).tolist()


def test_equal_rows_are_scored_once_in_all():
    model = Model()
    recall = Recall(model)
    frames = [draw(500, seed) for seed in range(8)]
    for frame in frames:
        check(recall, frame)
    before = model.asked
    check(recall, pd.concat(frames))

    assert model.asked == before < 2 * len(pd.concat(frames).drop_duplicates())


def test_values_that_come_later_do_not_confuse_it():
    recall = Recall(Model())
    for seed, (ages, channels) in enumerate([(2, 1), (40, 3), (5, 90), (2000, 300), (2, 1)]):
        check(recall, draw(400, seed, ages, channels))


@pytest.mark.parametrize("limit", ["_MOST_VALUES", "_MOST_ROWS", "_BITS"])
def test_what_is_too_much_to_remember_is_scored_all_the_same(monkeypatch, limit):
    monkeypatch.setattr(recall_module, limit, 5)
    recall = Recall(Model())
    for seed in range(3):
        check(recall, draw(300, seed))


def test_threads_may_share_it():
    recall = Recall(Model())
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda seed: check(recall, draw(300, seed, 10 + seed, 3 + seed)), range(64)))


def test_no_rows():
    check(Recall(Model()), draw(0, 0))
