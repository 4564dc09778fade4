"""Labels of exports whose dates, columns and statuses say less, or more, than two times."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from slarisk.config import ChosenEvent, EventLog, Known, Label, LabelKind, Which
from slarisk.errors import InputError
from slarisk.tickets.contract import take_times
from slarisk.tickets.labels import find_open, label_tickets
from slarisk.tickets.prepare import prepare_tickets

HEADER = "Id,Opened,Done,Due,Prio,State,Said"
COLUMNS = {"ticket_id": "Id", "created_at": "Opened", "resolved_at": "Done", "priority": "Prio"}
WITH_DUE = COLUMNS | {"due_at": "Due"}
WITH_STATE = COLUMNS | {"status": "State"}
WITH_SAID = COLUMNS | {"said": "Said"}


@pytest.fixture
def label(write, make_policy, sla, cost):
    """Label rows under HEADER; gives the breaches by id, and the tickets."""

    def make(rows, header=HEADER, **settings):
        write(rows, header=header)
        policy = make_policy(**({"known": Known(), "columns": COLUMNS} | settings))
        labelled = prepare_tickets(policy, sla, cost)
        assert labelled.rows_in == len(labelled.frame) + sum(labelled.dropped.values())
        frame = labelled.frame.set_index("ticket_id")
        known = frame["label_known_at"]
        assert not (known < frame["created_at"]).any()
        return frame["breach"].to_dict(), labelled

    return make


@pytest.mark.parametrize(
    ("opened", "done", "reason"),
    [
        ("2026-03-02 09:00:07", "2026-03-02 09:00:07", None),
        ("2026-03-02 09:00:07", "2026-03-02 09:00", None),  # in the minute
        ("2026-03-02 09:00", "2026-03-02", None),  # on the day
        ("2026-03-02", "2026-03-02 18:00", None),
        ("2026-03-02", "2026-03-02", None),
        ("2026-03-02 09:01:00", "2026-03-02 09:00", "resolved_before_created"),
        ("2026-03-02 09:00:07", "2026-03-02 09:00:06", "resolved_before_created"),
        ("2026-03-02", "2026-03-01", "resolved_before_created"),
        ("2026-03-02 09:00", "2026-03-01", "resolved_before_created"),
    ],
)
def test_a_ticket_that_took_no_time_met_its_target(label, opened, done, reason):
    always = "9,2026-03-02 09:00,2026-03-02 10:00,,Critical,,"
    breach, labelled = label([f"1,{opened},{done},,Critical,,", always])
    assert labelled.dropped == ({reason: 1} if reason else {})
    assert breach == ({"9": False} if reason else {"1": False, "9": False})


@pytest.mark.parametrize(
    ("opened", "done", "hours"),
    [
        ("2026-03-02 09:00", "2026-03-02 11:30", 2.5),
        ("2026-03-02 09:00:07", "2026-03-02 09:00:07", 0),  # nobody could have escalated it
        ("2026-03-02 09:00:07", "2026-03-02 09:00", 0),
        ("2026-03-02", "2026-03-02", 1e-9),  # at some time of the day
        ("2026-03-02 09:00", "2026-03-02", 1e-9),
    ],
)
def test_how_long_a_ticket_can_be_escalated(label, opened, done, hours):
    rows = [f"1,{opened},{done},,Critical,,", "2,2026-03-02 08:00,,,Critical,,"]
    rows += ["3,2026-03-04 09:00,2026-03-04 10:00,,Low,,"]
    _, labelled = label(rows)
    times = take_times(labelled.frame)
    assert times.open_hours.tolist() == pytest.approx([hours, np.inf, 1], abs=1e-12)
    assert times.target_hours.tolist() == [4, 4, 72]
    # what cannot be escalated costs the same if it is
    costs = labelled.costs
    assert (costs.fp == costs.tn).tolist() == [hours == 0, False, False]
    assert (costs.tp == costs.fn).tolist() == [hours == 0, False, False]


def test_a_due_day_lasts_to_its_end(label):
    rows = [
        "1,2026-03-02 09:00,2026-03-02 23:59:59,2026-03-02,Low,,",
        "2,2026-03-02 09:00,2026-03-03 00:00:00,2026-03-02,Low,,",
        "3,2026-03-02 09:00,2026-03-02,2026-03-02,Low,,",  # closed on its day
        "4,2026-03-02 09:00,2026-03-03,2026-03-02,Low,,",
        "5,2026-03-02 09:00,2026-03-02 12:01,2026-03-02 12:00,Low,,",  # this one has an hour
    ]
    breach, _ = label(rows, columns=WITH_DUE, label=Label(kind=LabelKind.due_date))
    assert breach == {"1": False, "2": True, "3": False, "4": True, "5": True}


def test_without_a_due_date_there_is_no_sla_and_nothing_to_pay(label):
    rows = [
        "1,2026-03-02 09:00,2026-03-02 10:00,2026-03-02 12:00,Low,,",
        "2,2026-03-02 09:00,,,Low,,",
        "3,2026-03-02 09:00,2026-03-09 10:00,,Low,,",
        "4,2026-03-02 09:00,2026-03-09 10:00,soon,Low,,",
        "5,2026-03-02 09:00,,2026-03-01 12:00,Low,,",  # due before it was created, and open
    ]
    breach, labelled = label(rows, columns=WITH_DUE, label=Label(kind=LabelKind.due_date))
    assert breach == {"1": False}
    assert labelled.dropped == {"unreadable_date": 1, "no_sla": 2, "due_before_created": 1}
    assert len(labelled.costs.fn) == 1


@pytest.mark.parametrize(
    ("values", "settings", "expected"),
    [
        ("Yes No No", {"breach_value": "True"}, [True, False, False]),
        ("1.0 0.0 0.0", {"breach_value": "1"}, [True, False, False]),
        ("true f 0", {"breach_value": "yes"}, [True, False, False]),
        ("false true true", {"breach_value": "No"}, [True, False, False]),
        ("late LATE ok", {"breach_value": "Late"}, [True, True, False]),
        ("late overdue ok", {"breach_value": ["late", "overdue"]}, [True, True, False]),
        ("late n/a ok", {"breach_value": "late", "met_values": ["ok"]}, [True, None, False]),
        ("yes pending no", {"breach_value": "yes"}, [True, None, False]),
    ],
)
def test_what_the_values_of_a_label_column_mean(label, values, settings, expected):
    rows = [
        f"{n},2026-03-02 09:00,2026-03-02 10:00,,Low,,{value}"
        for n, value in enumerate(values.split())
    ]
    settings = Label(kind=LabelKind.column, column="said", **settings)
    breach, labelled = label(rows, columns=WITH_SAID, label=settings)
    assert [breach.get(str(n)) for n in range(3)] == expected
    assert labelled.dropped == ({"no_label": 1} if None in expected else {})
    if None in expected:
        assert any(repr(values.split()[1]) in note for note in labelled.notes)


@pytest.mark.parametrize(
    ("values", "settings", "message"),
    [
        ("a b b", {"breach_value": "Late"}, r"'b' \(2\), 'a' \(1\)"),
        ("late ok n/a", {"breach_value": "late"}, "met_values"),
        ("F P P", {"breach_value": "F"}, "met_values"),
        ("a b b", {"breach_value": "a", "met_values": ["A"]}, "a stands in"),
    ],
)
def test_a_label_column_that_is_not_understood_is_refused(label, values, settings, message):
    rows = [
        f"{n},2026-03-02 09:00,2026-03-02 10:00,,Low,,{value}"
        for n, value in enumerate(values.split())
    ]
    with pytest.raises(InputError, match=message):
        label(
            rows,
            columns=WITH_SAID,
            label=Label(kind=LabelKind.column, column="said", **settings),
        )


def test_an_open_ticket_has_no_outcome_unless_the_column_is_final(label):
    rows = [
        "1,2026-03-02 09:00,2026-03-02 10:00,,Low,,yes",
        "2,2026-03-02 09:00,,,Low,,yes",
        "3,2026-03-02 09:00,,,Low,,no",
    ]
    said = Label(kind=LabelKind.column, column="said", breach_value="yes")
    breach, labelled = label(rows, columns=WITH_SAID, label=said)
    assert breach == {"1": True}
    assert labelled.dropped == {"open": 2}
    breach, _ = label(rows, columns=WITH_SAID, label=replace(said, final=True))
    assert breach == {"1": True, "2": True, "3": False}


def test_a_due_date_before_the_creation_tells_no_label_early(label):
    rows = [
        "1,2026-03-02 09:00,2026-03-04 09:00,1970-01-01 00:00,Low,,yes",
        "2,2026-03-02 09:00,2026-03-02 10:00,2026-03-03 09:00,Low,,no",
    ]
    said = Label(kind=LabelKind.column, column="said", breach_value="yes")
    _, labelled = label(rows, columns=WITH_DUE | {"said": "Said"}, label=said)
    known = labelled.frame["label_known_at"]
    assert known.tolist() == [pd.Timestamp("2026-03-04 09:00"), pd.Timestamp("2026-03-02 10:00")]


def test_statuses_say_who_is_open(label):
    rows = [
        "1,2026-03-02 09:00,2026-03-02 10:00,,High,Closed,",
        "2,2026-03-02 09:00,,,High, CLOSED ,",
        "3,2026-03-02 09:00,2026-03-09 10:00,,High,Duplicate,",
        "4,2026-03-02 09:00,,,High,Merged,",
        "5,2026-03-02 09:00,,,High,New,",
        "6,2026-03-02 09:00,2026-03-02 10:00,,High,Reopened,",
        "7,2026-03-02 09:00,,,High,,",
    ]
    statuses = Label(closed_statuses=["closed"], cancelled_statuses=["duplicate", "Merged"])
    breach, labelled = label(rows, columns=WITH_STATE, label=statuses)
    assert breach == {"1": False, "5": True, "6": False, "7": True}
    assert labelled.dropped == {"cancelled": 2, "closed_without_date": 1}


def test_a_closed_ticket_without_a_date_has_the_outcome_of_its_column(label):
    rows = ["1,2026-03-02 09:00,,,Low,Closed,yes", "2,2026-03-02 09:00,,,Low,New,no"]
    said = Label(
        kind=LabelKind.column, column="said", breach_value="yes", closed_statuses=["Closed"]
    )
    breach, labelled = label(rows, columns=WITH_SAID | {"status": "State"}, label=said)
    assert breach == {"1": True}
    assert labelled.dropped == {"open": 1}


@pytest.mark.parametrize("year", [2027, 2062, 9999])
@pytest.mark.parametrize("column", ["opened", "done"])
def test_a_mistyped_year_does_not_move_the_observation(label, year, column):
    rows = [f"{day},2026-03-{day:02} 09:00,2026-03-{day:02} 10:00,,Low,," for day in range(1, 21)]
    rows += ["30,2026-03-19 09:00,,,Low,,"]  # open, and in time
    wrong = f"{year}-03-02 11:00"
    opened, done = (wrong, "") if column == "opened" else ("2026-03-02 09:00", wrong)
    _, labelled = label([*rows, f"40,{opened},{done},,Low,,"])
    assert labelled.observed == pd.Timestamp("2026-03-20 10:00")
    assert "30" not in set(labelled.frame["ticket_id"])
    assert any(f"{year}-03-02" in note and "row 22" in note for note in labelled.notes)
    _, moved = label([*rows, f"40,{opened},{done},,Low,,"], label=Label(observed_at=wrong))
    assert "30" in set(moved.frame["ticket_id"])


def test_a_quiet_month_and_a_long_ticket_are_no_mistakes(label):
    rows = [f"{n},2026-01-{n:02} 09:00,2026-01-{n + 1:02} 09:00,,Low,," for n in range(1, 20)]
    _, labelled = label([*rows, "30,2026-01-05 09:00,2026-03-20 09:00,,Low,,"])
    assert labelled.observed == pd.Timestamp("2026-03-20 09:00")
    assert labelled.notes == ()


def test_a_date_that_no_label_needs_costs_none(label):
    rows = ["1,2026-03-02 09:00,2026-03-02 10:00,soon,Low,,"]
    breach, labelled = label(rows, columns=WITH_DUE)
    assert breach == {"1": False}
    assert len(labelled.notes) == 1
    assert all(part in labelled.notes[0] for part in ("'Due'", "'soon'", "row 1", "%Y-%m-%d"))


def test_a_column_may_have_formats_of_its_own(label):
    rows = ["1,02/03/2026 09:00,3/4/2026 10:00,,High,,"]
    settings = {
        "date_formats": ["%d/%m/%Y %H:%M"],
        "formats_of": {"resolved_at": ["%m/%d/%Y %H:%M"]},
    }
    _, labelled = label(rows, **settings)
    assert labelled.frame["resolution_hours"].tolist() == [49]


@pytest.mark.parametrize(
    ("unit", "took", "target"),
    [("minutes", "480", "480"), ("hours", "08:00:00", "PT8H"), ("days", "0 days 08:00", "8 h")],
)
def test_durations_stand_for_dates_and_targets(label, unit, took, target):
    columns = {"ticket_id": "Id", "created_at": "Opened", "priority": "Prio"}
    columns |= {"resolution_hours": "Done", "sla_target_hours": "Due"}
    rows = [
        f"1,2026-03-02 09:00,{took},{target},Low,,",
        f"2,2026-03-02 09:00,1 day 00:00:01,{target},Low,,",
        f"3,2026-03-02 09:00,{took},,Low,,",
        f"4,2026-03-02 09:00,soon,{target},Low,,",
        f"5,2026-03-02 09:00,,{target},Low,,",  # open, and overdue
    ]
    settings = {"durations": dict.fromkeys(["resolution_hours", "sla_target_hours"], unit)}
    breach, labelled = label(rows, columns=columns, **settings)
    assert breach == {"1": False, "2": True, "5": True}
    assert labelled.dropped == {"unreadable_date": 1, "no_sla": 1}
    assert labelled.frame["resolved_at"].iloc[0] == pd.Timestamp("2026-03-02 17:00")


LOG = [
    "1,2026-03-02 09:00,Open,Low",
    "1,2026-03-02 11:00,Resolve,High",
    "1,2026-03-04 11:00,Reopen,High",
    "1,2026-03-05 11:00,resolve,High",
    "1,2026-03-09 11:00,Survey,High",
    "2,2026-03-03 09:00,Open,High",
]


def test_a_ticket_whose_first_event_says_so_arrives_resolved(label):
    log = [
        "1,2026-03-02 09:00,Closed,Low",
        "1,2026-03-02 11:00,Closed,Low",
        "2,2026-03-02 09:00,New,Low",
        "2,2026-03-02 10:00, closed ,Low",
    ]
    columns = {"ticket_id": "Id", "created_at": "When", "status": "State", "priority": "Prio"}
    columns |= {"resolved_at": "When"}
    events = EventLog("created_at", resolved=["closed"])
    known = Known(created=["ticket_id", "created_at", "priority"], resolved=["resolved_at"])
    _, labelled = label(log, "Id,When,State,Prio", columns=columns, events=events, known=known)
    assert labelled.frame["open_hours"].tolist() == [0, 1]
    assert labelled.frame["resolution_hours"].tolist() == [2, 1]


@pytest.mark.parametrize(("which", "hours"), [(Which.first, 2), (Which.last, 74)])
def test_a_field_comes_from_the_first_or_last_event_of_a_kind(label, which, hours):
    columns = {"ticket_id": "Id", "created_at": "At", "resolved_at": "At", "kind": "What"}
    columns |= {"priority": "Prio"}
    events = EventLog("created_at", "kind", {"resolved_at": ChosenEvent(["Resolve"], which)})
    known = Known(created=["ticket_id", "created_at", "priority"], resolved=["resolved_at"])
    breach, labelled = label(
        LOG, header="Id,At,What,Prio", columns=columns, events=events, known=known
    )
    assert labelled.observed == pd.Timestamp("2026-03-09 11:00")  # the last event of all
    assert breach == {"1": hours > 72, "2": True}
    assert labelled.frame["resolution_hours"].iloc[0] == hours
    assert labelled.frame["priority"].tolist() == ["Low", "High"]  # known at creation: the first


def test_a_field_may_come_from_any_last_event(label):
    columns = {"ticket_id": "Id", "created_at": "At", "resolved_at": "At", "priority": "Prio"}
    take = {"priority": ChosenEvent(which=Which.last)}
    known = Known(created=["ticket_id", "created_at", "priority"], resolved=["resolved_at"])
    _, labelled = label(
        LOG,
        header="Id,At,What,Prio",
        columns=columns,
        events=EventLog("created_at", take=take),
        known=known,
    )
    assert labelled.frame["priority"].tolist() == ["High", "High"]
    assert labelled.frame["resolution_hours"].tolist() == [170, 0]


def test_letter_case_of_priorities_can_be_ignored(label):
    rows = [
        "1,2026-03-02 09:00,2026-03-02 14:00,,CRITICAL,,",
        "2,2026-03-02 09:00,2026-03-02 14:00,,medium,,",
        "3,2026-03-02 09:00,2026-03-02 14:00,,P1,,",
    ]
    breach, labelled = label(
        rows, ignore_case=["priority"], values={"priority": {"p1": "Critical"}}
    )
    assert breach == {"1": True, "2": False, "3": True}
    assert labelled.frame["breach_cost"].tolist() == [500, 50, 500]


def test_fields_may_have_names_that_are_used_inside(label):
    names = ("reason", "detail", "position", "type", "rejected", "round", "index", "order")
    columns = COLUMNS | dict.fromkeys(names, "Said")
    breach, labelled = label(["1,2026-03-02 09:00,2026-03-02 10:00,,Low,,x"], columns=columns)
    assert breach == {"1": False}
    assert all(labelled.frame[name].tolist() == ["x"] for name in names)


def test_a_window_of_tickets_is_labelled_as_all_are(write, make_policy, sla, cost):
    """Scoring labels part by part: no label may depend on the other tickets of a part."""
    from slarisk.tickets.prepare import read_tickets

    values = ["yes", "no", "pending", "yes", "n", ""]
    write(
        [f"{n},2026-03-02 09:00,2026-03-02 10:00,,Low,,{each}" for n, each in enumerate(values)],
        header=HEADER,
    )
    said = Label(kind=LabelKind.column, column="said", breach_value="yes")
    policy = make_policy(columns=WITH_SAID, known=Known(), label=said)
    tickets = read_tickets(policy).frame
    whole = label_tickets(tickets, policy, sla, pd.Timestamp.max)
    for row in range(len(tickets)):
        part = label_tickets(tickets.iloc[[row]], policy, sla, pd.Timestamp.max)
        assert part["no_label_because"].tolist() == [whole["no_label_because"].iloc[row]]
    assert not find_open(tickets, policy).any()


def test_a_time_ahead_is_told_as_it_is_written(label):
    rows = [
        "1,2026-07-01 09:00,2026-07-01 10:00,,Low,,",
        "2,2026-07-01 09:00,2062-07-01 12:30,,Low,,",
    ]
    settings = {"timezone": "Europe/Berlin", "label": Label(observed_at="2026-07-02 08:15")}
    _, labelled = label(rows, **settings)
    (note,) = [each for each in labelled.notes if "2062" in each]
    assert "2062-07-01 12:30" in note
    assert "2026-07-02 08:15" in note
