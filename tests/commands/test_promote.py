import json
import os
import shutil
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest
from mlflow import MlflowClient
from mlflow.exceptions import MlflowException

from slarisk.model.checksums import fingerprint_checksums, write_checksums
from slarisk.registry.gate import compare_losses
from slarisk.registry.versions import find_champion
from slarisk.tracking.log import checksum_model
from slarisk.tracking.runs import find_run

NAME = "sla-breach-risk"
FAST = ["bootstrap_draws=200", "fewest_tickets=100"]


@pytest.fixture
def runs(trained):
    """The three runs of `trained`, by what they are."""
    experiment = MlflowClient().get_experiment_by_name(NAME).experiment_id
    blind, good, grid = MlflowClient().search_runs(
        [experiment], order_by=["attributes.start_time ASC"]
    )
    return {
        "blind": blind.info.run_id,
        "good": good.info.run_id,
        "grid": grid.info.run_id,
        "folder": trained,
    }


@pytest.fixture
def promote(run):
    return lambda *overrides: run("promote", *FAST, *overrides)


def champion():
    found = find_champion(NAME)
    return (found.number, found.run_id) if found else None


def registry():
    """Everything promotion could change."""
    try:
        model = MlflowClient().get_registered_model(NAME)
    except MlflowException:
        return None
    versions = MlflowClient().search_model_versions(f"name='{NAME}'")
    return dict(model.aliases), sorted(
        (v.version, v.run_id, v.description, tuple(sorted(v.tags.items()))) for v in versions
    )


def refused(ended, *reasons):
    assert ended.code == 1
    assert "Traceback" not in ended.err
    for reason in reasons:
        assert reason in ended.err
    listed = [line for line in ended.err.splitlines() if line.startswith("  - ")]
    return len(listed)


# A promotion ------------------------------------------------------------------------------------


def test_the_best_run_becomes_the_first_champion(promote, runs):
    ended = promote()
    assert (ended.code, ended.err) == (0, "")
    assert champion() == ("1", runs["good"])
    assert ended.out.splitlines()[-1].startswith(f"Promoted: {NAME} version 1")
    assert len(ended.out.splitlines()) < 18
    table = [line for line in ended.out.splitlines() if line.startswith("|")]
    assert table[2].startswith("| the candidate ")  # the one that loses least comes first
    assert "2 runs by objective" in ended.out
    assert "cost.escalation_cost=20" in ended.out


@pytest.mark.slow
def test_the_best_is_the_lowest_objective_and_never_optimistic(promote, runs):
    """A better test loss chooses nobody: the test tickets judge one candidate."""
    client = MlflowClient()
    client.log_metric(runs["grid"], "objective", 0.0)
    client.log_metric(runs["blind"], "expected_loss", 1.0)
    assert promote().code == 0
    assert champion() == ("1", runs["good"])


@pytest.mark.slow
def test_a_promoted_version_carries_its_evidence(promote, runs):
    ended = promote("reason=Spring cleaning.")
    version = MlflowClient().get_model_version(NAME, "1")
    found = MlflowClient().get_run(runs["good"])
    for key in ("expected_loss", "best_baseline_loss", "value_over_baseline"):
        assert float(version.tags[key]) == pytest.approx(found.data.metrics[key], rel=1e-9)
    for tag in ("data_fingerprint", "split_fingerprint", "policy_fingerprint", "git_commit"):
        assert version.tags[tag] == found.data.tags[tag]
    assert version.tags["promoted_at"].startswith("20")
    assert version.tags["intervals"].startswith("confidence=0.95 bootstrap_draws=200 seed=42 ")
    assert float(version.tags["value_over_baseline_low"]) > 0
    assert "replaced_version" not in version.tags
    assert version.tags["verdict"] in ended.out  # the table, as it was printed
    assert version.tags["why"].endswith(" Spring cleaning.")
    assert "data/bundle/pipeline.skops" in json.loads(version.tags["files_sha256"])


