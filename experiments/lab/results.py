"""``results.csv`` of a study: a row for each run, with its labels and rounded metrics.

It has no time, id or version in it: the same runs give the same file, byte by byte.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from lab.recipe import DRAW, PART, StudyJob

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

RESULTS = "results.csv"
# The metrics of a run, with as many decimals as are the same on every processor.
DIGITS = {
    "train_tickets": 0,
    "test_tickets": 0,
    "breach_rate": 4,
    "objective": 2,
    "expected_loss": 2,
    "expected_loss_low": 0,
    "expected_loss_high": 0,
    "baseline_never_loss": 2,
    "baseline_always_loss": 2,
    "baseline_priority_loss": 2,
    "baseline_segment_loss": 2,
    "baseline_timer_50_loss": 2,
    "baseline_timer_75_loss": 2,
    "baseline_timer_loss": 2,
    "best_baseline_loss": 2,
    "value_over_baseline": 2,
    "value_over_baseline_low": 0,
    "value_over_baseline_high": 0,
    "escalation_rate": 3,
    "missed_breaches": 0,
    "false_alarms": 0,
    "roc_auc": 3,
    "pr_auc": 3,
    "brier": 4,
    "log_loss": 3,
    "calibration_error": 3,
    "optimal_threshold": 3,
    "decision_threshold": 3,
    "regret": 3,
    "regret_at_creation": 3,
}


def tabulate_runs(jobs: Sequence[StudyJob], metrics: Sequence[Mapping[str, float]]) -> pd.DataFrame:
    """Tabulate runs as text: the labels of each, and its metrics rounded."""
    rows = [
        job.labels | {name: _format(of_run.get(name), digits) for name, digits in DIGITS.items()}
        for job, of_run in zip(jobs, metrics, strict=True)
    ]
    return _order_columns(pd.DataFrame(rows))


def _format(value: float | None, digits: int) -> str:
    """Format a number without trailing zeros, and -0.0 as 0; missing and infinite ones as empty."""
    if value is None or not np.isfinite(value):
        return ""
    text = f"{round(value, digits) + 0.0:.{digits}f}"
    return text.rstrip("0").rstrip(".") if digits else text


def _order_columns(rows: pd.DataFrame) -> pd.DataFrame:
    """Order the columns: the part, the axes, the draw, the metrics."""
    return rows[[PART, *_list_axes(rows), DRAW, *DIGITS]].fillna("")


def _list_axes(rows: pd.DataFrame) -> list[str]:
    return [str(name) for name in rows if name not in {PART, DRAW, *DIGITS}]


def read_results(folder: Path) -> pd.DataFrame:
    """Read the results of a study as text; without rows if it has not been run."""
    path = folder / RESULTS
    if not path.exists():
        return pd.DataFrame(columns=[PART, DRAW, *DIGITS])
    rows = pd.read_csv(path, dtype="str", keep_default_na=False)
    # metrics that came later are empty
    return rows.reindex(columns=[*dict.fromkeys([*rows, *DIGITS])], fill_value="")


def keep_results(folder: Path, jobs: Sequence[StudyJob]) -> pd.DataFrame:
    """Return the rows of the present results that belong to these jobs."""
    rows = read_results(folder)
    wanted = {tuple(sorted(job.labels.items())) for job in jobs}
    labels = rows[[PART, *_list_axes(rows), DRAW]].to_dict("records")
    kept = [tuple(sorted((k, v) for k, v in each.items() if v)) in wanted for each in labels]
    return rows[kept]


def join_results(jobs: Sequence[StudyJob], tables: Sequence[pd.DataFrame]) -> pd.DataFrame:
    """Join tables of results into one, in the order of the jobs."""
    rows = _order_columns(pd.concat(tables))
    names = [PART, *_list_axes(rows), DRAW]
    position = {tuple(job.labels.get(name, "") for name in names): n for n, job in enumerate(jobs)}
    positions = [position[labels] for labels in rows[names].itertuples(index=False, name=None)]
    return rows.iloc[np.argsort(positions)]
