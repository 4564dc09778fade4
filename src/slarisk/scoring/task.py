"""What to score, with which model, into which files: the same for both engines."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from slarisk.decisions.policies import DecisionPolicy, make_policy
from slarisk.errors import InputError
from slarisk.exports.files import name_file
from slarisk.exports.rows import SOURCE_ROW
from slarisk.scoring.rejections import DETAIL, FILE, NOT_YET, REASON
from slarisk.scoring.summary import rank_counts
from slarisk.tickets.labels import NO_SLA
from slarisk.tickets.left_out import TOTAL
from slarisk.times.zones import show_local

if TYPE_CHECKING:
    from slarisk.config import Decision
    from slarisk.model.bundle import Bundle


@dataclass(frozen=True, eq=False)
class Task:
    """What to score, with which model, into which files.

    ``output`` None is standard output; ``max_rejected`` is a share of the rows. For a model with
    context, ``history`` is where other tickets are read from, and ``state`` is the file that gets
    what is to be kept of all of them. ``at`` is the moment as of which tickets are scored; None is
    the latest time in the export.
    """

    bundle: Bundle
    decision: Decision
    source: str
    output: Path | None
    rejected: Path
    version: str
    scored_at: str
    max_rejected: float = 1.0
    history: str | None = None
    state: Path | None = None
    at: pd.Timestamp | None = None

    @property
    def policy(self) -> DecisionPolicy:
        """The decision policy."""
        manifest = self.bundle.manifest
        return make_policy(self.decision, manifest.threshold, manifest.stopping)

    def format_moment(self) -> str:
        """Format the moment of scoring as the clocks of the data's time zone show it."""
        if self.at is None or pd.isna(self.at):
            return ""
        shown = show_local(pd.Series([self.at]), self.bundle.manifest.data.timezone)
        return f"{shown.iloc[0]:%Y-%m-%d %H:%M}"


def validate_rejected_share(
    task: Task, reasons: Counter[str], rows: int, files: list[str], first: Mapping[str, Any] | None
) -> None:
    """Raise if the share of rejected rows exceeds ``task.max_rejected``.

    Parameters
    ----------
    task : Task
    reasons : Counter
        Number of rejected rows by reason.
    rows : int
        Number of all rows.
    files : list of str
        The file names that FILE numbers.
    first : mapping, optional
        The first rejected row.

    Raises
    ------
    InputError
        Gives the share, the reasons and the first rejected row.
    """
    # there is nothing wrong with such rows
    rejected = reasons.total() - reasons[NO_SLA] - reasons[TOTAL] - reasons[NOT_YET]
    if rejected <= task.max_rejected * rows:
        return
    counts = ", ".join(f"{reason}: {count:,}" for reason, count in rank_counts(reasons))
    example = ""
    if first is not None:
        reason = " ".join(filter(None, [first[REASON], first[DETAIL]]))
        example = f" The first is {files[first[FILE]]}, row {first[SOURCE_ROW]}: {reason}."
    raise InputError(
        f"{name_file(task.source)}: {rejected:,} of {rows:,} rows ({rejected / rows:.1%}) cannot "
        f"be scored ({counts}), more than max_rejected={task.max_rejected:g} allows. Nothing was "
        f"written.{example}"
    )
