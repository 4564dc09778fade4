import re
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from slarisk.analysis.changes import Changes
from slarisk.analysis.drivers import Driver
from slarisk.analysis.escalation import BY_PRIORITY, BY_SAVING, ChampionScores, Escalation
from slarisk.reports.findings import (
    describe_driver,
    describe_dropped,
    describe_edge,
    list_caveats,
    list_findings,
)
from slarisk.stats.independence import HypothesisTest


def find(analysis, topic):
    return next(each.text for each in list_findings(analysis) if each.topic == topic)


def numbers(text):
    """The numbers of a text, with their signs and units."""
    return re.findall(r"[-+]?\$?\d+(?:,\d{3})*(?:\.\d+)?%?", text)


@pytest.mark.parametrize(
    ("topic", "figures"),
    [
        ("The size of it", ["18", "100", "18.0%", "11.7%", "26.7%", "$5,080", "$50.80"]),
        ("The KPI", ["50.0%", "29.9%", "70.1%", "5.0", "10%"]),
        ("Where the money goes", ["20%", "98%"]),
        ("What helps most", ["20%", "$333", "$1,000"]),
        ("Scenarios", ["1", "1", "5", "$2,500", "$1,500", "$1,000"]),
    ],
)
def test_findings_state_the_figures(analysis, topic, figures):
    assert numbers(find(analysis, topic))[: len(figures)] == figures


def test_the_kpi_has_a_verdict_for_each_place_of_target_and_interval(analysis):
    verdicts = set()
    for rate, low, high in (
        (0.0, 0.0, 0.037),
        (0.05, 0.009, 0.236),
        (0.1, 0.05, 0.2),
        (0.15, 0.052, 0.36),
        (0.3, 0.2, 0.4),
    ):
        kpi = replace(analysis.kpi, rate=rate, low=low, high=high)
        text = find(replace(analysis, kpi=kpi), "The KPI")
        assert numbers(text)[:3] == [f"{each:.1%}" for each in (rate, low, high)]
        verdicts.add(text.split(": ")[1])
    assert len(verdicts) == 5


def test_a_target_is_written_with_all_its_digits(analysis):
    kpi = replace(analysis.kpi, target=0.075)
    assert numbers(find(replace(analysis, kpi=kpi), "The KPI"))[-1] == "7.5%"


# What is equal when printed has not changed ------------------------------------------------------


def change(analysis, before, low, high, mix=None):
    """The finding on a change from ``before`` breaches of 100,000 to 26,200 of them."""
    now = replace(analysis.period, tickets=100_000, breaches=26_200)
    earlier = replace(now, breaches=before)
    changes = Changes(earlier, now, low, high, mix or {}, {}, pd.DataFrame())
    return find(replace(analysis, changes=changes), "What changed")


@pytest.mark.parametrize("before", [26_160, 26_200, 26_240])
def test_a_rate_that_is_printed_alike_is_stated_once(analysis, before):
    text = change(analysis, before, 0.0001, 0.0009, {"team": 0.001})
    assert numbers(text) == ["26.2%", "+0.0", "+0.1"]


def test_a_change_states_both_rates_and_its_parts(analysis):
    text = change(analysis, 20_000, 0.05, 0.07, {"team": 0.04, "area": -0.001})
    assert numbers(text) == ["20.0%", "26.2%", "+5.0", "+7.0", "+6.2", "+4.0"]
    assert "team" in text
    possible = change(analysis, 20_000, -0.01, 0.13, {"team": 0.04})
    assert numbers(possible) == ["20.0%", "26.2%", "-1.0", "+13.0"]
    fell = change(analysis, 30_000, -0.05, -0.03)
    assert text.split("20.0%")[0] != fell.split("30.0%")[0]  # rose, and fell


@pytest.mark.parametrize(("gain", "stated"), [(0.4, []), (-0.4, []), (3.0, ["$3"])])
def test_a_gain_of_no_dollar_is_none(gain, stated):
    table = pd.DataFrame(
        {"per_day": [5.0], "ranking": [BY_SAVING], "averted": [9.0], "averted_share": [0.5]}
    ).assign(spent=2.0)
    scores = ChampionScores("model", np.ones(1, bool), np.ones(1), {"test": 1})
    row = pd.Series({"per_day": 5.0, "rival": BY_PRIORITY, "gain": gain})
    row["gain_low"], row["gain_high"] = -8.0, 8.0
    escalation = Escalation(table, row.to_frame().T, {}, 1, 1, scores)
    assert numbers(describe_edge(escalation, row)) == ["5", "$9", "50%", "$2", *stated, "-$8", "$8"]


@pytest.mark.parametrize("welch", [None, HypothesisTest("Welch's t", 0.1, 0.9, 9)])
@pytest.mark.parametrize(("high", "stated"), [("34.1%", ["34.1%"]), ("35.0%", ["34.1%", "35.0%"])])
def test_levels_that_are_printed_alike_are_stated_once(welch, high, stated):
    test = HypothesisTest("chi-square", 0.1, 0.9, 1)
    low = "a 34.1%" if welch is None else "met: mean 34.1%"
    top = f"b {high}" if welch is None else f"breached: mean {high}"
    driver = Driver("team", 9, test, 0.01, "Cramér's V", low, top, welch, q_value=0.9)
    assert sorted(numbers(describe_driver(driver))[:-1]) == stated


# Dropped tickets and caveats ----------------------------------------------------------------------


def test_every_ticket_is_accounted_for(analysis):
    assert numbers(describe_dropped(analysis)) == ["200", "100", "90", "10"]
    whole = replace(analysis, rows_in=100, dropped={})
    assert numbers(describe_dropped(whole)) == ["100"]


def test_caveats_are_those_of_the_data(analysis, composed):
    caveats = [numbers(each) for each in list_caveats(analysis)]
    assert caveats[:2] == [["50%"], ["3", "18", "$0"]]
    imputed = replace(analysis, config=composed("data=kaggle", root="analyze"))
    assert [numbers(each) for each in list_caveats(imputed)] == [["1", "5"], *caveats]


def test_small_segments_are_counted(analysis):
    breakdown = analysis.breakdowns[("priority",)]
    tiny = breakdown.table.assign(tickets=[3, 97])
    small = replace(analysis, breakdowns={("priority",): replace(breakdown, table=tiny)})
    (more,) = {*list_caveats(small)} - {*list_caveats(analysis)}
    assert numbers(more) == ["1", "10"]
