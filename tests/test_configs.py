"""Every option of every config group composes, and says what it is meant to say."""

from pathlib import Path

import pytest
import yaml
from hydra.errors import HydraException, MissingConfigException
from mlflow import MlflowClient
from sklearn.base import is_classifier

from slarisk.analysis.scenarios import validate_scenarios
from slarisk.config import (
    ROOTS,
    CreationKind,
    DecisionKind,
    Moment,
    PromoteAction,
    Scenario,
    SplitKind,
    TrainConfig,
    UnknownPriority,
)
from slarisk.tickets.prepare import refuse_mismatched_tables
from slarisk.training.estimator import build_estimator
from slarisk.training.prepare import validate_feature_moments

CONF = Path(__file__).resolve().parents[1] / "conf"
GROUPS = {
    "train": [
        "data",
        "sla",
        "cost",
        "features",
        "split",
        "model",
        "calibration",
        "decision",
        "experiment",
    ],
    "score": ["export"],
    "analyze": ["data", "sla", "cost", "split"],
}


def list_options(group):
    return sorted(file.stem for file in (CONF / group).glob("*.yaml"))


OPTIONS = [
    (root, group, option)
    for root, groups in GROUPS.items()
    for group in groups
    for option in list_options(group)
]


def test_the_options_that_users_know_are_there():
    assert {"sample", "kaggle", "servicenow"} <= set(list_options("data"))
    assert {"standard", "notebook"} <= set(list_options("sla"))
    assert {"notebook", "charged"} <= set(list_options("cost"))
    assert {"notebook", "calendar", "customer", "text"} <= set(list_options("features"))
    assert {"random", "temporal"} <= set(list_options("split"))
    assert {"lr", "rf", "gbm"} <= set(list_options("model"))
    assert {"none", "sigmoid", "isotonic"} <= set(list_options("calibration"))
    assert {"per_ticket", "threshold", "capacity", "grid"} <= set(list_options("decision"))
    assert {"local", "server"} <= set(list_options("tracking"))


@pytest.mark.parametrize(("root", "group", "option"), OPTIONS, ids="-".join)
def test_every_option_composes(composed, root, group, option):
    config = composed(f"{group}={option}", root=root)
    if group not in {"model", "experiment"}:
        name = getattr(config, group).name
        assert getattr(name, "value", name) == option


@pytest.mark.parametrize("data", list_options("data"))
@pytest.mark.parametrize("features", list_options("features"))
def test_a_data_policy_knows_every_feature_in_time_or_says_so(composed, data, features):
    # its callers have no age; creation times that are made up
    lacking = {("servicenow", "customer"): "customer_age", ("kaggle", "context"): "imputed"}
    config = composed(f"data={data}", f"features={features}")
    if (data, features) in lacking:
        with pytest.raises(Exception, match=lacking[data, features]):
            validate_feature_moments(config)
    else:
        validate_feature_moments(config)


@pytest.mark.parametrize("model", list_options("model"))
def test_every_model_builds(composed, model):
    config = composed(f"model={model}")
    package = config.model["_target_"].partition(".")[0]
    pytest.importorskip(package, reason=f"the extra '{package}' is not installed")
    assert is_classifier(build_estimator(config.model))
    assert "_target_" in config.model


@pytest.mark.parametrize("option", list_options("sla"))
def test_every_sla_is_sound(composed, option):
    refuse_mismatched_tables(composed(f"sla={option}").sla)


@pytest.mark.parametrize("root", ["train", "promote", "score", "analyze"])
def test_the_server_takes_its_address_from_the_environment(composed, monkeypatch, root):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://tracking:5000")
    assert composed("tracking=server", root=root).tracking.uri == "http://tracking:5000"
    assert composed("tracking=local", root=root).tracking.uri is None
    assert composed(root=root).tracking.experiment == "sla-breach-risk"
    assert composed(root=root).tracking.registered_model == "sla-breach-risk"


def test_defaults(composed):
    config = composed()
    assert isinstance(config, TrainConfig)
    assert config.data.name == "sample"
    assert config.sla.name == "standard"
    assert config.decision.name is DecisionKind.per_ticket
    assert config.evaluation.bootstrap_draws == 2000
    assert composed(root="promote").action is PromoteAction.promote
    assert composed("action=rollback", root="promote").action is PromoteAction.rollback
    assert composed(root="score").output == "outputs/risk_scores.csv"


