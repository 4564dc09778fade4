"""Hold out test tickets, and cut the training part into folds of the same kind."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field, replace
from math import ceil
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from sklearn.model_selection import StratifiedKFold, train_test_split

from slarisk.config import Label, SplitKind
from slarisk.errors import InputError
from slarisk.learning.settling import find_settled
from slarisk.tickets.labels import read_moment

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from slarisk.arrays import Bools
    from slarisk.config import DataPolicy, Split
    from slarisk.learning.settling import Settled
    from slarisk.tickets.prepare import LabelledTickets

    Positions = NDArray[np.int64]


@dataclass(frozen=True)
class HoldOut:
    """Positions of the training and the test tickets; counts of those in neither, by reason.

    Attributes
    ----------
    train, test : int arrays
        Positions among the labelled tickets.
    left_out : dict of str to int
    cut : Timestamp or None
        The moment that ends the training period; None for a random split.
    assumed : int array
        Positions of training tickets that count as breached, as they were still open at the cut.
    assumed_at : Series of datetimes, or None
        Since when each of them counts so.
    weighted : bool
        Whether the training tickets are to be weighed by the chance that their label was known.
    notes : tuple of str
        What was done otherwise than asked for, and why.
    """

    train: Positions
    test: Positions
    left_out: dict[str, int]
    cut: pd.Timestamp | None
    assumed: Positions = field(default_factory=lambda: np.array([], dtype=np.int64))
    assumed_at: pd.Series | None = None
    weighted: bool = False
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Fold:
    """Positions of the training tickets that a model is fitted on, and of those it scores.

    ``eligible`` is False where the scored tickets are older than those fitted on: such scores are
    exported, but nothing is chosen or calibrated on them.
    """

    fit: Positions
    score: Positions
    eligible: bool = True


def hold_out_tickets(
    tickets: LabelledTickets, data: DataPolicy, split: Split
) -> tuple[LabelledTickets, HoldOut]:
    """Hold out the test tickets, and give the tickets with the labels that training may see.

    Those are the final ones, but for tickets that count as breached because they were open for too
    long when the training period ended.

    Raises
    ------
    InputError
        A part is empty, or the labels do not allow the split.
    """
    held_out = hold_out(tickets.frame, split, data.label, tickets.observed, data.timezone)
    if not len(held_out.assumed):
        return tickets, held_out
    frame = tickets.frame.copy()
    rows = frame.index[held_out.assumed]
    frame.loc[rows, "breach"] = True
    frame.loc[rows, "label_known_at"] = held_out.assumed_at
    return replace(tickets, frame=frame, assumed=tuple(held_out.assumed.tolist())), held_out


def hold_out(
    tickets: pd.DataFrame,
    split: Split,
    label: Label | None = None,
    observed: pd.Timestamp | None = None,
    timezone: str | None = None,
) -> HoldOut:
    """Hold out the test tickets.

    ``random``: stratified by the label. ``temporal``: test tickets are created at or after the cut
    (and before ``test_until``); training tickets are created before it and have a label that was
    known by then or, with ``settled``, had a target that passed before it.

    Parameters
    ----------
    tickets : DataFrame
        Labelled tickets.
    split : Split
    label : Label, optional
        Says which tickets are in quarantine, and from which age an open one counts as breached.
    observed : Timestamp, optional
        When the export was taken: with ``settled``, test tickets must be settled by then.
    timezone : str, optional
        Of the dates in ``split`` and ``label``; None is that of the tickets.

    Raises
    ------
    InputError
        A part is empty, or the labels do not allow the split.
    """
    label = label or Label()
    if split.name is SplitKind.random:
        held_out = _hold_out_random(tickets, split, find_quarantined(tickets, label, timezone))
    else:
        held_out = _hold_out_latest(tickets, split, label, observed, timezone)
    for part, positions in (("train on", held_out.train), ("test on", held_out.test)):
        if len(positions) == 0:
            raise InputError(
                f"split={split.name.value} leaves no tickets to {part} (of {len(tickets):,}). "
                "Check split.test_size, split.test_from and split.test_until."
            )
    return held_out


def find_quarantined(tickets: pd.DataFrame, label: Label, timezone: str | None = None) -> Bools:
    """Mask of tickets that were created while labels could not be trusted.

    Raises
    ------
    InputError
        A period is not two moments, the earlier one first.
    """
    created = tickets["created_at"]
    inside = np.zeros(len(tickets), dtype=np.bool_)
    for number, period in enumerate(label.quarantine):
        moments = [read_moment(each, timezone) for each in period.created]
        if len(moments) != 2 or moments[0] >= moments[1]:
            raise InputError(
                f"label.quarantine[{number}].created={period.created}: must be two dates, the "
                "earlier one first, such as [2016-03-05, 2016-03-24]."
            )
        inside |= ((created >= moments[0]) & (created < moments[1])).to_numpy()
    return inside


def _hold_out_random(tickets: pd.DataFrame, split: Split, quarantined: Bools) -> HoldOut:
    rows = np.flatnonzero(~quarantined)
    breach = tickets["breach"].to_numpy()[rows]
    rarest = int(min(breach.sum(), (~breach).sum()))
    if rarest < 2:
        kind = "breached" if breach.sum() <= 1 else "met their target"
        raise InputError(
            f"only {rarest} of {len(breach):,} labelled tickets {kind}: there is nothing to learn. "
            "Check the SLA targets and the label, or take a longer period."
        )
    try:
        train, test = train_test_split(
            rows,
            test_size=split.test_size,
            random_state=split.seed,
            stratify=breach,
        )
    except ValueError as error:
        raise InputError(f"split.test_size={split.test_size}: {error}") from error
    return HoldOut(train, test, _drop_zeros({"in_quarantine": int(quarantined.sum())}), None)


def _hold_out_latest(
    tickets: pd.DataFrame,
    split: Split,
    label: Label,
    observed: pd.Timestamp | None,
    timezone: str | None,
) -> HoldOut:
    created = tickets["created_at"]
    cut = _find_cut(created, split, timezone)
    after = pd.Series(False, index=tickets.index)
    if split.test_until is not None:
        after = created >= read_moment(split.test_until, timezone)
    before = (created < cut).to_numpy()
    recent = np.ones(len(tickets), dtype=np.bool_)
    if split.train_days is not None:
        recent = (created >= cut - pd.Timedelta(days=split.train_days)).to_numpy()
    eligible = before & recent
    known = eligible & (tickets["label_known_at"] < cut).to_numpy()
    test = ((created >= cut) & ~after).to_numpy()
    left_out = {
        "created_before_training": int((before & ~recent).sum()),
        "created_after_test": int(after.sum()),
        "no_creation_time": int(created.isna().sum()),
    }
    notes = []
    train, assumed, since = known, np.zeros_like(known), None
    seen = tickets["breach"].to_numpy(dtype=bool)
    weighted = False
    if split.settled:
        found = find_settled(tickets, cut, label.late_if_open_after)
        settled, labels = eligible & found.settled, seen | found.assumed
        if _is_enough(settled, known, labels):
            train, seen, assumed, since = settled, labels, found.assumed, found.since
            left_out["not_settled_at_cut"] = int((eligible & ~train).sum())
            notes += _note_assumed(train & assumed, train, found.late_after)
            if observed is not None:
                unsettled = test & (found.since >= observed).to_numpy()
                test = test & ~unsettled
                left_out["not_settled_at_export"] = int(unsettled.sum())
        else:
            weighted = True
            notes.append(_note_unsettled(tickets, eligible, found))
    if not split.settled or weighted:
        left_out["label_unknown_at_cut"] = int((eligible & ~train).sum())
    quarantined = find_quarantined(tickets, label, timezone)
    trained, tested = train & ~quarantined, test & ~quarantined
    if (train & quarantined).any() and not _is_enough(trained, train, seen):
        notes.append(
            f"label.quarantine would leave {int(trained.sum()):,} of {int(train.sum()):,} "
            "training tickets: too few, so it is not kept in training."
        )
        trained = train
    left_out["in_quarantine"] = int((train & ~trained).sum() + (test & ~tested).sum())
    late = np.flatnonzero(trained & assumed)
    return HoldOut(
        np.flatnonzero(trained),
        np.flatnonzero(tested),
        _drop_zeros(left_out),
        cut,
        late,
        None if since is None else since.iloc[late],
        weighted,
        tuple(notes),
    )


def _find_cut(created: pd.Series, split: Split, timezone: str | None) -> pd.Timestamp:
    """Find the moment that ends the training period."""
    if split.test_from is not None:
        return read_moment(split.test_from, timezone)
    in_order = created.dropna().sort_values()
    if in_order.empty:
        raise InputError(
            "split=temporal needs creation times, and no ticket has one. Use split=random."
        )
    cut: pd.Timestamp = in_order.iloc[-ceil(split.test_size * len(in_order))]
    return cut


def _is_enough(some: Bools, all_: Bools, seen: Bools) -> bool:
    """Whether some of the training tickets can stand for all: half of them, of both classes.

    ``seen`` are the labels of all tickets as training sees them.
    """
    breach = seen[some]
    return bool(2 * some.sum() >= all_.sum() and breach.any() and not breach.all())


def _note_assumed(assumed: Bools, train: Bools, late_after: float | None) -> list[str]:
    if not assumed.any():
        return []
    age = f" (open for more than {late_after:,.0f} h)" if late_after is not None else ""
    return [
        f"{int(assumed.sum()):,} of {int(train.sum()):,} training tickets had no label when the "
        f"training period ended, and count as breached{age}."
    ]


def _note_unsettled(tickets: pd.DataFrame, eligible: Bools, found: Settled) -> str:
    """Say that too few tickets are settled, and of which priorities."""
    text = (
        f"split.settled: {int((eligible & found.settled).sum()):,} of {int(eligible.sum()):,} "
        "tickets were settled when the training period ended, too few to learn from"
    )
    if "priority" in tickets:
        settled = pd.Series(found.settled[eligible])
        shares = settled.groupby(tickets["priority"].to_numpy()[eligible]).mean()
        text += f" ({', '.join(f'{name} {share:.0%}' for name, share in shares.items())})"
    return f"{text}. Instead those whose label was known then count by 1 / the chance that it was."


def _drop_zeros(counts: dict[str, int]) -> dict[str, int]:
    return {reason: count for reason, count in counts.items() if count}


def make_folds(training: pd.DataFrame, split: Split) -> list[Fold]:
    """Cut training tickets into folds, each scored by a model fitted on others.

    ``random``: stratified and shuffled. ``temporal``: blocks in order of creation, each scored by
    a model fitted on the earlier blocks; the first has none earlier, so later ones score it and its
    scores are not eligible. Tickets created at the same moment stay in one block.

    Parameters
    ----------
    training : DataFrame
        The training tickets only; positions in the folds refer to its rows.
    split : Split

    Raises
    ------
    InputError
        There are too few tickets of a class, or too few moments of creation, for the folds.
    """
    breach = training["breach"].to_numpy()
    rarest = int(min(breach.sum(), (~breach).sum()))
    if rarest < split.folds:
        raise InputError(
            f"the training part has {rarest} tickets of its rarer class, too few for "
            f"split.folds={split.folds} ({len(breach):,} tickets, {int(breach.sum()):,} breached)."
        )
    if split.name is SplitKind.random:
        folds = StratifiedKFold(split.folds, shuffle=True, random_state=split.seed)
        return [Fold(fit, score) for fit, score in folds.split(np.zeros(len(breach)), breach)]
    forward = _forward_folds(training, split.folds)
    for fold in forward:
        if len(np.unique(breach[fold.fit])) < 2:
            raise InputError(
                f"split.folds={split.folds}: the {len(fold.fit):,} tickets that one fold is to be "
                "fitted on are all of one class. Take fewer folds, or a longer period."
            )
    return forward


def _forward_folds(training: pd.DataFrame, count: int) -> list[Fold]:
    # Every label of the training part is known by its own cut. Asking again that it be known when
    # a block begins would leave the first, short blocks with little but quickly closed tickets:
    # on ServiceNow, where closing takes days, 3 tickets and not one breach.
    created = training["created_at"].to_numpy()
    order = np.argsort(created, kind="stable")
    even = [block[0] for block in np.array_split(np.arange(len(order)), count)[1:]]
    starts = np.searchsorted(created[order], created[order[even]])
    if len({0, *starts.tolist()}) < count:
        raise InputError(
            f"split.folds={count}: the training tickets were created at too few different moments "
            "to make so many blocks. Take fewer folds, or split=random."
        )
    blocks = np.split(order, starts)
    folds = [Fold(np.sort(np.concatenate(blocks[1:])), np.sort(blocks[0]), eligible=False)]
    for number, block in enumerate(blocks[1:], start=1):
        folds.append(Fold(np.sort(np.concatenate(blocks[:number])), np.sort(block)))
    return folds


def fingerprint_split(tickets: pd.DataFrame, held_out: HoldOut) -> str:
    """Fingerprint which tickets train and which test."""
    digest = hashlib.sha256()
    for positions in (held_out.train, held_out.test):
        ids = tickets["ticket_id"].iloc[positions].sort_values()
        digest.update(pd.util.hash_pandas_object(ids, index=False).to_numpy().tobytes())
        digest.update(b"|")
    return digest.hexdigest()[:16]
