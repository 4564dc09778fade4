"""Groups of tickets with similar losses: the leaves of a shallow regression tree.

Each leaf is a rule of at most three conditions. The clusters of k-means, which the notebook imports
and does not use, need distances between channels and products, ignore losses, and have no rule.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from sklearn.tree import DecisionTreeRegressor

from slarisk.analysis.fields import Field, Outcomes
from slarisk.arrays import Codes, Floats
from slarisk.stats.rates import wilson_interval

_DEPTH, _LEAVES = 3, 6
_MOST_TICKETS = 50_000  # to fit the tree on: more give the same rules
_SMALLEST, _FEWEST = 0.01, 20  # of the tickets, for a group
_MOST_LEVELS = 12  # of an unordered field: nobody reads a rule that lists thirty products
_NAMED = 4  # values that a rule spells out
_PRIOR_TICKETS = 20  # with this many tickets, a level's mean is shrunk halfway to the overall mean


@dataclass(frozen=True, eq=False)
class Groups:
    """A partition of the tickets into groups with similar losses.

    ``table`` has one row per group, the costliest first: ``group`` (the rule), ``tickets``,
    ``share`` of all tickets, ``breach_rate``, ``average_cost``, ``total_cost``, ``cost_share``,
    and ``checked_rate`` with ``rate_low`` and ``rate_high``: the breach rate among the tickets
    that the tree was not fitted on. It was fitted on ``found_on`` tickets.
    """

    table: pd.DataFrame
    found_on: int


def find_groups(
    fields: Sequence[Field], outcomes: Outcomes, confidence: float, seed: int
) -> Groups | None:
    """Fit the tree on one half of the tickets, and estimate the groups' rates on the other.

    Returns
    -------
    Groups or None
        None where the tree has no split.

    References
    ----------
    Two halves: S. Athey and G. Imbens (2016), "Recursive partitioning for heterogeneous causal
    effects", PNAS 113. Values in the order of their mean: L. Breiman et al. (1984),
    "Classification and Regression Trees", section 4.2.2.
    """
    loss, tickets = outcomes.loss, len(outcomes.breach)
    fields = [each for each in fields if each.natural or len(each.levels) <= _MOST_LEVELS]
    if not fields or tickets < 2 or loss.max() == loss.min():
        return None
    order = np.random.default_rng(seed).permutation(tickets)
    fitting, checking = np.split(order, [min(tickets // 2, _MOST_TICKETS)])
    ranks = [_rank_levels(field, loss, fitting) for field in fields]
    coded = np.column_stack(
        [rank[field.codes] for rank, field in zip(ranks, fields, strict=True)]
    ).astype(np.float32)
    tree = DecisionTreeRegressor(
        max_depth=_DEPTH,
        max_leaf_nodes=_LEAVES,
        min_samples_leaf=max(_FEWEST, int(_SMALLEST * len(fitting))),
        random_state=seed,
    ).fit(coded[fitting], loss[fitting])
    if tree.get_n_leaves() < 2:
        return None
    leaves = tree.apply(coded)
    rules = _write_rules(tree, fields, ranks)
    rows = []
    for leaf in np.unique(leaves):
        inside = leaves == leaf
        check = inside[checking]
        row = {
            "group": rules[int(leaf)],
            "tickets": int(inside.sum()),
            "share": float(inside.mean()),
            "breach_rate": float(outcomes.breach[inside].mean()),
            "average_cost": float(loss[inside].mean()),
            "total_cost": float(loss[inside].sum()),
            "cost_share": float(loss[inside].sum() / loss.sum()),
            "checked_rate": np.nan,
            "rate_low": np.nan,
            "rate_high": np.nan,
        }
        if check.any():
            late = int(outcomes.breach[checking][check].sum())
            low, high = wilson_interval([late], [check.sum()], confidence)
            row |= {"checked_rate": late / check.sum(), "rate_low": low[0], "rate_high": high[0]}
        rows.append(row)
    table = pd.DataFrame(rows).sort_values("average_cost", ascending=False, kind="stable")
    return Groups(table.reset_index(drop=True), len(fitting))


def _rank_levels(field: Field, loss: Floats, fitting: Codes) -> Codes:
    """Rank a field's levels by mean loss, or keep the order of an ordered field."""
    levels = len(field.levels)
    if field.natural:
        return np.arange(levels)
    codes, lost = field.codes[fitting], loss[fitting]
    prior = _PRIOR_TICKETS * lost.mean()
    mean = np.bincount(codes, weights=lost, minlength=levels) + prior
    mean /= np.bincount(codes, minlength=levels) + _PRIOR_TICKETS
    return np.argsort(np.argsort(mean, kind="stable"), kind="stable")


def _write_rules(
    tree: DecisionTreeRegressor, fields: Sequence[Field], ranks: Sequence[Codes]
) -> dict[int, str]:
    """Write the rule of every leaf: the levels of each field that lead to it."""
    inner = tree.tree_
    rules: dict[int, str] = {}

    def follow(node: int, allowed: dict[int, tuple[float, float]]) -> None:
        if inner.children_left[node] < 0:
            rules[node] = _write_rule(fields, ranks, allowed)
            return
        split, cut = int(inner.feature[node]), float(inner.threshold[node])
        low, high = allowed.get(split, (-np.inf, np.inf))
        follow(int(inner.children_left[node]), allowed | {split: (low, min(high, cut))})
        follow(int(inner.children_right[node]), allowed | {split: (max(low, cut), high)})

    follow(0, {})
    return rules


def _write_rule(
    fields: Sequence[Field], ranks: Sequence[Codes], allowed: dict[int, tuple[float, float]]
) -> str:
    parts = []
    for index, (low, high) in allowed.items():
        field, rank = fields[index], ranks[index]
        there = np.bincount(field.codes, minlength=len(field.levels)) > 0
        inside = (rank > low) & (rank <= high) & there
        chosen = [field.levels[i] for i in np.flatnonzero(inside)]
        left = [field.levels[i] for i in np.flatnonzero(there & ~inside)]
        if field.name == "hour" and len(chosen) > 1:
            parts.append(f"{field.label} {chosen[0]} to {chosen[-1]}")
        elif len(chosen) <= _NAMED:
            parts.append(f"{field.label} {' or '.join(chosen)}")
        elif len(left) <= _NAMED:
            parts.append(f"{field.label} other than {', '.join(left)}")
        else:
            named = ", ".join(chosen[: _NAMED - 1])
            parts.append(f"{field.label} {named} or {len(chosen) - _NAMED + 1} others")
    return "; ".join(parts)
