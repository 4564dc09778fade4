"""The bundle as an MLflow model: raw ticket rows in, decisions out.

MLflow imports this module by name and calls :func:`_load_pyfunc`. The module and what it imports
travel inside the model (:mod:`slarisk.model.code`), which so loads where slarisk is not installed.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from slarisk.errors import InputError
from slarisk.model.bundle import Bundle, load_bundle
from slarisk.tickets.contract import type_fields
from slarisk.tickets.rows import as_text

if TYPE_CHECKING:
    from collections.abc import Mapping


class DecisionModel:
    """Decides about raw tickets, whose columns are named as in the data policy."""

    def __init__(self, bundle: Bundle) -> None:
        self.bundle = bundle

    def predict(
        self, model_input: pd.DataFrame, params: Mapping[str, Any] | None = None
    ) -> pd.DataFrame:
        """Decide about each row: see :meth:`slarisk.model.bundle.Bundle.decide`.

        Missing values, unseen categories and extra columns are allowed. Each row is a ticket: of
        an event log, its first event.

        Raises
        ------
        InputError
            A column that the decision needs is missing.
        """
        data = self.bundle.manifest.data
        columns = data.columns
        missing = [
            columns[name]
            for name in self.bundle.required_fields()
            if columns[name] not in model_input
        ]
        if missing:
            raise InputError(f"The tickets lack the column {', '.join(missing)}.")
        fields = {column: name for name, column in columns.items()}
        known = [column for column in model_input.columns if column in fields]
        raw = as_text(model_input[known].reset_index(drop=True)).rename(columns=fields)
        return self.bundle.decide(type_fields(raw, data)).set_axis(model_input.index)


def _load_pyfunc(path: str) -> DecisionModel:
    return DecisionModel(load_bundle(Path(path)))
