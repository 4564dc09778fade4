"""SR023: labels came in as usual."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from slarisk.checks.label_health import find_outages

UNTIL = pd.Timestamp("2024-07-01")


def make_tickets(per_day=20, wait="1D", seed=0):
    """Tickets of half a year with a fifth as many at weekends, each labelled some time later."""
    rng = np.random.default_rng(seed)
    days = pd.date_range("2024-01-01", UNTIL, freq="D")
    counts = rng.poisson(np.where(days.day_of_week < 5, per_day, per_day / 5))
    created = pd.Series(days.repeat(counts)) + pd.to_timedelta(
        rng.uniform(0, 24, counts.sum()), unit="h"
    )
    known = created + pd.Timedelta(wait)
    return pd.DataFrame(
        {"created_at": created, "label_known_at": known, "breach": rng.random(len(created)) < 0.3}
    )


def stop_labels(tickets, begin, end, breached=True):
    """Label what was due in between at the end of it, as breached."""
    begin, end = pd.Timestamp(begin), pd.Timestamp(end)
    waits = tickets["label_known_at"].between(begin, end, inclusive="left")
    return tickets.assign(
        label_known_at=tickets["label_known_at"].mask(waits, end),
        breach=tickets["breach"] | (waits & breached),
    )


@pytest.mark.parametrize("seed", range(25))
@pytest.mark.parametrize("per_day", [4, 8, 30])
def test_where_labels_come_in_as_usual_none_is_found(per_day, seed):
    assert find_outages(make_tickets(per_day, seed=seed), UNTIL) == []


def test_an_outage_is_named_with_its_tickets():
    tickets = stop_labels(make_tickets(wait="2D"), "2024-03-11", "2024-03-25")
    (outage,) = find_outages(tickets, UNTIL)
    assert (outage.begin, outage.end) == (pd.Timestamp("2024-03-11"), pd.Timestamp("2024-03-25"))
    assert outage.labels == 0
    late = tickets["label_known_at"] == outage.end
    on_time = tickets["created_at"].between("2024-03-09", "2024-03-25", inclusive="left") & (
        tickets["label_known_at"] > outage.end
    )
    assert outage.late == (late | on_time).sum()
    assert outage.late_breached == tickets["breach"][late | on_time].sum()
    assert outage.usual == pytest.approx(outage.late, rel=0.2)
    # due within the outage: created up to two days before it
    assert outage.quarantine == (
        "{created: [2024-03-09, 2024-03-25], why: no labels from 2024-03-11 to 2024-03-24}"
    )
    inside = tickets["created_at"].between("2024-03-09", "2024-03-25")
    assert inside[late].all()


def test_an_outage_is_seen_while_it_lasts():
    tickets = stop_labels(make_tickets(), "2024-03-11", "2024-03-25")
    ends = {
        day: [outage.end for outage in find_outages(tickets, pd.Timestamp(day))]
        for day in ("2024-03-14", "2024-03-15", "2024-03-20")
    }
    assert ends == {
        "2024-03-14": [],  # on a Monday the few tickets of Sunday are labelled
        "2024-03-15": [pd.Timestamp("2024-03-15")],
        "2024-03-20": [pd.Timestamp("2024-03-20")],
    }


def test_nothing_known_later_is_used():
    tickets = stop_labels(make_tickets(), "2024-03-11", "2024-03-25")
    cut = pd.Timestamp("2024-03-20")
    later = tickets["label_known_at"] >= cut
    altered = tickets.assign(
        breach=tickets["breach"] ^ later,
        label_known_at=tickets["label_known_at"].mask(later, pd.Timestamp("2025-01-01")),
    )
    assert find_outages(altered, cut) == find_outages(tickets, cut)


def test_a_holiday_is_no_outage():
    """Nobody writes tickets either."""
    tickets = make_tickets()
    closed = tickets["created_at"].between("2024-03-11", "2024-03-18")
    assert find_outages(tickets[~closed].reset_index(drop=True), UNTIL) == []


def test_the_first_days_of_an_export_have_no_labels_yet():
    assert find_outages(make_tickets(wait="12D"), UNTIL) == []


def test_a_log_without_labels_has_no_outage():
    assert find_outages(make_tickets().assign(label_known_at=pd.NaT), UNTIL) == []


def test_the_check_proposes_a_quarantine(clean, examine, composed):
    assert examine("SR023", clean).verdict.value == "ok"
    frame = stop_labels(clean.tickets.frame, "2024-05-06", "2024-05-27")
    found = examine("SR023", replace(clean, tickets=replace(clean.tickets, frame=frame)))
    assert found.verdict.value == "warning"
    proposed = found.detail[found.detail.index("[{created") :]
    config = composed(f"data.label.quarantine={proposed}")
    assert config.data.label.quarantine[0].created[1] == "2024-05-27"
