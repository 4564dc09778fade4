"""Which run is chosen where none is named."""

import pytest
from mlflow import MlflowClient
from mlflow.entities import LoggedModelOutput, Metric, Param

from slarisk.config import Tracking
from slarisk.errors import InputError
from slarisk.evaluation.metrics import DIRECTIONS
from slarisk.registry.policy_differences import describe_policy
from slarisk.registry.selection import choose_run
from slarisk.tracking.runs import write_config
from slarisk.tracking.store import open_store
from slarisk.training.items import describe_choices

TAGS = {"data_fingerprint": "d", "split_fingerprint": "s", "policy_fingerprint": "p"}


@pytest.fixture
def record(place, composed):
    """Records a run with its config and, if wanted, a model, as the newest; gives its id."""
    experiment = open_store(Tracking(name="local"))
    ticks = iter(range(1_700_000_000_000, 1_800_000_000_000, 1000))
    client = MlflowClient()

    def record_run(objective, *overrides, status="FINISHED", model=True, metrics=None, **tags):
        config = composed("model=gbm", *overrides)
        run = client.create_run(experiment, start_time=next(ticks), tags=TAGS | tags)
        run_id = run.info.run_id
        values = {"objective": objective, **(metrics or {})}.items()
        client.log_batch(  # in one write: there are many
            run_id,
            [Metric(name, value, 0, 0) for name, value in values],
            [Param(name, value) for name, value in describe_choices(config).items()],
        )
        client.log_text(run_id, write_config(config), "config.yaml")
        if model:
            logged = client.create_logged_model(experiment, source_run_id=run_id)
            client.log_outputs(run_id, [LoggedModelOutput(logged.model_id, 0)])
        if status != "RUNNING":
            client.set_terminated(run_id, status)
        return run_id

    record_run.experiment = experiment
    return record_run


def best(record, select_by="objective", champion=None):
    return choose_run(record.experiment, select_by, champion).run.run_id


def what_if(record, objective, **more):
    return record(objective, "cost.escalation_cost=5", policy_fingerprint="q", **more)


def test_the_best_run_has_the_lowest_objective(record):
    runs = [record(3.0, "model.num_leaves=3"), record(1.0), record(2.0, "model.num_leaves=5")]
    assert best(record) == runs[1]


def test_only_finished_runs_that_can_be_promoted_compete(record):
    sound = record(3.0)
    for status in ("FAILED", "KILLED", "RUNNING"):
        record(1.0, "model.num_leaves=3", status=status)
    record(1.0, "model.num_leaves=3", optimistic="true")
    record(1.0, "model.num_leaves=3", kind="analysis")
    record(1.0, "model.num_leaves=3", model=False)
    record(float("nan"), "model.num_leaves=4")
    assert best(record) == sound


def test_without_a_run_there_is_nothing_to_promote(record):
    record(1.0, status="FAILED")
    with pytest.raises(InputError, match=r"python train\.py"):
        best(record)
    record(1.0)
    with pytest.raises(InputError, match="'roc_auc'"):
        best(record, "roc_auc")


# Directions ---------------------------------------------------------------------------------------


def test_a_higher_metric_is_better_where_it_is(record):
    low = record(1.0, metrics={"roc_auc": 0.6, "brier": 0.1})
    high = record(2.0, "model.num_leaves=3", metrics={"roc_auc": 0.9, "brier": 0.2})
    assert (best(record, "roc_auc"), best(record, "brier")) == (high, low)


@pytest.mark.parametrize("name", ["train_tickets", "optimal_threshold", "false_alarms", "beauty"])
def test_a_metric_without_a_direction_is_refused(record, name):
    record(1.0, metrics={name: 1.0})
    with pytest.raises(InputError) as refused:
        best(record, name)
    assert f"select_by={name}" in str(refused.value)
    assert all(known in str(refused.value) for known in DIRECTIONS)


def test_every_metric_with_a_direction_is_one_of_a_run(judged):
    synthetic = {"regret", "regret_at_creation"}  # of tickets whose true risk is known
    assert {*DIRECTIONS} - synthetic <= {*judged.metrics}


# Policies -----------------------------------------------------------------------------------------


def test_nobody_chooses_between_policies_without_a_champion(record):
    worse, dear = record(9.0, "model.num_leaves=3"), record(3.0)
    cheap = what_if(record, 1.0)
    with pytest.raises(InputError) as refused:
        best(record)
    told = str(refused.value).splitlines()
    assert [line.split(":")[0].strip(" -") for line in told[1:]] == [
        "cost.escalation_cost=5",
        "cost.escalation_cost=20",
    ]
    assert told[1].endswith(f"run_id={cheap}")
    assert told[2].endswith(f"run_id={dear}")
    assert worse not in refused.value.args[0]


def test_data_policies_are_policies(record):
    """Runs on another system's tickets share costs and labels, and not the meaning of columns."""
    record(3.0)
    record(1.0, "data.columns.channel=Way In", data_fingerprint="other")
    with pytest.raises(InputError, match=r"data\.columns\.channel=Way In"):
        best(record)


