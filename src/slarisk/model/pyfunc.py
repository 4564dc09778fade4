"""The bundle as an MLflow model: raw ticket rows in, decisions out.

MLflow imports this module by name and calls :func:`_load_pyfunc`. The module and what it imports
travel inside the model (:mod:`slarisk.model.code`), which so loads where slarisk is not installed.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from slarisk.config import Moment
from slarisk.errors import InputError
from slarisk.exports.rows import as_text
from slarisk.learning.context import NEVER, list_groups, read_times
from slarisk.model.bundle import (
    BUCKET,
    ESCALATE,
    ESCALATED,
    LEFT,
    PROBABILITY,
    Bundle,
    load_bundle,
)
from slarisk.model.history import load_history
from slarisk.model.rows import type_rows
from slarisk.tickets.fields import AS_OF, sla_fields
from slarisk.tickets.labels import find_without_sla

if TYPE_CHECKING:
    from collections.abc import Mapping

    from slarisk.arrays import Floats

HISTORY_FILE = "SLARISK_HISTORY"  # names a newer history than that of training
HISTORY_AGE = "history_age_hours"
_HOUR = 3_600_000_000  # microseconds


class DecisionModel:
    """Decides about raw tickets, whose columns are named as in the data policy.

    The context of a ticket is counted in the history of training, or in the file that the
    environment variable SLARISK_HISTORY names, which is read again when it has changed.
    """

    def __init__(self, bundle: Bundle) -> None:
        self.bundle = bundle
        self._changed: float | None = None

    def predict(
        self, model_input: pd.DataFrame, params: Mapping[str, Any] | None = None
    ) -> pd.DataFrame:
        """Decide about each row: see :meth:`slarisk.model.bundle.Bundle.decide`.

        Missing values, unseen categories and extra columns are allowed. Each row is a ticket: of
        an event log, its first event. A model of open tickets takes the column ``as_of``, or the
        events of tickets: see :func:`~slarisk.model.rows.type_rows`. A model with context also
        returns ``history_age_hours``, the hours from the end of the history to the creation of each
        ticket, 0 if it ends later.
        Nothing is decided about a ticket without a due date, where that makes the SLA: it has no
        probability and no losses, and is not escalated.

        Raises
        ------
        InputError
            A column that the decision needs is missing, or the history cannot be read.
        """
        self._update_history()
        data = self.bundle.manifest.data
        columns = data.columns
        missing = [
            columns[name]
            for name in self.bundle.required_fields()
            if columns[name] not in model_input
        ]
        if missing:
            raise InputError(f"The tickets lack the column {', '.join(missing)}.")
        manifest = self.bundle.manifest
        asked = [AS_OF] if manifest.moment is Moment.open else []
        read = model_input[[each for each in model_input if each in (*columns.values(), *asked)]]
        text = as_text(read, data.decimal)
        named = columns | {name: name for name in asked}
        known = {name: text[column] for name, column in named.items() if column in text}
        raw = pd.DataFrame(known, index=text.index).reset_index(drop=True)
        tickets = type_rows(raw, manifest)
        decided = self.bundle.decide(tickets)
        if any(name in raw for name in sla_fields(data)):
            without = find_without_sla(tickets, data)
            decided.loc[without, [PROBABILITY, LEFT, ESCALATED]] = np.nan
            decided.loc[without, BUCKET], decided.loc[without, ESCALATE] = None, False
        if self.bundle.history is not None:
            decided[HISTORY_AGE] = _measure_age(tickets, self.bundle.history.as_of)
        return decided.set_axis(model_input.index)

    def _update_history(self) -> None:
        named = os.environ.get(HISTORY_FILE)
        if not named or not self.bundle.manifest.has_context:
            return
        path = Path(named)
        changed = path.stat().st_mtime if path.exists() else -1.0
        if changed != self._changed:
            history = load_history(path, list_groups(self.bundle.manifest.features))
            self.bundle, self._changed = self.bundle.remember(history), changed


def _measure_age(tickets: pd.DataFrame, as_of: int) -> Floats:
    created = read_times(tickets["created_at"])
    unknown = (created == NEVER) | (as_of == NEVER)
    return np.where(unknown, np.nan, np.maximum(created - as_of, 0) / _HOUR)


def _load_pyfunc(path: str) -> DecisionModel:
    return DecisionModel(load_bundle(Path(path)))