@pytest.mark.parametrize(
    ("data", "natural"),
    [
        ("sample", SplitKind.temporal),
        ("servicenow", SplitKind.temporal),
        ("kaggle", SplitKind.random),
    ],
)
def test_a_data_policy_names_its_natural_split(composed, data, natural):
    assert composed(f"data={data}").split.name is natural
    for mine in SplitKind:
        assert composed(f"data={data}", f"split={mine.value}").split.name is mine


def test_an_analysis_takes_any_data_policy_with_the_split_it_brings(composed):
    for data in list_options("data"):
        assert composed(f"data={data}", root="analyze").data.name == data
    config = composed(root="analyze")
    assert config.output == "outputs/report.html"
    assert config.capacities == [10, 25, 50, 100]
    assert (config.kpi.field, config.kpi.value, config.kpi.below) == ("priority", "Critical", 0.1)


@pytest.mark.parametrize("scenarios", list_options("scenarios"))
def test_every_set_of_scenarios_is_sound(composed, scenarios):
    config = composed(f"scenarios={scenarios}", root="analyze")
    validate_scenarios(config.scenarios)
    assert all(isinstance(each, Scenario) for each in config.scenarios.values())


def test_the_notebooks_scenarios(composed):
    config = composed("scenarios.S1.reduction=0.3", root="analyze")
    assert {key: each.reduction for key, each in config.scenarios.items()} == {
        "S1": 0.3,
        "S2": 0.15,
        "S3": 0.1,
    }
    assert config.scenarios["S1"].segment == {"priority": "Critical", "channel": "Chat"}
    assert config.scenarios["S3"].costliest.by == ["priority", "channel"]


def test_servicenow_is_tested_on_its_own_period(composed):
    split = composed("data=servicenow").split
    assert (split.test_from, split.test_until) == ("2016-05-01", "2016-06-01")
    assert composed("data=servicenow", "split.test_from=2016-04-01").split.test_from == "2016-04-01"


def test_the_default_sla_and_costs_and_those_of_the_notebook(composed):
    config = composed()
    assert config.sla.targets == {"Critical": 4, "High": 8, "Normal": 24, "Low": 72}
    assert config.sla.costs == {"Critical": 500, "High": 200, "Normal": 50, "Low": 10}
    assert config.sla.aliases == {"Medium": "Normal"}
    assert (config.cost.charged, config.cost.effectiveness) == (1, 0.8)
    notebook = composed("sla=notebook", "cost=notebook")
    assert notebook.sla.aliases == {}
    assert notebook.sla.unknown_priority is UnknownPriority.default
    assert (notebook.sla.default_target, notebook.sla.default_cost) == (24, 0)
    cost = notebook.cost
    assert (cost.escalation_cost, cost.charged, cost.effectiveness) == (2, 0, 1)


@pytest.mark.parametrize(
    ("model", "parameters"),
    [
        ("lr", {"C": 1.0, "max_iter": 2000, "class_weight": "balanced"}),
        (
            "rf",
            {
                "n_estimators": 300,
                "min_samples_leaf": 3,
                "max_features": "sqrt",
                "class_weight": "balanced_subsample",
                "random_state": 42,
            },
        ),
    ],
)
def test_the_notebook_has_its_own_parameters(composed, model, parameters):
    config = composed("experiment=notebook", f"model={model}")
    assert parameters.items() <= config.model.items()
    built = build_estimator(config.model).get_params()
    assert parameters.items() <= built.items()
    assert not parameters.items() <= composed(f"model={model}").model.items()


def test_the_notebook_is_a_recipe_of_overrides(composed):
    config = composed("experiment=notebook", "model=rf")
    assert config.data.name == "kaggle"
    assert config.data.creation.kind is CreationKind.imputed
    assert (config.sla.name, config.cost.name) == ("notebook", "notebook")
    assert config.split.name is SplitKind.random
    assert (config.split.test_size, config.split.seed) == (0.2, 42)
    assert config.decision.name is DecisionKind.grid
    assert (config.features.max_categories, config.features.scale) == (None, False)
    assert composed("experiment=notebook", "model=rf", "cost=charged").cost.name == "charged"


