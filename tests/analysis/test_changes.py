from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from slarisk.analysis.breakdowns import break_down
from slarisk.analysis.changes import (
    EarlierAnalysis,
    Period,
    compare_periods,
    split_change,
    tabulate_segments,
)
from slarisk.stats.rates import difference_interval

BEFORE = Period("old", "2024-01-01", "2024-06-30", 1000, 300, 30_000.0, "policy")
NOW = Period("new", "2024-07-01", "2024-12-31", 1000, 200, 10_000.0, "policy")


def segments(*rows):
    return pd.DataFrame(rows, columns=["fields", "segment", "tickets", "breaches", "total_cost"])


@pytest.fixture
def changes():
    before = segments(("channel", "Chat", 500, 250, 25e3), ("channel", "Mail", 500, 50, 5e3))
    after = segments(
        ("channel", "Chat", 500, 130, 6500.0),
        ("channel", "Mail", 495, 70, 3500.0),
        ("channel", "Fax", 5, 0, 0.0),
        ("priority | channel", "High | Chat", 9, 9, 1.0),
    )
    return compare_periods(EarlierAnalysis(BEFORE, before), NOW, after, 0.95, 10)


def test_changes_by_hand(changes):
    assert (changes.rate_low, changes.rate_high) == difference_interval((300, 200), (1000, 1000))
    chat, mail = changes.table.to_dict("records")  # Fax has too few, a pair is not compared
    assert (chat["segment"], chat["rate_before"], chat["rate"]) == ("Chat", 0.5, 0.26)
    assert chat["change"] == pytest.approx(-0.24)
    assert chat["cost_change"] == -37
    assert chat["change_low"] < -0.24 < chat["change_high"] < 0
    assert chat["q_value"] < 0.001
    assert mail["change"] == pytest.approx(70 / 495 - 0.1)


def test_the_change_is_split_into_mix_and_rates(changes):
    # Fax, new, has no rate before: its 0.5% of the tickets count as mix alone
    assert changes.mix["channel"] + changes.own["channel"] == pytest.approx(-0.1)
    assert abs(changes.mix["channel"]) < 0.01


@given(
    st.lists(
        st.tuples(*[st.integers(0, 50)] * 2, *[st.floats(0, 1)] * 2), min_size=1, max_size=6
    ).filter(lambda rows: all(sum(row[i] for row in rows) for i in (0, 1)))
)
def test_the_two_parts_add_up(rows):
    n0, n1, r0, r1 = (np.array(column, float) for column in zip(*rows, strict=True))
    mix, own = split_change(n0, np.round(n0 * r0), n1, np.round(n1 * r1))
    change = np.round(n1 * r1).sum() / n1.sum() - np.round(n0 * r0).sum() / n0.sum()
    assert mix + own == pytest.approx(change, abs=1e-9)


def test_another_mix_alone_changes_no_rate():
    mix, own = split_change(*map(np.array, ([50.0, 50], [40.0, 5], [80.0, 20], [64.0, 2])))
    assert (mix, own) == pytest.approx((0.21, 0))


def test_a_level_that_neither_period_has_adds_nothing():
    with_it = split_change(*map(np.array, ([50.0, 0], [40.0, 0], [80.0, 0], [60.0, 0])))
    assert with_it == split_change(*map(np.array, ([50.0], [40.0], [80.0], [60.0])))


def test_other_prices_are_told(changes):
    assert changes.same_policy
    assert not replace(changes, earlier=replace(BEFORE, policy="other")).same_policy


def test_segments_are_listed_as_they_are_read(code, outcome):
    channel, kind = code("channel", ["a", "b", "a"]), code("kind", ["x", "x", "y"])
    outcomes = outcome([1, 0, 0], 7)
    found = {
        fields: break_down(list(each), outcomes, 0.95)
        for fields, each in {("channel",): (channel,), ("channel", "kind"): (channel, kind)}.items()
    }
    table = tabulate_segments(found)
    assert table.to_numpy().tolist() == [
        ["channel", "a", 2, 1, 7.0],
        ["channel", "b", 1, 0, 0.0],
        ["channel | kind", "a | x", 1, 1, 7.0],
        ["channel | kind", "a | y", 1, 0, 0.0],
        ["channel | kind", "b | x", 1, 0, 0.0],
    ]


def test_without_a_field_there_is_only_the_whole():
    changes = compare_periods(
        EarlierAnalysis(BEFORE, tabulate_segments({})), NOW, tabulate_segments({}), 0.95, 10
    )
    assert changes.table.empty
    assert changes.mix == {}
    assert changes.rate_high < 0
