"""The page as a whole: that it is one well-formed file, and that text of the data stays text."""

import json
import re
from dataclasses import replace
from html.parser import HTMLParser

import numpy as np
import pytest

from slarisk.analysis.breakdowns import break_down, list_breakdowns
from slarisk.analysis.changes import EarlierAnalysis, compare_periods, tabulate_segments
from slarisk.analysis.drivers import find_drivers
from slarisk.analysis.escalation import ChampionScores, measure_escalation
from slarisk.analysis.groups import find_groups
from slarisk.analysis.interventions import rank_interventions
from slarisk.analysis.scenarios import SkippedScenario
from slarisk.analysis.trend import count_hours, find_trend
from slarisk.config import CostPolicy
from slarisk.decisions.costs import CostMatrix
from slarisk.decisions.effect import Effect
from slarisk.decisions.facts import TicketFacts
from slarisk.decisions.timing import TicketTimes, TimedCosts
from slarisk.reports.report import write_report

HARMLESS = ["Alpha", "Beta"]
EVIL = [
    "</script><script>alert(1)</script>",
    "\"'><img src=x onerror=alert(2)>",
    "{{ 7 * 7 }}{% raw %}",
    "<b onmouseover=alert(3)>%{x}&lt;",
]
VOID = {"meta", "link", "img", "br"}


