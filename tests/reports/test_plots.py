import io
import subprocess
import sys
from itertools import pairwise

import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure
from sklearn.metrics import average_precision_score, roc_auc_score

from slarisk.decisions.costs import cost_matrix
from slarisk.decisions.thresholds import best_threshold, threshold_curve
from slarisk.reports.plots import (
    plot_calibration,
    plot_drift,
    plot_importance,
    plot_loss_by_age,
    plot_loss_curve,
    plot_precision_recall,
    plot_roc,
)

RNG = np.random.default_rng(0)
PROBABILITY = RNG.beta(1, 3, 600)
BREACH = RNG.random(600) < PROBABILITY
COSTS = cost_matrix(RNG.choice([500.0, 50.0], 600), 20, charged=1, effectiveness=0.8)


def draw(figure):
    """Draw for real, so that a warning of the layout is an error, and collect all text."""
    assert isinstance(figure, Figure)
    figure.savefig(io.BytesIO(), format="png")
    return " | ".join(text.get_text() for text in figure.findobj(mpl.text.Text))


def plot_losses(probability=PROBABILITY, decision_loss=None, **labels):
    curve = threshold_curve(probability, BREACH, COSTS)
    best = best_threshold(probability, BREACH, COSTS)
    baselines = {"never": float(curve.losses[0]), "always": float(curve.losses[-1])}
    return (
        curve,
        best,
        plot_loss_curve(curve, best.threshold, 0.05, 0.2, baselines, decision_loss, **labels),
    )


def test_roc_states_the_area_and_the_tickets():
    text = draw(plot_roc(BREACH, PROBABILITY))

    assert f" {roc_auc_score(BREACH, PROBABILITY):.3f} " in text
    assert "600" in text
    assert str(BREACH.sum()) in text


def test_precision_recall_states_average_precision_and_rate():
    text = draw(plot_precision_recall(BREACH, PROBABILITY))

    assert f" {average_precision_score(BREACH, PROBABILITY):.3f} " in text
    assert f"{BREACH.mean():.1%}" in text


def test_the_area_under_the_drawn_steps_is_the_average_precision():
    """Between two recalls the precision is that of the higher one."""
    breach, probability = BREACH[:40], PROBABILITY[:40].round(1)
    steps = plot_precision_recall(breach, probability).axes[0].lines[-1]
    assert steps.get_drawstyle() == "steps-post"
    recall, precision = steps.get_data()
    area = -np.sum(np.diff(recall) * precision[:-1])
    assert area == pytest.approx(average_precision_score(breach, probability))


@pytest.mark.parametrize("plot", [plot_roc, plot_precision_recall])
def test_no_text_of_scikit_learn_is_left(plot):
    figure = plot(BREACH, PROBABILITY)
    draw(figure)
    assert figure.axes[0].get_legend() is None
    assert "Positive label" not in figure.axes[0].get_xlabel()


@pytest.mark.parametrize("plot", [plot_roc, plot_precision_recall])
@pytest.mark.parametrize("outcome", [True, False])
def test_one_outcome_is_said_and_not_drawn(plot, outcome):
    figure = plot(np.full(5, outcome), np.linspace(0, 1, 5))

    assert str(5 * outcome) in draw(figure)
    assert not figure.axes[0].lines


def test_calibration_draws_observed_rates_of_equal_bins():
    figure = plot_calibration(BREACH, PROBABILITY)
    draw(figure)
    predicted, observed = figure.axes[0].lines[-1].get_data()
    parts = np.array_split(np.argsort(PROBABILITY), 10)

    assert predicted == pytest.approx([PROBABILITY[part].mean() for part in parts])
    assert observed == pytest.approx([BREACH[part].mean() for part in parts])
    assert sum(bar.get_height() for bar in figure.axes[1].patches) == 600


@pytest.mark.parametrize("outcome", [True, False])
def test_calibration_of_one_outcome_and_one_probability(outcome):
    draw(plot_calibration(np.full(4, outcome), np.full(4, 0.3)))


def test_loss_curve_shows_the_losses_and_marks_the_best():
    curve, best, figure = plot_losses()
    text = draw(figure)
    steps, marker = figure.axes[0].lines[0], figure.axes[0].lines[3]

    # Between two scores the loss is that of the higher one.
    assert steps.get_drawstyle() == "steps-pre"
    thresholds, losses = steps.get_data()
    assert thresholds[1:-1] == pytest.approx(curve.thresholds[:0:-1])
    assert losses[1:] == pytest.approx(curve.losses[::-1])
    assert [xy[0] for xy in marker.get_data()] == [best.threshold, best.loss]
    assert f"best ${best.loss:,.0f} at {best.threshold:.3f}" in text
    assert "0.050 to 0.200" in text


