"""Fingerprints that say which runs can be compared, and which job has been run before."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from typing import TYPE_CHECKING

from slarisk.config import AnalyzeConfig, ModelLog, SweepJob, Tracking, TrainConfig
from slarisk.learning.splits import HoldOut, fingerprint_split
from slarisk.tickets.labels import LabelledTickets, fingerprint_policy
from slarisk.tracking.tags import DATA_TAG, POLICY_TAG, SPLIT_TAG

if TYPE_CHECKING:
    from collections.abc import Mapping

    from slarisk.tracking.source import Source


def fingerprint_job(config: TrainConfig, grounds: Mapping[str, str], source: Source) -> str:
    """Fingerprint what a run comes from: its resolved config, its tickets and the code."""
    alike = replace(
        config,
        tracking=Tracking(name=""),
        sweep=SweepJob(),
        skip_finished=False,
        log_models=ModelLog.best,
        overrides=[],
    )
    parts = [repr(alike), *grounds.values(), source.code]
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:16]


def fingerprint_grounds(
    config: TrainConfig, tickets: LabelledTickets, held_out: HoldOut
) -> dict[str, str]:
    """Fingerprint what a run is judged on, as tags: runs that share all three can be compared."""
    return {
        DATA_TAG: tickets.fingerprint,
        SPLIT_TAG: fingerprint_split(tickets.frame, held_out),
        POLICY_TAG: fingerprint_terms(config),
    }


def fingerprint_terms(config: TrainConfig | AnalyzeConfig) -> str:
    """Fingerprint what labels and prices a ticket.

    That is SLA, costs, and what the data policy says of labels and of cost columns.
    """
    policy = fingerprint_policy(config.sla, config.cost)
    policy += f" {config.data.label} {config.data.costs}"
    return hashlib.sha256(policy.encode()).hexdigest()[:16]
