"""The tickets of a model's training run, so that none gets its in-sample score."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from slarisk.config import CreationKind, DataPolicy
from slarisk.tickets.contract import get_dates, get_text

if TYPE_CHECKING:
    from numpy.typing import NDArray

OUT_OF_FOLD, TEST, NEW = "out_of_fold", "test", "new"


@dataclass(frozen=True, eq=False)
class SeenTickets:
    """The tickets of the training run, as ``seen.parquet`` has them.

    ``seen`` has one row per ticket: ``identity``, ``created_at``, ``origin`` and, for training
    tickets, the out-of-fold ``probability``.
    """

    data: DataPolicy
    seen: pd.DataFrame

    def match(self, tickets: pd.DataFrame) -> pd.DataFrame:
        """Find tickets among those of the training run.

        Returns
        -------
        DataFrame
            A row for each ticket, same index: ``created_at``, ``origin`` (NEW for one it has not
            met) and ``probability``.
        """
        likely = np.flatnonzero(self._may_be_met(tickets))
        met = self._by_identity.reindex(hash_identities(tickets.iloc[likely], self.data))
        if len(likely) < len(tickets):
            met = met.set_axis(likely).reindex(np.arange(len(tickets)))
        met["origin"] = met["origin"].fillna(NEW)
        return met.set_axis(tickets.index)

    def _may_be_met(self, tickets: pd.DataFrame) -> NDArray[np.bool_]:
        """Where a ticket was born when one that was met was: most need no closer look."""
        if self.data.creation.kind is not CreationKind.observed or len(tickets) < len(self.seen):
            return np.ones(len(tickets), dtype=np.bool_)
        births = get_dates(tickets, "created_at")
        born: NDArray[np.bool_] = births.isin(self.seen["created_at"]).to_numpy()
        return born | births.isna().to_numpy()

    @cached_property
    def _by_identity(self) -> pd.DataFrame:
        return self.seen.set_index("identity")  # its index is built once, and not for each request

    def creation_times(self, tickets: pd.DataFrame, met: pd.DataFrame | None = None) -> pd.Series:
        """Give creation times; where they are imputed, those the model was trained on.

        A ticket it has not met gets the middle of the imputation's range: a draw would depend on
        the other tickets of the batch. ``met`` is what :meth:`match` said, if it was asked.
        """
        creation = self.data.creation
        if creation.kind is CreationKind.observed:
            return get_dates(tickets, "created_at")
        met = self.match(tickets) if met is None else met
        middle = pd.Timedelta(hours=(creation.low_hours + creation.high_hours) / 2)
        return met["created_at"].fillna(tickets["first_response_at"] - middle)


def hash_identities(tickets: pd.DataFrame, data: DataPolicy) -> pd.Index:
    """Identify tickets by id and birth, so that ids that start anew name other tickets.

    The birth is the creation time, or what it is imputed from.
    """
    birth = identity_time_field(data)
    identity = pd.DataFrame({"ticket_id": get_text(tickets, "ticket_id")})
    if birth in tickets:
        identity["birth"] = tickets[birth].astype("datetime64[us]")
    hashed = pd.util.hash_pandas_object(identity, index=False).to_numpy()
    return pd.Index(hashed.astype(np.uint64), name="identity")


def identity_time_field(data: DataPolicy) -> str:
    """The field that says when a ticket was born, as the data has it."""
    return "created_at" if data.creation.kind is CreationKind.observed else "first_response_at"


def as_scored(tickets: pd.DataFrame, data: DataPolicy) -> pd.DataFrame:
    """Take from labelled tickets what imputation added: the model must find it itself."""
    if data.creation.kind is CreationKind.imputed:
        return tickets.drop(columns="created_at")
    return tickets