def test_loss_curve_names_every_line():
    curve, _, figure = plot_losses(decision_loss=1234.0, title="Test", decision_label="capacity")
    text = draw(figure)

    assert f"never  ${curve.losses[0]:,.0f}" in text
    assert f"always  ${curve.losses[-1]:,.0f}" in text
    assert "capacity  $1,234" in text
    assert "Test" in text


def test_labels_of_near_losses_do_not_overlap():
    curve = threshold_curve(PROBABILITY, BREACH, COSTS)
    baselines = {name: 9000.0 + i for i, name in enumerate("abcd")}
    figure = plot_loss_curve(curve, 0.1, 0.05, 0.2, baselines, 9001.5)
    draw(figure)
    boxes = sorted(
        (text.get_window_extent() for text in figure.axes[0].texts if "  $" in text.get_text()),
        key=lambda box: box.y0,
    )

    assert len(boxes) == 5
    assert all(low.y1 <= high.y0 for low, high in pairwise(boxes))


def test_loss_curve_of_escalating_nobody():
    _, best, _ = plot_losses(np.where(BREACH, 0.0, 0.5))
    curve = threshold_curve(PROBABILITY[:3], np.zeros(3, dtype=bool), COSTS.take(np.arange(3)))

    assert best.threshold == 0.0
    text = draw(plot_loss_curve(curve, np.inf, 1.0, 1.0, {"never": 0.0}))
    assert "escalating nobody" in text


def test_loss_by_age_shows_the_best_timer_and_every_rule():
    timers = pd.DataFrame({"share": [0.0, 0.5, 0.98], "loss": [300.0, 200.0, 900.0]})
    lines = {"by priority": 300.0, "learnt timer": 180.0, "now or later": 150.0}
    text = draw(plot_loss_by_age(timers, lines, "Loss by age"))
    assert "best $200 at 50%" in text
    for name, loss in lines.items():
        assert f"{name}  ${loss:,.0f}" in text


def test_a_long_loss_curve_keeps_its_lowest_point():
    score = np.linspace(0, 1, 50_000)
    breach = np.arange(50_000) == 33_333
    costs = cost_matrix(np.full(50_000, 500.0), 20, charged=1, effectiveness=1)
    curve = threshold_curve(score, breach, costs)
    curve.losses[20_001] = -5e6
    figure = plot_loss_curve(curve, 0.6, 0.5, 0.7, {"never": 500.0})
    draw(figure)
    _, losses = figure.axes[0].lines[0].get_data()

    assert len(losses) < 3000
    assert min(losses) == -5e6


def test_importance_ranks_columns():
    mean, std = np.array([0.01, 0.2, -0.01]), np.array([0.01, 0.02, 0.0])
    figure = plot_importance(["type", "priority", "channel"], mean, std, "savings")
    text = draw(figure)
    axes = figure.axes[0]

    assert [label.get_text() for label in axes.get_yticklabels()] == ["channel", "type", "priority"]
    assert [bar.get_width() for bar in axes.patches] == [-0.01, 0.01, 0.2]
    assert "Loss of savings when shuffled" in text


def test_importance_shows_the_twenty_largest():
    mean = np.arange(30.0)
    figure = plot_importance([f"c{i}" for i in range(30)], mean, np.zeros(30))

    assert sorted(bar.get_width() for bar in figure.axes[0].patches) == list(range(10, 30))


@pytest.mark.slow
def test_plots_leave_matplotlib_as_it_was():
    before = dict(mpl.rcParams)
    draw(plot_roc(BREACH, PROBABILITY))
    draw(plot_losses()[2])

    assert dict(mpl.rcParams) == before
    code = "import sys, slarisk.reports.plots; assert 'matplotlib.pyplot' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_drift_states_every_index_and_the_bands():
    drift = pd.DataFrame({"feature": ["channel", "risk", "hour"], "psi": [5.89, 0.2, 0.01]})
    figure = plot_drift(drift, "risk")
    text = draw(figure)

    for words in ("channel", "probability of breach", "hour", "5.89", "0.20", "moderate", "major"):
        assert words in text
    assert "risk" not in text
    assert len({bar.get_facecolor() for bar in figure.axes[0].patches}) == 3
