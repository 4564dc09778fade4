import random
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from slarisk.config import (
    CostColumns,
    CostPolicy,
    Creation,
    CreationKind,
    DataPolicy,
    EventLog,
    Known,
    Label,
    LabelKind,
    UnknownPriority,
)
from slarisk.decisions.effect import make_effect
from slarisk.errors import InputError
from slarisk.tickets.labels import fingerprint_policy
from slarisk.tickets.prepare import prepare_tickets


def by_id(labelled):
    return labelled.frame.set_index("ticket_id")


def test_hours_targets_and_costs_by_hand(write, make_policy, sla, cost):
    write(
        [
            "1,2024-01-01 08:00,,2024-01-01 12:00,Critical",  # 4 h of 4: met
            "2,2024-01-01 08:00,,2024-01-01 12:01,Critical",  # a minute late
            "3,2024-01-01 08:00,,2024-01-02 09:30,Medium",  # 25.5 h of 24
            "4,2024-01-01 08:00,,2024-01-03 08:00,Low",  # 48 h of 72
        ]
    )
    labelled = prepare_tickets(make_policy(), sla, cost)
    frame = by_id(labelled)
    assert frame["resolution_hours"].tolist() == pytest.approx([4, 4 + 1 / 60, 25.5, 48])
    assert frame["sla_target_hours"].tolist() == [4, 4, 24, 72]
    assert frame["breach"].tolist() == [False, True, True, False]
    assert frame["breach_cost"].tolist() == [500, 500, 50, 10]
    assert frame["escalation_cost"].tolist() == [20] * 4
    assert labelled.rows_in == 4
    assert labelled.dropped == {}


def test_an_open_ticket_past_its_target_is_a_breach_known_when_the_target_passed(
    write, make_policy, sla, cost
):
    write(
        [
            "1,2024-01-01 08:00,,2024-01-05 08:00,Low",  # the latest time: the observation
            "2,2024-01-05 03:59,,,Critical",  # open for 4 h 1 min
            "3,2024-01-05 04:00,,,Critical",  # open for 4 h exactly: still in time
        ]
    )
    labelled = prepare_tickets(make_policy(), sla, cost)
    frame = by_id(labelled)
    assert frame["breach"].to_dict() == {"1": True, "2": True}
    assert frame.loc["2", "label_known_at"] == pd.Timestamp("2024-01-05 07:59")
    assert frame.loc["1", "label_known_at"] == pd.Timestamp("2024-01-04 08:00")
    assert labelled.dropped == {"open": 1}


def test_the_moment_of_observation_can_be_set(write, make_policy, sla, cost):
    write(["1,2024-01-01 08:00,,2024-01-01 09:00,Low", "2,2024-01-01 08:00,,,Critical"])
    policy = make_policy(label=Label(observed_at="2024-01-01 12:01"))
    assert by_id(prepare_tickets(policy, sla, cost)).loc["2", "breach"]


def test_a_moment_with_an_offset_is_turned_to_utc(write, make_policy, sla, cost):
    write(["1,2024-01-01 08:00,,,Critical"])
    policy = make_policy(label=Label(observed_at="2024-01-01T14:00:01+02:00"))
    assert by_id(prepare_tickets(policy, sla, cost)).loc["1", "breach"]


def test_a_label_by_column_needs_no_creation_time(write, make_policy, sla, cost):
    write(["1,true,,,Low", "2,FALSE,,,Low"])
    columns = {"ticket_id": "Id", "late": "Opened", "priority": "Prio"}
    label = Label(kind=LabelKind.column, column="late")
    policy = make_policy(columns=columns, known=Known(), label=label)
    assert by_id(prepare_tickets(policy, sla, cost))["breach"].tolist() == [True, False]


@pytest.fixture
def by_column(make_policy):
    """A policy whose label is a column, with a due date unless that is left out."""

    def make(due=True, **label):
        columns = {"ticket_id": "Id", "created_at": "Opened", "resolved_at": "Done", "late": "Prio"}
        if due:
            columns["due_at"] = "Replied"
        label = Label(kind=LabelKind.column, column="late", breach_value="yes", **label)
        return make_policy(columns=columns, known=Known(), label=label)

    return make


