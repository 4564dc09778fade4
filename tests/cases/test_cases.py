"""Exports as real systems write them, each with the policy a user wrote, and the right labels."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import pytest

from slarisk.errors import InputError
from slarisk.tickets.prepare import LabelledTickets, prepare_tickets

HERE = Path(__file__).resolve().parent


@dataclass(frozen=True)
class Answer:
    """Ids of tickets that breached and of those that did not; counts of the others by reason."""

    breached: str = ""
    met: str = ""
    dropped: dict[str, int] = field(default_factory=dict)
    overrides: tuple[str, ...] = ()


ANSWERS = {
    # closed on the day on which they were opened: no time at all, so met
    "r01": Answer("2 6 8", "1 3 4 5 7 9 10"),
    # due before created cannot be labelled; due when created is late; closed in its first minute
    "r03": Answer("3 5", "4", {"due_before_created": 2}),
    # a column that says No of open tickets says nothing
    "r04": Answer("1", "2 5", {"open": 2}),
    # YAML's Yes is a truth value
    "r06a": Answer("1", "2 3"),
    # 1 is what pandas writes as 1.0
    "r06d": Answer("1", "2 3"),
    # a date that cannot be read, and that no label needs
    "r07": Answer("1 2", "3 4"),
    # minutes to resolve, and no date
    "r09": Answer("2", "1"),
    # milliseconds since 1970
    "r17": Answer("1", "2"),
    # a time zone whose clocks change
    "r18c": Answer("1 2", "", overrides=("data.timezone=Europe/Berlin",)),
    # SLA hours of each ticket, and minutes on hold
    "r51": Answer("2 3", "1 4", overrides=("sla.pause.minutes=hold",)),
    # AM and PM
    "r20": Answer("1 3 6 7", "2 4 5"),
    # a log of events, resolved by the first of a kind
    "r24": Answer("2 3", "1 4", overrides=("sla.default_target=24", "sla.default_cost=10")),
    # letter case of priorities
    "r28": Answer("", "1 2", {"unknown_priority": 1}, ("sla.unknown_priority=drop",)),
    # no due date is no SLA
    "r31": Answer("2", "1", {"no_sla": 3, "open": 1}),
    # date and time of day in columns of their own
    "r35": Answer("2", "1"),
    # closed without a date, and cancelled
    "r36": Answer("4", "1 5 6", {"closed_without_date": 1, "cancelled": 1}),
    # the name of a policy is a number
    "311": Answer("3", "1", {"unreadable_date": 1}),
    # the names of priorities are numbers
    "r50": Answer("1 2", "3"),
}


@pytest.fixture
def label(composed, monkeypatch):
    """Read and label the export of a case by its policy."""
    monkeypatch.chdir(HERE.parent.parent)

    def prepare(name: str, *overrides: str) -> LabelledTickets:
        config = composed(f"data='{name}'", *overrides, search=HERE)
        return prepare_tickets(config.data, config.sla, config.cost)

    return prepare


@pytest.mark.parametrize("name", ANSWERS)
def test_the_labels_are_right_and_every_row_is_accounted_for(label, name):
    answer = ANSWERS[name]
    labelled = label(name, *answer.overrides)
    breach = labelled.frame.set_index("ticket_id")["breach"]
    assert breach[breach].index.tolist() == answer.breached.split()
    assert breach[~breach].index.tolist() == answer.met.split()
    assert labelled.dropped == answer.dropped
    assert labelled.rows_in == len(labelled.frame) + sum(labelled.dropped.values())
    known, created = labelled.frame["label_known_at"], labelled.frame["created_at"]
    assert not (known < created).any()


def test_a_breach_value_that_no_row_has_is_refused_with_those_there_are(label):
    with pytest.raises(InputError, match=r"'No' \(2\), 'Yes' \(1\)"):
        label("r06a", "data.label.breach_value=Late")


def test_hours_that_count_to_24_and_a_half_of_the_day_are_refused(label):
    with pytest.raises(InputError, match=r"date_formats.*%H:%M %p.*%I"):
        label("r20", "data.date_formats=['%d/%m/%Y %H:%M %p']")


def test_times_with_and_without_an_offset_need_a_time_zone(label):
    with pytest.raises(InputError, match=r"2 of the 4 times .*data\.timezone"):
        label("r18b")
    breach = label("r18b", "data.timezone=UTC").frame["breach"]
    assert breach.tolist() == [False, True]  # 0 h, and 5 h


def test_hours_of_a_ticket_are_counted_by_the_clock(label):
    office = [f"sla.clock.week.{day}=['09:00-17:00']" for day in ("monday", "friday", "tuesday")]
    frame = label("r51", "sla.pause.minutes=hold", *office).frame.set_index("ticket_id")
    assert frame["resolution_hours"].to_dict() == {"1": 3, "2": 2, "3": 6, "4": 8}
    assert frame["breach"].to_dict() == {"1": False, "2": False, "3": True, "4": False}


def test_a_format_of_digits_alone_reads_no_other_number(label):
    """%Y%m%d%H%M%S read 1772442000000, a time in 2026, as the year 1772."""
    with pytest.raises(InputError, match="unreadable_date: 2"):
        label("r17", "data.date_formats=[ISO8601,'%Y%m%d%H%M%S']")


def test_dates_in_another_format_are_counted_and_shown(label):
    labelled = label("r46")
    assert labelled.dropped["unreadable_date"] == 240
    assert labelled.rows_in == 600 == len(labelled.frame) + sum(labelled.dropped.values())
    shown = [note for note in labelled.notes if "'02/01/2026 18:00'" in note]
    assert len(shown) == 1
    assert all(part in shown[0] for part in ("240", "row 6", "%Y-%m-%d %H:%M"))
