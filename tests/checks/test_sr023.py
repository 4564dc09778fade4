"""SR023: ends of tickets were recorded as usual."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from slarisk.checks.label_health import find_outages
from slarisk.datasets.sample import Desk, generate_tickets

UNTIL = pd.Timestamp("2024-07-01")


def make_tickets(per_day=20, wait="1D", seed=0):
    """Tickets of half a year with a fifth as many at weekends, each ended some time later."""
    rng = np.random.default_rng(seed)
    days = pd.date_range("2024-01-01", UNTIL, freq="D")
    counts = rng.poisson(np.where(days.day_of_week < 5, per_day, per_day / 5))
    created = pd.Series(days.repeat(counts)) + pd.to_timedelta(
        rng.uniform(0, 24, counts.sum()), unit="h"
    )
    ended = created + pd.Timedelta(wait)
    return pd.DataFrame(
        {"created_at": created, "recorded_at": ended, "breach": rng.random(len(created)) < 0.3}
    )


def stop_records(tickets, begin, end, record="recorded_at"):
    """Record what ended in between at the end of it, as breached."""
    begin, end = pd.Timestamp(begin), pd.Timestamp(end)
    waits = tickets[record].between(begin, end, inclusive="left")
    return tickets.assign(
        **{record: tickets[record].mask(waits, end)}, breach=tickets["breach"] | waits
    )


@pytest.mark.parametrize("seed", range(25))
@pytest.mark.parametrize("per_day", [4, 8, 30])
def test_where_ends_are_recorded_as_usual_none_is_found(per_day, seed):
    assert find_outages(make_tickets(per_day, seed=seed), UNTIL) == []


def test_an_outage_is_named_with_its_tickets():
    tickets = stop_records(make_tickets(wait="2D"), "2024-03-11", "2024-03-25")
    (outage,) = find_outages(tickets, UNTIL)
    assert (outage.begin, outage.end) == (pd.Timestamp("2024-03-11"), pd.Timestamp("2024-03-25"))
    assert outage.records == 0
    late = tickets["recorded_at"] == outage.end
    on_time = tickets["created_at"].between("2024-03-09", "2024-03-25", inclusive="left") & (
        tickets["recorded_at"] > outage.end
    )
    assert outage.late == (late | on_time).sum()
    assert outage.late_breached == tickets["breach"][late | on_time].sum()
    assert outage.usual == pytest.approx(outage.late, rel=0.2)
    # due within the outage: created up to two days before it
    assert outage.quarantine == (
        "{created: [2024-03-09, 2024-03-25], why: no ends recorded from 2024-03-11 to 2024-03-24}"
    )
    inside = tickets["created_at"].between("2024-03-09", "2024-03-25")
    assert inside[late].all()


def test_an_outage_is_seen_while_it_lasts():
    tickets = stop_records(make_tickets(), "2024-03-11", "2024-03-25")
    ends = {
        day: [outage.end for outage in find_outages(tickets, pd.Timestamp(day))]
        for day in ("2024-03-14", "2024-03-15", "2024-03-20")
    }
    assert ends == {
        "2024-03-14": [],  # on a Monday the few tickets of Sunday are recorded
        "2024-03-15": [pd.Timestamp("2024-03-15")],
        "2024-03-20": [pd.Timestamp("2024-03-20")],
    }


def test_nothing_recorded_later_is_used():
    tickets = stop_records(make_tickets(), "2024-03-11", "2024-03-25")
    cut = pd.Timestamp("2024-03-20")
    later = tickets["recorded_at"] >= cut
    altered = tickets.assign(
        breach=tickets["breach"] ^ later,
        recorded_at=tickets["recorded_at"].mask(later, pd.Timestamp("2025-01-01")),
    )
    assert find_outages(altered, cut) == find_outages(tickets, cut)


def test_a_holiday_is_no_outage():
    """Nobody writes tickets either."""
    tickets = make_tickets()
    closed = tickets["created_at"].between("2024-03-11", "2024-03-18")
    assert find_outages(tickets[~closed].reset_index(drop=True), UNTIL) == []


def test_the_first_days_of_an_export_have_no_ends_yet():
    assert find_outages(make_tickets(wait="12D"), UNTIL) == []


def test_a_log_without_ends_has_no_outage():
    assert find_outages(make_tickets().assign(recorded_at=pd.NaT), UNTIL) == []


def test_the_check_proposes_a_quarantine(clean, examine, composed):
    assert examine("SR023", clean).verdict.value == "ok"
    frame = stop_records(clean.tickets.frame, "2024-05-06", "2024-05-27", "resolved_at")
    found = examine("SR023", replace(clean, tickets=replace(clean.tickets, frame=frame)))
    assert found.verdict.value == "warning"
    proposed = found.detail[found.detail.index("[{created") :]
    config = composed(f"data.label.quarantine={proposed}")
    assert config.data.label.quarantine[0].created[1] == "2024-05-27"


@pytest.mark.parametrize("stretch", [1, 5])
def test_an_outage_of_records_is_found_where_breaches_are_known_by_their_target(stretch):
    """Labels come in all the time: every ticket breaches."""
    desk = Desk(stretch=stretch, outage=("2024-09-09", "2024-09-23"))
    for made in (desk, Desk(stretch=stretch)):
        tickets = generate_tickets(6_000, seed=3, desk=made).tickets
        frame = pd.DataFrame(
            {
                "created_at": pd.to_datetime(tickets["Created At"]),
                "recorded_at": pd.to_datetime(tickets["Time to Resolution"]),
                "breach": True,
            }
        )
        found = find_outages(frame, pd.Timestamp("2024-10-22"))
        assert [(outage.begin, outage.end) for outage in found] == (
            [(pd.Timestamp("2024-09-09"), pd.Timestamp("2024-09-23"))] if made is desk else []
        )
