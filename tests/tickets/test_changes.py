"""What events say of a ticket at a moment, against a count of one event at a time."""

import itertools

import numpy as np
import pandas as pd
import pytest

from slarisk.config import DataPolicy, EventLog, Known
from slarisk.errors import InputError
from slarisk.tickets.changes import (
    FIRST,
    NOW,
    describe_events,
    join_changes,
    list_standing_columns,
    read_changes,
    stand_by_events,
    take_now,
)
from slarisk.tickets.fields import LAST_CHANGE, validate_policy

START = pd.Timestamp("2024-03-01")


@pytest.fixture
def policy():
    names = ["ticket_id", "order", "at", "created_at", "resolved_at", "priority", "status"]
    return DataPolicy(
        name="log",
        path="log.csv",
        columns={name: name for name in names},
        dates=["at"],
        date_formats=["%Y-%m-%d %H:%M:%S"],
        events=EventLog(order="order", changed_at="at"),
        known=Known(
            created=["ticket_id", "created_at", "priority"], changing=["priority", "status"]
        ),
    )


def write_events(rows):
    """Events from (ticket, order, hour or None, priority, status), as text."""
    columns = ["ticket_id", "order", "hour", "priority", "status"]
    frame = pd.DataFrame(rows, columns=columns)
    at = START + pd.to_timedelta(frame["hour"].astype(float), unit="h")
    frame["at"] = at.dt.strftime("%Y-%m-%d %H:%M:%S")
    frame["order"] = frame["order"].astype(str)
    return frame.drop(columns="hour").astype("str")


def draw_events(seed, tickets=30):
    rng = np.random.default_rng(seed)
    rows = []
    for ticket in range(tickets):
        for order in range(rng.integers(1, 9)):
            hour = float(rng.integers(0, 40))
            state = rng.choice(["New", "Working", "Waiting", None])
            rows.append((f"t{ticket}", order, hour, rng.choice(["High", "Low"]), state))
    rng.shuffle(rows)
    return write_events(rows)


def look_up(events, ticket, moment, policy):
    """The values and counts of one ticket at a moment, one event after the other."""
    own = events[events["ticket_id"] == ticket]
    own = own.assign(order=own["order"].astype(int)).sort_values("order")
    latest, seen = pd.Timestamp.min, []
    for _, event in own.iterrows():
        latest = max(latest, pd.Timestamp(event["at"]))  # not before an event that it follows
        if latest <= moment or not seen:
            seen.append(event)
    values = [None if pd.isna(each["status"]) else each["status"] for each in seen]
    moved = sum(one != other for one, other in itertools.pairwise(values))
    return seen[-1]["priority"], values[-1], len(seen), moved


@pytest.mark.parametrize("seed", range(5))
def test_fields_and_counts_are_those_of_the_events_up_to_the_moment(policy, seed):
    events = draw_events(seed)
    ids = pd.Series(sorted(set(events["ticket_id"])))
    changes = join_changes(read_changes(events, policy), ids)
    rng = np.random.default_rng(seed)
    tickets = rng.integers(0, len(ids), 200)
    hours = rng.uniform(-5, 45, 200)
    hours[::2] = np.rint(hours[::2])  # the very moments of events
    moments = (START + pd.to_timedelta(hours, unit="h")).to_numpy()
    found = changes.find(tickets, moments)
    for place, ticket, moment in zip(found, tickets, moments, strict=True):
        expected = look_up(events, ids[ticket], moment, policy)
        status = changes.values["status"].iloc[place]
        assert (
            changes.values["priority"].iloc[place],
            None if pd.isna(status) else status,
            changes.count_so_far(np.array([place]), "events").item(),
            changes.count_so_far(np.array([place]), "changes of status").item(),
        ) == expected


