"""Pack a fitted model with its policies, so that it can be registered."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd

from slarisk.config import TrainConfig
from slarisk.learning.crossfit import CrossFit
from slarisk.learning.features import comparable_names, make_features
from slarisk.model.bundle import PROBABILITY, Bundle
from slarisk.model.manifest import Manifest
from slarisk.model.profile import Bins, bin_values
from slarisk.model.seen_tickets import OUT_OF_FOLD, TEST, hash_identities, name_landmark
from slarisk.training.open_tickets import FollowedTickets
from slarisk.training.prepare import Prepared


def pack(
    config: TrainConfig,
    learned: CrossFit,
    threshold: float,
    prepared: Prepared,
    training: pd.DataFrame,
    followed: FollowedTickets | None = None,
) -> Bundle:
    """Pack the model with its policies, the tickets of the training run and their history.

    ``training`` are the training tickets at creation; ``followed`` has what a model of open tickets
    was found to do with them.
    """
    tickets, held_out = prepared.tickets, prepared.held_out
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
        moment=config.moment,
        stopping=None if followed is None else followed.stopping,
        implied_hours=None if followed is None else followed.implied_hours,
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
    if followed is not None:
        for place, each in enumerate(followed.probabilities.T[1:], start=1):
            seen.loc[held_out.train, name_landmark(place)] = each
    return Bundle(manifest, learned.model, seen, prepared.history)


def profile_tickets(
    config: TrainConfig, training: pd.DataFrame, learned: CrossFit
) -> dict[str, Bins]:
    """Bin the features of the training tickets, with which scoring measures drift.

    What changes while a ticket is open differs with its age, and is left out.
    """
    features = replace(config.features, now=[], changing=[], so_far=[])
    frame = make_features(training, features)
    bins = {name: bin_values(frame[name]) for name in comparable_names(features)}
    return bins | {PROBABILITY: bin_values(pd.Series(learned.probability))}
