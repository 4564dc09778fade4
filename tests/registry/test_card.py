from dataclasses import replace

import pytest

from slarisk.checks.check import Check, Verdict
from slarisk.config import CostColumns, Label, LabelKind
from slarisk.registry.candidate import Candidate, ComparisonContext
from slarisk.registry.card import (
    IN_CHARGE,
    WAS_IN_CHARGE,
    date_card,
    write_card,
    write_tables,
)
from slarisk.registry.gate import Comparison, GateResult
from slarisk.registry.state import Change
from slarisk.registry.versions import Version
from slarisk.tracking.runs import RunRecord


@pytest.fixture
def result():
    return GateResult(
        notes=["A note."],
        tickets=100,
        breached=20,
        loss=100.0,
        rules={
            "never": Comparison(100, 100, 900, -8, -9, -7),
            "priority": Comparison(100, 100, 150, -0.5, -0.9, 0.1),
        },
    )


def cells(table):
    return [[cell.strip() for cell in line.split("|")[1:-1]] for line in table.splitlines()]


def test_the_table_lists_the_least_loss_first(result):
    """Per ticket, and a difference of -8 dollars on 100 tickets saves $800."""
    header, _, *rows = cells(write_tables(result, None))
    assert header == [
        "100 held-out tickets, 20 breached",
        "loss",
        "per ticket",
        "the candidate saves",
    ]
    assert rows == [
        ["the candidate", "$100", "$1.00", ""],
        ["rule: by priority", "$150", "$1.50", "$50 [-$10 to $90]"],
        ["rule: never escalate", "$900", "$9.00", "$800 [$700 to $900]"],
    ]


def test_the_champion_is_shown_on_the_tickets_it_was_judged_on(result):
    result.champion = Comparison(40, 60, 30, 0.75, 0.5, 1)
    result.quality = {"roc_auc": (0.75, 0.7), "escalation_rate": (0.25, 0.3)}
    losses, _, quality = write_tables(result, Version("3", "def", {})).split("\n\n")
    assert cells(losses)[2] == [
        "champion, version 3, 40 tickets",
        "$30",
        "$0.75",
        "-$30 [-$40 to -$20]",
    ]
    assert ["the candidate, 40 tickets", "$60", "$1.50", ""] in cells(losses)
    assert cells(quality)[2:] == [
        ["ROC AUC", "0.700", "0.750", "+0.050"],
        ["escalated", "30.0%", "25.0%", "-5.0 points"],
    ]
    result.champion = replace(result.champion, tickets=100)
    assert "the candidate, " not in write_tables(result, Version("3", "def", {}))


def test_the_columns_are_in_line(result):
    assert len({len(line) for line in write_tables(result, None).splitlines()}) == 1


@pytest.fixture
def run():
    metrics = {"roc_auc": 0.75, "brier": 0.1, "escalation_rate": 0.25}
    return RunRecord(
        "abc", "lr notebook sample", "FINISHED", metrics, {"git_commit": "0123456789ab"}
    )


@pytest.fixture
def write(judged, run, result):
    """Writes the card of a run, with some of its config replaced."""

    def write_it(run=run, checks=(), why="Better.", **changed):
        config = replace(judged.config, **changed)
        costs = judged.tickets.costs
        parts = (judged.training, judged.test)
        context = ComparisonContext(config, judged.tickets, *parts, checks, costs, costs, None)
        candidate = Candidate(run, context, judged.bundle, {}, judged.test, [], [])
        return write_card(candidate, result, None, why)

    return write_it


def section(card, title):
    """The lines of a section that are not empty."""
    text = f"\n{card}".split(f"\n### {title}\n")[1].split("\n### ")[0]
    return [line for line in text.splitlines() if line]


