import numpy as np
import pandas as pd
import pytest

from slarisk.analysis.trend import count_hours, find_trend, measure_kpi


def test_a_trend_takes_the_longest_unit_that_gives_enough_points(outcome):
    day = np.arange("2024-01-01", "2024-03-01", dtype="datetime64[D]")  # 60 days
    trend = find_trend(outcome(np.arange(60) < 30, price=10, created=day), 0.95)
    assert trend.unit == "week"
    assert trend.table["tickets"].sum() == 60
    assert trend.table["breaches"].sum() == 30
    assert trend.table["total_cost"].sum() == 300
    assert trend.table["start"].iloc[0] == pd.Timestamp("2024-01-01")
    assert trend.table["breach_rate"].iloc[[0, -1]].tolist() == [1, 0]


@pytest.mark.parametrize(("days", "unit"), [(0.1, None), (1, "hour"), (20, "day"), (4000, "month")])
def test_units(outcome, days, unit):
    created = pd.date_range("2020-01-01", periods=50, freq=pd.Timedelta(days=days / 49))
    trend = find_trend(outcome(np.zeros(50), created=created.to_numpy()), 0.95)
    assert (trend.unit if trend else None) == unit


def test_a_time_whose_open_tickets_could_change_its_rate_is_not_settled(outcome):
    created = np.arange("2024-01-01", "2024-03-11", dtype="datetime64[D]").repeat(10)  # ten weeks
    still_open = pd.Series(pd.to_datetime(["2024-02-27", *["2024-03-06"] * 40, None]))
    trend = find_trend(
        outcome(np.arange(700) % 10 < 3, price=10, created=created), 0.95, still_open
    )
    assert trend.table["still_open"].tolist() == [0] * 8 + [1, 40]
    # by Wilson 21 of 70 is at most 41.5%; with one more it is 31.0%, with forty 55.5%
    assert trend.table["rate_high"].iloc[-1] == pytest.approx(0.415, abs=0.001)
    assert trend.table["settled"].tolist() == [True] * 9 + [False]
    assert trend.settled["start"].max() == pd.Timestamp("2024-02-26")


def test_without_times_there_is_no_trend(outcome):
    assert find_trend(outcome([0, 1]), 0.95) is None


def test_the_kpi_by_hand(code, outcome):
    field = code("priority", ["Critical"] * 20 + ["Low"] * 5)
    kpi = measure_kpi(field, "Critical", outcome([1] * 4 + [0] * 21), 0.1, 0.95)
    assert (kpi.tickets, kpi.breaches, kpi.rate) == (20, 4, 0.2)
    # P(at least 4 of 20 at 10%) = 1 - .12158 - .27017 - .28518 - .19012
    assert kpi.p_value == pytest.approx(0.13295, abs=1e-5)
    assert measure_kpi(field, "Urgent", outcome([0] * 25), 0.1, 0.95) is None


def test_hours_by_priority_against_their_target(code, outcome):
    field = code("priority", ["High", "High", "Low", "Low"])
    outcomes = outcome([0] * 4, hours=[1, 100, 10, np.nan], target=[8, 8, 72, 72])
    high, low = count_hours(field, outcomes)
    assert (high.name, high.target, high.median) == ("High", 8, 50.5)
    assert (low.name, low.target, low.counts.sum()) == ("Low", 72, 1)
    assert (high.counts.sum(), high.late.sum(), low.late.sum()) == (2, 1, 0)
    assert count_hours(None, outcome([1, 0])) == []


def test_hours_without_priorities_are_those_of_all(outcome):
    (everything,) = count_hours(None, outcome([0, 1], hours=[5, 5]))
    assert everything.counts.sum() == 2
    assert np.isnan(everything.target)