def test_a_value_that_was_emptied_is_missing_and_not_the_one_before(policy):
    events = write_events([("a", 0, 0.0, "High", "Waiting"), ("a", 1, 2.0, "High", None)])
    changes = join_changes(read_changes(events, policy), pd.Series(["a"]))
    moments = np.array([START + pd.Timedelta(hours=3)], "datetime64[us]")
    assert pd.isna(changes.values["status"].iloc[changes.find(np.array([0]), moments)[0]])


def test_nothing_that_comes_later_changes_what_stood(policy):
    events = draw_events(7)
    ids = pd.Series(sorted(set(events["ticket_id"])))
    moment = START + pd.Timedelta(hours=20)
    moments = np.full(len(ids), moment.to_datetime64()).astype("datetime64[us]")

    def look(log):
        changes = join_changes(read_changes(log, policy), ids)
        found = changes.find(np.arange(len(ids)), moments)
        counts = [changes.count_so_far(found, each) for each in ("events", "changes of status")]
        values = changes.values.iloc[found].reset_index(drop=True)
        return pd.concat([values, pd.DataFrame(counts).T], axis="columns")

    before = look(events)
    first = events.groupby("ticket_id")["order"].transform("min") == events["order"]
    later = (pd.to_datetime(events["at"]) > moment) & ~first
    spoilt = events.assign(
        status=events["status"].mask(later, "Spoilt"), priority=events["priority"].mask(later, "X")
    )
    assert later.sum() > 20
    pd.testing.assert_frame_equal(look(spoilt), before)
    assert not spoilt.equals(events)


def test_an_event_without_a_date_is_left_out_unless_it_is_the_first(policy):
    events = write_events(
        [("a", 0, None, "High", "New"), ("a", 1, None, "Low", "Lost"), ("a", 2, 5.0, "Low", "Done")]
    )
    changes = join_changes(read_changes(events, policy), pd.Series(["a"]))
    assert changes.values["status"].tolist() == ["New", "Done"]
    early = changes.find(np.array([0]), np.array([START], "datetime64[us]"))
    assert changes.values["status"].iloc[early].tolist() == ["New"]


def test_what_events_come_to_is_the_last_and_the_first_of_them(policy):
    events = write_events(
        [("b", 0, 1.0, "Low", "New"), ("a", 0, 0.0, "High", "New"), ("a", 1, 2.0, "Low", "Done")]
    )
    entries = ["events", "idle", "changes of status"]
    described = describe_events(events, policy, entries)
    assert described.columns.tolist() == list_standing_columns(policy, entries)
    assert described.loc["a", NOW + "priority"] == "Low"
    assert described.loc["a", NOW + "status"] == "Done"
    assert described.loc["a", FIRST + "status"] == "New"  # priority is known at creation anyway
    assert FIRST + "priority" not in described
    assert described.loc["a", ["events_so_far", "changes_status"]].tolist() == ["2", "1"]
    assert described.loc["b", ["events_so_far", "changes_status"]].tolist() == ["1", "0"]

    tickets = described.reset_index(names="ticket_id").assign(priority=["High", "Low"][::1])
    tickets = tickets.set_index("ticket_id", drop=False)
    created = pd.Series(START, index=tickets.index).astype("datetime64[us]")
    fresh = pd.Series([True, False], index=["a", "b"]).reindex(tickets.index)
    stood = take_now(stand_by_events(tickets, fresh, created, entries))
    assert stood.loc["a", ["status", "events_so_far", "changes_status"]].tolist() == ["New", 1, 0]
    assert stood.loc["a", LAST_CHANGE] == START
    assert stood.loc["b", LAST_CHANGE] == START + pd.Timedelta(hours=1)


def test_a_table_of_tickets_has_no_fields_as_they_stood(policy):
    policy.events = None
    with pytest.raises(InputError, match=r"known\.changing"):
        validate_policy(policy)


def test_the_date_of_an_event_is_a_date(policy):
    policy.events.changed_at = "status"
    with pytest.raises(InputError, match=r"events\.changed_at=status"):
        validate_policy(policy)