@pytest.mark.slow
def test_a_version_has_a_model_card(promote, runs):
    promote()
    version = MlflowClient().get_model_version(NAME, "1")
    card = version.description
    assert version.tags["why"] in card
    unspaced = card.replace("| &nbsp;&nbsp; ", "| ")
    assert version.tags["verdict"] in unspaced
    assert "| High               |    8 h |           $200 |" in unspaced
    assert "| Medium (as Normal) |   24 h |            $50 |" in unspaced
    for figures in (
        *("478, created 2024-01-01 to 2024-04-09", "(temporal), created 2024-04-10 to 2024-05-04"),
        *(
            "$20 (cost=charged), 100%",
            "`sklearn.linear_model.LogisticRegression`, calibration none",
        ),
        f"python promote.py run_id={runs['good']} dry_run=true",
    ):
        assert figures in card


@pytest.mark.slow
def test_a_better_run_takes_over_and_rollbacks_undo_it(promote, runs, train_on):
    train_on("features.categorical=[channel]", "features.calendar=[]")  # knows no priority
    third = newest()
    assert promote(f"run_id={third}").code == 0
    assert champion() == ("1", third)
    ended = promote("margin=-100", f"run_id={runs['good']}")  # not worse by $100 a ticket
    assert ended.code == 0
    assert "| champion, version 1 " in ended.out
    assert "version 1 on all 120 test tickets" in ended.out
    assert champion() == ("2", runs["good"])
    version = MlflowClient().get_model_version(NAME, "2")
    assert version.tags["replaced_version"] == "1"
    assert version.tags["against_champion"].endswith("on 120 tickets")
    assert version.tags["against_champion"].split(" on ")[0] in version.description
    for words in ("ROC AUC", "PR AUC", "calibration error", "escalated"):
        assert f"| {words} " in version.tags["verdict"]

    ended = promote("action=rollback", "dry_run=true")
    assert (ended.code, champion()) == (0, ("2", runs["good"]))
    ended = promote("action=rollback", "reason=It escalates too much.")
    assert (ended.code, ended.err) == (0, "")
    assert champion() == ("1", third)
    before = registry()
    assert refused(promote("action=rollback"), "version 1") == 0
    assert registry() == before
    told = promote("action=history").out.splitlines()
    assert [line.split("  ", 1)[1].rsplit(" by ", 1)[0] for line in told[::2]] == [
        "version 1 in place of version 2: rolled back",
        "version 2 in place of version 1: promoted",
        "version 1: promoted",
    ]
    assert told[1].strip() == "It escalates too much."
    assert "with version 1: " in told[3]
    cards = [MlflowClient().get_model_version(NAME, number).description for number in "12"]
    assert "### Why it is in charge" in cards[0]
    assert "### Why it was in charge" in cards[1]
    assert "(rolled back). It escalates too much." in cards[1]
    assert "-100" in told[3]


@pytest.mark.slow
def test_quality_is_compared_on_the_same_tickets(promote, runs, train_on):
    """The change is that of two runs that were tested on the same tickets."""
    train_on("features.categorical=[channel]", "features.calendar=[]")
    third = newest()
    promote(f"run_id={runs['good']}")
    ended = promote(f"run_id={third}", "margin=-100")
    before, after = (MlflowClient().get_run(r).data.metrics for r in (runs["good"], third))
    for key, words, form in (
        ("roc_auc", "ROC AUC", ".3f"),
        ("pr_auc", "PR AUC", ".3f"),
        ("calibration_error", "calibration error", ".3f"),
        ("escalation_rate", "escalated", ".1%"),
    ):
        (line,) = [each for each in ended.out.splitlines() if each.startswith(f"| {words}")]
        cells = [cell.strip() for cell in line.split("|")[2:4]]
        assert cells == [f"{before[key]:{form}}", f"{after[key]:{form}}"]


