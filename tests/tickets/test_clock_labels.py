"""Labels on the clock of an SLA: working hours, pauses and time zones."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from slarisk.config import (
    Clock,
    DataPolicy,
    EventLog,
    Known,
    Label,
    LabelKind,
    Pause,
    PublicHolidays,
    Week,
    WorkingHours,
)
from slarisk.errors import InputError
from slarisk.tickets.labels import fingerprint_policy, read_moment
from slarisk.tickets.prepare import prepare_tickets

OFFICE = ["08:00-18:00"]
MON_TO_FRI = Week(OFFICE, OFFICE, OFFICE, OFFICE, OFFICE)


@pytest.fixture
def office(sla):
    return replace(sla, clock=Clock(name="office", week=MON_TO_FRI))


def by_id(labelled):
    return labelled.frame.set_index("ticket_id")


# Working hours ------------------------------------------------------------------------------------


def test_a_weekend_does_not_count(write, make_policy, sla, office, cost):
    write(
        [
            "1,2024-05-03 17:00,,2024-05-06 10:00,High",  # 3 h of 8
            "2,2024-05-03 17:00,,2024-05-06 15:00,High",  # 8 h of 8
            "3,2024-05-03 17:00,,2024-05-06 15:01,High",  # a minute late
            "4,2024-05-04 09:00,,2024-05-04 11:00,High",  # all on Saturday: no time at all, and met
            "5,2024-05-06 12:00,,2024-05-06 11:00,High",  # before it was created
            "6,2024-05-03 17:00,,,Critical",  # overdue since Monday 11:00
            "7,2024-05-06 12:00,,,Critical",
        ]
    )
    labelled = prepare_tickets(make_policy(), office, cost)
    frame = by_id(labelled)
    assert frame["breach"].to_dict() == {"1": False, "2": False, "3": True, "4": False, "6": True}
    assert frame["resolution_hours"].tolist()[:4] == [3, 8, 8 + 1 / 60, 0]
    assert frame.loc["3", "label_known_at"] == pd.Timestamp("2024-05-06 15:00")
    assert frame.loc["6", "label_known_at"] == pd.Timestamp("2024-05-06 11:00")
    assert labelled.dropped == {"open": 1, "resolved_before_created": 1}
    always = by_id(prepare_tickets(make_policy(), sla, cost))
    assert always["breach"].to_dict() == {"1": True, "2": True, "3": True, "4": False, "6": True}


def test_priorities_may_have_working_hours_of_their_own(write, make_policy, office, cost):
    office.clock.priorities = {"Critical": WorkingHours(), "Low": WorkingHours(Week(monday=OFFICE))}
    ids = {"1": "Critical", "2": "High", "3": "Medium", "4": "Low"}
    write([f"{key},2024-05-04 17:00,,2024-05-07 12:00,{name}" for key, name in ids.items()])
    frame = by_id(prepare_tickets(make_policy(), office, cost))
    assert frame["resolution_hours"].tolist() == [67, 14, 14, 10]


def test_a_priority_of_the_clock_is_one_of_the_targets(make_policy, office, cost):
    office.clock.priorities = {"Medium": WorkingHours()}
    with pytest.raises(InputError, match=r"clock\.priorities\.Medium.*alias of Normal"):
        prepare_tickets(make_policy(), office, cost)


def test_a_clock_that_says_nothing_leaves_the_fingerprint(sla, office, cost):
    assert fingerprint_policy(replace(sla, clock=Clock(), pause=Pause()), cost) == (
        fingerprint_policy(sla, cost)
    )
    longer = replace(office, clock=replace(office.clock, closed=["2024-12-24"]))
    paused = replace(sla, pause=Pause(minutes="paused"))
    assert len({fingerprint_policy(each, cost) for each in (sla, office, longer, paused)}) == 4


def test_the_sample_is_labelled_as_by_looking_at_every_second(composed, worked_seconds):
    config = composed(
        "clock=business_hours",
        "data.timezone=America/New_York",
        "sla.clock.holidays=[{country: US, region: NY}]",
        "sla.clock.closed=[2024-05-02]",
    )
    tickets = prepare_tickets(config.data, config.sla, config.cost).frame
    created, resolved, passes = (
        tickets[name].to_numpy().astype("datetime64[s]").astype(np.int64)
        for name in ("created_at", "resolved_at", "target_passes_at")
    )
    first = int(created.min() // 3600 * 3600)
    clock = replace(config.sla.clock, timezone="America/New_York")
    seconds = worked_seconds(clock, first, int(passes.max()) + 86_400)
    before = np.concatenate([[0], np.cumsum(seconds)])
    ended = tickets["resolved_at"].notna().to_numpy()
    taken = before[resolved[ended] - first] - before[created[ended] - first]
    assert (taken / 3600 == tickets["resolution_hours"][ended]).all()
    target = tickets["sla_target_hours"][ended].to_numpy() * 3600
    assert ((taken > target) == tickets["breach"][ended]).all()
    assert (before[passes - first] - before[created - first] == (
        tickets["sla_target_hours"] * 3600)).all()  # fmt: skip
    assert seconds[passes - first].all()  # the next second counts
    assert 0.03 < tickets["breach"].mean() < 0.1


# Pauses -------------------------------------------------------------------------------------------

COLUMNS = {
    "ticket_id": "Id",
    "number": "N",
    "changed_at": "Changed",
    "created_at": "Opened",
    "resolved_at": "Done",
    "status": "Status",
    "priority": "Prio",
}
WAITING = Pause(statuses=["Waiting", "On hold"], changed_at="changed_at")


def log_policy(path, **settings):
    return DataPolicy(
        name="log",
        path=str(path),
        columns=COLUMNS,
        dates=["changed_at"],
        values={"status": {"awaiting user": "Waiting"}},
        known=Known(created=["ticket_id", "created_at", "priority"]),
        events=EventLog(order="number"),
        **settings,
    )


def write_log(path, rows):
    path.write_text("\n".join(["Id,N,Changed,Opened,Done,Status,Prio", *rows]) + "\n")
    return log_policy(path)


def test_a_status_stops_the_clock(tmp_path, sla, cost):
    opened = "2024-05-06 08:00"
    policy = write_log(
        tmp_path / "log.csv",
        [
            f"A,1,2024-05-06 08:00,{opened},,New,High",
            f"A,3,2024-05-06 20:00,{opened},,Active,High",
            f"A,2,2024-05-06 10:00,{opened},, awaiting user ,High",  # out of order
            f"A,4,2024-05-06 22:00,{opened},2024-05-06 22:00,Done,High",  # 4 h of 8
            f"B,1,2024-05-06 08:00,{opened},,Waiting,High",
            f"B,2,2024-05-06 09:00,{opened},,On hold,High",
            f"B,3,2024-05-06 10:00,{opened},2024-05-06 18:30,Done,High",  # 8.5 h
            f"C,1,2024-05-06 08:00,{opened},,New,High",  # still open, and overdue
            f"D,1,2024-05-06 08:00,{opened},,New,High",  # still open, and waiting
            f"D,2,2024-05-06 15:00,{opened},,Waiting,High",
            f"E,1,2024-05-06 08:00,{opened},,New,High",
            f"E,2,2024-05-06 10:00,{opened},2024-05-07 08:00,Waiting,High",  # resolved by waiting
        ],
    )
    labelled = prepare_tickets(policy, replace(sla, pause=WAITING), cost)
    frame = by_id(labelled)
    assert frame["resolution_hours"].dropna().to_dict() == {"A": 4, "B": 8.5, "E": 2}
    assert frame["breach"].to_dict() == {"A": False, "B": True, "C": True, "E": False}
    assert frame.loc["B", "label_known_at"] == pd.Timestamp("2024-05-06 18:00")
    assert labelled.dropped == {"open": 1}
    without = by_id(prepare_tickets(policy, sla, cost))
    assert without["breach"].all()
    assert len(without) == 5


def test_labels_of_a_log_are_those_of_looking_at_every_second(
    tmp_path, office, cost, worked_seconds
):
    rng = np.random.default_rng(3)
    start = pd.Timestamp("2024-03-18")
    rows, truth = [], {}
    clock = replace(office.clock, timezone="Europe/Berlin", holidays=[PublicHolidays("DE", "BY")])
    first = int(start.timestamp())
    worked = worked_seconds(clock, first, first + 60 * 86_400)
    for ticket in range(400):
        moments = np.sort(rng.integers(0, 12 * 86_400, rng.integers(2, 9)))
        statuses = rng.choice(["Active", "Waiting", "On hold"], len(moments))
        mine = worked.copy()
        for begin, end, status in zip(moments[:-1], moments[1:], statuses[:-1], strict=True):
            if status != "Active":
                mine[begin:end] = False
        truth[str(ticket)] = np.count_nonzero(mine[moments[0] : moments[-1]])
        for number, (moment, status) in enumerate(zip(moments, statuses, strict=True)):
            last = number == len(moments) - 1
            times = [f"{start + pd.Timedelta(seconds=int(each))}+00:00"
                     for each in (moment, moments[0], moments[-1])]  # fmt: skip
            rows.append(
                f"{ticket},{number},{times[0]},{times[1]},{times[2] if last else ''},"
                f"{'Done' if last else status},High"
            )
    policy = write_log(tmp_path / "log.csv", rows)
    policy.timezone = "Europe/Berlin"
    frame = by_id(prepare_tickets(policy, replace(office, clock=clock, pause=WAITING), cost))
    expected = pd.Series(truth)
    assert (frame["resolution_hours"] * 3600).round().eq(expected).all()
    assert frame["breach"].eq(expected > 8 * 3600).all()
    assert (frame["breach"] == (frame["resolved_at"] > frame["target_passes_at"])).all()
    assert 0.2 < frame["breach"].mean() < 0.9


def test_an_event_without_a_date_is_told(tmp_path, sla, cost):
    policy = write_log(
        tmp_path / "log.csv",
        ["A,1,2024-05-06 08:00,2024-05-06 08:00,,New,High", "A,2,soon,2024-05-06 08:00,,New,High"],
    )
    with pytest.raises(InputError, match=r"event_date: 1.*log\.csv, row 2: column Changed"):
        prepare_tickets(policy, replace(sla, pause=WAITING), cost)


def test_pauses_of_events_may_lie_in_one_another(tmp_path, sla, cost):
    """Each event tells of a pause of its own: 10 to 14, 11 to 12 and 13 to 16."""
    columns = {**COLUMNS, "held_from": "From", "held_until": "Until"}
    opened = "2024-05-06 08:00"
    (tmp_path / "log.csv").write_text(
        "Id,N,Changed,Opened,Done,Status,Prio,From,Until\n"
        f"A,1,,{opened},,New,High,2024-05-06 10:00,2024-05-06 14:00\n"
        f"A,2,,{opened},,New,High,2024-05-06 11:00,2024-05-06 12:00\n"
        f"A,3,,{opened},,New,High,,\n"
        f"A,4,,{opened},2024-05-06 20:00,New,High,2024-05-06 13:00,2024-05-06 16:00\n"
    )
    policy = replace(log_policy(tmp_path / "log.csv"), columns=columns)
    policy.dates = ["changed_at", "held_from", "held_until"]
    pause = Pause(begins="held_from", ends="held_until")
    frame = by_id(prepare_tickets(policy, replace(sla, pause=pause), cost))
    assert frame["resolution_hours"].tolist() == [6]


def paused_columns(make_policy, **settings):
    columns = {
        "ticket_id": "Id",
        "created_at": "Opened",
        "held": "Replied",
        "resolved_at": "Done",
        "priority": "Prio",
    }
    return make_policy(columns=columns, known=Known(), **settings)


def test_minutes_in_a_column_are_taken_off(write, make_policy, sla, cost):
    write(
        [
            "1,2024-05-06 08:00,60,2024-05-06 17:00,High",  # 8 h of 8
            "2,2024-05-06 08:00,59.5,2024-05-06 17:00,High",
            "3,2024-05-06 08:00,,2024-05-06 17:00,High",
            "4,2024-05-06 08:00,9999,2024-05-06 17:00,High",
        ]
    )
    paused = replace(sla, pause=Pause(minutes="held"))
    frame = by_id(prepare_tickets(paused_columns(make_policy), paused, cost))
    assert frame["breach"].tolist() == [False, True, True, False]
    assert frame["resolution_hours"].tolist() == pytest.approx([8, 8 + 1 / 120, 9, 0])
    assert frame.loc["2", "label_known_at"] == pd.Timestamp("2024-05-06 16:59:30")


@pytest.mark.parametrize("minutes", ["-5", "an hour", "inf"])
def test_minutes_are_numbers_of_at_least_0(write, make_policy, sla, cost, minutes):
    write([f"1,2024-05-06 08:00,{minutes},2024-05-06 17:00,High"])
    with pytest.raises(InputError, match=rf"row 1: column 'Replied'.*{minutes}"):
        prepare_tickets(
            paused_columns(make_policy), replace(sla, pause=Pause(minutes="held")), cost
        )


def test_a_due_date_moves_by_the_pauses_before_it(write, make_policy, office, cost):
    header = "Id,Opened,Due,Done,Prio,From,Until"
    opened, due = "2024-05-03 09:00", "2024-05-03 16:00"
    write(
        [
            f"1,{opened},{due},2024-05-06 09:30,Low,,",
            f"2,{opened},{due},2024-05-06 09:30,Low,2024-05-03 12:00,2024-05-03 15:00",  # 9:00
            f"3,{opened},{due},2024-05-06 08:30,Low,2024-05-03 12:00,2024-05-03 15:00",
            f"4,{opened},{due},2024-05-06 09:30,Low,2024-05-03 17:00,2024-05-06 09:30",  # too late
            f"5,{opened},2024-05-04 12:00,2024-05-04 13:00,Low,,",  # due on a Saturday
        ],
        header=header,
    )
    columns = dict(zip(("ticket_id", "created_at", "due_at", "resolved_at", "priority", "held_from",
                        "held_until"), header.split(","), strict=True))  # fmt: skip
    policy = make_policy(
        columns=columns,
        dates=["held_from", "held_until"],
        known=Known(),
        label=Label(kind=LabelKind.due_date),
    )
    paused = replace(office, pause=Pause(begins="held_from", ends="held_until"))
    frame = by_id(prepare_tickets(policy, paused, cost))
    assert frame["breach"].tolist() == [True, True, False, True, True]
    assert frame["sla_target_hours"].tolist() == [7, 7, 7, 7, 9]
    assert frame["target_passes_at"].astype(str).tolist() == [
        "2024-05-03 16:00:00",
        "2024-05-06 09:00:00",
        "2024-05-06 09:00:00",
        "2024-05-03 16:00:00",
        "2024-05-04 12:00:00",
    ]


@pytest.mark.parametrize(
    ("pause", "told"),
    [
        (Pause(statuses=["Waiting"]), "changed_at"),
        (Pause(changed_at="created_at"), "statuses"),
        (Pause(statuses=["Waiting"], changed_at="created_at"), "no event log"),
        (Pause(begins="created_at"), "ends"),
        (Pause(minutes="held", begins="created_at", ends="resolved_at"), "cannot both"),
        (Pause(minutes="nowhere"), "nowhere"),
        (Pause(minutes="created_at"), "is a date"),
        (Pause(begins="created_at", ends="held"), "data.dates"),
    ],
)
def test_a_pause_that_cannot_be_read_is_refused(make_policy, sla, cost, pause, told):
    with pytest.raises(InputError, match=rf"sla\.pause.*{told}"):
        prepare_tickets(paused_columns(make_policy), replace(sla, pause=pause), cost)


# Time zones ---------------------------------------------------------------------------------------


def test_times_of_all_kinds_are_read_as_what_they_say(write, make_policy, sla, cost):
    """All are opened at 7:00 UTC and resolved two hours later."""
    write(
        [
            "1,2024-05-06 09:00,,2024-05-06 11:00,Low",
            "2,2024-05-06T07:00:00Z,,2024-05-06 11:00,Low",
            "3,2024-05-06T03:00:00-04:00,,2024-05-06T09:00:00+00:00,Low",
            "4,20240506T090000+0200,,2024-05-06T12:30:00.000+03:30,Low",
        ]
    )
    labelled = prepare_tickets(make_policy(timezone="Europe/Berlin"), sla, cost)
    assert labelled.frame["resolution_hours"].tolist() == [2, 2, 2, 2]
    assert (labelled.frame["created_at"] == pd.Timestamp("2024-05-06 07:00")).all()
    assert labelled.notes == ()


def test_local_times_in_doubt_are_decided_and_counted(write, make_policy, sla, cost):
    write(
        [
            "1,2024-03-31 01:30,,2024-03-31 03:30,Low",  # an hour was left out
            "2,2024-03-31 02:30,,2024-03-31 04:30,Low",  # does not occur: read as 03:30
            "3,2024-10-27 02:30,,2024-10-27 03:30,Low",  # occurs twice: the first
            "4,2024-10-27T02:30:00+01:00,,2024-10-27 03:30,Low",  # says which
        ]
    )
    labelled = prepare_tickets(make_policy(timezone="Europe/Berlin"), sla, cost)
    assert labelled.frame["resolution_hours"].tolist() == [1, 1, 2, 1]
    assert [note.split("): ")[1].split(",")[0] for note in labelled.notes] == ["1", "1"]
    # without a zone nothing is known of clocks
    write(["1,2024-03-31 01:30,,2024-03-31 03:30,Low", "3,2024-10-27 02:30,,2024-10-27 03:30,Low"])
    plain = prepare_tickets(make_policy(), sla, cost)
    assert plain.frame["resolution_hours"].tolist() == [2, 1]


def test_times_with_an_offset_need_the_zone_of_the_hours(write, make_policy, office, cost):
    write(["1,2024-05-06 09:00Z,,2024-05-06 11:00Z,Low"])
    with pytest.raises(InputError, match=r"data\.timezone.*2 times carry an offset"):
        prepare_tickets(make_policy(), office, cost)
    zone = replace(office, clock=replace(office.clock, timezone="Europe/Berlin"))
    with pytest.raises(InputError, match=r"clock\.timezone=Europe/Berlin.*data\.timezone"):
        prepare_tickets(make_policy(), zone, cost)


def test_a_clock_may_be_in_another_zone_than_the_times(write, make_policy, office, cost):
    write(["1,2024-05-06 20:00,,2024-05-06 23:00,Low"])
    policy = make_policy(timezone="Europe/Berlin")
    assert by_id(prepare_tickets(policy, office, cost))["resolution_hours"].tolist() == [0]
    abroad = replace(office, clock=replace(office.clock, timezone="America/New_York"))
    assert by_id(prepare_tickets(policy, abroad, cost))["resolution_hours"].tolist() == [3]


def test_days_of_a_config_are_those_of_the_data():
    assert read_moment("2024-05-01", None) == pd.Timestamp("2024-05-01")
    assert read_moment("2024-05-01", "Europe/Berlin") == pd.Timestamp("2024-04-30 22:00")
    assert read_moment("2024-05-01T00:00Z", "Europe/Berlin") == pd.Timestamp("2024-05-01")
