"""How much of a run rests on creation times that were drawn."""

from __future__ import annotations

from typing import TYPE_CHECKING

from slarisk.evaluation.checks.check import doubt, fine

if TYPE_CHECKING:
    from slarisk.evaluation.checks.check import Finding
    from slarisk.evaluation.checks.evidence import Evidence


def check_creation(evidence: Evidence) -> Finding:
    """SR005: creation times are observed."""
    if not evidence.imputed:
        return fine("Creation times come from the data.")
    return doubt("Creation times are imputed: labels and hour-of-day effects are partly made up.")