@pytest.mark.slow
def test_a_dry_run_changes_nothing(promote, runs, train_on):
    ended = promote("dry_run=true")
    assert (ended.code, ended.err) == (0, "")
    assert "| the candidate " in ended.out
    assert "dry_run=true" in ended.out
    assert registry() is None
    promote()
    before = registry()
    train_on("model.C=0.9")
    assert refused(promote(f"run_id={newest()}", "dry_run=true"), "120 tickets") == 1
    assert registry() == before


def newest():
    experiment = MlflowClient().get_experiment_by_name(NAME).experiment_id
    (found,) = MlflowClient().search_runs(
        [experiment], order_by=["attributes.start_time DESC"], max_results=1
    )
    return found.info.run_id


@pytest.mark.slow
def test_who_is_in_charge_is_told_and_nothing_changes(promote, runs):
    ended = promote("action=status")
    assert (ended.code, ended.out) == (2, "")
    assert "python promote.py" in ended.err
    promote()
    before = registry()
    ended = promote("action=status")
    assert (ended.code, ended.err) == (0, "")
    version = MlflowClient().get_model_version(NAME, "1")
    assert f"version 1, LogisticRegression notebook sample (run {runs['good']})" in ended.out
    assert version.tags["why"] in ended.out
    assert version.tags["verdict"] in ended.out
    assert f"its {len(json.loads(version.tags['files_sha256']))} files" in ended.out
    assert registry() == before


def test_nobody_has_been_in_charge_yet(promote, trained):
    ended = promote("action=history")
    assert (ended.code, ended.out.count("\n")) == (0, 1)


@pytest.mark.slow
def test_a_champion_whose_files_changed_is_told_everywhere(promote, run, runs, train_on):
    train_on("features.categorical=[channel]", "features.calendar=[]")
    assert promote(f"run_id={newest()}").code == 0
    assert promote(f"run_id={runs['good']}", "margin=-100").code == 0
    path = f"{bundle_of(runs['good'])}/seen.parquet"
    with open(path, "ab") as file:
        file.write(b" ")
    before = registry()
    told = "data/bundle/seen.parquet was changed"
    for ended in (run("score"), promote("action=status")):
        assert (ended.code, ended.out) == (2, "")
        assert told in ended.err
    train_on("model.C=0.5")
    ended = promote(f"run_id={newest()}")
    assert refused(ended, told, "action=rollback") == 1
    assert registry() == before
    assert promote("action=rollback").code == 0
    assert run("score").code == 0


def test_there_is_nothing_to_roll_back_without_a_champion(promote, trained):
    assert refused(promote("action=rollback"), NAME) == 0
    assert registry() is None


# A refusal --------------------------------------------------------------------------------------


@pytest.mark.slow
def test_the_champion_is_not_promoted_again(promote, runs):
    promote()
    before = registry()
    assert refused(promote(), "version 1") == 1
    assert registry() == before


@pytest.mark.parametrize("status", ["FAILED", "KILLED", "RUNNING"])
def test_a_run_that_did_not_finish_is_refused(promote, runs, status):
    MlflowClient().update_run(runs["good"], status)
    assert refused(promote(f"run_id={runs['good']}"), status) == 1
    assert registry() is None


def test_an_optimistic_run_is_refused(promote, runs):
    assert refused(promote(f"run_id={runs['grid']}"), "optimistic") == 1
    assert registry() is None


def test_a_failed_check_is_refused(promote, runs):
    MlflowClient().set_tag(runs["good"], "failed_checks", "SR009")
    assert refused(promote(f"run_id={runs['good']}"), "failed checks: SR009") == 1
    assert registry() is None


def test_a_failed_check_is_accepted_on_record(promote, runs):
    MlflowClient().set_tag(runs["good"], "failed_checks", "SR009")
    ended = promote(f"run_id={runs['good']}", "accept.SR010=typed in by hand")
    assert (ended.code, registry()) == (2, None)
    assert "accept.SR010" in ended.err
    ended = promote(f"run_id={runs['good']}", "+accept.SR009='given at the counter'")
    assert ended.code == 0
    version = MlflowClient().get_model_version(NAME, "1")
    assert json.loads(version.tags["accepted_checks"]) == {"SR009": "given at the counter"}
    assert "given at the counter" in version.description


