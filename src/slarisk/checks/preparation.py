"""Whether features were made, or picked, with the help of test tickets before the run."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from scipy.stats import rankdata

from slarisk.checks.check import CheckResult, failed, passed, warned
from slarisk.config import Moment
from slarisk.learning.features import list_numeric_inputs, read_numbers
from slarisk.stats.association import measure_auc
from slarisk.tickets.fields import moment_known

if TYPE_CHECKING:
    from slarisk.arrays import Bools, Floats
    from slarisk.checks.context import CheckContext


_EXACT, _FAR = 1e-4, 1e-3  # of a standard deviation
_FEW = 20  # values of the same kind
_TILT = 3  # values by which the training part must lie to one side of a median of all
_SPIKE = 5  # times as frequent as the next value: a gap that was filled
_FIT, _NO_FIT = 1e-6, 1e-4  # shares of variance that an exact formula leaves, and any other does
_FEWEST_RATES, _FEWEST_SMOOTHED = 4, 8  # different values that a formula is tried on
_FEWEST_FIELDS, _FEWEST_PICKED = 20, 5
_PICKED, _BETTER = 0.97, 0.02  # shares of pairs


def check_preparation(context: CheckContext) -> CheckResult:
    """SR013: no number was computed from training and test tickets together.

    Such a number satisfies an equation over both parts to the last digits, and not over the
    training part alone: it has mean 0 and variance 1, its gaps are filled with the mean or median
    of the others, or it is an affine or smoothed breach rate of the tickets that share it.

    Nor may a probability depend on which other tickets are scored with it: then the test tickets
    take part in its features.
    """
    changed = _count_changed(context)
    if changed:
        return failed(
            f"The probabilities of {changed:,} test tickets change when fewer are scored together: "
            "their features, or the preprocessing in the model, are made from other test tickets."
        )
    fields = list_numeric_inputs(context.config.features)
    names = [name for name in fields if name in context.training]
    frame, unlabelled = context.tickets.frame, context.tickets.unlabelled
    wholes = [[context.training, context.test], [frame], [frame, unlabelled]]
    labels = [np.concatenate([context.breach, context.test_breach]), frame["breach"].to_numpy(bool)]
    rates, own, scaled = [], [], []
    for name in names:
        known, *numbers = (_read(parts, name) for parts in ([context.training], *wholes))
        if any(_is_breach_rate(*each) for each in zip(numbers, labels, strict=False)):
            rates.append(name)
        elif _is_breach_rate(known, context.breach):
            own.append(name)
        if any(_shows_whole(known, each) for each in numbers):
            scaled.append(name)
    if rates:
        return failed(
            f"{', '.join(rates)}: a breach rate of training and test tickets together. It holds "
            "the labels of the test tickets; make it in the model, where each fold has its own."
        )
    objections = []
    if own:
        objections.append(
            f"{', '.join(own)}: a breach rate of the training tickets, each with its own label, so "
            "the out-of-fold scores are too good."
        )
    if scaled:
        objections.append(
            f"{', '.join(scaled)}: scaled or filled with a statistic of training and test tickets "
            "together. Leave that to the model."
        )
    return warned(" ".join(objections)) if objections else passed(f"None of {len(names)} numbers.")


def _count_changed(context: CheckContext) -> int:
    """Count test tickets whose probability changes when every other one is left out."""
    again = context.learned.model.probability(context.test.iloc[::2])
    same = np.isclose(again, context.probability[::2], rtol=1e-9, atol=1e-12)
    return int((~same).sum())


def _read(parts: list[pd.DataFrame], name: str) -> Floats:
    return np.concatenate([read_numbers(part, name).to_numpy() for part in parts])


def _shows_whole(known: Floats, whole: Floats) -> bool:
    known, whole = known[~np.isnan(known)], whole[~np.isnan(whole)]
    if len(known) < _FEW or known.std() == 0:
        return False
    return (_is_scaled(whole, _EXACT) and not _is_scaled(known, _FAR)) or _is_filled(known, whole)


def _is_scaled(values: Floats, slack: float) -> bool:
    deviations = (abs(values.std(ddof=free) - 1) for free in (0, 1))
    return bool(abs(values.mean()) < slack and min(deviations) < slack)


def _is_filled(known: Floats, whole: Floats) -> bool:
    values, counts = np.unique(whole, return_counts=True)
    if len(values) < _FEW:
        return False
    second, most = np.sort(counts)[-2:]
    if most < max(_FEW, _SPIKE * second):
        return False
    fill = values[counts.argmax()]
    rest, known_rest = whole[whole != fill], known[known != fill]
    if not len(known_rest):
        return False
    by_mean = abs(rest.mean() - fill) < _EXACT * rest.std() / 10
    by_mean &= abs(known_rest.mean() - fill) > _EXACT * rest.std()
    by_median = abs(_tilt(rest, fill)) <= 1 and abs(_tilt(known_rest, fill)) > _TILT
    return bool(by_mean or by_median)


def _tilt(values: Floats, middle: float) -> int:
    """Count how many values lie above a number more than below it: about 0 for their median."""
    return int((values > middle).sum()) - int((values < middle).sum())


def _is_breach_rate(values: Floats, breach: Bools) -> bool:
    """Whether values are breach rates of the tickets that share them.

    Of n tickets with b breaches, ``(b + m * p) / (n + m)`` for any m and p, moved and stretched,
    satisfies ``v * n = -m * v + c1 * n + c2 * b + c3`` with the same numbers for all values.
    """
    present = ~np.isnan(values)
    distinct, codes = np.unique(values[present], return_inverse=True)
    if not _FEWEST_RATES <= len(distinct) <= present.sum() / 2:
        return False
    count = np.bincount(codes).astype(float)
    breached = np.bincount(codes, weights=breach[present]).astype(float)
    one: Floats = np.ones(len(distinct))
    rate = breached / count
    if rate.std() == 0:
        return False
    if _unexplained(distinct, [one, rate]) < _FIT:
        return True
    if len(distinct) < _FEWEST_SMOOTHED:
        return False
    centred = distinct - distinct.mean()
    product, terms = centred * count, [centred, count, one]
    return (
        _unexplained(product, terms) > _NO_FIT and _unexplained(product, [*terms, breached]) < _FIT
    )


def _unexplained(target: Floats, terms: list[Floats]) -> float:
    """Measure the share of the variance of a target that a linear fit leaves."""
    matrix = np.column_stack(terms)
    fit = matrix @ np.linalg.lstsq(matrix, target, rcond=None)[0]
    total = float(((target - target.mean()) ** 2).sum())
    return float(((target - fit) ** 2).sum()) / total if total > 0 else 0.0


def check_selection(context: CheckContext) -> CheckResult:
    """SR014: the features were not picked by their association with the labels of test tickets.

    Where there are many numbers to pick from, those picked are compared with those left out: by
    the training tickets, and by training and test tickets together. If only the second order puts
    all picked ones first, the test tickets took part in the choice.
    """
    data, picked = context.config.data, {*list_numeric_inputs(context.config.features)}
    names = [
        name
        for name in data.columns
        if name in context.training and moment_known(name, data) is Moment.created
    ]
    if len(names) < _FEWEST_FIELDS:
        return passed(f"{len(names)} fields are too few to pick from.")
    both = pd.concat([context.training, context.test], ignore_index=True)
    fields = [name for name in names if read_numbers(both, name).notna().mean() > 0.5]
    chosen = np.array([name in picked for name in fields])
    if min(chosen.sum(), (~chosen).sum()) < _FEWEST_PICKED:
        return passed(f"{int(chosen.sum())} of {len(fields)} numbers are features.")
    tickets = [context.training, both]
    alone, together = (_agree(part, fields, chosen) for part in tickets)
    detail = (
        f"{int(chosen.sum())} of {len(fields)} numbers are features. Those go with the outcome "
        f"more than those left out in {alone:.1%} of the pairs on the training tickets, and in "
        f"{together:.1%} on training and test tickets together."
    )
    if together >= _PICKED and together - alone >= _BETTER:
        return failed(f"{detail} They were picked with the help of the test tickets.")
    return passed(detail)


def _agree(tickets: pd.DataFrame, fields: list[str], chosen: Bools) -> float:
    breach = tickets["breach"].to_numpy(dtype=float)
    strength = []
    for name in fields:
        numbers = read_numbers(tickets, name)
        ranks = rankdata(numbers.fillna(numbers.median()))
        flat = ranks.std() == 0
        strength.append(0.0 if flat else abs(float(np.corrcoef(ranks, breach)[0, 1])))
    return measure_auc(chosen, np.array(strength))
