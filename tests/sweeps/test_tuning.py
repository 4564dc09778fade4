import pytest

from slarisk.config import Stage
from slarisk.sweeps.runs import JobRun
from slarisk.sweeps.tuning import classify_tuning, format_tuning, summarise_seeds
from slarisk.tracking.tags import Tuning


def fit(stage, objective, loss):
    metrics = {"objective": objective, "expected_loss": loss}
    return JobRun("id", "run", "FINISHED", stage, None, (), metrics, None, 1.0, False)


def fits(tuned, default):
    """Fits of winner and default parameters, each given as (objective, test loss)."""
    return [fit(Stage.tuned, *each) for each in tuned] + [
        fit(Stage.default, *each) for each in default
    ]


@pytest.mark.parametrize(
    ("tuned", "default", "tuning", "figures"),
    [
        ([(3.0, 90)], [(2.0, 95)], Tuning.does_not_help, ["3.0000 ", "2.0000 ", "$90", "$95"]),
        ([(2.0, 90)], [(3.0, 95)], Tuning.may_help, ["2.0000 ", "3.0000 ", "$90", "$95"]),
        ([(2.0, 99)], [(3.0, 95)], Tuning.only_out_of_fold, ["2.0000 ", "$99"]),
        (
            [(2.0, 90), (3.0, 90)],
            [(2.4, 95), (3.2, 95)],
            Tuning.no_better_than_seed,
            ["2 seeds", "2.5000 (sd 0.7071)", "2.8000 (sd 0.5657)", "$90 (sd $0)"],
        ),
        (
            [(2.0, 90), (2.1, 90)],
            [(2.9, 95), (3.0, 95)],
            Tuning.helps,
            ["2 seeds", "2.0500 (sd 0.0707)"],
        ),
        ([], [], Tuning.not_compared, ["hydra.sweeper.seeds=0"]),
    ],
)
def test_tuned_and_default_parameters_are_compared_over_the_same_seeds(
    tuned, default, tuning, figures
):
    jobs = fits(tuned, default)
    assert classify_tuning(jobs) is tuning
    assert [each for each in figures if each not in format_tuning(jobs)] == []


@pytest.mark.parametrize(
    ("gain", "tuning"), [(0.19, Tuning.no_better_than_seed), (0.21, Tuning.helps)]
)
def test_tuning_helps_if_the_gain_exceeds_two_standard_errors(gain, tuning):
    # two fits each, with a standard deviation of 0.1: the difference of means has an error of 0.1
    default = [(3 - 0.5**0.5 / 10, 95), (3 + 0.5**0.5 / 10, 95)]
    tuned = [(objective - gain, 90) for objective, _ in default]
    assert classify_tuning(fits(tuned, default)) is tuning


def test_mean_and_deviation_over_the_seeds_are_metrics_of_the_search():
    assert summarise_seeds(fits([(2.0, 90), (3.0, 92)], [(4.0, 95)])) == {
        "tuned_objective_mean": [2.5],
        "tuned_objective_std": [pytest.approx(0.5**0.5)],
        "default_objective_mean": [4.0],
        "default_objective_std": [0.0],
        "tuned_expected_loss_mean": [91.0],
        "tuned_expected_loss_std": [pytest.approx(2**0.5)],
        "default_expected_loss_mean": [95.0],
        "default_expected_loss_std": [0.0],
    }
    assert summarise_seeds([]) == {}
