"""Hold out test tickets, and cut the training part into folds of the same kind."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from math import ceil
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from sklearn.model_selection import StratifiedKFold, train_test_split

from slarisk.config import SplitKind
from slarisk.errors import InputError
from slarisk.tickets.labels import read_moment

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from slarisk.config import Split

    Positions = NDArray[np.int64]


@dataclass(frozen=True)
class HoldOut:
    """Positions of the training and the test tickets; counts of those in neither, by reason.

    ``cut`` is the moment that ends the training period; None for a random split.
    """

    train: Positions
    test: Positions
    left_out: dict[str, int]
    cut: pd.Timestamp | None


@dataclass(frozen=True)
class Fold:
    """Positions of the training tickets that a model is fitted on, and of those it scores.

    ``eligible`` is False where the scored tickets are older than those fitted on: such scores are
    exported, but nothing is chosen or calibrated on them.
    """

    fit: Positions
    score: Positions
    eligible: bool = True


def hold_out(tickets: pd.DataFrame, split: Split) -> HoldOut:
    """Hold out the test tickets.

    ``random``: stratified by the label. ``temporal``: test tickets are created at or after the cut
    (and before ``test_until``); training tickets are created before it and have a label that was
    known by then.

    Raises
    ------
    InputError
        A part is empty, or the labels do not allow the split.
    """
    if split.name is SplitKind.random:
        held_out = _hold_out_random(tickets, split)
    else:
        held_out = _hold_out_latest(tickets, split)
    for part, positions in (("train on", held_out.train), ("test on", held_out.test)):
        if len(positions) == 0:
            raise InputError(
                f"split={split.name.value} leaves no tickets to {part} (of {len(tickets):,}). "
                "Check split.test_size, split.test_from and split.test_until."
            )
    return held_out


def _hold_out_random(tickets: pd.DataFrame, split: Split) -> HoldOut:
    breach = tickets["breach"].to_numpy()
    rarest = int(min(breach.sum(), (~breach).sum()))
    if rarest < 2:
        kind = "breached" if breach.sum() <= 1 else "met their target"
        raise InputError(
            f"only {rarest} of {len(breach):,} labelled tickets {kind}: there is nothing to learn. "
            "Check the SLA targets and the label, or take a longer period."
        )
    try:
        train, test = train_test_split(
            np.arange(len(tickets)),
            test_size=split.test_size,
            random_state=split.seed,
            stratify=breach,
        )
    except ValueError as error:
        raise InputError(f"split.test_size={split.test_size}: {error}") from error
    return HoldOut(train, test, {}, None)


def _hold_out_latest(tickets: pd.DataFrame, split: Split) -> HoldOut:
    created = tickets["created_at"]
    undated = created.isna()
    if split.test_from is not None:
        cut = read_moment(split.test_from)
    else:
        if undated.all():
            raise InputError(
                "split=temporal needs creation times, and no ticket has one. Use split=random."
            )
        in_order = created.dropna().sort_values()
        cut = in_order.iloc[-ceil(split.test_size * len(in_order))]
    after = pd.Series(False, index=tickets.index)
    if split.test_until is not None:
        after = created >= read_moment(split.test_until)
    before = created < cut
    recent = pd.Series(True, index=tickets.index)
    if split.train_days is not None:
        recent = created >= cut - pd.Timedelta(days=split.train_days)
    known = before & recent & (tickets["label_known_at"] < cut)
    test = (created >= cut) & ~after
    left_out = {
        "label_unknown_at_cut": int((before & recent & ~known).sum()),
        "created_before_training": int((before & ~recent).sum()),
        "created_after_test": int(after.sum()),
        "no_creation_time": int(undated.sum()),
    }
    return HoldOut(
        np.flatnonzero(known), np.flatnonzero(test), {k: n for k, n in left_out.items() if n}, cut
    )


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
