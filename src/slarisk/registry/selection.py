"""Choose the run to promote when none is named."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from slarisk.config import Evaluation, ModelLog, Stage, SweepJob, Tracking
from slarisk.errors import InputError
from slarisk.evaluation.metrics import DIRECTIONS, Better
from slarisk.registry.policy_differences import (
    describe_policy,
    find_differing_keys,
    say_keys,
    say_policy,
)
from slarisk.tracking.runs import fetch_config, list_finished_runs
from slarisk.tracking.tags import (
    DATA_TAG,
    KIND_TAG,
    OPTIMISTIC_TAG,
    POLICY_TAG,
    SEEDS,
    STAGE_TAG,
    TRIAL_TAG,
    TUNING_TAG,
    Tuning,
)

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from slarisk.config import TrainConfig
    from slarisk.tracking.runs import RunRecord

    Policy = Mapping[str, object]

_RECIPES = ("search", "experiment")  # choices that say where a config comes from, not what it is


@dataclass(frozen=True)
class Choice:
    """The run that was chosen, and in words: among which, by what."""

    run: RunRecord
    words: str


def require_direction(select_by: str) -> Better:
    """Look up which values of a metric are better.

    Raises
    ------
    InputError
        The metric is none, or none by which a model could be called better.
    """
    if select_by not in DIRECTIONS:
        raise InputError(
            f"select_by={select_by}: no metric of which one end is better. Those that are: "
            f"{', '.join(DIRECTIONS)}."
        )
    return DIRECTIONS[select_by]


def choose_run(experiment_id: str, select_by: str, in_charge: Policy | None = None) -> Choice:
    """Choose the best run under the policy of the champion.

    Parameters
    ----------
    experiment_id : str
    select_by : str
        A metric with a direction.
    in_charge : mapping, optional
        The policy of the champion (:func:`describe_policy`); None if there is none yet.

    Raises
    ------
    InputError
        There is no run to choose from, or there are several policies and no champion yet that says
        which of them counts.
    """
    better = require_direction(select_by)
    runs = [run for run in list_finished_runs(experiment_id) if _is_honest(run, select_by)]
    candidates = [run for run in runs if run.model_id is not None and not _is_untested_trial(run)]
    if not candidates:
        raise InputError(
            f"There is no finished run with the metric {select_by!r} and a model to promote"
            + (f", only {len(runs)} without: {_SET_ASIDE}. " if runs else ". ")
            + "Train first: python train.py"
        )
    policies = _read_policies(candidates)
    under = _group(candidates, policies)
    if not under:
        raise InputError(
            f"None of the {len(candidates)} finished runs with a model can be read: another "
            "version of slarisk made them. Train again: python train.py"
        )
    if in_charge is None and len(under) > 1:
        raise InputError(_list_policies(under, runs, select_by, better))
    chosen, rivals = _take(under, in_charge)
    if not rivals:
        raise InputError(
            "No finished run was made under the policy of the champion "
            f"({say_policy(in_charge or {})}). Name one with run_id=<id> allow_policy_change=true:"
            + _list_each(under, runs, select_by, better, in_charge)
        )
    ground = [run for run in rivals if run.fingerprints == rivals[0].fingerprints]
    run, alike = choose_typical(ground, _share_ground(runs, ground[0]), select_by, better)
    others = [policy for policy, _ in under if policy is not chosen]
    words = [
        f"best of {_count(len(ground), 'run')} by {select_by} ({run.metrics[select_by]:.6g}) under "
        f"{say_policy(chosen)}"
    ]
    if alike > 1:
        words.append(f"the middle one of {alike} alike in all but the seed")
    if others:
        keys = find_differing_keys([chosen, *others])
        said = "; ".join(say_keys(policy, keys) for policy in others)
        count = len(candidates) - len(rivals)
        words.append(f"{count} under other policies ({said}) not looked at")
    if len(rivals) > len(ground):
        words.append(f"{len(rivals) - len(ground)} on other tickets not looked at")
    if aside := sum(run.model_id is not None and _is_untested_trial(run) for run in runs):
        words.append(f"{aside} set aside: {_SET_ASIDE_TUNED}")
    return Choice(run, "; ".join(words))


_SET_ASIDE_TUNED = "of searches in which tuning did not help, or that have not said whether it does"
_SET_ASIDE = f"jobs of sweeps that were not the best, and runs {_SET_ASIDE_TUNED}"


def _is_honest(run: RunRecord, select_by: str) -> bool:
    """Whether a run trained a model without a look at the test tickets, and has the metric."""
    return (
        math.isfinite(run.metrics.get(select_by, math.nan))
        and run.tags.get(OPTIMISTIC_TAG) != "true"
        and KIND_TAG not in run.tags
    )


def _is_untested_trial(run: RunRecord) -> bool:
    """Whether a run has tuned parameters of which its search did not find that they help."""
    tuned = TRIAL_TAG in run.tags or run.tags.get(STAGE_TAG) == Stage.tuned.value
    return tuned and run.tags.get(TUNING_TAG) not in {each.value for each in Tuning if each.pays}


def _read_policies(candidates: Sequence[RunRecord]) -> dict[tuple[str | None, ...], Policy]:
    """Read the policy of each pair of fingerprints; runs that share both share it.

    Left out are those whose config this version cannot read.
    """
    found: dict[tuple[str | None, ...], Policy] = {}
    unreadable = set()
    for run in candidates:
        pair = _pair(run)
        if pair in found or pair in unreadable:
            continue
        try:
            found[pair] = describe_policy(fetch_config(run.run_id))
        except InputError:
            unreadable.add(pair)
    return found


def _pair(run: RunRecord) -> tuple[str | None, ...]:
    return run.tags.get(POLICY_TAG), run.tags.get(DATA_TAG)


def _group(
    candidates: Sequence[RunRecord], policies: Mapping[tuple[str | None, ...], Policy]
) -> list[tuple[Policy, list[RunRecord]]]:
    """Group runs by policy, both in the order given."""
    groups: list[tuple[Policy, list[RunRecord]]] = []
    for run in candidates:
        policy = policies.get(_pair(run))
        if policy is None:
            continue
        for other, members in groups:
            if other == policy:
                members.append(run)
                break
        else:
            groups.append((policy, [run]))
    return groups


def _take(
    under: Sequence[tuple[Policy, list[RunRecord]]], in_charge: Policy | None
) -> tuple[Policy, list[RunRecord]]:
    if in_charge is None:
        return under[0]
    return next((each for each in under if each[0] == in_charge), (in_charge, []))


def _list_policies(
    under: Sequence[tuple[Policy, list[RunRecord]]],
    runs: Sequence[RunRecord],
    select_by: str,
    better: Better,
) -> str:
    return (
        f"The finished runs were made under {len(under)} policies, and there is no champion yet "
        "that says which one counts. Name a run with run_id=<id>:"
        + _list_each(under, runs, select_by, better)
    )


def _list_each(
    under: Sequence[tuple[Policy, list[RunRecord]]],
    runs: Sequence[RunRecord],
    select_by: str,
    better: Better,
    in_charge: Policy | None = None,
) -> str:
    """List policies by the keys in which they differ, each with its best run."""
    known = [policy for policy, _ in under]
    keys = find_differing_keys([*known, in_charge] if in_charge is not None else known)
    lines = []
    for policy, members in under:
        ground = [run for run in members if run.fingerprints == members[0].fingerprints]
        best, _ = choose_typical(ground, _share_ground(runs, ground[0]), select_by, better)
        lines.append(
            f"\n  - {say_keys(policy, keys)}: {_count(len(members), 'run')}, the best is "
            f"{best.name} ({select_by} {best.metrics[select_by]:.6g}): run_id={best.run_id}"
        )
    return "".join(lines)


def _count(number: int, what: str) -> str:
    return f"{number:,} {what}" if number == 1 else f"{number:,} {what}s"


# Seeds --------------------------------------------------------------------------------------------


def _share_ground(runs: Sequence[RunRecord], run: RunRecord) -> list[RunRecord]:
    """Runs judged on the same tickets under the same policy, whether or not they have a model."""
    return [each for each in runs if each.fingerprints == run.fingerprints]


def choose_typical(
    candidates: Sequence[RunRecord], runs: Sequence[RunRecord], select_by: str, better: Better
) -> tuple[RunRecord, int]:
    """Choose the best candidate, where runs alike in all but the model's seed count as one.

    Such a group counts with the value of its middle run, of an even number the worse of the two in
    the middle. Of its candidates the one next to the middle is taken. Of runs that were repeated
    with the same seed, the newest counts.

    Parameters
    ----------
    candidates : sequence of RunRecord
        Those that may be chosen, newest first.
    runs : sequence of RunRecord
        All runs on the same ground, newest first, the candidates among them: also a job of a sweep
        whose model was not kept says what a seed does.

    Returns
    -------
    run : RunRecord
    alike : int
        How many runs of other seeds it stands for, itself among them.
    """
    sign = -1 if better is Better.higher else 1
    names = {run.run_id for run in candidates}
    best: tuple[float, RunRecord, int] | None = None
    for group in _group_alike(candidates, runs):
        ranked = sorted(_take_newest(group, names), key=lambda run: sign * run.metrics[select_by])
        middle = len(ranked) // 2
        value = sign * ranked[middle].metrics[select_by]
        near = min(
            (abs(rank - middle), -rank, run)
            for rank, run in enumerate(ranked)
            if run.run_id in names
        )[2]
        if best is None or value < best[0]:
            best = value, near, len(ranked)
    assert best is not None
    return best[1], best[2]


def _take_newest(group: Sequence[RunRecord], names: set[str]) -> list[RunRecord]:
    """Of the runs of each seed take the newest, before all one that may be chosen."""
    by_seed: dict[tuple[str | None, ...], RunRecord] = {}
    for run in group:
        seed = tuple(run.params.get(f"model.{name}") for name in SEEDS)
        if seed not in by_seed or (run.run_id in names and by_seed[seed].run_id not in names):
            by_seed[seed] = run
    return list(by_seed.values())


def _group_alike(
    candidates: Sequence[RunRecord], runs: Sequence[RunRecord]
) -> list[list[RunRecord]]:
    """Group runs that are alike in all but the seed, where one of them is a candidate."""
    by_params: dict[Any, list[RunRecord]] = {}
    for run in runs:
        by_params.setdefault(_params_but_seed(run), []).append(run)
    groups = []
    for key in dict.fromkeys(map(_params_but_seed, candidates)):
        group = by_params[key]
        # params tell the choices and the tuned values; the config tells all
        by_config: dict[str, list[RunRecord]] = {}
        for run in group:
            name = _config_but_seed(run) if len(group) > 1 else run.run_id
            by_config.setdefault(name, []).append(run)
        groups += list(by_config.values())
    names = {run.run_id for run in candidates}
    return [group for group in groups if any(run.run_id in names for run in group)]


def _params_but_seed(run: RunRecord) -> frozenset[tuple[str, str]]:
    left_out = {*_RECIPES, *(f"model.{name}" for name in SEEDS)}
    return frozenset((key, value) for key, value in run.params.items() if key not in left_out)


def _config_but_seed(run: RunRecord) -> str:
    try:
        return repr(leave_seed_out(fetch_config(run.run_id)))
    except InputError:
        return run.run_id  # alike to none


def leave_seed_out(config: TrainConfig) -> TrainConfig:
    """Leave out of a config the model's seed, and what does not touch the model."""
    return replace(
        config,
        model={key: value for key, value in config.model.items() if key not in SEEDS},
        evaluation=Evaluation(),
        tracking=Tracking(name=""),
        from_run=None,
        skip_finished=False,
        log_models=ModelLog.best,
        sweep=SweepJob(),
        choices={},
        overrides=[],
    )
