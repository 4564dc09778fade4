"""What is to be scored, by what, into which files: the same for every engine."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from slarisk.decisions.policies import DecisionPolicy, make_policy
from slarisk.errors import InputError
from slarisk.scoring.export_reader import DETAIL, FILE, REASON
from slarisk.scoring.summary import rank_counts
from slarisk.tickets.files import name_file
from slarisk.tickets.rows import SOURCE_ROW

if TYPE_CHECKING:
    from slarisk.config import Decision
    from slarisk.model.bundle import Bundle


@dataclass(frozen=True, eq=False)
class Task:
    """What is to be scored, by what, into which files.

    ``output`` None is standard output. ``max_rejected`` is a share of the rows.
    """

    bundle: Bundle
    decision: Decision
    source: str
    output: Path | None
    rejected: Path
    version: str
    scored_at: str
    max_rejected: float = 1.0

    @property
    def policy(self) -> DecisionPolicy:
        """The rule that decides."""
        return make_policy(self.decision, self.bundle.manifest.threshold)


def validate_rejected_share(
    task: Task, reasons: Counter[str], rows: int, files: list[str], first: Mapping[str, Any] | None
) -> None:
    """Refuse to score an export of which too much is wrong.

    Parameters
    ----------
    task : Task
        Says how much is.
    reasons : Counter
        How many rows are rejected, by reason.
    rows : int
        How many there are.
    files : list of str
        The names behind the numbers of files.
    first : mapping, optional
        The first rejected row.

    Raises
    ------
    InputError
        Gives the share, the reasons and the first such row.
    """
    wrong = reasons.total()
    if wrong <= task.max_rejected * rows:
        return
    counts = ", ".join(f"{reason}: {count:,}" for reason, count in rank_counts(reasons))
    example = ""
    if first is not None:
        told = " ".join(filter(None, [first[REASON], first[DETAIL]]))
        place = f"{files[first[FILE]]}, row {first[SOURCE_ROW]}"
        example = f" The first is {place}: {told}."
    raise InputError(
        f"{name_file(task.source)}: {wrong:,} of {rows:,} rows ({wrong / rows:.1%}) cannot be "
        f"scored ({counts}), more than max_rejected={task.max_rejected:g} allows. Nothing was "
        f"written.{example}"
    )
