"""The results of a sweep: its best job, its table, and whether any job beats the trivial rules."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from typing import TYPE_CHECKING

import pandas as pd

from slarisk.decisions.costs import dollars
from slarisk.reports.formats import format_money_interval
from slarisk.tracking.tags import SEEDS

if TYPE_CHECKING:
    from slarisk.sweeps.runs import JobRun

_LONG_NUMBER = 8  # characters
_MOST_ROWS = 25  # of the table in the description
_MOST_TEXT = 8000  # characters of the description: MLflow cuts off the rest
_LONG_COMMAND = 2000  # characters: a longer command becomes from_run=<id> in the description
_FIGURES = (
    "objective",
    "expected_loss",
    "expected_loss_low",
    "expected_loss_high",
    "value_over_baseline",
    "value_over_baseline_low",
    "value_over_baseline_high",
)


def find_best(jobs: Sequence[JobRun]) -> JobRun | None:
    """Find the finished job with the lowest objective, the first of equals; None without one.

    The objective is out of fold, so the test tickets do not choose. Of jobs that differ in the
    model's seed alone only the median counts (of an even number the worse of two): a lucky seed
    cannot win.
    """
    groups: dict[tuple[str, ...], list[JobRun]] = {}
    for job in jobs:
        if job.finished:
            key = tuple(each for each in job.overrides if not _is_seed(each))
            seeded = len(key) < len(job.overrides)
            groups.setdefault(key if seeded else (job.run_id,), []).append(job)
    ranked = [sorted(group, key=_objective) for group in groups.values()]
    return min((group[len(group) // 2] for group in ranked), key=_objective, default=None)


def _objective(job: JobRun) -> float:
    return job.metrics["objective"]


def _is_seed(override: str) -> bool:
    return override.partition("=")[0].lstrip("+") in {f"model.{name}" for name in SEEDS}


def list_varied_keys(jobs: Sequence[JobRun]) -> list[str]:
    """List the config keys in which the jobs differ, in the order they were given."""
    chosen = [_read_choices(job) for job in jobs]
    keys = dict.fromkeys(key for choices in chosen for key in choices)
    return [key for key in keys if len({choices.get(key) for choices in chosen}) > 1]


def _read_choices(job: JobRun) -> dict[str, str]:
    """Read the value of each config key from a job's overrides."""
    return {key: value for key, _, value in (each.partition("=") for each in job.overrides)}


def tabulate_jobs(jobs: Sequence[JobRun]) -> pd.DataFrame:
    """Tabulate jobs, best objective first, those without one last."""
    varied = list_varied_keys(jobs)
    rows = []
    for job in _rank(jobs):
        choices = _read_choices(job)
        row: dict[str, object] = {key: choices.get(key, "") for key in varied}
        row |= {name: job.metrics.get(name) for name in _FIGURES}
        row |= {"seconds": job.seconds, "status": job.status, "failure": job.failure or ""}
        rows.append(row | {"run": job.name, "run_id": job.run_id})
    return pd.DataFrame(rows)


def _rank(jobs: Sequence[JobRun]) -> list[JobRun]:
    return sorted(jobs, key=lambda job: _objective(job) if job.finished else float("inf"))


def format_command(overrides: Sequence[str]) -> str:
    """Format the command that repeats a job, quoted for a shell."""
    return shlex.join(["python", "train.py", *overrides])


def format_results(jobs: Sequence[JobRun], more: Sequence[str] = ()) -> str:
    """Format the results of a sweep as Markdown; ``more`` are paragraphs to put in."""
    best = find_best(jobs)
    parts = [f"**{format_sweep_summary(jobs)}**"]
    if best is not None:
        command = format_command(best.overrides)
        if len(command) > _LONG_COMMAND:
            command = format_command([f"from_run={best.run_id}"])
        # the summary comes first: MLflow folds long descriptions
        parts += [format_value_summary(jobs), *more, f"The best job again: `{command}`"]
    text = "\n\n".join(parts)
    return "\n\n".join([text, *_format_table(jobs, _MOST_TEXT - len(text) - 2)])