@pytest.mark.slow
def test_runs_under_the_policy_of_the_champion_compete(record, composed):
    """Whichever is the newest, and whichever is better."""
    dear = describe_policy(composed())
    cheap = describe_policy(composed("cost.escalation_cost=5"))
    kept, other = record(3.0), what_if(record, 1.0)
    chosen = choose_run(record.experiment, "objective", dear)
    assert chosen.run.run_id == kept
    assert "best of 1 run " in chosen.words
    assert "cost.escalation_cost=20" in chosen.words
    assert "1 under other policies (cost.escalation_cost=5)" in chosen.words
    assert best(record, champion=cheap) == other
    with pytest.raises(InputError) as refused:
        best(record, champion=describe_policy(composed("cost=notebook")))
    assert kept in str(refused.value)
    assert "cost.charged=" in str(refused.value)


@pytest.mark.parametrize("tag", ["data_fingerprint", "split_fingerprint"])
@pytest.mark.slow
def test_only_runs_on_the_tickets_of_the_newest_compete(record, tag):
    record(1.0, "model.num_leaves=3", **{tag: "other"})
    record(3.0, "model.num_leaves=3")
    newest = record(2.0)
    chosen = choose_run(record.experiment, "objective")
    assert chosen.run.run_id == newest
    assert "best of 2 runs" in chosen.words
    assert "1 on other tickets" in chosen.words


@pytest.mark.slow
def test_all_pages_are_looked_at(record, monkeypatch):
    monkeypatch.setattr("slarisk.tracking.runs._PAGE", 2)
    first = record(1.0)
    for leaves in range(3, 7):
        record(2.0, f"model.num_leaves={leaves}")
    assert best(record) == first


# Seeds --------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_the_luckiest_seed_does_not_win(record):
    """Alike but for the seed: the middle one stands for all, and its value is theirs."""
    for seed, objective in ((1, 1.0), (2, 3.0), (3, 4.0)):
        record(objective, f"model.random_state={seed}")
    middle = choose_run(record.experiment, "objective")
    assert middle.run.metrics["objective"] == 3.0
    assert "3 alike in all but the seed" in middle.words
    other = record(2.0, "model.num_leaves=3")
    assert best(record) == other
    record(5.0, "model.random_state=4")  # of an even number, the worse of the two in the middle
    MlflowClient().delete_run(other)
    assert choose_run(record.experiment, "objective").run.metrics["objective"] == 4.0


def test_the_highest_seed_does_not_win_either(record):
    for seed, auc in ((1, 0.9), (2, 0.7), (3, 0.6)):
        record(1.0, f"model.random_state={seed}", metrics={"roc_auc": auc})
    chosen = choose_run(record.experiment, "roc_auc").run
    assert chosen.metrics["roc_auc"] == 0.7


@pytest.mark.slow
def test_jobs_without_a_model_say_what_a_seed_does(record):
    """A grid over seeds keeps the model of its best job alone."""
    lucky = record(1.0, "model.random_state=1")
    for seed in (2, 3):
        record(3.0, f"model.random_state={seed}", model=False)
    assert best(record) == lucky
    other = record(2.0, "model.num_leaves=3")
    assert best(record) == other


def test_runs_that_differ_otherwise_are_not_alike(record):
    """Params do not tell which fields a run used; its config does."""
    lucky = record(1.0, "model.random_state=1", "features.categorical=[priority]")
    record(3.0, "model.random_state=2", "features.categorical=[channel]")
    assert best(record) == lucky


def test_of_a_run_that_was_repeated_the_newest_counts(record):
    record(1.0)
    again = record(2.0)
    chosen = choose_run(record.experiment, "objective")
    assert chosen.run.run_id == again
    assert "alike" not in chosen.words


# Searches -----------------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize(
    ("tuning", "wins"),
    [
        ("helps", True),
        ("may_help", True),
        ("not_compared", True),
        ("no_better_than_seed", False),
        ("only_out_of_fold", False),
        ("does_not_help", False),
        (None, False),  # of a search that has not come to its end, or of an earlier version
    ],
)
@pytest.mark.parametrize("place_tag", [{"stage": "trial", "trial": "7"}, {"stage": "tuned"}])
def test_a_tuned_run_is_chosen_only_if_tuning_pays(record, tuning, wins, place_tag):
    default = record(3.0, stage="default")
    tags = place_tag | ({"tuning": tuning} if tuning else {})
    tuned = record(1.0, "model.num_leaves=3", **tags)
    chosen = choose_run(record.experiment, "objective")
    assert chosen.run.run_id == (tuned if wins else default)
    assert ("1 set aside" in chosen.words) is not wins


def test_a_job_of_a_grid_is_no_trial(record):
    job = record(1.0, stage="trial")
    record(3.0, "model.num_leaves=3")
    assert best(record) == job


def test_a_config_of_another_version_is_alike_to_none(record, place):
    run_id, other = record(1.0), record(2.0, "model.random_state=1")
    (path,) = place.glob(f"mlruns/*/{run_id}/artifacts/config.yaml")
    path.write_text("unknown_key: 1\n")
    chosen = choose_run(record.experiment, "objective")
    assert chosen.run.run_id == run_id
    (path,) = place.glob(f"mlruns/*/{other}/artifacts/config.yaml")
    path.write_text("unknown_key: 1\n")
    with pytest.raises(InputError, match=r"python train\.py"):
        best(record)


def test_an_unreadable_run_hides_no_older_one_under_its_policy(record, place):
    """A store can hold runs of a later or earlier version of the package."""
    readable, newest = record(2.0), record(1.0, "model.num_leaves=3")
    (path,) = place.glob(f"mlruns/*/{newest}/artifacts/config.yaml")
    path.write_text("unknown_key: 1\n")
    assert best(record) == readable
