import matplotlib.pyplot as plt
import optuna
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.trial import TrialState, create_trial

from slarisk.sweeps.study_results import drawn_study, find_edges, format_edges, list_best_values


def trial_at(value=1.0, **chosen):
    """A trial with parameters, each given with its distribution."""
    return create_trial(
        params={name: each[0] for name, each in chosen.items()},
        distributions={name: each[1] for name, each in chosen.items()},
        value=value,
    )


@pytest.mark.parametrize(
    ("value", "distribution", "edge"),
    [
        (0.0, FloatDistribution(0, 10), "0 (the lowest, 0)"),
        (0.2, FloatDistribution(0, 10), "0.2 (the lowest, 0)"),
        (0.21, FloatDistribution(0, 10), None),
        (9.79, FloatDistribution(0, 10), None),
        (9.8, FloatDistribution(0, 10), "9.8 (the highest, 10)"),
        (0.01, FloatDistribution(0.001, 10, log=True), None),  # on a linear scale, at 1% of it
        (0.00119, FloatDistribution(0.001, 10, log=True), "0.00119 (the lowest, 0.001)"),
        (8.5, FloatDistribution(0.001, 10, log=True), "8.5 (the highest, 10)"),
        (1, IntDistribution(1, 9), "1 (the lowest, 1)"),
        (2, IntDistribution(1, 9), None),
        (9, IntDistribution(1, 9), "9 (the highest, 9)"),
        (800, IntDistribution(50, 800, log=True), "800 (the highest, 800)"),
        (5, IntDistribution(5, 5), None),  # a space without an inside
        ("a", CategoricalDistribution(["a", "b"]), None),
    ],
)
def test_a_parameter_at_the_edge_of_its_space_is_named(value, distribution, edge):
    trial = trial_at(depth=(value, distribution))
    assert find_edges(trial) == ({} if edge is None else {"depth": edge})
    assert (f"depth = {edge}" in format_edges(trial)) is (edge is not None)


@given(st.lists(st.floats(-1e6, 1e6), max_size=12))
@settings(max_examples=30, deadline=None)
def test_the_best_value_so_far_is_the_least_of_those_finished(values):
    study = optuna.create_study()
    study.enqueue_trial({})  # waiting and failed trials are not listed
    study.add_trial(create_trial(state=TrialState.FAIL))
    for value in values:
        study.add_trial(trial_at(value))
    assert list_best_values(study) == [min(values[: step + 1]) for step in range(len(values))]


def test_the_best_value_so_far_is_in_the_order_in_which_trials_finished():
    study = optuna.create_study()
    first, second = study.ask(), study.ask()
    study.tell(second, 1.0)
    study.tell(first, 2.0)
    assert list_best_values(study) == [1.0, 1.0]


SPACE = {
    "model.rate": FloatDistribution(0.001, 1, log=True),
    "model.depth": IntDistribution(1, 9),
    "model.kind": CategoricalDistribution(["a", "b"]),
}
HISTORY = {"plots/history.png"}
ALL_PLOTS = HISTORY | {"plots/param_importances.png", "plots/parallel_coordinates.png"}


@pytest.mark.parametrize(
    ("values", "plots"),
    [
        ([], set()),
        ([None], set()),
        ([1.0], HISTORY),
        ([1.0, 1.0, 1.0], HISTORY),  # no parameter matters
        ([1.0, 2.0], ALL_PLOTS),
        ([1.0, None, 3.0, 2.0, None, 5.0, 4.0, 2.0], ALL_PLOTS),
    ],
    ids=["none", "a failure", "one", "alike", "two", "many"],
)
@pytest.mark.parametrize("space", [SPACE, {"model.C": FloatDistribution(0.1, 10, log=True)}])
def test_a_study_is_drawn_as_far_as_it_has_values(tmp_path, values, plots, space):
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(0))
    for value in values:
        state = TrialState.FAIL if value is None else TrialState.COMPLETE
        study.tell(study.ask(space), value, state)
    with drawn_study(study) as figures:
        assert figures.keys() == plots
        for path, figure in figures.items():
            figure.savefig(tmp_path / "plot.png")
            assert (tmp_path / "plot.png").stat().st_size > 2000, path
    assert plt.get_fignums() == []