def format_sweep_summary(jobs: Sequence[JobRun]) -> str:
    """Format how many jobs finished, failed and so on, and the best of them."""
    best = find_best(jobs)
    counts = [f"{sum(job.finished for job in jobs)} of {len(jobs)} jobs finished"]
    for status in ("FAILED", "KILLED", "RUNNING"):
        if count := sum(job.status == status for job in jobs):
            counts.append(f"{count} {status.lower()}")
    if best is None:
        return f"{', '.join(counts)}: nothing to compare."
    return f"{', '.join(counts)}; best: {best.name}, objective {best.metrics['objective']:.4f}."


def format_value_summary(jobs: Sequence[JobRun]) -> str:
    """Format how many jobs beat the best trivial rule on the test tickets."""
    finished = [job for job in jobs if job.finished]
    better = [job for job in finished if job.metrics["value_over_baseline"] > 0]
    clearly = [job for job in better if job.metrics["value_over_baseline_low"] > 0]
    if not better:
        return (
            f"**No job beats the best trivial rule** on the test tickets: none of the "
            f"{len(finished)} loses less. The rule is cheaper, and needs no model."
        )
    if not clearly:
        return (
            f"{len(better)} of {len(finished)} jobs lose less than the best trivial rule on the "
            "test tickets, but none clearly: every interval holds 0, so it may be luck."
        )
    return (
        f"{len(better)} of {len(finished)} jobs lose less than the best trivial rule on the test "
        f"tickets, {len(clearly)} of them clearly (the interval excludes 0)."
    )


def format_job_summary(name: str, metrics: dict[str, float]) -> str:
    """Format the metrics of a job in one line."""
    return (
        f"{name}: objective {metrics['objective']:.4f}; "
        f"test loss {dollars(metrics['expected_loss'])}, "
        f"value {format_money_interval(metrics, 'value_over_baseline')}; "
        f"{metrics['training_seconds']:.1f} s"
    )


def _format_table(jobs: Sequence[JobRun], room: int) -> list[str]:
    """Format a table of at most ``room`` characters, and where the rest is."""
    varied = list_varied_keys(jobs)
    names = [_escape_cell(key.removeprefix("model.")) for key in varied] or ["job"]
    lines = [
        "| " + " | ".join([*names, "objective", "test loss", "value over best rule", "s"]) + " |",
        "|" + "---|" * len(names) + "---:|" * 4,
    ]
    rest = f"All {len(jobs)} jobs: results.csv."
    room -= len("\n".join([*lines, rest])) + 1  # an empty line before the rest
    rows = 0
    for job in _rank(jobs)[:_MOST_ROWS]:
        choices = _read_choices(job)
        cells = [_shorten(choices.get(key, "")) for key in varied] or [job.name]
        cells = [_escape_cell(cell) for cell in cells]
        if job.finished:
            cells += [
                f"{job.metrics['objective']:.4f}",
                format_money_interval(job.metrics, "expected_loss"),
                format_money_interval(job.metrics, "value_over_baseline"),
                "" if job.seconds is None else f"{job.seconds:.1f}",
            ]
        else:
            reason = _escape_cell((job.failure or "").split("\n")[0][:120])
            cells += ["", f"{job.status} {reason}", "", ""]
        line = "| " + " | ".join(cells) + " |"
        room -= len(line) + 1
        if room < 0:
            break
        lines.append(line)
        rows += 1
    table = ["\n".join(lines)] if rows else []
    return table if rows == len(jobs) else [*table, rest]


def _shorten(value: str) -> str:
    """Round a number with many digits to four: results.csv has all of them.

    Examples
    --------
    >>> _shorten("0.014840953126290508"), _shorten("200"), _shorten("2024-01-01")
    ('0.01484', '200', '2024-01-01')
    """
    try:
        return f"{float(value):.4g}" if len(value) > _LONG_NUMBER else value
    except ValueError:
        return value


def _escape_cell(text: str) -> str:
    return text.replace("|", "\\|")
