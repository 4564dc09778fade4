from collections import Counter

import numpy as np

from slarisk.scoring.summary import ScoringSummary, rank_counts


def test_a_tally_is_the_same_on_another_machine():
    tally = ScoringSummary(
        rows_in=7,
        scored=5,
        rejected=Counter({"no_ticket_id": 2}),
        buckets=Counter({"Low Risk": 5}),
        left=0.1 + 0.2,
        looks={"channel": np.array([2, 3])},
    )
    twice = ScoringSummary.read(tally.write())
    twice.add(ScoringSummary.read(tally.write()))

    assert twice.looks.pop("channel").tolist() == [4, 6]
    assert twice == ScoringSummary(
        rows_in=14,
        scored=10,
        rejected=Counter({"no_ticket_id": 4}),
        buckets=Counter({"Low Risk": 10}),
        left=2 * (0.1 + 0.2),
    )


def test_counts_are_ranked_whatever_came_first():
    assert rank_counts({"b": 1, "a": 1, "c": 2}) == [("c", 2), ("a", 1), ("b", 1)]
