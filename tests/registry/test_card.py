from dataclasses import replace

import pytest

from slarisk.checks.check import Check
from slarisk.checks.check import Verdict as CheckVerdict
from slarisk.registry.candidate import ComparisonContext
from slarisk.registry.card import tabulate, write_card
from slarisk.registry.gate import Comparison, Verdict
from slarisk.tracking.runs import RunRecord


@pytest.fixture
def verdict():
    return Verdict(
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


def test_the_table_lists_the_least_loss_first(verdict):
    """Per ticket, and a difference of -8 dollars on 100 tickets saves $800."""
    header, _, *rows = cells(tabulate(verdict, None))
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


def test_the_champion_is_shown_on_the_tickets_it_was_judged_on(verdict):
    verdict.champion = Comparison(40, 60, 30, 0.75, 0.5, 1)
    verdict.quality = {"roc_auc": (0.75, 0.7), "escalation_rate": (0.25, 0.3)}
    losses, _, quality = tabulate(verdict, "3").split("\n\n")
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
    verdict.champion = replace(verdict.champion, tickets=100)
    assert "the candidate, " not in tabulate(verdict, "3")


def test_the_columns_are_in_line(verdict):
    assert len({len(line) for line in tabulate(verdict, None).splitlines()}) == 1


@pytest.fixture
def run():
    metrics = {
        "expected_loss": 100.0,
        "expected_loss_low": 80.0,
        "expected_loss_high": 130.0,
        "value_over_baseline": 50.0,
        "value_over_baseline_low": -10.0,
        "value_over_baseline_high": 90.0,
        "test_tickets": 100.0,
        "breach_rate": 0.2,
    }
    tags = {"best_baseline": "priority", "git_commit": "0123456789abcdef"}
    return RunRecord("abc", "lr notebook sample", "FINISHED", metrics, tags)


@pytest.fixture
def write(judged, run, verdict):
    """Writes the card of a run, with some of its config replaced."""

    def write_it(run=run, checks=(), **changed):
        config = replace(judged.config, **changed)
        costs = judged.tickets.costs
        parts = (judged.training, judged.test)
        grounds = ComparisonContext(config, judged.tickets, *parts, checks, costs, costs)
        return write_card(run, grounds, judged.bundle.manifest, verdict, "| table |", "Better.")

    return write_it


def test_a_card_says_what_it_rests_on_and_where_it_ends(write):
    checks = [
        Check("SR001", "worth", CheckVerdict.warning, "Saves $50."),
        Check("SR002", "untouched", CheckVerdict.ok, "Once."),
    ]
    card = write(checks=checks)
    assert card.index("Better.") < card.index("- A note.") < card.index("| table |")
    assert "test loss $100, value over the best rule (by priority) $50 [-$10 to $90]" in card
    assert "- warning SR001: Saves $50." in card
    assert "SR002" not in card
    assert "code `0123456789`;" in card
    assert "    python train.py\n    python promote.py run_id=abc dry_run=true" in card


def test_a_card_says_how_to_repeat_changed_code(write, run):
    tags = run.tags | {"git_dirty": "true", "overrides": '["model=lr", "data.path=my file.csv"]'}
    card = write(replace(run, tags=tags))
    assert "with the changes in its `uncommitted.diff`" in card
    assert "    python train.py model=lr 'data.path=my file.csv'\n" in card


def test_a_card_names_the_columns_that_label_and_price(write, judged):
    from slarisk.config import CostColumns, Label, LabelKind

    data = replace(
        judged.config.data,
        label=Label(LabelKind.column, "made_sla", "false"),
        costs=CostColumns("damage", "effort"),
    )
    card = write(data=data)
    assert "a ticket breaches if the field `made_sla` is false" in card
    assert "a breach costs what the field `damage` says" in card
    assert "an escalation costs what the field `effort` says" in card
    card = write(data=replace(data, label=Label(LabelKind.due_date)))
    assert "it is resolved after its due date" in card
