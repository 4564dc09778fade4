"""Whether the model generalises to tickets that it was not fitted on."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy.stats import chi2

from slarisk.checks.check import CheckResult, failed, passed, warned
from slarisk.errors import InputError
from slarisk.learning.models import breach_scores, fit_pipeline
from slarisk.stats.association import auc_error, measure_auc

if TYPE_CHECKING:
    from slarisk.arrays import Floats
    from slarisk.checks.context import CheckContext

_SKILL = 0.55  # ROC AUC
_LEARNED = 0.02  # ROC AUC lost out of fold by a model that must have learned from its tickets
_PROBE = 400  # tickets that a copy is fitted on
_OVERFIT = 0.2  # ROC AUC lost out of fold
_LOST = 0.05  # ROC AUC lost on the test tickets
_ERRORS = 3.0
_UNSTABLE = 0.03  # standard deviation of the ROC AUC between folds, beyond chance
_LEVEL = 0.01


def check_learning(context: CheckContext) -> CheckResult:
    """SR015: the model learns from the labels that it is given, and from nothing else.

    A fresh copy is fitted on some tickets with reversed labels. One that learns then ranks tickets
    the other way round; one that ranks them as before was fitted elsewhere, perhaps on the test
    tickets. A model that is better in sample than out of fold has learned, and is not fitted again.
    """
    inside, outside = _measure_both_aucs(context)
    if not (inside > _SKILL and inside - outside < _LEARNED):
        return passed("In sample and out of fold the model differs, as one that learns does.")
    try:
        reversed_auc = measure_auc(
            context.breach[context.sampled], _score_by_reversed_labels(context)
        )
    except (InputError, ValueError) as error:  # such as 500 neighbours of 400 tickets
        reason = str(error).splitlines()[0].rstrip(".")
        return passed(f"With {_PROBE} tickets it has too few, so this cannot be told: {reason}.")
    detail = f"ROC AUC {inside:.3f}, and {reversed_auc:.3f} when fitted on reversed labels."
    if reversed_auc >= 0.5 + (inside - 0.5) / 2:
        return failed(
            f"{detail} The model does not learn from the tickets it is given: it was fitted "
            "before, so there is no test set that it has not seen."
        )
    return passed(detail)


def _measure_both_aucs(context: CheckContext) -> tuple[float, float]:
    """Measure the ROC AUC of the sampled tickets, in sample and out of fold."""
    breach, score = context.breach[context.sampled], context.learned.score[context.sampled]
    return measure_auc(breach, context.in_sample), measure_auc(breach, score)


def _score_by_reversed_labels(context: CheckContext) -> Floats:
    """Score the sampled tickets by a model fitted on some of them with reversed labels."""
    few = context.sampled[:_PROBE]
    model = context.learned.model
    pipeline = fit_pipeline(
        model.pipeline[-1], model.features, context.frame.iloc[few], ~context.breach[few]
    )
    return breach_scores(pipeline, context.frame.iloc[context.sampled])


def check_overfitting(context: CheckContext) -> CheckResult:
    """SR016: the model is about as good on tickets that it was not fitted on.

    Out-of-fold scores that are the same as those in sample come from a model that was fitted on the
    tickets it scores.
    """
    seen = _find_seen_folds(context)
    if seen:
        return failed(
            f"The out-of-fold scores of {len(seen)} of {len(context.folds)} folds come from a "
            "model that was fitted on the tickets it scores."
        )
    inside, outside = _measure_both_aucs(context)
    detail = f"ROC AUC {inside:.3f} in sample, {outside:.3f} out of fold."
    if inside - outside >= _OVERFIT:
        return warned(f"{detail} It learns tickets by heart: a simpler model may do better.")
    return passed(detail)


def _find_seen_folds(context: CheckContext) -> list[int]:
    """Find folds that share tickets with their fit, or are scored like the final model does."""
    seen = []
    sampled, learned = context.sampled, context.learned
    for number, fold in enumerate(context.folds):
        inside = learned.fold[sampled] == number
        scores = learned.score[sampled[inside]]
        same = len(np.unique(scores)) > 1 and np.allclose(
            scores, context.in_sample[inside], rtol=1e-9, atol=1e-12
        )
        if same or np.isin(fold.score, fold.fit).any():
            seen.append(number)
    return seen


def check_transfer(context: CheckContext) -> CheckResult:
    """SR017: the ROC AUC on the test tickets is about that of the out-of-fold scores."""
    eligible = context.learned.eligible
    breach = context.breach[eligible]
    out_of_fold = measure_auc(breach, context.learned.score[eligible])
    on_test = measure_auc(context.test_breach, context.probability)
    error = float(np.hypot(auc_error(out_of_fold, breach), auc_error(on_test, context.test_breach)))
    detail = f"ROC AUC {out_of_fold:.3f} out of fold, {on_test:.3f} on the test tickets."
    if out_of_fold - on_test >= _LOST and out_of_fold - on_test >= _ERRORS * error:
        return warned(
            f"{detail} The out-of-fold scores, on which thresholds, calibration and the objective "
            "rest, are too good: look for features made with the label, for several tickets of a "
            "case, and for drift."
        )
    return passed(detail)


def check_stability(context: CheckContext) -> CheckResult:
    """SR018: the folds agree on how good the model is.

    Cochran's Q of the ROC AUC of the folds, and by how much they differ beyond chance.
    """
    learned = context.learned
    measured = []
    for fold in np.unique(learned.fold[learned.eligible]):
        inside = learned.fold == fold
        auc = measure_auc(context.breach[inside], learned.score[inside])
        measured.append((auc, auc_error(auc, context.breach[inside])))
    aucs, errors = np.array(measured).T
    usable = np.isfinite(aucs) & (errors > 0)
    if usable.sum() < 2:
        return passed("Fewer than two folds to compare.")
    aucs, weights = aucs[usable], 1 / errors[usable] ** 2
    mean = np.average(aucs, weights=weights)
    excess = float(weights @ (aucs - mean) ** 2)
    free = len(aucs) - 1
    chance = float(chi2.sf(excess, free))
    # DerSimonian and Laird (1986)
    scale = weights.sum() - (weights**2).sum() / weights.sum()
    between = float(np.sqrt(max(excess - free, 0.0) / scale))
    detail = (
        f"ROC AUC by fold {', '.join(f'{auc:.3f}' for auc in aucs)}: beyond chance they differ by "
        f"a standard deviation of {between:.3f} (p = {chance:.2g})."
    )
    if chance < _LEVEL and between >= _UNSTABLE:
        return warned(f"{detail} What is learned depends on when, or on which tickets.")
    return passed(detail)