def test_a_card_has_its_sections_and_figures(write):
    checks = [
        Check("SR001", "worth", Verdict.warning, "Saves $50."),
        Check("SR002", "untouched", Verdict.ok, "Once."),
    ]
    card = write(checks=checks)
    titles = [line[4:] for line in card.splitlines() if line.startswith("### ")]
    assert titles == [IN_CHARGE, "Data", "Label and costs", "Model", "Limits", "Repeat"]
    assert "`sample`" in card.split("###")[0]
    why, note, *table = section(card, IN_CHARGE)
    assert (why, note) == ("Better.", "- A note.")
    assert len(table) == 5
    assert table[2].split("|")[2:4] == [" &nbsp;&nbsp; $100 ", " &nbsp;&nbsp;      $1.00 "]
    assert "(by priority) $50 [-$10 to $90]" in section(card, "Model")[2]
    assert section(card, "Model")[3] == "- ROC AUC 0.750, Brier score 0.100"
    assert "25.0%" in section(card, "Model")[1]
    assert section(card, "Limits")[0] == "- warning SR001: Saves $50."
    assert "SR002" not in card
    assert "`0123456789`" in section(card, "Repeat")[0]
    assert section(card, "Repeat")[1:] == [
        "    python train.py",
        "    python promote.py run_id=abc dry_run=true",
    ]
    assert not [line for line in card.splitlines() if line.startswith(" ") and line[:4] != "    "]
    assert "\n\n\n" not in card


def test_a_run_of_which_little_is_known_has_a_card(write, run):
    card = write(replace(run, metrics={}, tags={}))
    assert len(section(card, "Model")) == 3
    assert "`unknown`" in section(card, "Repeat")[0]


def test_a_card_says_how_to_repeat_changed_code(write, run):
    tags = run.tags | {"git_dirty": "true", "overrides": '["model=lr", "data.path=my file.csv"]'}
    card = write(replace(run, tags=tags))
    assert "`uncommitted.diff`" in section(card, "Repeat")[0]
    assert section(card, "Repeat")[1] == "    python train.py model=lr 'data.path=my file.csv'"


def test_a_card_names_the_columns_that_label_and_price(write, judged):
    data = replace(
        judged.config.data,
        label=Label(LabelKind.column, "made_sla", "false"),
        costs=CostColumns("damage", "effort"),
    )
    label, breach, escalation = section(write(data=data), "Label and costs")[:3]
    assert "`made_sla`" in label
    assert "`damage`" in breach
    assert "`effort`" in escalation
    card = write(data=replace(data, label=Label(LabelKind.due_date)))
    by_due_date = section(card, "Label and costs")
    assert by_due_date[0] not in {label, section(write(), "Label and costs")[0]}


def test_names_and_reasons_are_no_markup_of_a_card(write, run, judged):
    sla = replace(judged.config.sla, targets={"<b>|High*": 8.0}, costs={"<b>|High*": 1200.0})
    data = replace(judged.config.data, path="a`b.csv")
    card = write(
        replace(run, name="[x](http://y)"),
        checks=[Check("SR001", "worth", Verdict.failed, "line\n\n# title")],
        why="See <script>\n\n### Data",
        sla=sla,
        data=data,
    )
    assert section(card, IN_CHARGE)[0] == "See &lt;script&gt; ### Data"
    assert "<" not in card
    assert section(card, "Label and costs")[-1] == (
        r"| &lt;b&gt;\|High\* | &nbsp;&nbsp;    8 h | &nbsp;&nbsp;         $1,200 |"
    )
    assert "`` a`b.csv ``" in section(card, "Data")[0]
    assert "[x\\](http" in section(card, "Repeat")[0]
    assert section(card, "Limits")[0].endswith("line # title")


# Replaced versions --------------------------------------------------------------------------------

REPLACED = Change(
    2, "promoted", "2", "1", "2026-01-01T00:00:00+00:00", "Fewer *false* alarms.\n\n### Data", "me"
)


def test_a_description_without_the_section_is_left_alone():
    for text in ("", "Mine.", "Why it is in charge: I say so."):
        assert date_card(text, REPLACED) == date_card(text, None) == text


def test_a_replaced_card_comes_back_as_it_was(write):
    card = write()
    dated = date_card(card, REPLACED)
    assert section(dated, WAS_IN_CHARGE)[0].startswith("In charge until 2026-01-01 00:00 UTC")
    assert r"Fewer \*false\* alarms. ### Data" in dated
    assert dated.splitlines().count("### Data") == 1
    assert date_card(dated, REPLACED) == dated
    assert date_card(dated, None) == card
