"""Whether the test tickets are distributed as in training, and represent their period."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from scipy.stats import chi2

from slarisk.checks.check import CheckResult, passed, warned
from slarisk.config import SplitKind
from slarisk.stats.association import code_values
from slarisk.stats.drift import MAJOR, MODERATE, band, population_stability_index
from slarisk.tickets.labels import read_moment

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from slarisk.checks.context import CheckContext

_BINS = 10
_MOST_LEVELS = 20  # of a category; the others are taken together
_LEVEL = 0.001  # of a test, all features together
_UNLABELLED = 0.1  # share of the tickets of a period that got no label
_JUMP = 1.5  # ratio of breach rates


def check_drift(context: CheckContext) -> CheckResult:
    """SR021: features and scores are distributed on the test tickets as they were in training.

    The population stability index with its usual bands. An index that chance alone would reach
    does not count, whatever its band.
    """
    indices = {"the score": _compare_scores(context)}
    indices |= {name: _compare_feature(context, name) for name in context.features}
    moved = {
        name: index
        for name, (index, chance) in indices.items()
        if index >= MODERATE and chance * len(indices) < _LEVEL
    }
    worst = sorted(moved.items(), key=lambda each: -each[1])
    listed = ", ".join(f"{name} {index:.2f} ({band(index)})" for name, index in worst)
    if any(index > MAJOR for index in moved.values()):
        return warned(
            f"PSI between training and test: {listed}. The test tickets are of another kind than "
            "those learned from: train on what is recent, and watch the loss."
        )
    if moved:
        return passed(f"PSI between training and test: {listed}.")
    largest = max(index for index, _ in indices.values())
    return passed(f"The largest PSI between training and test is {largest:.3f}.")


def _compare_feature(context: CheckContext, name: str) -> tuple[float, float]:
    known, new, levels = code_values(context.frame[name], context.test_frame[name], _BINS)
    return _compare(np.bincount(known, minlength=levels), np.bincount(new, minlength=levels))


def _compare_scores(context: CheckContext) -> tuple[float, float]:
    """Compare the scores of the model with those of the fold whose model is most like it.

    In bins of equal width: of scores that crowd at few values, a bin of equal size holds a part of
    a crowd, and all of it moves to the next bin with the least change.
    """
    learned = context.learned
    last = learned.eligible & (learned.fold == learned.fold.max())
    temporal = context.config.split.name is SplitKind.temporal
    known = learned.probability[last if temporal else learned.eligible]
    edges = np.linspace(0, 1, _BINS + 1)
    return _compare(*(np.histogram(each, edges)[0] for each in (known, context.probability)))


def _compare(expected: NDArray[np.int64], actual: NDArray[np.int64]) -> tuple[float, float]:
    """Give the index of two distributions, and how likely chance makes it as large."""
    order = np.argsort(-(expected + actual), kind="stable")
    kept, rest = order[: _MOST_LEVELS - 1], order[_MOST_LEVELS - 1 :]
    expected, actual = (np.append(side[kept], side[rest].sum()) for side in (expected, actual))
    index = population_stability_index(expected, actual)
    used = int(((expected + actual) > 0).sum())
    noise = 1 / expected.sum() + 1 / actual.sum()
    return index, float(chi2.sf(index / noise, max(used - 1, 1)))


def check_population(context: CheckContext) -> CheckResult:
    """SR022: the test tickets stand for all tickets of their period.

    Where many tickets of the test period have no label, or are left out, those tested on are a
    selection. And a breach rate far from that of the training tickets asks for a reason.
    """
    tested = len(context.test)
    untested = _count_untested(context)
    share = untested / (untested + tested)
    before, now = float(context.breach.mean()), float(context.test_breach.mean())
    detail = (
        f"{untested:,} of {untested + tested:,} tickets of the test period have no label, or are "
        f"left out ({share:.1%}). {now:.1%} of the test tickets breached, {before:.1%} of the "
        "training tickets."
    )
    objections = []
    if share >= _UNLABELLED:
        objections.append("The others are a selection: which are missing, and why?")
    error = np.sqrt(before * (1 - before) * (1 / tested + 1 / len(context.breach)))
    ratio = max(before, now) / max(min(before, now), 1e-9)
    if ratio >= _JUMP and abs(now - before) > 4 * error:
        objections.append("The breach rates differ: are the test tickets drawn as those to come?")
    return warned(" ".join([detail, *objections])) if objections else passed(detail)


def _count_untested(context: CheckContext) -> int:
    """Count the tickets of the test period that are not tested on: no label, or left out."""
    labelled, unlabelled = context.tickets.frame, context.tickets.unlabelled
    split, training, tested = context.config.split, len(context.training), len(context.test)
    if split.name is SplitKind.random:
        # all of the export is one period, of which the test tickets are a random part
        left_out = len(labelled) - training - tested
        return round((len(unlabelled) + left_out) * tested / (training + tested))
    begin = context.test["created_at"].min()
    if context.imputed or pd.isna(begin):
        return round(len(unlabelled) * tested / len(labelled))
    created = pd.concat([labelled["created_at"], unlabelled["created_at"]])
    inside = created >= begin
    if split.test_until is not None:
        inside &= created < read_moment(split.test_until, context.config.data.timezone)
    return int(inside.sum()) - tested
