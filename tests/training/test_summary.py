import re
from dataclasses import replace

from slarisk.checks.check import Check, Verdict
from slarisk.evaluation.baselines import BASELINE_WORDS
from slarisk.reports.formats import format_money_interval
from slarisk.training.summary import format_summary, headline


def rows(summary):
    return [line.split("|")[1].strip() for line in summary.splitlines() if line.startswith("| ")]


def test_the_headline_says_what_the_run_is_worth(judged):
    found = replace(
        judged,
        metrics=judged.metrics
        | {
            "expected_loss": 45040.0,
            "test_tickets": 2395.0,
            "best_baseline_loss": 47640.4,
            "value_over_baseline": 2600.4,
            "value_over_baseline_low": -20.0,
            "value_over_baseline_high": 4120.0,
        },
    )
    assert re.fullmatch(
        r"lr loses \$45,040 on 2,395 test tickets; the best trivial rule \(.*\) loses \$47,640\. "
        r"Value \$2,600 \[-\$20 to \$4,120\]\.",
        headline(found),
    )


def test_the_summary_puts_the_loss_beside_every_baseline_best_first(judged):
    summary = format_summary(judged)
    listed = rows(summary)
    assert listed[0] == "decision"
    assert set(listed[1:]) == {"**this run**", *BASELINE_WORDS.values()}
    losses = [float(amount.replace(",", "")) for amount in re.findall(r"\| \$([\d,]+) \|", summary)]
    assert losses == sorted(losses)
    assert len(losses) == 8


def test_the_summary_accounts_for_the_tickets_and_the_decision(judged):
    summary = format_summary(judged)
    assert "600 tickets in, 600 labelled" in summary
    assert f"trained on {len(judged.training):,} tickets (2024-01-01 to" in summary
    assert f"tested on {len(judged.test):,}" in summary
    assert "decision: per ticket" in summary
    assert "escalation $20, charged 100% on true breaches, averts 80%" in summary
    assert "No check raised a doubt (" in summary


def test_the_summary_voices_doubts(judge_tickets):
    doubtful = judge_tickets(
        "decision=grid", "evaluation.importance_repeats=0", "split.test_size=0.1"
    )
    summary = format_summary(doubtful)
    assert "- failed SR002" in summary
    assert "- warning SR003" in summary
    assert "picked on the test tickets" in summary
    assert "No check raised a doubt" not in summary


def test_doubts_come_first_and_what_passed_is_one_line(judged):
    checks = [
        Check("SR001", "worth", Verdict.warning, "Luck."),
        Check("SR002", "untouched", Verdict.ok, "Once."),
        Check("SR006", "leak", Verdict.failed, "It tells."),
        Check("SR007", "gaps", Verdict.ok, "None."),
    ]
    summary = format_summary(replace(judged, checks=checks))
    assert summary.splitlines()[-3:] == [
        "- failed SR006: It tells.",
        "- warning SR001: Luck.",
        "- ok SR002 SR007: figures in `checks.csv`",
    ]


def test_every_decision_is_said(judged):
    def said(**changes):
        decision = replace(judged.bundle.manifest.decision, **changes)
        manifest = replace(judged.bundle.manifest, decision=decision, threshold=0.25)
        return manifest.policy.describe()

    kind = type(judged.bundle.manifest.decision.name)
    assert said(name=kind.threshold) == "one threshold, 0.250, chosen out of fold"
    assert said(name=kind.capacity, per_day=4).startswith("at most 4 a day")
    assert "picked on the test tickets" in said(name=kind.grid)
    assert "break-even" in said(name=kind.per_ticket)


def test_tickets_without_dates_have_no_period(judged):
    undated = judged.training.assign(created_at=None)
    assert "(no dates)" in format_summary(replace(judged, training=undated))


def test_an_interval_keeps_its_signs():
    metrics = {"value": -5.4, "value_low": -1234.5, "value_high": 0.2}
    assert format_money_interval(metrics, "value") == "-$5 [-$1,234 to $0]"
