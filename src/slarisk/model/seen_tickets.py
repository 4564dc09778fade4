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
    from slarisk.arrays import Bools

OUT_OF_FOLD, TEST, NEW = "out_of_fold", "test", "new"
_LANDMARK = "probability_"


def name_landmark(place: int) -> str:
    """Name the column of the out-of-fold probabilities at a landmark after creation."""
    return f"{_LANDMARK}{place}"


def is_landmark(column: str) -> bool:
    """Whether a column has out-of-fold probabilities at a landmark."""
    return column.startswith(_LANDMARK)


@dataclass(frozen=True, eq=False)
class SeenTickets:
    """The tickets of the training run, as ``seen.parquet`` has them.

    ``seen`` has one row per ticket: ``identity``, ``created_at``, ``origin`` and, for training
    tickets, the out-of-fold ``probability``; of a model of open tickets also that at each landmark
    after creation, NaN where a ticket was not open.
    """

    data: DataPolicy
    seen: pd.DataFrame

    def match(self, tickets: pd.DataFrame) -> pd.DataFrame:
        """Look up tickets among those of the training run.

        Returns
        -------
        DataFrame
            A row for each ticket, same index: ``created_at``, ``origin`` (NEW if it was not in the
            training run) and ``probability``.
        """
        candidates = np.flatnonzero(self._share_creation_time(tickets))
        matches = self._by_identity.reindex(hash_identities(tickets.iloc[candidates], self.data))
        if len(candidates) < len(tickets):
            matches = matches.set_axis(candidates).reindex(np.arange(len(tickets)))
        matches["origin"] = matches["origin"].fillna(NEW)
        return matches.set_axis(tickets.index)

    def _share_creation_time(self, tickets: pd.DataFrame) -> Bools:
        """Mask of tickets whose creation time occurs in the training run, or is unknown.

        Only these need an identity lookup.
        """
        if self.data.creation.kind is not CreationKind.observed or len(tickets) < len(self.seen):
            return np.ones(len(tickets), dtype=np.bool_)
        created = get_dates(tickets, "created_at")
        return (created.isin(self.seen["created_at"]) | created.isna()).to_numpy(dtype=np.bool_)

    @cached_property
    def _by_identity(self) -> pd.DataFrame:
        return self.seen.set_index("identity")  # built once, and not for each request

    def creation_times(
        self, tickets: pd.DataFrame, matches: pd.DataFrame | None = None
    ) -> pd.Series:
        """Give creation times; where they are imputed, those used in training.

        A new ticket gets the middle of the imputation's range: a draw would depend on the other
        tickets of the batch. ``matches`` is the result of :meth:`match`, if it is known already.
        """
        creation = self.data.creation
        if creation.kind is CreationKind.observed:
            return get_dates(tickets, "created_at")
        matches = self.match(tickets) if matches is None else matches
        middle = pd.Timedelta(hours=(creation.low_hours + creation.high_hours) / 2)
        return matches["created_at"].fillna(tickets["first_response_at"] - middle)


def hash_identities(tickets: pd.DataFrame, data: DataPolicy) -> pd.Index:
    """Hash the id and creation time of each ticket; a ticket system may use an id twice.

    Where creation times are imputed, the time that they are imputed from takes their place.
    """
    time_field = identity_time_field(data)
    identity = pd.DataFrame({"ticket_id": get_text(tickets, "ticket_id")})
    if time_field in tickets:
        identity["time"] = tickets[time_field].astype("datetime64[us]")
    hashed = pd.util.hash_pandas_object(identity, index=False).to_numpy()
    return pd.Index(hashed.astype(np.uint64), name="identity")


def identity_time_field(data: DataPolicy) -> str:
    """Name the field of the time that identifies a ticket together with its id."""
    return "created_at" if data.creation.kind is CreationKind.observed else "first_response_at"


def as_scored(tickets: pd.DataFrame, data: DataPolicy) -> pd.DataFrame:
    """Drop imputed creation times from labelled tickets: scoring imputes them itself."""
    if data.creation.kind is CreationKind.imputed:
        return tickets.drop(columns="created_at")
    return tickets
