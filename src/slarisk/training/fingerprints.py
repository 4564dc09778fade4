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


def fingerprint_job(config: TrainConfig, tags: Mapping[str, str], source: Source) -> str:
    """Fingerprint a job by its resolved config, its tickets and the code.

    Of ``tags`` only the fingerprints of data, split and policy count.
    """
    alike = replace(
        config,
        tracking=Tracking(name=""),
        sweep=SweepJob(),
        skip_finished=False,
        log_models=ModelLog.best,
        overrides=[],
    )
    parts = [repr(alike), *(tags[tag] for tag in (DATA_TAG, SPLIT_TAG, POLICY_TAG)), source.code]
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:16]


def fingerprint_inputs(
    config: TrainConfig, tickets: LabelledTickets, held_out: HoldOut
) -> dict[str, str]:
    """Fingerprint data, split and policy, as tags: runs that share all three can be compared."""
    return {
        DATA_TAG: tickets.fingerprint,
        SPLIT_TAG: fingerprint_split(tickets.frame, held_out),
        POLICY_TAG: fingerprint_labelling(config),
    }


def fingerprint_labelling(config: TrainConfig | AnalyzeConfig) -> str:
    """Fingerprint the SLA, the costs, and the label and cost columns of the data policy."""
    policy = fingerprint_policy(config.sla, config.cost)
    policy += f" {config.data.label} {config.data.costs}"
    return hashlib.sha256(policy.encode()).hexdigest()[:16]
