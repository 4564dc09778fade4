"""The plots of a run. Each function returns a figure outside of matplotlib's global state."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator, PercentFormatter
from sklearn.metrics import PrecisionRecallDisplay, RocCurveDisplay

from slarisk.arrays import Bools, Floats
from slarisk.decisions.thresholds import ThresholdCurve
from slarisk.evaluation.metrics import bin_by_mass, measure_calibration_error
from slarisk.reports.palette import BLUE, GREEN, GREY, INK, LIGHT, ORANGE, PURPLE, SKY, VERMILION
from slarisk.stats.drift import MAJOR, MODERATE
from slarisk.stats.rates import wilson_interval

_POINTS = 2000  # of a curve: more are not visible at this size, and slow
_MOST_DRIFT = 1.0  # the longest bar: with a longer one the bands would be too close to tell apart
_CURVE = {"color": BLUE, "linewidth": 2}
_LINES = ((ORANGE, "--"), (GREEN, "-."), (PURPLE, (0, (5, 1))), (SKY, ":"))


def plot_roc(breach: Bools, probability: Floats) -> Figure:
    """Draw the ROC curve: breaches caught against false alarms.

    Parameters
    ----------
    breach : bool array of shape (n,)
    probability : array of shape (n,)

    Returns
    -------
    Figure
        Without a curve when all tickets or none breached.
    """
    figure, axes = _start("ROC curve")
    if _has_both(breach, axes):
        axes.plot([0, 1], [0, 1], color=GREY, linewidth=1, linestyle="--")
        axes.text(0.7, 0.65, "chance", color=GREY, rotation=45, ha="center", va="center", size=9)
        roc = RocCurveDisplay.from_predictions(breach, probability, ax=axes, curve_kwargs=_CURVE)
        axes.fill_between(roc.fpr, roc.tpr, color=BLUE, alpha=0.08, linewidth=0)
        _subtitle(axes, f"area {roc.roc_auc:.3f} · {_count(breach)}")
    return _finish_square(figure, axes, "False alarms among met tickets", "Breaches caught")


def plot_precision_recall(breach: Bools, probability: Floats) -> Figure:
    """Draw the precision of escalations against recall; parameters as in :func:`plot_roc`."""
    figure, axes = _start("Precision and recall")
    if _has_both(breach, axes):
        rate = float(breach.mean())
        axes.axhline(rate, color=GREY, linewidth=1, linestyle="--")
        # The curve seldom dips below the rate, so there is room for its name.
        side, va = (-0.015, "top") if rate > 0.1 else (0.015, "bottom")
        axes.text(0.01, rate + side, f"breach rate {rate:.1%}", color=GREY, size=9, va=va)
        curve = PrecisionRecallDisplay.from_predictions(
            breach, probability, ax=axes, curve_kwargs=_CURVE
        )
        _subtitle(axes, f"average precision {curve.average_precision:.3f} · {_count(breach)}")
    return _finish_square(
        figure, axes, "Breaches caught (recall)", "Escalations needed (precision)"
    )


def plot_calibration(breach: Bools, probability: Floats) -> Figure:
    """Draw observed breach rates against predicted ones; parameters as in :func:`plot_roc`.

    Ten bins of about equal size, with 95% Wilson intervals, and below them a histogram of the
    predictions.
    """
    figure = Figure(figsize=(6.4, 6.4), dpi=150, layout="constrained")
    top, bottom = figure.subplots(2, 1, sharex=True, height_ratios=[4, 1])
    _style(top, "Calibration", "", "Observed breach rate")
    _style(bottom, "", "Predicted probability of breach", "Tickets")
    bins = bin_by_mass(probability)
    tickets = np.bincount(bins)
    filled = tickets > 0
    tickets = tickets[filled]
    predicted = np.bincount(bins, weights=probability)[filled] / tickets
    observed = np.bincount(bins, weights=breach)[filled] / tickets
    low, high = wilson_interval(observed * tickets, tickets)
    top.plot([0, 1], [0, 1], color=GREY, linewidth=1, linestyle="--")
    top.vlines(predicted, low, high, color=BLUE, linewidth=1.5, alpha=0.6)
    top.plot(predicted, observed, color=BLUE, linewidth=1.5, marker="o", markersize=6)
    _format_shares(top)
    error = measure_calibration_error(breach, probability)
    _subtitle(top, f"expected error {error:.3f} · {_count(breach)} · bars: 95% intervals")
    # Where breaches are rare, all points lie in a corner of the unit square.
    reach = min(1.0, 1.08 * max(float(high.max()), float(probability.max())))
    top.set(xlim=(0, reach), ylim=(-0.015 * reach, 1.015 * reach))
    bottom.hist(probability, bins=np.linspace(0, reach, 41), color=BLUE, alpha=0.75, linewidth=0)
    bottom.yaxis.set_major_locator(MaxNLocator(nbins=3, integer=True))
    bottom.yaxis.set_major_formatter(FuncFormatter(lambda y, _: f"{y:,.0f}"))
    bottom.grid(visible=False, axis="x")
    return figure


def plot_loss_by_age(timers: pd.DataFrame, lines: Mapping[str, float], title: str) -> Figure:
    """Draw what timers lose by the age at which they escalate, beside what other rules lose.

    Parameters
    ----------
    timers : DataFrame
        ``share`` of the target that has passed, and ``loss`` in dollars.
    lines : mapping of str to float
        Dollars that other rules lose on the same tickets; the last is the run's own.
    title : str

    Returns
    -------
    Figure
    """
    figure, axes = _start(title, "Escalate at this share of the target", "Total loss", width=8.2)
    axes.plot(timers["share"], timers["loss"], color=BLUE, linewidth=2, zorder=3)
    drawn = []
    for place, (name, loss) in enumerate(lines.items()):
        own = place == len(lines) - 1
        colour, dashes = (VERMILION, "-") if own else _LINES[place % len(_LINES)]
        axes.axhline(loss, color=colour, linewidth=1.4, linestyle=dashes, zorder=2)
        drawn.append((f"{name}  ${loss:,.0f}", loss, colour))
    amounts = [*timers["loss"], *(loss for _, loss, _ in drawn)]
    margin = 0.06 * (max(amounts) - min(amounts)) or 1.0
    axes.set_ylim(min(amounts) - margin, max(amounts) + margin)
    axes.set_xlim(0, 1)
    axes.xaxis.set_major_formatter(PercentFormatter(1))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda y, _: format_dollars(y)))
    _label_lines(axes, drawn)
    best = timers.sort_values("loss").iloc[0]
    _subtitle(axes, f"one timer for all: best ${best['loss']:,.0f} at {best['share']:.0%}")
    return figure


def plot_loss_curve(
    curve: ThresholdCurve,
    chosen: float,
    low: float,
    high: float,
    baselines: Mapping[str, float],
    decision_loss: float | None = None,
    title: str = "Loss by threshold",
    decision_label: str = "per-ticket rule",
) -> Figure:
    """Draw the loss of a single threshold, with the losses of the baselines.

    Parameters
    ----------
    curve : ThresholdCurve
    chosen : float
        The best threshold; infinity is drawn at the right edge.
    low, high : float
        Its bootstrap interval.
    baselines : mapping of str to float
        Dollars that each baseline loses on the same tickets.
    decision_loss : float, optional
        Dollars that the run's own decision policy loses on them.
    title, decision_label : str
        Of the plot, and of the run's decision policy.

    Returns
    -------
    Figure
    """
    figure, axes = _start(title, "Escalate from this probability on", "Total loss", width=8.2)
    thresholds, losses = _trace_steps(curve)
    axes.step(thresholds, losses, where="pre", color=BLUE, linewidth=2, zorder=3)
    right = float(thresholds[-1])
    axes.set_xlim(0, right)
    lines = [
        (name, loss, *_LINES[i % len(_LINES)]) for i, (name, loss) in enumerate(baselines.items())
    ]
    if decision_loss is not None:
        lines.append((decision_label, decision_loss, VERMILION, "-"))
    for _, loss, colour, dashes in lines:
        axes.axhline(loss, color=colour, linewidth=1.4, linestyle=dashes, zorder=2)
    axes.axvspan(min(low, right), min(high, right), color=BLUE, alpha=0.13, linewidth=0, zorder=1)
    chosen_loss = read_loss(curve, chosen)
    axes.plot(
        [min(chosen, right)],
        [chosen_loss],
        marker="o",
        markersize=8,
        color=BLUE,
        markeredgecolor="white",
        zorder=5,
        clip_on=False,
    )
    drawn = [*losses, *(loss for _, loss, _, _ in lines)]
    margin = 0.06 * (max(drawn) - min(drawn)) or 1.0
    axes.set_ylim(min(drawn) - margin, max(drawn) + margin)
    axes.yaxis.set_major_formatter(FuncFormatter(lambda y, _: format_dollars(y)))
    _label_lines(axes, [(f"{name}  ${loss:,.0f}", loss, colour) for name, loss, colour, _ in lines])
    where = f"at {chosen:.3f}" if np.isfinite(chosen) else "by escalating nobody"
    _subtitle(axes, f"best ${chosen_loss:,.0f} {where} · shaded: interval {low:.3f} to {high:.3f}")
    return figure


def plot_importance(
    names: Sequence[str], mean: Floats, std: Floats, measure: str = "average precision"
) -> Figure:
    """Draw the loss of the measure when one column is shuffled, the largest on top.

    Parameters
    ----------
    names : sequence of str, of length m
    mean, std : arrays of shape (m,)
        Of the loss over the repeats.
    measure : str

    Returns
    -------
    Figure
        The twenty largest.
    """
    order = np.argsort(-mean, kind="stable")[:20][::-1]
    rows = np.arange(len(order))
    figure, axes = _start(
        "Permutation importance",
        f"Loss of {measure} when shuffled",
        "",
        height=len(order) * 0.3 + 1.5,
    )
    colours = [BLUE if mean[i] > 0 else LIGHT for i in order]
    bars: dict[str, Any] = {"color": colours, "height": 0.68, "linewidth": 0}
    whiskers: dict[str, Any] = {"ecolor": INK, "elinewidth": 1.1, "capsize": 2.5}
    axes.barh(rows, mean[order], xerr=std[order], error_kw=whiskers, **bars)
    axes.axvline(0, color=GREY, linewidth=0.8)
    axes.set_yticks(rows, [names[i] for i in order], color=INK)
    axes.set_ylim(-0.6, len(order) - 0.4)
    axes.grid(visible=False, axis="y")
    axes.spines["left"].set_visible(False)
    _subtitle(axes, "mean and standard deviation over the repeats")
    return figure


def read_loss(curve: ThresholdCurve, threshold: float) -> float:
    """Read the loss of a threshold, which may lie between two scores.

    Examples
    --------
    >>> curve = ThresholdCurve(np.array([np.inf, 0.8, 0.2]), np.array([100.0, 40.0, 60.0]))
    >>> [read_loss(curve, threshold) for threshold in (np.inf, 0.9, 0.8, 0.5, 0.2, 0.1)]
    [100.0, 100.0, 40.0, 40.0, 60.0, 60.0]
    """
    at_least = int(np.sum(curve.thresholds >= threshold))
    return float(curve.losses[at_least - 1])


def format_dollars(dollars: float) -> str:
    """Format an amount for an axis.

    Examples
    --------
    >>> [format_dollars(amount) for amount in (0, 850, 12_500, 2_000_000, -300)]
    ['$0', '$850', '$12.5k', '$2M', '-$300']
    """
    sign, amount = ("-" if dollars < 0 else ""), abs(dollars)
    for unit, size in (("M", 1e6), ("k", 1e3)):
        if amount >= size:
            return f"{sign}${amount / size:,.4g}{unit}"
    return f"{sign}${amount:,.4g}"


def plot_drift(drift: pd.DataFrame, probability: str) -> Figure:
    """Draw the population stability index of each feature, and the bands of the index.

    Parameters
    ----------
    drift : DataFrame
        ``feature`` and ``psi``, in the order to draw, from the top.
    probability : str
        The feature that is the probability of breach.

    Returns
    -------
    Figure
    """
    height = 1.9 + 0.32 * len(drift)
    figure, axes = _start("Drift since training", "Population stability index", "", height=height)
    names = ["probability of breach" if name == probability else name for name in drift["feature"]]
    colours = [VERMILION if x > MAJOR else ORANGE if x >= MODERATE else BLUE for x in drift["psi"]]
    bars = axes.barh(names, drift["psi"].clip(upper=_MOST_DRIFT), color=colours, height=0.62)
    axes.bar_label(bars, [f"{x:.2f}" for x in drift["psi"]], padding=3, size=9.5, color=INK)
    axes.invert_yaxis()
    for edge, name in ((MODERATE, "moderate"), (MAJOR, "major")):
        axes.axvline(edge, color=GREY, linewidth=1, linestyle="--")
        above = axes.get_xaxis_transform()
        axes.text(edge, 1, f" {name}", transform=above, size=9, color=GREY, va="bottom")
    shown = min(max(float(drift["psi"].max()), 1.4 * MAJOR), _MOST_DRIFT)
    axes.set_xlim(0, 1.12 * shown)
    return figure


def _start(
    title: str, xlabel: str = "", ylabel: str = "", width: float = 6.4, height: float = 5.2
) -> tuple[Figure, Axes]:
    figure = Figure(figsize=(width, height), dpi=150, layout="constrained")
    axes = figure.subplots()
    _style(axes, title, xlabel, ylabel)
    return figure, axes


def _style(axes: Axes, title: str, xlabel: str, ylabel: str) -> None:
    """Apply the style of all plots."""
    axes.set_title(title, loc="left", size=13, weight="bold", color=INK, pad=26 if title else 0)
    axes.set_xlabel(xlabel, size=10.5, color=INK, labelpad=6)
    axes.set_ylabel(ylabel, size=10.5, color=INK, labelpad=6)
    axes.grid(color=LIGHT, linewidth=0.7)
    axes.set_axisbelow(True)
    axes.tick_params(length=0, labelsize=9.5, labelcolor=GREY, pad=5)
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set_color("#B5B5B5")


def _format_shares(axes: Axes) -> None:
    axes.xaxis.set_major_formatter(PercentFormatter(1.0))
    axes.yaxis.set_major_formatter(PercentFormatter(1.0))


def _subtitle(axes: Axes, text: str) -> None:
    place: dict[str, Any] = {
        "xycoords": "axes fraction",
        "xytext": (0, 10),
        "textcoords": "offset points",
    }
    axes.annotate(text, xy=(0, 1), size=9.5, color=GREY, **place)


def _count(breach: Bools) -> str:
    return f"{len(breach):,} tickets, {int(breach.sum()):,} breached"


def _has_both(breach: Bools, axes: Axes) -> bool:
    """Whether there are both outcomes; otherwise the plot says that it has no curve."""
    both = bool(breach.any() and not breach.all())
    if not both:
        _subtitle(axes, f"no curve without both outcomes · {_count(breach)}")
    return both


def _finish_square(figure: Figure, axes: Axes, xlabel: str, ylabel: str) -> Figure:
    """Replace the labels and the legend of scikit-learn, and show percentages."""
    axes.set(xlim=(-0.01, 1.01), ylim=(-0.01, 1.01), aspect="equal", xlabel=xlabel, ylabel=ylabel)
    _format_shares(axes)
    if legend := axes.get_legend():
        legend.remove()
    return figure


def _trace_steps(curve: ThresholdCurve) -> tuple[Floats, Floats]:
    """Convert a curve to the corners of steps from 0 to just above the highest score."""
    ascending, losses = curve.thresholds[::-1], curve.losses[::-1]
    top = float(ascending[-2]) if len(ascending) > 1 else 1.0
    thresholds = np.concatenate([[0.0], ascending[:-1], [max(1.05 * top, 0.05)]])
    losses = np.concatenate([losses[:1], losses])
    shown = np.unique(np.linspace(0, len(losses) - 1, _POINTS).astype(int))
    # thinning must keep the minimum
    shown = np.union1d(shown, np.argmin(losses))
    return thresholds[shown], losses[shown]


def _label_lines(axes: Axes, labels: Sequence[tuple[str, float, str]]) -> None:
    """Label each horizontal line at its right end, moving apart labels that would overlap."""
    bottom, top = axes.get_ylim()
    ranked = sorted(labels, key=lambda label: label[1])
    heights = [(loss - bottom) / (top - bottom) for _, loss, _ in ranked]
    outside: dict[str, Any] = {"transform": axes.transAxes, "clip_on": False}
    for (text, _, colour), height, place in zip(ranked, heights, _spread(heights), strict=True):
        axes.plot([1.0, 1.03], [height, place], color=colour, linewidth=1, **outside)
        axes.text(1.04, place, text, color=INK, size=9.5, va="center", **outside)


def _spread(heights: Sequence[float], gap: float = 0.06) -> list[float]:
    """Move rising heights apart by at least ``gap``, as little as a few rounds of pushing allow."""
    places = list(heights)
    for _ in range(100):
        for i in range(1, len(places)):
            short = gap - (places[i] - places[i - 1])
            if short > 1e-6:
                places[i - 1] -= short / 2
                places[i] += short / 2
    return places