@pytest.mark.slow
def test_a_run_that_knew_the_end_is_refused(promote, runs, train_on):
    """A policy that believes the resolution to be known at creation."""
    train_on(
        "data.known.created=[ticket_id,created_at,priority,channel,resolved_at]",
        "data.known.resolved=[]",
        "features.categorical=[priority,channel]",
        "+features.days_since=[resolved_at]",
    )
    experiment = MlflowClient().get_experiment_by_name(NAME).experiment_id
    (last,) = MlflowClient().search_runs(
        [experiment], order_by=["attributes.start_time DESC"], max_results=1
    )
    failed = last.data.tags["failed_checks"]
    assert "SR008" in failed.split()
    assert "failed SR008" in last.data.tags["mlflow.note.content"]
    assert refused(promote(f"run_id={last.info.run_id}"), f"failed checks: {failed}") == 1
    assert registry() is None


def test_every_reason_is_given_at_once(promote, runs):
    client = MlflowClient()
    client.set_tag(runs["blind"], "failed_checks", "SR009")
    client.log_metric(runs["blind"], "expected_loss", 1.0)
    count = refused(
        promote(f"run_id={runs['blind']}", "fewest_tickets=121"),
        "SR009",
        "fewest_tickets=121",
        "'priority'",
        "expected_loss comes out as",
    )
    assert count == 4
    assert registry() is None


def test_a_run_no_better_than_a_rule_is_refused(promote, runs):
    ended = promote(f"run_id={runs['blind']}", "clearly_beat_baseline=false")
    assert refused(ended, "'priority'") == 1
    assert "rule: by priority" in ended.out  # the figures are shown all the same
    assert registry() is None


@pytest.mark.slow
def test_a_value_that_may_be_luck_is_refused_unless_accepted(promote, runs, monkeypatch):
    def find_unsure(candidate, rival, *rest):
        found = compare_losses(candidate, rival, *rest)
        return replace(found, high=0.01)

    monkeypatch.setattr("slarisk.registry.comparison.compare_losses", find_unsure)
    assert refused(promote(), "clearly_beat_baseline=false") == 1
    assert registry() is None
    assert promote("clearly_beat_baseline=false").code == 0


@pytest.mark.slow
def test_the_interval_of_the_run_is_not_believed(promote, runs, train_on):
    """One draw gives an interval without width; the gate draws for itself."""
    train_on("model.C=0.9", "evaluation.confidence=0.01", "evaluation.bootstrap_draws=1")
    run_id = newest()
    metrics = MlflowClient().get_run(run_id).data.metrics
    narrow = metrics["value_over_baseline_high"] - metrics["value_over_baseline_low"]
    assert narrow == 0  # one draw
    ended = promote(f"run_id={run_id}", "dry_run=true")
    (line,) = [each for each in ended.out.splitlines() if "| rule: by priority" in each]
    low, high = line.split("[")[1].split("]")[0].split(" to ")
    assert low != high
    for name, value in (("value_over_baseline_low", 1.0), ("value_over_baseline_high", 2.0)):
        MlflowClient().log_metric(run_id, name, value)
    assert f"[{low} to {high}]" in promote(f"run_id={run_id}", "dry_run=true").out
    MlflowClient().log_metric(run_id, "value_over_baseline", 1e6)
    assert refused(promote(f"run_id={run_id}"), "value_over_baseline ", "$1,000,000") == 1


@pytest.mark.slow
def test_a_first_champion_needs_tickets_enough(promote, run, runs):
    assert refused(run("promote"), "fewest_tickets=200") == 1
    assert refused(promote("fewest_breaches=33"), "fewest_breaches=33") == 1
    assert registry() is None
    assert promote("fewest_breaches=32").code == 0


