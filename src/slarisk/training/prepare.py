"""Before anything is fitted: check the config, read and label the tickets, hold out the test."""

from __future__ import annotations

import hashlib
import json
import pickle
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd
from filelock import FileLock

from slarisk.atomic_files import write_whole
from slarisk.config import CreationKind, Moment, TrainConfig
from slarisk.decisions.policies import validate_decision
from slarisk.errors import InputError
from slarisk.evaluation.regret import Truth
from slarisk.learning.context import (
    History,
    add_context,
    note_ramp,
    remember_tickets,
    validate_context,
)
from slarisk.learning.features import feature_fields, validate_features
from slarisk.learning.landmarks import stand_at_creation, validate_open_moment
from slarisk.learning.splits import HoldOut, hold_out_tickets
from slarisk.tickets.fields import validate_known, validate_policy
from slarisk.tickets.prepare import LabelledTickets, prepare_tickets
from slarisk.tracking.source import Source, find_source, identify_source
from slarisk.tracking.tags import JOB_TAG, OVERRIDES_TAG
from slarisk.training.estimator import build_estimator
from slarisk.training.fingerprints import fingerprint_inputs, fingerprint_job

if TYPE_CHECKING:
    from sklearn.base import BaseEstimator


@dataclass(frozen=True, eq=False)
class Prepared:
    """All that a run needs before anything is fitted, and the tags that say where it is from.

    ``history`` is that of all tickets, if the features have context; the tickets have its columns.
    """

    estimator: BaseEstimator
    tickets: LabelledTickets
    held_out: HoldOut
    truth: Truth | None
    source: Source
    tags: dict[str, str]
    history: History | None = None


def prepare(config: TrainConfig) -> Prepared:
    """Check the config, read and label the tickets, and hold the test tickets out."""
    validate_feature_moments(config)
    validate_decision(config.decision, config.moment)
    estimator = build_estimator(config.model)
    tickets = prepare_once(config)
    history = remember_tickets(tickets, config.features, config.data)
    # before the split: what is known at a ticket's creation is so whether it trains or tests
    frame = add_context(tickets.frame, config.features, history)
    tickets = replace(tickets, frame=frame)
    if config.moment is Moment.open:
        tickets = stand_at_creation(tickets, config.features)
    tickets, held_out = hold_out_tickets(tickets, config.data, config.split)
    held_out = replace(held_out, notes=(*held_out.notes, *note_ramp(history)))
    truth = read_truth(config.data.truth, tickets.frame.iloc[held_out.test])
    source = find_source()
    grounds = fingerprint_inputs(config, tickets, held_out)
    tags = grounds | identify_source(source)
    tags[JOB_TAG] = fingerprint_job(config, grounds, source)
    tags[OVERRIDES_TAG] = json.dumps(config.overrides)
    return Prepared(estimator, tickets, held_out, truth, source, tags, history)


def validate_feature_moments(config: TrainConfig) -> None:
    """Refuse features that the data policy lacks, or that are not known when the score is made."""
    validate_policy(config.data)
    available = {*config.data.columns}
    if config.data.creation.kind is CreationKind.imputed:
        available.add("created_at")
    validate_features(config.features, available)
    validate_context(config.features, config.data)
    validate_known(feature_fields(config.features), config.data, config.moment)
    if config.moment is Moment.open:
        validate_open_moment(config.data, config.sla, config.landmarks)
    elif config.features.now or config.features.changing or config.features.so_far:
        raise InputError(
            "features.now, features.changing and features.so_far are those of open tickets: they "
            "take moment=open."
        )


def read_truth(path: str | None, tickets: pd.DataFrame) -> Truth | None:
    """Read the true risk of synthetic tickets; None if some are not in the file."""
    if path is None:
        return None
    needed, more = ["ticket_id", "breach_probability"], ["median_hours", "spread"]
    try:
        columns = [*needed, *_find_columns(path, more)]
        table = pd.read_csv(path, usecols=columns, dtype={"ticket_id": str})
        by_id = table.set_index("ticket_id").astype(float)
        if not by_id.index.is_unique:
            raise ValueError("a ticket_id repeats")
    except (OSError, ValueError) as error:
        raise InputError(
            f"data.truth={path}: is to hold {' and '.join(needed)}, a row per ticket, but cannot "
            f"be read: {str(error).splitlines()[0]}"
        ) from error
    known = by_id.reindex(tickets["ticket_id"])
    if known.isna().any(axis=None):
        return None
    return Truth(
        known["breach_probability"].to_numpy(),
        *(known[name].to_numpy() if name in known else None for name in more),
    )


def follows_changes(config: TrainConfig) -> bool:
    """Whether a run looks at tickets as the events of a log leave them."""
    return config.moment is Moment.open and config.data.events is not None


def _find_columns(path: str, names: list[str]) -> list[str]:
    """List those of some columns that a CSV file has."""
    return [name for name in names if name in pd.read_csv(path, nrows=0)]


def prepare_once(config: TrainConfig) -> LabelledTickets:
    """Prepare the tickets; in a sweep only the first job that needs these does."""
    asked = (config.data, config.sla, config.cost, config.max_rejected, follows_changes(config))
    if config.sweep.folder is None:
        return prepare_tickets(*asked)
    name = hashlib.sha256(repr(asked).encode()).hexdigest()[:16]
    path = Path(config.sweep.folder) / f"{name}.tickets"
    with FileLock(f"{path}.lock"):
        if path.exists():
            tickets = pickle.loads(path.read_bytes())  # written by a job of this very sweep
            assert isinstance(tickets, LabelledTickets)
            return tickets
        tickets = prepare_tickets(*asked)
        write_whole(path, pickle.dumps(tickets))
        return tickets
