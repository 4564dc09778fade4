"""``python train.py from_run=<id>``: a run once more, old and new side by side."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from slarisk.errors import InputError, Refused
from slarisk.tracking.runs import end_orphans, fetch_config, find_run
from slarisk.tracking.store import open_store
from slarisk.training.comparison import compare_metrics, find_differences
from slarisk.training.prepare import prepare
from slarisk.training.result import differing_metrics
from slarisk.training.run import track

if TYPE_CHECKING:
    from slarisk.config import TrainConfig

REPEATS_TAG = "repeats"
# where the files and the store lie may change; everything else is the run's
_OWN = ("from_run", "data.path", "data.truth", "tracking")


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
    """Raise if an override would change what is repeated."""
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
    """Fetch the config of a run, with the store and the file paths of this command."""
    made_with = fetch_config(run_id)
    keys = {_key(each) for each in config.overrides}
    data = made_with.data
    if "data.path" in keys:
        data = replace(data, path=config.data.path)
    if "data.truth" in keys:
        data = replace(data, truth=config.data.truth)
    return replace(made_with, data=data, tracking=config.tracking)
