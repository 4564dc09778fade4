"""Whether features were made, or picked, with the help of test tickets before the run."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from scipy.stats import rankdata

from slarisk.checks.check import Finding, failed, passed, warned
from slarisk.config import Moment
from slarisk.learning.features import number_fields, read_numbers
from slarisk.stats.association import measure_auc
from slarisk.tickets.contract import moment_known

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from slarisk.arrays import Floats
    from slarisk.checks.context import CheckContext

_EXACT, _FAR = 1e-4, 1e-3  # of a standard deviation
_FEW = 20  # values of the same kind
_TILT = 3  # values by which the training part must lie to one side of a median of all
_SPIKE = 5  # times as frequent as the next value: a gap that was filled
_FIT, _NO_FIT = 1e-6, 1e-4  # shares of variance that an exact formula leaves, and any other does
_FEWEST_RATES, _FEWEST_SMOOTHED = 4, 8  # different values that a formula is tried on
_FEWEST_FIELDS, _FEWEST_PICKED = 20, 5
_PICKED, _BETTER = 0.97, 0.02  # shares of pairs


def check_preparation(evidence: CheckContext) -> Finding:
    """SR013: no number was computed from training and test tickets together.

    Such a number satisfies an equation over both parts to the last digits, and not over the
    training part alone: it has mean 0 and variance 1, its gaps are filled with the mean or median
    of the others, or it is an affine or smoothed breach rate of the tickets that share it.

    Nor may a probability depend on which other tickets are scored with it: then the test tickets
    take part in its features.
    """
    beside = _count_changed(evidence)
    if beside:
        return failed(
            f"The probabilities of {beside:,} test tickets change when fewer are scored together: "
            "their features, or the preprocessing in the model, are made from other test tickets."
        )
    fields = number_fields(evidence.config.features)
    names = [name for name in fields if name in evidence.training]
    rates, own, scaled = [], [], []
    for name in names:
        known = read_numbers(evidence.training, name).to_numpy()
        if any(_is_breach_rate(*each) for each in _list_labelled(evidence, name)):
            rates.append(name)
        elif _is_breach_rate(known, evidence.breach):
            own.append(name)
        if any(_shows_whole(known, whole) for whole in _list_wholes(evidence, name)):
            scaled.append(name)
    if rates:
        return failed(
            f"{', '.join(rates)}: a breach rate of training and test tickets together. It holds "
            "the labels of the test tickets; make it in the model, where each fold has its own."
        )
    said = []
    if own:
        said.append(
            f"{', '.join(own)}: a breach rate of the training tickets, each with its own label, so "
            "the out-of-fold scores are too good."
        )
    if scaled:
        said.append(
            f"{', '.join(scaled)}: scaled or filled with a statistic of training and test tickets "
            "together. Leave that to the model."
        )
    return warned(" ".join(said)) if said else passed(f"None of {len(names)} numbers.")


def _count_changed(evidence: CheckContext) -> int:
    """Count test tickets whose probability changes when every other one is left out."""
    again = evidence.learned.model.probability(evidence.test.iloc[::2])
    same = np.isclose(again, evidence.probability[::2], rtol=1e-9, atol=1e-12)
    return int((~same).sum())


def _list_labelled(evidence: CheckContext, name: str) -> Iterator[tuple[Floats, NDArray[np.bool_]]]:
    both = pd.concat([evidence.training, evidence.test])
    for whole in (both, evidence.tickets.frame):
        yield read_numbers(whole, name).to_numpy(), whole["breach"].to_numpy(dtype=bool)


def _list_wholes(evidence: CheckContext, name: str) -> Iterator[Floats]:
    tickets = evidence.tickets
    for parts in (
        [evidence.training, evidence.test],
        [tickets.frame],
        [tickets.frame, tickets.unlabelled],
    ):
        yield np.concatenate([read_numbers(part, name).to_numpy() for part in parts])


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


def _is_breach_rate(values: Floats, breach: NDArray[np.bool_]) -> bool:
    """Find out whether values are rates of breach among the tickets that share them.

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
    if _leave(distinct, [one, rate]) < _FIT:
        return True
    if len(distinct) < _FEWEST_SMOOTHED:
        return False
    centred = distinct - distinct.mean()
    product, terms = centred * count, [centred, count, one]
    return _leave(product, terms) > _NO_FIT and _leave(product, [*terms, breached]) < _FIT


def _leave(target: Floats, terms: list[Floats]) -> float:
    """Measure the share of the variance of a target that a linear fit leaves."""
    matrix = np.column_stack(terms)
    fit = matrix @ np.linalg.lstsq(matrix, target, rcond=None)[0]
    total = float(((target - target.mean()) ** 2).sum())
    return float(((target - fit) ** 2).sum()) / total if total > 0 else 0.0


def check_selection(evidence: CheckContext) -> Finding:
    """SR014: the features were not picked by how they go with the outcome of test tickets.

    Where there are many numbers to pick from, those picked are compared with those left out: by
    the training tickets, and by training and test tickets together. If only the second order puts
    all picked ones first, the test tickets took part in the choice.
    """
    data, picked = evidence.config.data, {*number_fields(evidence.config.features)}
    names = [
        name
        for name in data.columns
        if name in evidence.training and moment_known(name, data) is Moment.created
    ]
    if len(names) < _FEWEST_FIELDS:
        return passed(f"{len(names)} fields are too few to pick from.")
    both = pd.concat([evidence.training, evidence.test], ignore_index=True)
    fields = [name for name in names if read_numbers(both, name).notna().mean() > 0.5]
    chosen = np.array([name in picked for name in fields])
    if min(chosen.sum(), (~chosen).sum()) < _FEWEST_PICKED:
        return passed(f"{int(chosen.sum())} of {len(fields)} numbers are features.")
    tickets = [evidence.training, both]
    alone, together = (_agree(part, fields, chosen) for part in tickets)
    detail = (
        f"{int(chosen.sum())} of {len(fields)} numbers are features. Those go with the outcome "
        f"more than those left out in {alone:.1%} of the pairs on the training tickets, and in "
        f"{together:.1%} on training and test tickets together."
    )
    if together >= _PICKED and together - alone >= _BETTER:
        return failed(f"{detail} They were picked with the help of the test tickets.")
    return passed(detail)


def _agree(tickets: pd.DataFrame, fields: list[str], chosen: NDArray[np.bool_]) -> float:
    breach = tickets["breach"].to_numpy(dtype=float)
    strength = []
    for name in fields:
        numbers = read_numbers(tickets, name)
        ranks = rankdata(numbers.fillna(numbers.median()))
        flat = ranks.std() == 0
        strength.append(0.0 if flat else abs(float(np.corrcoef(ranks, breach)[0, 1])))
    return measure_auc(chosen, np.array(strength))