DUE = [
    "1,2024-01-01 08:00,2024-01-02 08:00,2024-01-05 08:00,yes",  # resolved after its due date
    "2,2024-01-01 08:00,2024-01-02 08:00,2024-01-01 12:00,yes",  # late by another clock
    "3,2024-01-01 08:00,2024-01-02 08:00,2024-01-01 12:00,no",
    "4,2024-01-01 08:00,2024-01-02 08:00,,yes",  # open, and the column says so
    "5,2024-01-01 08:00,2024-01-02 08:00,,",  # open, and the column says nothing
    "6,2024-01-04 20:00,2024-01-06 08:00,,",  # open in time
    "7,2024-01-01 08:00,2024-01-02 08:00,2024-01-03 08:00,",  # resolved, and nothing said
]


def test_a_breach_by_column_is_known_when_the_due_date_passes(write, by_column, sla, cost):
    write(DUE)
    sla.default_cost = 10.0
    labelled = prepare_tickets(by_column(), sla, cost)
    frame = by_id(labelled)
    due = pd.Timestamp("2024-01-02 08:00")
    resolved = pd.Timestamp("2024-01-01 12:00")
    assert frame["breach"].to_dict() == {"1": True, "2": True, "3": False, "4": True, "5": True}
    assert frame["label_known_at"].to_dict() == {
        "1": due,
        "2": resolved,
        "3": resolved,
        "4": due,
        "5": due,
    }
    assert (frame["target_passes_at"] == due).all()
    assert labelled.dropped == {"open": 1, "no_label": 1}


def test_without_a_due_date_an_open_ticket_is_late_from_an_age_on(write, by_column, sla, cost):
    write(DUE)
    sla.default_cost = 10.0
    assert prepare_tickets(by_column(due=False), sla, cost).dropped == {
        "open": 3,
        "no_label": 1,
    }
    labelled = prepare_tickets(by_column(due=False, late_if_open_after=90.0), sla, cost)
    frame = by_id(labelled)  # the export was taken 96 hours after these were created
    assert frame["breach"].to_dict() == {"1": True, "2": True, "3": False, "4": True, "5": True}
    assert frame.loc["5", "label_known_at"] == pd.Timestamp("2024-01-05 02:00")
    assert frame["target_passes_at"].isna().all()
    assert labelled.dropped == {"open": 1, "no_label": 1}


def test_every_reason_is_counted(write, make_policy, sla, cost):
    write(
        [
            ",2024-01-01 08:00,,2024-01-01 12:00,Low",
            "2,soon,,2024-01-01 12:00,Low",
            "3,2024-01-01 08:00,,2024-01-01 12:00,Odd",
            "4,2024-01-01 08:00,,,Low",
            "5,,,2024-01-01 12:00,Low",
            "6,2024-01-01 08:00,,2024-01-01 07:00,Low",
            "7,2024-01-01 08:00,,2024-01-01 09:00,Low",
            "8,2024-01-01 08:00,,2024-01-01 09:00,",
        ]
    )
    sla.unknown_priority = UnknownPriority.drop
    labelled = prepare_tickets(make_policy(), sla, cost)
    assert labelled.dropped == {
        "no_ticket_id": 1,
        "unreadable_date": 1,
        "unknown_priority": 2,
        "open": 1,
        "no_times": 1,
        "resolved_before_created": 1,
    }
    assert labelled.frame["ticket_id"].tolist() == ["7"]
    assert labelled.rows_in == 8


def test_the_notebooks_sla_gives_unknown_priorities_a_day_and_no_cost(
    write, make_policy, composed, cost
):
    write(["1,2024-01-01 08:00,,2024-01-02 09:00,Medium"])
    notebook = composed("sla=notebook").sla
    frame = by_id(prepare_tickets(make_policy(), notebook, cost))
    assert frame.loc["1", ["sla_target_hours", "breach", "breach_cost"]].tolist() == [24, True, 0]


