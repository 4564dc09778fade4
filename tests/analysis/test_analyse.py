"""The parts of an analysis, put together on the same tickets."""

import numpy as np
import pytest

from slarisk.analysis.analyse import analyse_tickets
from slarisk.analysis.changes import EarlierAnalysis, tabulate_segments
from slarisk.analysis.escalation import BY_SAVING, ChampionScores
from slarisk.errors import InputError
from slarisk.tickets.prepare import prepare_tickets


@pytest.fixture(scope="module")
def path(tmp_path_factory, write_tickets):
    return write_tickets(tmp_path_factory.mktemp("export") / "tickets.csv")


@pytest.fixture
def analyse(path, composed):
    def analyse_export(*overrides, champion="no champion", earlier=None):
        config = composed(f"data.path={path}", "bootstrap_draws=20", *overrides, root="analyze")
        tickets = prepare_tickets(config.data, config.sla, config.cost)
        if callable(champion):
            champion = champion(tickets)
        return tickets, analyse_tickets(tickets, config, "run", "policy", champion, earlier)

    return analyse_export


def test_all_parts_are_of_the_same_tickets(analyse):
    tickets, found = analyse()
    breaches, cost = tickets.frame["breach"].sum(), tickets.frame.query("breach")["breach_cost"]
    assert (found.period.tickets, found.period.breaches) == (600, breaches)
    assert found.period.total_cost == cost.sum()
    assert found.rows_in == found.period.tickets + sum(found.dropped.values())
    assert found.rate_low < found.period.rate < found.rate_high
    for breakdown in found.breakdowns.values():
        assert breakdown.table["tickets"].sum() == 600
        assert breakdown.table["total_cost"].sum() == pytest.approx(cost.sum())
    assert {"priority", "channel", "hour", "weekday"} <= {names[0] for names in found.breakdowns}
    assert sum(each.counts.sum() for each in found.hours) == 600
    assert found.drivers[0].name == "channel"  # on which alone the breaches depend
    assert found.groups.table["tickets"].sum() == 600
    assert found.kpi.tickets == (tickets.frame["priority"] == "Critical").sum()
    assert (found.escalation, found.changes) == ("no champion", None)


def test_the_fields_of_the_config_are_added(analyse):
    _, found = analyse("fields=[customer_age]", "measures.fields=[channel]")
    assert ("customer_age",) in found.breakdowns
    assert found.ranked.fields == ("channel",)
    _, found = analyse()
    assert ("customer_age",) not in found.breakdowns
    assert found.ranked.fields == ("priority", "channel", "ticket_type", "product")
    with pytest.raises(InputError, match=r"^fields: "):
        analyse("fields=[colour]")


def test_the_champion_is_measured_on_the_tickets_that_it_scored(analyse):
    """The scores are the outcomes themselves, so that no limit escalates just the breaches."""

    def score_some(tickets):
        scored = np.arange(len(tickets.frame)) % 3 == 0
        breach = tickets.frame["breach"].to_numpy(dtype=bool)[scored]
        return ChampionScores("best", scored, breach.astype(float), {"test": int(scored.sum())})

    tickets, found = analyse("cost=notebook", "capacities=[1]", champion=score_some)
    scored = tickets.frame.iloc[::3].query("breach")
    table = found.escalation.table
    row = table[table["per_day"].isna() & table["ranking"].eq(BY_SAVING)].iloc[0]
    assert found.escalation.tickets == 200
    assert row["escalated"] == len(scored)
    assert row["averted"] == scored["breach_cost"].sum()
    assert row["averted_share"] == 1


def test_an_analysis_has_not_changed_from_itself(analyse):
    _, first = analyse()
    earlier = EarlierAnalysis(first.period, tabulate_segments(first.breakdowns))
    changes = analyse(earlier=earlier)[1].changes
    assert changes.same_policy
    assert (changes.table["change"] == 0).all()
    assert {*changes.mix.values(), *changes.own.values()} == {0.0}