@pytest.mark.slow
def test_what_the_gate_resamples_is_a_choice(promote, runs):
    told = {each: promote(f"resample={each}", "dry_run=true").out for each in ("tickets", "days")}
    assert "200 draws of 120 tickets" in told["tickets"]
    assert "200 draws of 25 days" in told["days"]
    widest = promote("dry_run=true").out
    assert sum(words in widest for words in ("of 120 tickets: wider", "of 25 days: wider")) == 1


@pytest.mark.slow
def test_no_what_if_is_promoted_by_itself(promote, runs, train_on):
    train_on("cost.escalation_cost=5")
    what_if = newest()
    ended = promote()
    assert (ended.code, ended.out) == (2, "")
    for told in ("cost.escalation_cost=5", "cost.escalation_cost=20", runs["good"], what_if):
        assert told in ended.err
    assert registry() is None
    assert promote(f"run_id={runs['good']}").code == 0
    ended = promote()  # under the champion's policy, there is none better
    assert refused(ended, "version 1") == 1
    assert "1 under other policies (cost.escalation_cost=5)" in ended.out


def test_test_metrics_may_choose_and_are_warned_of(promote, runs):
    MlflowClient().log_metric(runs["blind"], "roc_auc", 0.01)
    MlflowClient().log_metric(runs["good"], "roc_auc", 0.99)
    ended = promote("select_by=roc_auc")
    assert (ended.code, champion()) == (0, ("1", runs["good"]))
    assert "select_by=roc_auc" in ended.err


@pytest.mark.slow
def test_a_run_of_a_search_that_found_no_help_is_named_or_not_taken(promote, runs):
    client = MlflowClient()
    client.set_tag(runs["good"], "trial", "3")
    client.set_tag(runs["good"], "tuning", "no_better_than_seed")
    ended = promote("dry_run=true")
    assert f"(run {runs['blind']})" in ended.out
    ended = promote(f"run_id={runs['good']}")
    assert ended.code == 0
    assert "tuning=no_better_than_seed" in ended.out


def test_a_challenger_must_clearly_beat_the_champion(promote, runs, train_on):
    promote()
    before = registry()
    train_on("model.C=0.9")  # all but the same model
    ended = promote(f"run_id={newest()}")
    assert refused(ended, "120 tickets") == 1
    assert "| champion, version 1 " in ended.out
    assert registry() == before


def test_a_run_that_is_not_there_is_wrong_input(promote, trained):
    ended = promote("run_id=nope")
    assert (ended.code, ended.err.count("\n")) == (2, 1)
    assert "run_id=nope" in ended.err


def test_without_any_run_there_is_nothing_to_promote(promote, place):
    ended = promote()
    assert ended.code == 2
    assert ended.err.count("\n") == 1
    assert "python train.py" in ended.err


def test_a_run_of_something_else_is_refused(promote, runs):
    experiment = MlflowClient().get_run(runs["good"]).info.experiment_id
    other = MlflowClient().create_run(experiment).info.run_id
    MlflowClient().set_terminated(other)
    assert refused(promote(f"run_id={other}"), "expected_loss") == 1


def bundle_of(run_id):
    (output,) = MlflowClient().get_run(run_id).outputs.model_outputs
    model = MlflowClient().get_logged_model(output.model_id)
    return os.path.join(model.artifact_location, "data", "bundle")


@pytest.mark.parametrize("damage", ["is missing", "was changed"])
@pytest.mark.slow
def test_a_model_that_is_not_what_the_run_logged_is_refused(promote, runs, damage):
    path = f"{bundle_of(runs['good'])}/pipeline.skops"
    if damage == "is missing":
        os.remove(path)
    else:
        with open(path, "wb") as file:
            file.write(b"no model")
    assert refused(promote(), f"data/bundle/pipeline.skops {damage}") == 1
    assert registry() is None