def test_creation_is_drawn_as_numpys_legacy_generator_does(write, make_policy, sla, cost):
    rows = [
        f"{i},,2024-01-01 {8 + i:02}:00,{'2024-01-09 08:00' if i % 3 else ''},Low"
        for i in range(12)
    ]
    write(rows)
    columns = {
        "ticket_id": "Id",
        "first_response_at": "Replied",
        "resolved_at": "Done",
        "priority": "Prio",
    }
    policy = make_policy(
        columns=columns,
        creation=Creation(kind=CreationKind.imputed),
        known=Known(created=["ticket_id", "created_at", "priority"]),
    )
    frame = prepare_tickets(policy, sla, cost).frame
    both = [i for i in range(12) if i % 3]
    draws = np.random.RandomState(42).randint(1, 6, len(both))
    expected = [
        pd.Timestamp(2024, 1, 1, 8 + i) - pd.Timedelta(hours=int(h))
        for i, h in zip(both, draws, strict=True)
    ]
    assert frame["created_at"].tolist() == expected


def test_labels_are_the_notebooks(tmp_path, composed):
    rng = np.random.default_rng(0)
    start = pd.Timestamp("2023-06-01")
    hours = pd.DataFrame(rng.uniform(0, 27, (300, 2)), columns=["First Response Time", "Time to"])
    times = (start + hours.apply(pd.to_timedelta, unit="h")).apply(lambda time: time.dt.floor("s"))
    times.columns = ["First Response Time", "Time to Resolution"]
    times = times.mask(rng.random(times.shape) < 0.3)
    others = ["Ticket Status", "Ticket Channel", "Ticket Type", "Product Purchased"]
    others += ["Ticket Subject", "Ticket Description", "Customer Age", "Date of Purchase"]
    table = times.assign(**dict.fromkeys(others, ""))
    table["Ticket Priority"] = rng.choice(["Critical", "High", "Medium", "Low"], 300)
    table["Ticket ID"] = range(300)
    table.to_csv(tmp_path / "tickets.csv", index=False)

    # what the notebook does, in its words
    df = table.dropna(subset=times.columns).copy()
    draws = np.random.RandomState(42).randint(1, 6, size=len(df))
    df["created"] = df["First Response Time"] - pd.to_timedelta(draws, unit="h")
    df["hours"] = (df["Time to Resolution"] - df["created"]).dt.total_seconds() / 3600
    df = df[df["hours"] > 0]
    target = df["Ticket Priority"].map({"Critical": 4, "High": 8, "Normal": 24, "Low": 72})
    df["breach"] = df["hours"] > target.fillna(24)
    price = df["Ticket Priority"].map({"Critical": 500, "High": 200, "Normal": 50, "Low": 10})

    config = composed("experiment=notebook", f"data.path={tmp_path / 'tickets.csv'}")
    labelled = prepare_tickets(config.data, config.sla, config.cost)
    frame = labelled.frame
    assert frame["ticket_id"].tolist() == df["Ticket ID"].astype("str").tolist()
    assert frame["created_at"].tolist() == df["created"].tolist()
    assert frame["breach"].tolist() == df["breach"].tolist()
    assert frame["breach_cost"].tolist() == price.fillna(0).tolist()
    assert 10 < frame["breach"].sum() < len(frame) - 10
    assert set(labelled.dropped) == {"open", "no_times", "resolved_before_created"}


def test_a_label_by_due_date(write, make_policy, sla, cost):
    write(
        [
            "1,2024-01-01 08:00,2024-01-01 10:00,2024-01-01 10:01,Low",
            "2,2024-01-01 08:00,2024-01-01 10:00,2024-01-01 09:00,Low",
            "3,2024-01-01 08:00,2024-01-01 09:30,,Low",
            "4,2024-01-01 08:00,2029-01-01 10:00,,Low",
            "5,2024-01-01 08:00,2030-01-01 10:00,,Low",  # a due date ahead is no observation
        ]
    )
    columns = {
        "ticket_id": "Id",
        "created_at": "Opened",
        "due_at": "Replied",
        "resolved_at": "Done",
        "priority": "Prio",
    }
    policy = make_policy(columns=columns, known=Known(), label=Label(kind=LabelKind.due_date))
    labelled = prepare_tickets(policy, sla, cost)
    assert by_id(labelled)["breach"].to_dict() == {"1": True, "2": False, "3": True}
    assert by_id(labelled)["sla_target_hours"].tolist() == [2, 2, 1.5]
    assert labelled.dropped == {"open": 2}


