"""Context: equal to brute force in every cell, and made of nothing but the past."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from slarisk.config import (
    DataPolicy,
    FeatureSet,
    Label,
    LabelKind,
    Load,
    Past,
    Quarantine,
    Rates,
    SlaPolicy,
)
from slarisk.learning.context import (
    NEVER,
    find_ramp,
    join_parts,
    list_context_names,
    merge_histories,
    record_tickets,
    take_context,
)
from slarisk.tickets.fields import UNREADABLE
from slarisk.tickets.labels import label_tickets

FEATURES = FeatureSet(
    name="context",
    load=[Load(by=["all", "priority", "priority+team"], hours=[6.0, 48.0])],
    rates=[Rates(by=["all", "team"], days=[2.0])],
    past=[Past(of=["caller"], days=3.0)],
)
DATA = DataPolicy(
    name="desk",
    path="",
    columns={
        name: name
        for name in ("ticket_id", "created_at", "resolved_at", "priority", "team", "caller")
    },
)
SLA = SlaPolicy(name="sla", targets={"High": 5.0, "Low": 20.0}, costs={"High": 9.0, "Low": 1.0})
START = pd.Timestamp("2024-03-01")


def make_log(rng, tickets=60):
    """A log with ties, gaps in every field, open tickets, and one or two resolved too early."""
    created = START + pd.to_timedelta(np.sort(rng.integers(0, 6 * 24, tickets)), unit="h")
    took = pd.to_timedelta(rng.integers(-1, 50, tickets), unit="h")
    log = pd.DataFrame(
        {
            "ticket_id": [f"T{n}" for n in range(tickets)],
            "created_at": pd.Series(created).astype("datetime64[us]"),
            "resolved_at": pd.Series(created + took).astype("datetime64[us]"),
            "priority": rng.choice(["High", "Low"], tickets),
            "team": rng.choice(["A", "B", "C"], tickets),
            "caller": rng.choice(["ada", "bob", "cy"], tickets),
        }
    ).astype(dict.fromkeys(["ticket_id", "priority", "team", "caller"], "str"))
    log[UNREADABLE] = ""
    for name, share in {"team": 0.1, "caller": 0.1, "created_at": 0.03, "resolved_at": 0.2}.items():
        log.loc[rng.random(tickets) < share, name] = None
    return log.sample(frac=1, random_state=int(rng.integers(1000))).reset_index(drop=True)


def label(log, data=DATA):
    dates = log[["created_at", "resolved_at"]].max().max()
    return label_tickets(log, data, SLA, dates)


def record(log, data=DATA, features=FEATURES):
    return join_parts([record_tickets(label(log, data), features, data)], data)


def count_by_hand(labelled, row):
    """The context of a ticket, value by value, from masks over the labelled log."""
    t = labelled.loc[row, "created_at"]
    others = labelled[labelled["created_at"] < t]
    if pd.isna(t) or others.empty:
        return dict.fromkeys(list_context_names(FEATURES), np.nan)
    begins = labelled["created_at"].min()
    ended = others["resolved_at"].mask(
        others["resolved_at"] < others["created_at"], others["created_at"]
    )
    known = others["label_known_at"].where(others["breach"].notna())
    known = known.mask(known < others["created_at"], others["created_at"])
    own = labelled.loc[row]

    def alike(*names):
        mask = pd.Series(True, index=others.index)
        for name in names:
            mask &= others[name].isna() if pd.isna(own[name]) else others[name] == own[name]
        return mask

    def within(times, hours):
        return (times < t) & (times >= t - pd.Timedelta(hours=hours))

    def rate(mask, days):
        lately = within(known, 24 * days)
        breach = others["breach"].fillna(False).astype(bool)
        if not lately.any():
            return np.nan
        overall = (breach & lately).sum() / lately.sum()
        if mask is None:
            return overall
        return ((breach & lately & mask).sum() + 20 * overall) / ((lately & mask).sum() + 20)

    values = {}
    for name, fields in {
        "all": [],
        "by_priority": ["priority"],
        "by_priority_team": ["priority", "team"],
    }.items():
        mask = alike(*fields)
        values[f"open_{name}"] = (mask & ~(ended < t)).sum()
        for hours in (6, 48):
            whole = t - pd.Timedelta(hours=hours) >= begins
            arrived, resolved = within(others["created_at"], hours), within(ended, hours)
            values[f"arrived_{hours}h_{name}"] = (mask & arrived).sum() if whole else np.nan
            values[f"resolved_{hours}h_{name}"] = (mask & resolved).sum() if whole else np.nan
    values["breach_rate_2d_all"] = rate(None, 2)
    values["breach_rate_2d_by_team"] = rate(alike("team"), 2)
    mine = alike("caller") & within(others["created_at"], 72)
    nobody = pd.isna(own["caller"])
    values["tickets_3d_of_caller"] = np.nan if nobody else mine.sum()
    values["breach_rate_3d_of_caller"] = np.nan if nobody else rate(alike("caller"), 3)
    last = others.loc[mine, "created_at"].max()
    values["hours_since_last_of_caller"] = (
        np.nan if nobody or not mine.any() else (t - last).total_seconds() / 3600
    )
    return values


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.slow
def test_every_cell_is_that_of_brute_force(seed):
    log = make_log(np.random.default_rng(seed))
    labelled = label(log)
    found = take_context(log, FEATURES, record(log))
    assert list(found) == list_context_names(FEATURES)
    by_hand = pd.DataFrame([count_by_hand(labelled, row) for row in log.index])[list(found)]
    pd.testing.assert_frame_equal(found, by_hand.astype(float), check_exact=True)
    assert (found.notna().mean() > 0.2).all(), "the log must put every column to the test"
    assert (found.nunique() > 1).all()


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 10_000), share=st.floats(0.1, 0.9))
def test_nothing_changes_when_anything_later_is_altered(seed, share):
    rng = np.random.default_rng(seed)
    log = make_log(rng)
    cut = log["created_at"].quantile(share)
    before = take_context(log, FEATURES, record(log))
    later = log["created_at"].isna() | (log["created_at"] > cut)
    altered = log.copy()
    # created later: another ticket, or none at all; ended later: at another time, or never
    for name in ("priority", "team", "caller"):
        altered.loc[later, name] = rng.permutation(altered.loc[later, name])
    ended = log["resolved_at"].isna() | (log["resolved_at"] >= cut)
    delay = pd.to_timedelta(rng.integers(0, 400, len(log)), unit="h")
    ends = pd.Series(cut, log.index).where(log["created_at"] <= cut, log["created_at"]) + delay
    altered.loc[ended, "resolved_at"] = ends.where(rng.random(len(log)) < 0.7)[ended]
    altered = altered[~later | (rng.random(len(log)) < 0.5)]
    after = take_context(log, FEATURES, record(altered))
    early = (log["created_at"] <= cut).to_numpy()
    pd.testing.assert_frame_equal(after[early], before[early], check_exact=True)


def test_its_own_row_and_those_of_the_same_instant_do_not_count():
    log = make_log(np.random.default_rng(3))
    row = log["created_at"].sort_values().index[30]
    twins = log["created_at"] == log.loc[row, "created_at"]
    found = take_context(log, FEATURES, record(log)).loc[[row]]
    without = take_context(log.loc[[row]], FEATURES, record(log[~twins]))
    pd.testing.assert_frame_equal(found, without, check_exact=True)


def test_a_look_ahead_is_noticed(monkeypatch):
    """The labels as they are in the end, known as soon as a ticket is created."""
    from slarisk.learning import context

    log = make_log(np.random.default_rng(1))
    labelled = label(log)
    by_hand = pd.DataFrame([count_by_hand(labelled, row) for row in log.index])
    labelled["label_known_at"] = labelled["created_at"]
    leaky = join_parts([context.record_tickets(labelled, FEATURES, DATA)], DATA)
    found = take_context(log, FEATURES, leaky)
    differ = ~np.isclose(found, by_hand[list(found)], equal_nan=True).all(axis=0)
    assert set(found.columns[differ]) == {
        "breach_rate_2d_all",
        "breach_rate_2d_by_team",
        "breach_rate_3d_of_caller",
    }


def test_labels_count_from_the_day_they_are_known():
    """A label column that is filled in at closing is not known at the resolution."""
    data = replace(
        DATA,
        columns=DATA.columns | {"met": "met", "closed_at": "closed_at"},
        dates=["closed_at"],
        label=Label(kind=LabelKind.column, column="met", breach_value="no", known_at="closed_at"),
    )
    log = make_log(np.random.default_rng(5))
    log["closed_at"] = log["resolved_at"] + pd.Timedelta(days=2)
    log["met"] = pd.Series(np.where(log.index % 3 == 0, "no", "yes"), dtype="str")
    history = record(log, data)
    known = np.sort(log["closed_at"].dropna().to_numpy("datetime64[us]").astype("int64"))
    usable = log["created_at"].notna() & log["closed_at"].notna()
    assert (history.known != NEVER).sum() == usable.sum()
    assert history.known[history.known != NEVER].max() == known[-1]


def test_labels_in_quarantine_do_not_count():
    log = make_log(np.random.default_rng(6))
    label_of = Label(quarantine=[Quarantine(["2024-03-02", "2024-03-04"], "a test")])
    found = take_context(log, FEATURES, record(log, replace(DATA, label=label_of)))
    labelled = label(log)
    inside = labelled["created_at"].between("2024-03-02", "2024-03-04", inclusive="left")
    labelled["breach"] = labelled["breach"].mask(inside)
    by_hand = pd.DataFrame([count_by_hand(labelled, row) for row in log.index])[list(found)]
    pd.testing.assert_frame_equal(found, by_hand.astype(float), check_exact=True)
    assert not found.equals(take_context(log, FEATURES, record(log)))


def test_an_open_ticket_is_late_once_its_target_has_passed():
    log = make_log(np.random.default_rng(7))
    history = record(log)
    waits = history.ended == NEVER
    assert waits.any()
    late = waits & (history.known != NEVER)
    assert history.breach[late].all()
    assert (history.known[late] < history.as_of).all()


def test_merging_keeps_what_is_newer():
    log = make_log(np.random.default_rng(9), tickets=80)
    whole = record(log)
    cut = log["created_at"].quantile(0.6)
    older = log[log["created_at"] <= cut].copy()
    older["resolved_at"] = older["resolved_at"].where(older["resolved_at"] <= cut)
    changed = log[~(log["created_at"] <= cut) | ~(log["resolved_at"] <= cut)]
    for pair in ([older, changed], [changed, older]):
        merged = merge_histories(*(record(each) for each in pair))
        assert len(merged) == len(whole)
        assert merged.as_of == whole.as_of
        pd.testing.assert_frame_equal(
            take_context(log, FEATURES, merged), take_context(log, FEATURES, whole)
        )


def test_without_history_nothing_is_known():
    log = make_log(np.random.default_rng(2))
    empty = record(log.head(0))
    assert take_context(log, FEATURES, empty).isna().all(axis=None)
    assert find_ramp(empty) is None


def make_desk(days, hours, begins):
    """Ten tickets an hour, each open for so long, without those of the days before ``begins``."""
    created = pd.Series(pd.date_range(START, periods=days * 24, freq="h").repeat(10))
    log = pd.DataFrame({"created_at": created.astype("datetime64[us]")})
    log["resolved_at"] = log["created_at"] + pd.Timedelta(hours=hours)
    log["ticket_id"] = pd.Series(range(len(log))).astype("str")
    log["priority"], log["team"], log["caller"], log[UNREADABLE] = "Low", "A", "ada", ""
    return log[log["created_at"] >= START + pd.Timedelta(days=begins)]


def test_a_log_that_begins_in_the_middle_is_recognised():
    ramp = find_ramp(record(make_desk(40, hours=120, begins=10)))
    assert ramp == START + pd.Timedelta(days=15)


def test_a_log_whose_backlog_is_whole_from_the_first_day_is_not():
    """Where tickets take an hour, the first day's backlog is as large as any other's."""
    log = make_desk(40, hours=1, begins=0)
    assert find_ramp(record(log)) is None


def test_a_log_of_a_desk_that_grows_is_not():
    log = make_desk(40, hours=120, begins=0)
    day = (log["created_at"] - START).dt.days
    growing = log[(log.index % 40) < day]
    assert find_ramp(record(growing)) is None