def test_a_run_without_a_model_is_refused(promote, runs, monkeypatch):
    """Such as a job of a sweep that was not the best of it."""
    good = find_run(runs["good"])
    monkeypatch.setattr("slarisk.commands.promote.find_run", lambda _: replace(good, model_id=None))
    assert refused(promote("run_id=it")) == 1


def swap_model(into, other):
    """Put the model of another run in place of one's own, and seal it as if it had been logged."""
    shutil.rmtree(bundle_of(into))
    shutil.copytree(bundle_of(other), bundle_of(into))
    seal = checksum_model(Path(bundle_of(into)).parents[1])
    client = MlflowClient()
    run = client.get_run(into)
    Path(run.info.artifact_uri, "model_files.json").write_text(write_checksums(seal))
    client.set_tag(into, "model_sha256", fingerprint_checksums(seal))


@pytest.mark.slow
def test_a_model_that_decides_otherwise_than_its_run_is_refused(promote, runs):
    """The model of another run in its place: same tickets, other decisions."""
    swap_model(runs["good"], runs["blind"])
    refused(promote(), "expected_loss ", "$3,490")
    assert registry() is None


@pytest.mark.slow
def test_a_model_of_other_tickets_is_refused(promote, runs, train_on):
    train_on("split.test_size=0.5")
    swap_model(newest(), runs["good"])  # trained on half of the test tickets
    assert refused(promote(f"run_id={newest()}")) == 1


def test_changed_data_is_refused(promote, runs):
    table = pd.read_csv("tickets.csv")
    table.loc[0, "Customer Age"] += 1
    table.to_csv("tickets.csv", index=False)
    assert refused(promote(), "tickets.csv", "data_fingerprint") == 1
    assert registry() is None


def test_data_that_is_gone_is_wrong_input(promote, runs):
    os.remove("tickets.csv")
    ended = promote()
    assert (ended.code, ended.err.count("\n")) == (2, 1)
    assert ended.err.startswith("error: tickets.csv:")
    assert registry() is None


@pytest.mark.slow
def test_a_champion_under_other_costs_is_compared_only_if_that_is_allowed(promote, runs, train_on):
    promote()
    before = registry()
    train_on("cost.escalation_cost=30")
    ended = promote(f"run_id={newest()}")
    reason = "cost.escalation_cost=30 (champion: 20)"
    assert refused(ended, reason, "allow_policy_change=true") == 1
    assert registry() == before
    ended = promote(f"run_id={newest()}", "allow_policy_change=true", "margin=-100")
    assert ended.code == 0
    assert ended.out.count("cost.escalation_cost=30 (champion: 20)") == 1
    # the champion decides by $20, and each of its escalations now costs $30
    (line,) = [line for line in ended.out.splitlines() if "| champion, version 1" in line]
    assert line.split("|")[2].strip() == f"${lost_by_version_1(escalation=30):,.0f}"


def lost_by_version_1(escalation):
    """What the decisions of version 1 lose on the test tickets, by hand."""
    import mlflow

    raw = pd.read_csv("tickets.csv", dtype=str)
    model = mlflow.pyfunc.load_model(f"models:/{NAME}/1")
    decided = model.predict(raw[model.metadata.get_input_schema().input_names()])
    hours = pd.to_datetime(raw["Time to Resolution"]) - pd.to_datetime(raw["Created At"])
    target = raw["Ticket Priority"].map({"Critical": 4, "High": 8, "Normal": 24})
    worth = raw["Ticket Priority"].map({"Critical": 500, "High": 200, "Normal": 50})
    left = worth * (hours > pd.to_timedelta(target, unit="h"))
    lost = (escalation + 0.2 * left).where(decided["escalate"], left)
    return lost[decided["score_origin"] == "test"].sum()