def test_a_label_from_a_column_of_the_last_event(tmp_path, sla, cost):
    events = [
        "Id,N,At,Closed,Kept,Prio,Team",
        "A,1,29/2/2016 01:16,1/3/2016 10:00,true,High,first",
        "B,1,1/3/2016 7:05,9/3/2016 10:00,true,Low,one",
        "A,10,29/2/2016 01:16,5/3/2016 12:00,False,Low,last",
        "A,9,29/2/2016 01:16,4/3/2016 12:00,true,Low,middle",
        "C,0,1/3/2016 7:05,9/3/2016 10:00,?,Low,one",
    ]
    (tmp_path / "events.csv").write_text("\n".join(events))
    policy = DataPolicy(
        name="events",
        path=str(tmp_path / "events.csv"),
        missing=["", "?"],
        date_formats=["%d/%m/%Y %H:%M"],
        columns={
            "ticket_id": "Id",
            "n": "N",
            "created_at": "At",
            "closed_at": "Closed",
            "kept": "Kept",
            "priority": "Prio",
            "team": "Team",
        },
        dates=["closed_at"],
        known=Known(created=["ticket_id", "created_at", "priority", "team"]),
        label=Label(
            kind=LabelKind.column, column="kept", breach_value="false", known_at="closed_at"
        ),
        events=EventLog(order="n"),
    )
    labelled = prepare_tickets(policy, sla, cost)
    frame = by_id(labelled)
    assert frame["breach"].to_dict() == {"A": True, "B": False}
    # known at creation: the first event; everything else: the last, by number and not by text
    assert frame.loc["A", ["team", "priority"]].tolist() == ["first", "High"]
    assert frame.loc["A", "label_known_at"] == pd.Timestamp("2016-03-05 12:00")
    assert frame.loc["A", "created_at"] == pd.Timestamp("2016-02-29 01:16")
    assert labelled.dropped == {"no_label": 1}


def test_costs_of_its_own_and_no_priority(write, make_policy, sla, cost):
    write(
        ["1,2024-01-01 08:00,7.5,2024-01-01 12:00,120", "2,2024-01-01 08:00,3,2024-01-03 12:00,20"]
    )
    columns = {
        "ticket_id": "Id",
        "created_at": "Opened",
        "fee": "Replied",
        "resolved_at": "Done",
        "damage": "Prio",
    }
    sla.default_target = 24
    policy = make_policy(
        columns=columns,
        known=Known(created=["fee", "damage"]),
        costs=CostColumns(breach="damage", escalation="fee"),
    )
    frame = by_id(prepare_tickets(policy, sla, cost))
    assert frame["breach_cost"].tolist() == [120, 20]
    assert frame["escalation_cost"].tolist() == [7.5, 3]
    assert frame["breach"].tolist() == [False, True]


def test_the_four_outcomes_have_costs_of_their_own(write, make_policy, sla, cost):
    rows = ["1,2024-01-01 08:00,2024-01-01 12:00,100,20,55,3", "2,2024-01-01 08:00,,70,5,6,7"]
    write(rows, header="Id,Opened,Done,FN,FP,TP,TN")
    columns = {"ticket_id": "Id", "created_at": "Opened", "resolved_at": "Done"}
    columns |= {name: name for name in ("FN", "FP", "TP", "TN")}
    sla.default_target = 1
    policy = make_policy(
        columns=columns, known=Known(), costs=CostColumns("FN", "FP", tp="TP", tn="TN")
    )
    costs = prepare_tickets(policy, sla, cost).costs
    assert [costs.fn.tolist(), costs.fp.tolist()] == [[100, 70], [20, 5]]
    assert [costs.tp.tolist(), costs.tn.tolist()] == [[55, 6], [3, 7]]
    # without the last two the cost policy gives them, as ever
    policy = replace(policy, costs=CostColumns("FN", "FP"))
    costs = prepare_tickets(policy, sla, cost).costs
    averted = make_effect(cost).at_creation
    assert costs.tp.tolist() == pytest.approx([20 + (1 - averted) * 100, 5 + (1 - averted) * 70])
    assert costs.tn.tolist() == [0, 0]


