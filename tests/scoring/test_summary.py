from collections import Counter

import numpy as np

from slarisk.scoring.summary import ScoringSummary, rank_counts


def test_json_restores_a_summary_that_adds_up():
    summary = ScoringSummary(
        rows_in=7,
        scored=5,
        rejected=Counter({"no_ticket_id": 2}),
        buckets=Counter({"Low Risk": 5}),
        left=0.1 + 0.2,
        bins={"channel": np.array([2, 3])},
    )
    twice = ScoringSummary.from_json(summary.to_json())
    twice.add(ScoringSummary.from_json(summary.to_json()))

    assert twice.bins.pop("channel").tolist() == [4, 6]
    assert twice == ScoringSummary(
        rows_in=14,
        scored=10,
        rejected=Counter({"no_ticket_id": 4}),
        buckets=Counter({"Low Risk": 10}),
        left=2 * (0.1 + 0.2),
    )


def test_counts_are_ranked_by_number_then_name():
    assert rank_counts({"b": 1, "a": 1, "c": 2}) == [("c", 2), ("a", 1), ("b", 1)]
