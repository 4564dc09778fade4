"""``python train.py from_run=<id>``: a run once more, old and new side by side."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from slarisk.errors import InputError, Refused
from slarisk.tracking.runs import end_orphans, fetch_config, fetch_text, find_run
from slarisk.tracking.source import find_versions
from slarisk.tracking.store import open_store
from slarisk.tracking.tags import DATA_TAG, DIFF_FILE, POLICY_TAG, SPLIT_TAG, VERSIONS_FILE
from slarisk.training.prepare import prepare
from slarisk.training.result import SECONDS, differing_metrics
from slarisk.training.run import track

if TYPE_CHECKING:
    from slarisk.config import TrainConfig
    from slarisk.tracking.runs import RunRecord
    from slarisk.training.prepare import Prepared

REPEATS_TAG = "repeats"
# where the data and the store are may change, and what it says there may not
_OWN = ("from_run", "data.path", "data.truth", "tracking")
_GROUNDS = {DATA_TAG: "the tickets", SPLIT_TAG: "the test tickets", POLICY_TAG: "labels and costs"}


def repeat(config: TrainConfig) -> float:
    """Repeat a run with its own config, and compare every metric to the last digit.

    Returns
    -------
    float
        The objective.

    Raises
    ------
    InputError
        There is no such run, or it cannot be repeated.
    Refused
        A metric differs.
    """
    assert config.from_run is not None
    validate_overrides(config)
    experiment = open_store(config.tracking)
    end_orphans(experiment)
    old = find_run(config.from_run, "from_run")
    if old.status != "FINISHED" or "objective" not in old.metrics:
        raise InputError(
            f"from_run={old.run_id}: {old.name!r} is no training run that finished "
            f"({old.status}), so there is nothing to compare with."
        )
    repeated = fetch_repeated_config(config, old.run_id)
    prepared = prepare(repeated)
    prepared.tags[REPEATS_TAG] = old.run_id
    print(f"repeating {old.name} (run {old.run_id})")
    differences = list(find_differences(old, prepared))
    for each in differences:
        print(f"  differs: {each}")
    result, run_id = track(repeated, prepared, with_model=True)
    new = result.all_metrics
    changed = differing_metrics(old.metrics, new)
    print(compare_metrics(old.metrics, new, changed))
    print(f"  run {run_id}", flush=True)
    if changed:
        why = "what differs is listed above" if differences else "and nothing else differs"
        raise Refused(
            f"Not repeated: {len(changed)} of {len(new) - 1} metrics differ "
            f"({', '.join(changed)}); {why}."
        )
    return result.metrics["objective"]


def validate_overrides(config: TrainConfig) -> None:
    """Refuse to repeat a run with something else than it had."""
    if config.sweep.parent is not None:
        raise InputError("from_run repeats one run: leave -m away.")
    others = [each for each in config.overrides if not _key(each).startswith(_OWN)]
    if others:
        raise InputError(
            f"from_run takes everything from the run, so {' '.join(others)} cannot be chosen. "
            f"Only {', '.join(_OWN[1:])} can."
        )


def _key(override: str) -> str:
    return override.lstrip("+").partition("=")[0]


def fetch_repeated_config(config: TrainConfig, run_id: str) -> TrainConfig:
    """Take the config of a run; the store, and where the files lie, are today's."""
    made_with = fetch_config(run_id)
    keys = {_key(each) for each in config.overrides}
    data = made_with.data
    if "data.path" in keys:
        data = replace(data, path=config.data.path)
    if "data.truth" in keys:
        data = replace(data, truth=config.data.truth)
    return replace(made_with, data=data, tracking=config.tracking)


def find_differences(old: RunRecord, prepared: Prepared) -> Iterator[str]:
    """Name what is not as it was: data, code, versions."""
    for tag, words in _GROUNDS.items():
        if old.tags.get(tag) != prepared.tags[tag]:
            yield f"{words} ({tag} {old.tags.get(tag)}, now {prepared.tags[tag]})"
    source = prepared.source
    commit = old.tags.get("git_commit")
    if commit != source.commit:
        yield f"the code (commit {commit}, now {source.commit})"
    diff = fetch_text(old.run_id, DIFF_FILE) if old.tags.get("git_dirty") == "true" else ""
    if diff != source.diff:
        others = "others" if diff else "uncommitted changes"
        yield (
            f"the code beyond its commit (then {'uncommitted changes' if diff else 'none'}, "
            f"now {others if source.diff else 'none'})"
        )
    written = fetch_text(old.run_id, VERSIONS_FILE)
    yield from compare_versions(json.loads(written) if written else {}, find_versions())


def compare_versions(old: Mapping[str, str], new: Mapping[str, str]) -> Iterator[str]:
    """Name the versions that changed."""
    for name in dict.fromkeys([*old, *new]):
        if old.get(name) != new.get(name):
            yield f"{name} ({old.get(name, 'unknown')}, now {new.get(name, 'unknown')})"


def compare_metrics(
    old: Mapping[str, float], new: Mapping[str, float], changed: Sequence[str]
) -> str:
    """Write old and new metrics side by side, in full."""
    names = list(dict.fromkeys([*new, *old]))
    width = max(map(len, names))
    lines = [f"  {'metric':<{width}}  {'then':>22}  {'now':>22}"]
    for name in names:
        then, now = (repr(metrics[name]) if name in metrics else "-" for metrics in (old, new))
        mark = "  differs" if name in changed else ""
        lines.append(f"  {name:<{width}}  {then:>22}  {now:>22}{mark}")
    compared = len(names) - 1
    lines.append(
        f"  {compared - len(changed)} of {compared} metrics are equal to the last digit "
        f"({SECONDS} aside)"
    )
    return "\n".join(lines)