def test_without_priority_the_defaults_of_the_sla_serve(write, make_policy, sla, cost):
    write(["1,2024-01-01 08:00,,2024-01-01 12:00,Low"])
    columns = {"ticket_id": "Id", "created_at": "Opened", "resolved_at": "Done"}
    policy = make_policy(columns=columns, known=Known())
    with pytest.raises(InputError, match="none of its 1 tickets can be labelled"):
        prepare_tickets(policy, sla, cost)
    sla.default_target = 3.0
    with pytest.raises(InputError, match=r"no breach cost.*sla\.default_cost"):
        prepare_tickets(policy, sla, cost)
    sla.default_cost = 30
    assert by_id(prepare_tickets(policy, sla, cost)).loc["1", "breach_cost"] == 30


@pytest.mark.parametrize("value", ["", "-1", "much", "inf"])
@pytest.mark.parametrize("column", ["breach", "escalation", "tp", "tn"])
def test_a_cost_that_is_no_price_is_left_out_and_counted(
    write, make_policy, sla, cost, value, column
):
    rows = [
        "1,2024-01-01 08:00,5,2024-01-01 12:00,Low",
        f"2,2024-01-01 08:00,{value},2024-01-01 12:00,Low",
    ]
    write(rows)
    columns = {
        "ticket_id": "Id",
        "created_at": "Opened",
        "money": "Replied",
        "resolved_at": "Done",
        "priority": "Prio",
    }
    policy = make_policy(columns=columns, known=Known(), costs=CostColumns(**{column: "money"}))
    labelled = prepare_tickets(policy, sla, cost)
    assert labelled.dropped == {"bad_cost": 1}
    assert len(labelled.frame) == 1
    said = f"row 2: column 'Replied' is the {column} cost"
    assert any(said in note for note in labelled.notes)
    with pytest.raises(InputError, match=said):
        prepare_tickets(policy, sla, cost, max_rejected=0.4)


def test_a_ticket_without_label_may_have_no_cost_but_no_wrong_one(write, make_policy, sla, cost):
    resolved, open_one = "1,2024-01-01 08:00,5,2024-01-01 12:00,Low", "2,2024-01-01 11:00,{},,Low"
    columns = {
        "ticket_id": "Id",
        "created_at": "Opened",
        "breach_cost": "Replied",  # its own name: it is what the data says it is
        "resolved_at": "Done",
        "priority": "Prio",
    }
    policy = make_policy(columns=columns, known=Known(), costs=CostColumns(breach="breach_cost"))
    write([resolved, open_one.format("")])
    labelled = prepare_tickets(policy, sla, cost)
    assert labelled.frame["breach_cost"].tolist() == [5]
    assert labelled.dropped == {"open": 1}
    write([resolved, open_one.format("much")])
    labelled = prepare_tickets(policy, sla, cost)
    assert labelled.dropped == {"bad_cost": 1}
    assert any("row 2: column 'Replied'" in note and "'much'" in note for note in labelled.notes)


def test_an_unknown_priority_is_refused_with_its_row(write, make_policy, sla, cost):
    write(
        [
            "1,2024-01-01 08:00,,2024-01-01 12:00,Low",
            "2,2024-01-01 08:00,,2024-01-01 12:00,Blocker",
        ]
    )
    with pytest.raises(InputError, match=r"row 2: the SLA policy 'standard' .* 'Blocker'"):
        prepare_tickets(make_policy(), sla, cost)


