"""What a sweep found: its table, its best job, and whether any job is worth having."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from typing import TYPE_CHECKING

import pandas as pd

from slarisk.decisions.costs import dollars
from slarisk.evaluation.metrics import format_money_interval
from slarisk.tracking.tags import SEEDS

if TYPE_CHECKING:
    from slarisk.sweeps.runs import JobRun

_LONG_NUMBER = 8  # characters
_MOST_ROWS = 25  # of the table in the description
_MOST_TEXT = 8000  # characters of the description: MLflow cuts off what is more
_LONG_COMMAND = 2000  # characters: of such a command the description has the short form
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
    """Find the finished job with the lowest objective, the first of equals; None if none is.

    The objective is out of fold: the test tickets do not choose. Of jobs alike in all but the
    model's seed only the middle one counts (of an even number the worse of two), so that a lucky
    seed wins nothing.
    """
    alike: dict[tuple[str, ...], list[JobRun]] = {}
    for job in jobs:
        if job.finished:
            key = tuple(each for each in job.overrides if not _is_seed(each))
            seeded = len(key) < len(job.overrides)
            alike.setdefault(key if seeded else (job.run_id,), []).append(job)
    ranked = [sorted(group, key=_objective) for group in alike.values()]
    return min((group[len(group) // 2] for group in ranked), key=_objective, default=None)


def _objective(job: JobRun) -> float:
    return job.metrics["objective"]


def _is_seed(override: str) -> bool:
    return _split(override)[0].lstrip("+") in {f"model.{name}" for name in SEEDS}


def varied_choices(jobs: Sequence[JobRun]) -> list[str]:
    """Name the config keys in which the jobs differ, in the order they were given."""
    said = [dict(_split(each) for each in job.overrides) for job in jobs]
    keys = dict.fromkeys(key for choices in said for key in choices)
    return [key for key in keys if len({choices.get(key) for choices in said}) > 1]


def _split(override: str) -> tuple[str, str]:
    key, _, value = override.partition("=")
    return key, value


def tabulate_jobs(jobs: Sequence[JobRun]) -> pd.DataFrame:
    """Write jobs as a table, best objective first, those without one last."""
    varied = varied_choices(jobs)
    worst = float("inf")
    ranked = sorted(jobs, key=lambda job: job.metrics["objective"] if job.finished else worst)
    rows = []
    for job in ranked:
        choices = dict(_split(each) for each in job.overrides)
        row: dict[str, object] = {key: choices.get(key, "") for key in varied}
        row |= {name: job.metrics.get(name) for name in _FIGURES}
        row |= {"seconds": job.seconds, "status": job.status, "failure": job.failure or ""}
        rows.append(row | {"run": job.name, "run_id": job.run_id})
    return pd.DataFrame(rows)


def write_command(overrides: Sequence[str]) -> str:
    """Write the command that repeats a job, ready to be pasted."""
    return shlex.join(["python", "train.py", *overrides])


def write_results(jobs: Sequence[JobRun], more: Sequence[str] = ()) -> str:
    """Write what a sweep found in Markdown; ``more`` are paragraphs that only it can add."""
    best = find_best(jobs)
    parts = [f"**{summarise_sweep(jobs)}**"]
    if best is not None:
        command = write_command(best.overrides)
        if len(command) > _LONG_COMMAND:
            command = write_command([f"from_run={best.run_id}"])
        # what was found comes first: MLflow folds the rest away
        parts += [summarise_value(jobs), *more, f"The best job again: `{command}`"]
    text = "\n\n".join(parts)
    return "\n\n".join([text, *_write_table(jobs, _MOST_TEXT - len(text) - 2)])


def summarise_sweep(jobs: Sequence[JobRun]) -> str:
    """Say how a sweep went: how many jobs ended how, and the best of them."""
    best = find_best(jobs)
    ended = {
        words: sum(job.status == status for job in jobs)
        for status, words in (("FAILED", "failed"), ("KILLED", "killed"), ("RUNNING", "running"))
    }
    finished = sum(job.finished for job in jobs)
    counts = [f"{finished} of {len(jobs)} jobs finished"]
    counts += [f"{count} {words}" for words, count in ended.items() if count]
    if best is None:
        return f"{', '.join(counts)}: nothing to compare."
    return f"{', '.join(counts)}; best: {best.name}, objective {best.metrics['objective']:.4f}."


def summarise_value(jobs: Sequence[JobRun]) -> str:
    """Say plainly whether the jobs beat the best trivial rule."""
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


def summarise_job(name: str, metrics: dict[str, float]) -> str:
    """Say in one line what a job came to."""
    return (
        f"{name}: objective {metrics['objective']:.4f}; test loss "
        f"{dollars(metrics['expected_loss'])}, value {format_money_interval(metrics, 'value_over_baseline')}"
        f"; {metrics['training_seconds']:.1f} s"
    )


def _write_table(jobs: Sequence[JobRun], room: int) -> list[str]:
    """Write as many rows as there is room for, and where the others are."""
    varied = varied_choices(jobs)
    names = [_in_cell(key.removeprefix("model.")) for key in varied] or ["job"]
    lines = [
        "| " + " | ".join([*names, "objective", "test loss", "value over best rule", "s"]) + " |",
        "|" + "---|" * len(names) + "---:|" * 4,
    ]
    left = f"All {len(jobs)} jobs: results.csv."
    room -= len("\n".join([*lines, left])) + 1  # an empty line before what is left
    by_id = {job.run_id: job for job in jobs}
    rows = 0
    for _, row in tabulate_jobs(jobs).head(_MOST_ROWS).iterrows():
        job = by_id[row["run_id"]]
        cells = [_in_cell(_shorten(str(row[key]))) for key in varied] or [_in_cell(job.name)]
        if job.finished:
            cells += [
                f"{job.metrics['objective']:.4f}",
                format_money_interval(job.metrics, "expected_loss"),
                format_money_interval(job.metrics, "value_over_baseline"),
                "" if job.seconds is None else f"{job.seconds:.1f}",
            ]
        else:
            reason = _in_cell((job.failure or "").split("\n")[0][:120])
            cells += ["", f"{job.status} {reason}", "", ""]
        line = "| " + " | ".join(cells) + " |"
        room -= len(line) + 1
        if room < 0:
            break
        lines.append(line)
        rows += 1
    table = ["\n".join(lines)] if rows else []
    return table if rows == len(jobs) else [*table, left]


def _shorten(value: str) -> str:
    """Write a number that a search drew in four digits: results.csv has all of them.

    Examples
    --------
    >>> _shorten("0.014840953126290508"), _shorten("200"), _shorten("2024-01-01")
    ('0.01484', '200', '2024-01-01')
    """
    try:
        return f"{float(value):.4g}" if len(value) > _LONG_NUMBER else value
    except ValueError:
        return value


def _in_cell(text: str) -> str:
    return text.replace("|", "\\|")
