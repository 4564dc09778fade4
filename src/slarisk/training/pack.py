"""Pack a fitted model with its policies, so that it can be registered."""

from __future__ import annotations

import numpy as np
import pandas as pd

from slarisk.config import TrainConfig
from slarisk.learning.context import History
from slarisk.learning.crossfit import CrossFit
from slarisk.learning.features import comparable_names, make_features
from slarisk.learning.splits import HoldOut
from slarisk.model.bundle import PROBABILITY, Bundle, Manifest
from slarisk.model.profile import Bins, bin_values
from slarisk.model.seen_tickets import OUT_OF_FOLD, TEST, hash_identities
from slarisk.tickets.prepare import LabelledTickets


def pack(
    config: TrainConfig,
    learned: CrossFit,
    threshold: float,
    tickets: LabelledTickets,
    held_out: HoldOut,
    history: History | None = None,
) -> Bundle:
    """Pack the model with its policies, the tickets of the training run and their history."""
    training = tickets.frame.iloc[held_out.train]
    manifest = Manifest(
        data=config.data,
        sla=config.sla,
        cost=config.cost,
        features=config.features,
        decision=config.decision,
        calibrator=learned.model.calibrator,
        threshold=min(threshold, float(np.finfo(float).max)),  # JSON has no infinity
        fallback_cost=float(training["breach_cost"].mean()),
        model_name=config.choices.get("model") or type(learned.model.pipeline[-1]).__name__,
        profile=profile_tickets(config, training, learned),
    )
    seen = pd.DataFrame(
        {
            "identity": hash_identities(tickets.frame, config.data),
            "created_at": tickets.frame["created_at"].to_numpy(),
            "origin": pd.Series(None, index=tickets.frame.index, dtype="str"),
            "probability": np.nan,
        }
    )
    seen.loc[held_out.train, "origin"] = OUT_OF_FOLD
    seen.loc[held_out.train, "probability"] = learned.probability
    seen.loc[held_out.test, "origin"] = TEST
    return Bundle(manifest, learned.model, seen, history)


def profile_tickets(
    config: TrainConfig, training: pd.DataFrame, learned: CrossFit
) -> dict[str, Bins]:
    """Bin the features of the training tickets, with which scoring measures drift."""
    frame = make_features(training, config.features)
    bins = {name: bin_values(frame[name]) for name in comparable_names(config.features)}
    return bins | {PROBABILITY: bin_values(pd.Series(learned.probability))}
