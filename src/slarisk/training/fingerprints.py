"""Fingerprints that say which runs can be compared, and which job has been run before."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from typing import TYPE_CHECKING

from slarisk.config import (
    AnalyzeConfig,
    CostColumns,
    Label,
    ModelLog,
    SweepJob,
    Tracking,
    TrainConfig,
)
from slarisk.learning.splits import HoldOut, fingerprint_split
from slarisk.tickets.labels import fingerprint_policy
from slarisk.tickets.prepare import LabelledTickets
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
    policy += f" {_describe_label(config.data.label)} {_describe_costs(config.data.costs)}"
    return hashlib.sha256(policy.encode()).hexdigest()[:16]


def _describe_costs(costs: CostColumns) -> str:
    """Describe where costs come from; as before ``tp`` and ``tn`` came, where neither is named."""
    later = {key: value for key in ("tp", "tn") if (value := getattr(costs, key)) is not None}
    keys = {"breach": costs.breach, "escalation": costs.escalation} | later
    return f"CostColumns({', '.join(f'{key}={value!r}' for key, value in keys.items())})"


def _describe_label(label: Label) -> str:
    """Describe where labels come from; keys that came later are left out where they say nothing.

    So a run from before they came has the fingerprint of one that leaves them as they are.
    """
    later: dict[str, object] = {
        "met_values": [],
        "final": False,
        "closed_statuses": [],
        "cancelled_statuses": [],
        "late_if_open_after": None,
        "quarantine": [],
    }
    keys = {key: value for key, value in vars(label).items() if (key, value) not in later.items()}
    return f"Label({', '.join(f'{key}={value!r}' for key, value in keys.items())})"
