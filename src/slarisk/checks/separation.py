"""Whether training and test are separated: by ticket, by case, and in time."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from pandas.util import hash_array

from slarisk.checks.check import CheckResult, failed, passed, warned
from slarisk.config import Moment, SplitKind
from slarisk.tickets.fields import cost_fields, date_fields, moment_known
from slarisk.tickets.labels import read_moment

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from slarisk.arrays import Bools
    from slarisk.checks.context import CheckContext

_MANY, _SOME = 0.01, 0.001  # of the test tickets
_DISTINCT = 0.5  # share of different times in a key, below which it does not identify a ticket
_FEW_PAIRS = 50
_FEWEST_CASES, _MOST_CASES = 0.05, 0.95  # distinct values per ticket of what may name a case
_ONE_CASE, _ALIKE = 0.5, 0.3  # correlations of outcomes within a case
_ERRORS = 5.0
_NEAR, _ELSEWHERE = 2, 4  # units of time: tickets that lie so close, and what copies are not off by


def check_duplicates(context: CheckContext) -> CheckResult:
    """SR010: no test ticket is in the training part, by its id or by its content.

    Content is compared where it identifies a ticket: all that was known at creation, to the second;
    and text with the exact time to resolution, which a copy with shifted dates keeps. Where a
    script closes tickets within seconds, many are equal in both by chance. How many is counted with
    times that are off by a few units of their precision, and taken off.
    """
    known, test = len(context.training), len(context.test)
    both = pd.concat([context.training, context.test], ignore_index=True)
    ids = both["ticket_id"].astype("str").str.strip().str.casefold()
    twin = ids[known:].isin(ids[:known]).to_numpy()
    same_ids, chance = int(twin.sum()), 0.0
    for content, times in _list_contents(context, both):
        copied, by_chance = _find_copies(content, times, known)
        chance += min(by_chance, float((copied & ~twin).sum()))
        twin = twin | copied
    copies = round(int(twin.sum()) - same_ids - chance)
    share = (same_ids + copies) / test
    detail = (
        f"{same_ids + copies:,} of {test:,} test tickets are also in the training part "
        f"({same_ids:,} by their id, {copies:,} by their content"
        f"{f', beyond {chance:,.0f} that are equal by chance' if round(chance) else ''})."
    )
    if share >= _MANY:
        return failed(f"{detail} Remove the copies from the export.")
    if share >= _SOME:
        return warned(f"{detail} Few enough to change little; remove them from the export.")
    return passed(detail)


def _find_copies(content: pd.DataFrame, times: list[str], known: int) -> tuple[Bools, float]:
    """Find test tickets whose content is that of a training ticket.

    A ticket is told by its text and its times. Where tickets of the same text lie densely, others
    are equal but for a unit of time (a second, a minute or a day), and it is none.

    Parameters
    ----------
    content : DataFrame
        Of training and test tickets.
    times : list of str
        Columns with times. Only tickets that have all of them are identified.
    known : int
        Training tickets.

    Returns
    -------
    bool array of shape (test tickets,)
    float
        How many would be found by chance: those found with times that are off by a few units.
    """
    timed = content[times].notna().all(axis=1).to_numpy()
    text = pd.util.hash_pandas_object(content.drop(columns=times), index=False).to_numpy()
    if not times:
        return np.isin(text[known:], text[:known]), 0.0
    unit = _find_unit(content[times])
    moments = [content[name].astype("int64").to_numpy() for name in times]

    def combine(rows: slice, off: int) -> NDArray[np.uint64]:
        hashed: NDArray[np.uint64] = text[rows].astype(np.uint64)
        for each in moments:  # the hash of text and times together, modulo 2^64
            mixed = np.uint64(31) * hashed + hash_array(each[rows] + off * unit)
            hashed = mixed.astype(np.uint64)
        return hashed

    training, test = slice(0, known), slice(known, None)
    kept = np.sort(combine(training, 0)[timed[:known]])
    span = range(-_ELSEWHERE - _NEAR, _ELSEWHERE + _NEAR + 1)
    equal = {off: timed[known:] & np.isin(combine(test, off), kept) for off in span}

    def stand_alone(off: int) -> Bools:
        near = [equal[off + step] for step in range(-_NEAR, _NEAR + 1) if step]
        alone: Bools = equal[off] & ~np.any(near, axis=0)
        return alone

    chance = np.mean([stand_alone(off).sum() for off in (-_ELSEWHERE, _ELSEWHERE)])
    return stand_alone(0), float(chance)


def _find_unit(times: pd.DataFrame) -> int:
    """Find the coarsest unit of which all times are multiples, in microseconds."""
    moments = pd.concat([times[name].dropna().astype("int64") for name in times])
    for seconds in (86_400, 60):
        if (moments % (seconds * 1_000_000) == 0).all():
            return seconds * 1_000_000
    return 1_000_000


def _list_contents(
    context: CheckContext, both: pd.DataFrame
) -> Iterator[tuple[pd.DataFrame, list[str]]]:
    """List contents of all tickets that identify most of them, with the times in each."""
    data, late = context.config.data, context.late_dates
    dates = date_fields(data)
    early = [
        name
        for name in data.columns
        if name in both and name != "ticket_id" and moment_known(name, data) is Moment.created
    ]
    if context.imputed:
        contents = [(both[[*early, *late]].drop(columns="created_at", errors="ignore"), late)]
    else:
        text = both[[name for name in early if name not in dates]]
        taken = both[late].sub(both["created_at"], axis=0).add_prefix("taken_")
        contents = [
            (both[early], ["created_at"] if "created_at" in early else []),
            (text.join(taken), taken.columns.tolist()),
        ]
    for content, times in contents:
        known = content[: len(context.training)]
        if any(known[name].nunique() >= _DISTINCT * len(known) for name in times):
            yield content, times


def check_order(context: CheckContext) -> CheckResult:
    """SR011: training tickets were created, and their labels known, before the test begins.

    So it is between the folds of a temporal split: a score is eligible if its model was fitted on
    tickets created before.
    """
    training, test, split = context.training, context.test, context.config.split
    created, tested = training["created_at"], test["created_at"]
    if context.imputed or created.isna().all() or tested.isna().all():
        return passed("There are no observed creation times to go by.")
    begin = tested.min()
    if split.name is SplitKind.temporal:
        later = int((~(created < begin)).sum())
        unknown = int((~(training["label_known_at"] < begin)).sum())
        early = 0
        if split.test_from is not None:
            test_from = read_moment(split.test_from, context.config.data.timezone)
            early = int((tested < test_from).sum())
        if later or unknown or early:
            return failed(
                f"Of the training tickets {later:,} were created, and {unknown:,} labels became "
                f"known, after the test period began; {early:,} test tickets are older than it."
            )
        ahead = _count_scored_by_later(context)
        if ahead:
            return failed(
                f"{ahead:,} out-of-fold scores count as eligible, but their models were fitted on "
                "tickets created no earlier."
            )
        return passed(
            f"Training ends before {begin:%Y-%m-%d %H:%M}, with every label known by then."
        )
    older = np.searchsorted(np.sort(tested.dropna()), created.dropna())
    share = float(older.mean()) / len(test)
    return warned(
        f"Drawn at random from tickets that have a creation time: a training ticket is younger "
        f"than {share:.0%} of the test tickets on average. What is measured is not what a forecast "
        "would do: use split=temporal."
    )


def _count_scored_by_later(context: CheckContext) -> int:
    """Count eligible scores by models that were fitted on a ticket created no earlier."""
    created = context.training["created_at"].to_numpy()
    ahead = np.zeros(len(created), dtype=bool)
    for fold in context.folds:
        ahead[fold.score] |= created[fold.score] <= created[fold.fit].max()
    return int((ahead & context.learned.eligible).sum())


def check_cases(context: CheckContext) -> CheckResult:
    """SR012: no field names a case whose tickets share their outcome across both parts.

    A field may name a case if it has many values, and several tickets to a value, whether it is a
    feature or not. For each test ticket with relatives in the training part, its outcome is
    compared with theirs.
    """
    worst, objections = 0.0, []
    fields = list(_list_cases(context))
    for name in fields:
        mates = context.training.assign(_breach=context.breach).groupby(name)["_breach"].mean()
        theirs = context.test[name].map(mates).to_numpy(dtype=float)
        related = ~np.isnan(theirs)
        own = context.test_breach[related].astype(float)
        if related.sum() < _FEW_PAIRS or own.std() == 0 or theirs[related].std() == 0:
            continue
        alike = float(np.corrcoef(own, theirs[related])[0, 1])
        if alike >= _ALIKE and alike * np.sqrt(related.sum()) >= _ERRORS:
            worst = max(worst, alike)
            objections.append(
                f"{name} ({int(related.sum()):,} test tickets have relatives in the training part; "
                f"their outcomes correlate by {alike:.2f})"
            )
    if not objections:
        return passed(f"None of {len(fields)} fields that may name a case.")
    detail = f"Tickets of one case lie in both parts: {'; '.join(objections)}."
    if worst >= _ONE_CASE and context.config.split.name is SplitKind.random:
        return failed(f"{detail} Use split=temporal, or one ticket of each case.")
    return warned(f"{detail} The test is easier than tickets of new cases are.")


def _list_cases(context: CheckContext) -> Iterator[str]:
    data, training = context.config.data, context.training
    out = {"ticket_id", "created_at", data.label.column, *cost_fields(data)}
    for name in data.columns:
        if name in out or name not in training:
            continue
        if moment_known(name, data) in {Moment.first_response, Moment.resolved}:
            continue
        distinct = training[name].nunique() / len(training)
        if _FEWEST_CASES <= distinct <= _MOST_CASES:
            yield name