class Page(HTMLParser):
    """A page as a browser takes it apart."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.texts, self.scripts, self.ids, self._open = [], [], {}, [], []
        self._script = None
        self.feed(text)
        self.close()
        assert not self._open

    def handle_starttag(self, tag, attrs):
        values = dict(attrs)
        self.tags.append((tag, tuple(values), values.get("class")))
        self.texts += [values.get(name) for name in ("title", "aria-label") if name in values]
        if "id" in values:
            self.ids.append(values["id"])
        if tag not in VOID:
            self._open.append(tag)
        self._script = values.get("id") if tag == "script" else None

    def handle_endtag(self, tag):
        assert self._open.pop() == tag

    def handle_data(self, data):
        if self._open[-1:] == ["script"]:
            if self._script:
                self.scripts[self._script] = json.loads(data)
        elif self._open[-1:] != ["style"]:
            self.texts.append(data)


def spell(values):
    """Every string in a JSON document."""
    if isinstance(values, str):
        yield values
    elif isinstance(values, dict):
        for each in values.values():
            yield from spell(each)
    elif isinstance(values, list):
        for each in values:
            yield from spell(each)


@pytest.fixture
def fill(analysis, code, outcome):
    """Fills every section; the names of teams, areas and all else that is text are given."""

    def fill_sections(first, second):
        rng = np.random.default_rng(0)
        n = 800
        team, area = rng.integers(0, 2, n), rng.integers(0, 2, n)
        breach = rng.random(n) < np.where(team, 0.8, 0.2)
        hours = rng.exponential(5, n)
        created = np.datetime64("2026-01-01") + np.arange(n).astype("timedelta64[h]")
        outcomes = outcome(breach, 100.0, hours, 4.0, created)
        fields = [
            code("team", np.array([first, second], object)[team]),
            code("priority", np.array([first, second], object)[area], natural=True),
        ]
        config = replace(
            analysis.config,
            min_tickets=1,
            data=replace(analysis.config.data, name=first, path=second),
            sla=replace(analysis.config.sla, name=first, aliases={first: second}),
            kpi=replace(analysis.config.kpi, value=first),
        )
        names = [*list_breakdowns([each.name for each in fields], ["team", "priority"])]
        coded = {each.name: each for each in fields}
        breakdowns = {key: break_down([coded[x] for x in key], outcomes, 0.95) for key in names}
        segments = tabulate_segments(breakdowns)
        period = replace(analysis.period, run_id=second, tickets=n, breaches=int(breach.sum()))
        ranked, best = rank_interventions(fields, outcomes, config.measures, 0.95, 20, 1, 0)
        probability = np.where(team, 0.8, 0.2)
        full = np.full(n, 100.0)
        return replace(
            analysis,
            config=config,
            period=period,
            dropped={second: 3},
            kpi=replace(analysis.kpi, segment=first),
            breakdowns=breakdowns,
            hours=count_hours(fields[1], outcomes),
            trend=find_trend(outcomes, 0.95),
            drivers=find_drivers(fields, {second: hours}, breach, fields[1], 0.95, 1, 0),
            groups=find_groups(fields, outcomes, 0.95, 0),
            scenarios=[
                replace(analysis.scenarios[0], key=first, title=second, segment=first),
                SkippedScenario(first, second, first),
            ],
            ranked=ranked,
            best_set=best,
            escalation=measure_escalation(
                ChampionScores(second, np.ones(n, bool), probability, {first: n}),
                breach,
                TimedCosts(
                    CostMatrix(fp=full / 50, fn=full, tp=full / 50, tn=0 * full),
                    TicketTimes(full + breach, full, np.ones(n, bool)),
                    Effect(CostPolicy("", 20, 1, 0.8)),
                ),
                TicketFacts(created.astype("datetime64[us]"), np.arange(n).astype(object)),
                np.where(area, 10.0, 100.0),
                [2],
                0.95,
            ),
            changes=compare_periods(
                EarlierAnalysis(replace(period, run_id=first, first=second), segments),
                period,
                segments,
                0.95,
                1,
            ),
        )

    return fill_sections


@pytest.mark.parametrize("evil", [EVIL[:2], EVIL[2:]], ids=["tags", "templates"])
def test_text_of_the_data_changes_no_tag_and_no_script(fill, evil):
    evil = sorted(evil)  # as the harmless names are: levels are coded in this order
    page, harmless = (Page(write_report(fill(*names))) for names in (evil, HARMLESS))
    assert {"Changes", "Why", "Model"} <= {*page.texts}
    # long text is wrapped and therefore has another class; all else is as with other names
    assert [tag[:2] for tag in page.tags] == [tag[:2] for tag in harmless.tags]
    assert page.ids == harmless.ids
    shown = "".join(page.texts)
    for text in evil:
        assert shown.count(text) > 20
    assert "49" not in {text.strip() for text in page.texts}
    figures = [script for key, script in page.scripts.items() if key.startswith("figure")]
    assert len(figures) == 11
    for text in spell(figures):  # Plotly renders a few tags itself: only our own may be there
        assert "<" not in re.sub("</?b>|<br>|<extra></extra>", "", text)
    csvs = [script for key, script in page.scripts.items() if key.endswith("-csv")]
    for text in evil:
        assert any(text.replace('"', '""') in csv for csv in csvs)


def test_formulas_are_neutralised_in_the_csv_only(fill):
    page = Page(write_report(fill("=1+1", "@x")))
    assert "'=1+1" not in page.texts
    csvs = "".join(script for key, script in page.scripts.items() if key.endswith("-csv"))
    assert "'=1+1," in csvs
    assert "\n=1+1" not in csvs


def test_figures_share_one_template_and_none_is_lost(fill):
    page = Page(write_report(fill(*HARMLESS)))
    figures = {key: s for key, s in page.scripts.items() if key.startswith("figure")}
    assert len({json.dumps(each["layout"]["template"]) for each in figures.values()}) == 1
    assert {tag for tag, _, kind in page.tags if kind == "figure"} == {"div"}
    assert len(page.ids) == len({*page.ids})


def test_sections_without_data_are_left_out(analysis):
    bare = replace(analysis, scenarios=[], ranked=None, best_set=None, kpi=None)
    page = Page(write_report(bare))
    sections = {"findings", "where", "why", "groups", "measures", "model", "basis"}
    assert sections <= {*page.ids}
    assert not {"changes", "scenarios"} & {*page.ids}
    assert sum("note" in (kind or "") for _, _, kind in page.tags) == 5


def test_more_rows_than_shown_wait_behind_a_button(analysis, code, outcome):
    team = code("team", [f"T{i:03}" for i in range(350) for _ in range(2)])
    table = {("team",): break_down([team], outcome([1, 0] * 350), 0.95)}
    config = replace(analysis.config, min_tickets=1)
    text = write_report(replace(analysis, breakdowns=table, config=config))
    assert text.count('<tr class="more">') == 290
    assert 'data-text="Show 300 of 350 rows"' in text
    few = replace(table["team",], table=table["team",].table.head(12))
    text = write_report(replace(analysis, breakdowns={("team",): few}, config=config))
    assert text.count('<tr class="more">') == 2
    assert 'data-text="Show all 12 rows"' in text