def test_an_exact_copy_of_a_row_is_counted_and_the_first_kept(write, make_policy, sla, cost):
    row = "2024-01-01 08:00,,2024-01-01 12:00,Low"
    write([f"7,{row}", f"8,{row}", f"7,{row}"])
    labelled = prepare_tickets(make_policy(), sla, cost, max_rejected=0)
    assert labelled.frame["source_row"].tolist() == [1, 2]
    assert labelled.dropped == {"exact_copy": 1}
    assert labelled.rows_in == 3


def test_rows_of_an_id_that_agree_on_the_label_count_once(write, make_policy, sla, cost):
    columns = {
        "ticket_id": "Id",
        "created_at": "Opened",
        "team": "Replied",
        "resolved_at": "Done",
        "priority": "Prio",
    }
    row = "7,2024-01-01 08:00,{},2024-01-01 12:00,Low"
    write([row.format("A"), row.format("B"), row.format("A"), "8" + row.format("A")[1:]])
    policy = make_policy(columns=columns, known=Known())
    labelled = prepare_tickets(policy, sla, cost)
    assert labelled.frame["team"].tolist() == ["A", "A"]
    assert labelled.dropped == {"exact_copy": 1, "duplicate_ticket_id": 1}
    (note,) = [note for note in labelled.notes if "differ in" in note]
    assert all(part in note for part in ("'7'", "row 1", "row 2", "Replied", "data.events.order"))
    with pytest.raises(InputError, match="duplicate_ticket_id: 1"):
        prepare_tickets(policy, sla, cost, max_rejected=0.2)


def test_rows_of_an_id_that_disagree_on_the_label_do_not_count(write, make_policy, sla, cost):
    opened = "2024-01-01 08:00"
    write([f"7,{opened},,2024-01-01 12:00,Low", f"8,{opened},,,Low", f"9,{opened},,{opened},Low",
           f"7,{opened},,2024-01-09 12:00,Low"])  # fmt: skip
    labelled = prepare_tickets(make_policy(), sla, cost)
    assert labelled.frame["ticket_id"].tolist() == ["9"]
    assert labelled.dropped == {"duplicate_ticket_id": 2, "open": 1}


def test_ids_that_repeat_across_files_name_both(write, make_policy, sla, cost, tmp_path):
    (tmp_path / "months").mkdir()
    for month in ("1", "2"):
        write([f"7,2024-0{month}-01 08:00,,2024-01-01 12:00,Low"], f"months/{month}.csv")
    with pytest.raises(InputError, match=r"'7' in .*1\.csv, row 1 and row 1 of .*2\.csv"):
        prepare_tickets(make_policy("months"), sla, cost)


def test_a_long_value_does_not_fill_the_message(write, make_policy, sla, cost):
    write(["1,2024-01-01 08:00,,2024-01-01 12:00," + "Low" * 10_000])
    with pytest.raises(InputError) as caught:
        prepare_tickets(make_policy(), sla, cost)
    assert len(str(caught.value)) < 500


def test_when_no_date_can_be_read_the_first_one_is_named(write, make_policy, sla, cost):
    write([f"{i},1st of May,,2024-01-01 12:00,Low" for i in range(3)])
    with pytest.raises(InputError, match=r"unreadable_date: 3; .*column 'Opened', .*row 1"):
        prepare_tickets(make_policy(), sla, cost)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"targets": {"Low": 1}, "costs": {"High": 1}}, "High, Low must stand in both"),
        ({"aliases": {"Medium": "Mittel"}}, r"sla\.aliases\.Medium=Mittel"),
        ({"unknown_priority": UnknownPriority.default}, r"needs sla\.default_target"),
    ],
)
def test_an_sla_policy_that_makes_no_sense_is_refused(
    write, make_policy, sla, cost, change, message
):
    write(["1,2024-01-01 08:00,,2024-01-01 12:00,Low"])
    with pytest.raises(InputError, match=message):
        prepare_tickets(make_policy(), replace(sla, **change), cost)