@pytest.mark.slow
def test_a_champion_of_another_data_policy_is_compared_only_if_that_is_allowed(
    promote, runs, train_on
):
    promote()
    before = registry()
    table = pd.read_csv("tickets.csv").rename(columns={"Ticket Channel": "Way In"})
    table.to_csv("renamed.csv", index=False)
    train_on("data.path=renamed.csv", "data.columns.channel=Way In", "data.name=helpdesk")
    ended = promote(f"run_id={newest()}")
    reason = "data.columns.channel=Way In (champion: Ticket Channel)"
    assert refused(ended, reason, "tracking.registered_model=<name>") == 1
    assert registry() == before
    assert promote(f"run_id={newest()}", "tracking.registered_model=helpdesk").code == 0
    assert registry() == before
    # renamed or not, the fields are the same: the champion finds its own, and decides the same
    ended = promote(f"run_id={newest()}", "allow_policy_change=true")
    assert refused(ended) == 1
    assert "data.columns.channel=Way In (champion: Ticket Channel)" in ended.out
    (line,) = [line for line in ended.out.splitlines() if "| champion, version 1" in line]
    assert line.split("|")[4].strip() == "$0 [$0 to $0]"


@pytest.mark.slow
def test_a_champion_that_lacks_its_fields_cannot_be_judged(promote, runs, train_on):
    promote()
    table = pd.read_csv("tickets.csv").drop(columns="Ticket Channel")
    table.to_csv("narrow.csv", index=False)
    known = "[ticket_id,created_at,priority,ticket_type,product,subject,customer_age,purchased_at]"
    train_on(
        *("data.path=narrow.csv", "~data.columns.channel", f"data.known.created={known}"),
        "features.categorical=[priority]",
    )
    ended = promote(f"run_id={newest()}", "allow_policy_change=true", "margin=-1000")
    refused(ended, "channel", "(sample)")


@pytest.mark.slow
def test_renamed_values_are_another_data_policy(promote, runs, train_on):
    promote()
    train_on("+data.values.channel.Email=Letter")
    assert refused(promote(f"run_id={newest()}"), "data.values.channel.Email=Letter") == 1


@pytest.mark.slow
def test_the_champion_is_judged_on_tickets_it_has_not_seen(promote, run, runs, train_on):
    """It tested on 120, left 2 out whose label came too late, and was trained on the others."""
    promote()
    train_on("split.test_size=0.4")
    ended = promote(f"run_id={newest()}")
    assert refused(ended, "122 tickets") == 1
    assert "122 of the 240 test tickets" in ended.out
    assert "| the candidate, 122 tickets " in ended.out
    assert run("score").code == 0
    export = pd.read_csv("outputs/risk_scores.csv").query("Score_Origin != 'out_of_fold'")
    worth = export["Ticket Priority"].map({"Critical": 500, "High": 200, "Normal": 50})
    left = worth * export["Is_SLA_Breach"]
    lost = (20 + 0.2 * left).where(export["Escalate"], left).sum()
    (line,) = [line for line in ended.out.splitlines() if "champion, version 1, 122" in line]
    assert line.split("|")[2].strip() == f"${lost:,.0f}"
    ended = promote(f"run_id={newest()}", "fewest_tickets=123")
    assert refused(ended, "122 of the 240", "fewest_tickets=123") == 1
    train_on("split.test_from=2024-01-08", "split.test_until=2024-04-01", "split.folds=2")
    ended = promote(f"run_id={newest()}", "clearly_beat_baseline=false", "fewest_tickets=1")
    refused(ended, "fewest_tickets=1)")


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        ("bootstrap_draws=0", "bootstrap_draws=0"),
        ("confidence=1", "confidence=1"),
        ("action=demote", "demote"),
        ("fewest_tickets=0", "fewest_tickets=0"),
        ("threshold=1", "threshold"),
        ("fewest_breaches=-1", "fewest_breaches=-1"),
        ("resample=weeks", "weeks"),
        ("select_by=beauty", "select_by=beauty"),
        ("select_by=train_tickets", "select_by=train_tickets"),
    ],
)
def test_a_wrong_config_is_told(promote, trained, wrong, told):
    ended = promote(wrong)
    assert ended.code == 2
    assert told in ended.err
    assert "Traceback" not in ended.err
    assert registry() is None
