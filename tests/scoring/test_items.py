import re
from collections import Counter

import pandas as pd

from slarisk.scoring.items import describe_scoring, scoring_items
from slarisk.scoring.summary import ScoringSummary
from slarisk.tracking.items import Metrics, Plot, Table, Tags

SUMMARY = ScoringSummary(
    rows_in=110,
    scored=100,
    rejected=Counter(unreadable_date=7, duplicate_ticket_id=3),
    buckets=Counter({"Low Risk": 60, "Medium Risk": 30, "High Risk": 10}),
    origins=Counter(new=100),
    still_open=20,
    escalated=25,
    left=5000.0,
    acted=3000.004,
    unseen=Counter(channel=4),
)
DRIFT = pd.DataFrame(
    {
        "feature": ["channel", "hour", "breach_probability"],
        "psi": [0.4, 0.12, 0.01],
        "band": ["major", "moderate", "stable"],
    }
)


def collect(drift):
    items = list(scoring_items(SUMMARY, drift, 1.5))
    metrics = {}
    for item in items:
        metrics |= item.values if isinstance(item, Metrics) else {}
    return items, metrics


def test_metrics_say_what_was_scored_and_what_it_is_worth():
    _, metrics = collect(DRIFT)
    expected = {
        "scored": 100,
        "rejected": 10,
        "rejected_share": 10 / 110,
        "rejected_unreadable_date": 7,
        "escalated": 25,
        "escalation_rate": 0.25,
        "expected_loss": 3000,
        "expected_loss_averted": 2000,
        "bucket_high": 10,
        "open_tickets": 20,
        "unseen_channel": 4,
        "psi_channel": 0.4,
        "psi_breach_probability": 0.01,
        "psi_most": 0.4,
        "seconds": 1.5,
    }
    assert {name: metrics[name] for name in expected} == expected


def test_the_description_names_what_has_moved():
    text = describe_scoring(SUMMARY, DRIFT)
    assert [word for word in ("100", "10", "25", "$3,000", "$2,000") if word not in text] == []
    assert re.findall(r"(\w+) (0\.\d\d) \((\w+)\)", text) == [
        ("channel", "0.40", "major"),
        ("hour", "0.12", "moderate"),
    ]
    assert "channel (4" in text  # tickets with a category that training did not have
    assert "(stable)" not in describe_scoring(SUMMARY, DRIFT[2:])


def test_drift_has_a_table_and_a_picture_if_it_could_be_measured():
    items, _ = collect(DRIFT)
    assert [item.path for item in items if isinstance(item, Table | Plot)] == [
        "drift.csv",
        "plots/drift.png",
    ]
    nothing, metrics = collect(DRIFT[:0])
    assert not [item for item in nothing if isinstance(item, Table | Plot)]
    assert not [name for name in metrics if name.startswith("psi")]
    assert sum(isinstance(item, Tags) for item in nothing) == 1


def test_nothing_scored_is_reported_too():
    items = list(
        scoring_items(ScoringSummary(rows_in=3, rejected=Counter(no_ticket_id=3)), DRIFT[:0], 1)
    )
    metrics = next(item.values for item in items if isinstance(item, Metrics))
    assert (metrics["scored"], metrics["rejected"], metrics["rejected_share"]) == (0, 3, 1)
    assert "escalation_rate" not in metrics