tickets = st.tuples(
    st.sampled_from(["", "2024-01-01 08:00", "2024-01-02 23:59", "31.12.", "never"]),
    st.sampled_from(["", "2024-01-01 09:00", "2024-01-04 08:00", "2023-12-31 00:00", "x"]),
    st.sampled_from(["Critical", "Medium", "Low", "Odd", ""]),
    st.booleans(),
)


@settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(rows=st.lists(tickets, min_size=1, max_size=25), seed=st.integers(0, 99))
@pytest.mark.slow
def test_the_account_adds_up_and_row_order_does_not_matter(
    write, make_policy, sla, cost, rows, seed
):
    lines = [
        f"{number if has_id else ''},{created},,{resolved},{priority}"
        for number, (created, resolved, priority, has_id) in enumerate(rows)
    ]
    lines.append("good,2024-01-01 08:00,,2024-01-01 09:00,Low")
    policy = make_policy(label=Label(observed_at="2024-01-05"))
    sla.unknown_priority = UnknownPriority.drop
    write(lines)
    labelled = prepare_tickets(policy, sla, cost, 1)
    assert labelled.rows_in == len(lines) == len(labelled.frame) + sum(labelled.dropped.values())
    assert len(labelled.unlabelled) == sum(labelled.dropped.values())
    assert labelled.unlabelled["source_row"].isin(labelled.frame["source_row"]).sum() == 0

    random.Random(seed).shuffle(lines)
    write(lines)
    shuffled = prepare_tickets(policy, sla, cost, 1)
    assert shuffled.dropped == labelled.dropped
    assert shuffled.fingerprint == labelled.fingerprint
    columns = ["breach", "breach_cost", "resolution_hours", "label_known_at"]
    pd.testing.assert_frame_equal(
        by_id(shuffled)[columns].sort_index(), by_id(labelled)[columns].sort_index()
    )


def test_the_fingerprint_is_of_the_content(write, make_policy, sla, cost):
    rows = [f"{i},2024-01-01 08:00,,2024-01-0{i} 12:00,Low" for i in range(1, 6)]
    write(rows)
    here = prepare_tickets(make_policy(), sla, cost).fingerprint
    write(rows, name="elsewhere.csv")
    assert prepare_tickets(make_policy("elsewhere.csv"), sla, cost).fingerprint == here
    write([*rows[:4], rows[4].replace("Low", "High")], name="elsewhere.csv")
    assert prepare_tickets(make_policy("elsewhere.csv"), sla, cost).fingerprint != here


def test_the_policy_fingerprint_moves_with_every_price(sla, cost):
    same = CostPolicy(**vars(cost))
    assert fingerprint_policy(sla, cost) == fingerprint_policy(replace(sla), same)
    dearer = replace(cost, escalation_cost=21)
    stricter = replace(sla, targets=sla.targets | {"Low": 71})
    assert (
        len({fingerprint_policy(*p) for p in ((sla, cost), (sla, dearer), (stricter, cost))}) == 3
    )


@pytest.mark.real_data
def test_the_notebooks_labels(composed, real_data):
    config = composed(
        "experiment=notebook", f"data.path={real_data('customer_support_tickets.csv')}"
    )
    labelled = prepare_tickets(config.data, config.sla, config.cost)
    frame = labelled.frame
    assert labelled.rows_in == 8469
    assert labelled.dropped == {"open": 5700, "resolved_before_created": 1048}
    assert len(frame) == 1721
    assert frame["breach"].mean() == pytest.approx(0.327716, abs=5e-7)
    assert (frame["breach"] * frame["breach_cost"]).sum() == 213_100


@pytest.mark.real_data
def test_servicenow_incidents(composed, real_data):
    config = composed("data=servicenow", f"data.path={real_data('incident_event_log.zip')}")
    labelled = prepare_tickets(config.data, config.sla, config.cost)
    assert labelled.rows_in == len(labelled.frame) == 24_918
    assert labelled.frame["breach"].mean() == pytest.approx(0.3658, abs=5e-5)