@pytest.mark.parametrize(
    ("wrong", "named"),
    [
        ("modle=rf", "modle"),
        ("model=xyz", "xyz"),
        ("evaluation.draws=3", "draws"),
        ("split.test_size=big", "big"),
        ("moment=later", "later"),
        ("sla.costs.Critical=much", "much"),
        ("data.known.tomorrow=[a]", "tomorrow"),
        ("features.scale=perhaps", "perhaps"),
        ("decision.name=coin", "coin"),
    ],
)
def test_an_unknown_key_or_a_wrong_type_is_refused(composed, wrong, named):
    with pytest.raises(HydraException, match=named):
        composed(wrong)


def list_choices(root):
    """The groups of a command's defaults list, as the command line names them."""
    text = (CONF / f"{root}.yaml").read_text("utf-8")
    entries = [
        key for each in yaml.safe_load(text)["defaults"] if isinstance(each, dict) for key in each
    ]
    return [entry.split()[-1] for entry in entries]


CHOICES = [(root, group) for root in ROOTS for group in list_choices(root)]
CHOICES += [("train", "hydra/launcher"), ("train", "hydra/sweeper"), ("train", "hydra/env")]


@pytest.mark.parametrize(("root", "group"), CHOICES, ids="-".join)
def test_an_option_that_no_group_has_is_refused(composed, root, group):
    with pytest.raises(MissingConfigException) as refused:
        composed(f"{group}=nonesuch", root=root)
    assert refused.value.missing_cfg_file == f"{group}/nonesuch"
    assert refused.value.options


@pytest.mark.parametrize(
    ("root", "overrides", "missing"),
    [
        ("train", ["+model=rff"], "model/rff"),
        ("train", ["+hydra/env=nope"], "hydra/env/nope"),
        ("train", ["model=notebook/rff"], "model/notebook/rff"),
        ("train", ["experiment=[notebook,nope]"], "experiment/nope"),
        ("train", ["search=gbm", "hydra/sweeper/sampler=tpee"], "hydra/sweeper/sampler/tpee"),
        ("score", ["+decision=capcity"], "decision/capcity"),
    ],
)
def test_a_choice_in_another_way_of_writing_is_refused(composed, root, overrides, missing):
    with pytest.raises(MissingConfigException) as refused:
        composed(*overrides, root=root)
    assert refused.value.missing_cfg_file == missing


def test_an_experiment_may_lie_in_another_folder(composed, tmp_path):
    (tmp_path / "experiment").mkdir()
    text = "# @package _global_\ndefaults: [override /model: lr]\nmoment: first_response\n"
    (tmp_path / "experiment" / "mine.yaml").write_text(text)
    config = composed("experiment=mine", search=tmp_path)
    assert config.moment is Moment.first_response
    assert "LogisticRegression" in config.model["_target_"]
    with pytest.raises(MissingConfigException) as refused:
        composed("experiment=mien", search=tmp_path)
    assert {"mine", "notebook"} <= {*refused.value.options}


@pytest.mark.parametrize(
    ("command", "overrides", "told"),
    [
        ("score", ["decision=capcity"], ["decision/capcity", "Did you mean capacity?"]),
        ("train", ["search=gmb"], ["search/gmb", "Did you mean gbm?", "rf"]),
        ("train", ["experiment=notebok"], ["experiment/notebok", "Did you mean notebook?"]),
        ("train", ["-m", "search=gmb"], ["search/gmb", "Did you mean gbm?"]),
        ("train", ["-m", "model=lr,rff"], ["model/rff", "Did you mean rf?"]),
        ("train", ["-m", "search=gbm", "features=notebook,calender"], ["features/calender"]),
        ("train", ["-m", "search=gbm", "split.folds=1,5"], ["split.folds=1"]),
        ("train", ["-m", "search=gbm,lr"], ["search=gbm,lr"]),
        ("train", ["-m", "search=gbm", "hydra.sweeper.n_trials=0"], ["hydra.sweeper.n_trials=0"]),
        ("train", ["model=null"], ["NoneType"]),
    ],
)
def test_a_command_refuses_a_choice_that_it_would_have_to_ignore(
    place, run, command, overrides, told
):
    ended = run(command, *overrides)
    assert (ended.code, ended.out) == (2, "")
    assert [each for each in told if each not in ended.err] == []
    assert "Traceback" not in ended.err
    assert MlflowClient().search_runs(["0", "1"]) == []
