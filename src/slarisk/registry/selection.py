"""Choose the run to promote when none is named."""

from __future__ import annotations

import math
from collections import defaultdict
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from slarisk.config import Evaluation, ModelLog, Stage, SweepJob, Tracking
from slarisk.errors import InputError
from slarisk.evaluation.metrics import DIRECTIONS, Better
from slarisk.registry.models import fetch_version
from slarisk.registry.policy_differences import (
    describe_policy,
    find_differing_keys,
    format_keys,
    format_policy,
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
    from collections.abc import Iterable, Sequence

    from slarisk.config import TrainConfig
    from slarisk.registry.policy_differences import Policy
    from slarisk.registry.versions import Version
    from slarisk.tracking.runs import RunRecord

    PolicyGroup = tuple[Policy, list[RunRecord]]

_RECIPES = ("search", "experiment")  # params that say where a config comes from, not what it is
_SET_ASIDE = "of searches in which tuning did not help, or that have not said whether it does"


@dataclass(frozen=True)
class Choice:
    """The run that was chosen, and in words how."""

    run: RunRecord
    words: str


def validate_select_by(select_by: str) -> None:
    """Raise InputError if neither end of a metric is better, or there is no such metric."""
    if select_by not in DIRECTIONS:
        raise InputError(
            f"select_by={select_by}: no metric of which one end is better. Those that are: "
            f"{', '.join(DIRECTIONS)}."
        )


def fetch_policy(name: str, champion: Version) -> Policy:
    """Fetch the policy of the champion: of its run or, if that cannot be read, of its model."""
    try:
        return describe_policy(fetch_config(champion.run_id))
    except InputError:
        return describe_policy(fetch_version(name, champion).manifest)


def choose_run(experiment_id: str, select_by: str, champion: Policy | None = None) -> Choice:
    """Choose the best run under the policy of the champion.

    Parameters
    ----------
    experiment_id : str
    select_by : str
        A metric with a direction.
    champion : mapping, optional
        The policy of the champion (:func:`describe_policy`); None if there is none yet.

    Raises
    ------
    InputError
        There is no run to choose from, or there are several policies and no champion yet that says
        which of them counts.
    """
    validate_select_by(select_by)
    runs = [run for run in list_finished_runs(experiment_id) if _is_eligible(run, select_by)]
    with_model = [run for run in runs if run.model_id is not None]
    candidates = [run for run in with_model if not _is_untested_trial(run)]
    if not candidates:
        unsuitable = f", only {len(runs)} without: jobs of sweeps that were not the best, and runs "
        raise InputError(
            f"There is no finished run with the metric {select_by!r} and a model to promote"
            + (f"{unsuitable}{_SET_ASIDE}. " if runs else ". ")
            + "Train first: python train.py"
        )
    groups = _group_by_policy(candidates)
    if not groups:
        raise InputError(
            f"None of the {len(candidates)} finished runs with a model can be read: another "
            "version of slarisk made them. Train again: python train.py"
        )
    if champion is None and len(groups) > 1:
        raise InputError(
            f"The finished runs were made under {len(groups)} policies, and there is no champion "
            "yet that says which one counts. Name a run with run_id=<id>:"
            + _list_policies(groups, runs, select_by)
        )
    policy = groups[0][0] if champion is None else champion
    rivals = next((members for other, members in groups if other == policy), [])
    if not rivals:
        raise InputError(
            f"No finished run was made under the policy of the champion ({format_policy(policy)}). "
            "Name one with run_id=<id> allow_policy_change=true:"
            + _list_policies(groups, runs, select_by, policy)
        )
    comparable = _list_comparable(rivals, rivals[0])
    run, alike = choose_typical(comparable, _list_comparable(runs, rivals[0]), select_by)
    words = [
        f"best of {_count(len(comparable), 'run')} by {select_by} ({run.metrics[select_by]:.6g}) "
        f"under {format_policy(policy)}"
    ]
    if alike > 1:
        words.append(f"the middle one of {alike} alike in all but the seed")
    if others := [other for other, _ in groups if other != policy]:
        keys = find_differing_keys([policy, *others])
        differing = "; ".join(format_keys(other, keys) for other in others)
        count = len(candidates) - len(rivals)
        words.append(f"{count} under other policies ({differing}) not looked at")
    if len(rivals) > len(comparable):
        words.append(f"{len(rivals) - len(comparable)} on other tickets not looked at")
    if aside := len(with_model) - len(candidates):
        words.append(f"{aside} set aside: {_SET_ASIDE}")
    return Choice(run, "; ".join(words))


def _is_eligible(run: RunRecord, select_by: str) -> bool:
    """Whether a run trained a model, chose nothing on the test tickets, and has the metric."""
    return (
        math.isfinite(run.metrics.get(select_by, math.nan))
        and run.tags.get(OPTIMISTIC_TAG) != "true"
        and KIND_TAG not in run.tags
    )


def _is_untested_trial(run: RunRecord) -> bool:
    """Whether a run has tuned parameters of which its search did not find that they help."""
    tuned = TRIAL_TAG in run.tags or run.tags.get(STAGE_TAG) == Stage.tuned.value
    return tuned and run.tags.get(TUNING_TAG) not in {each.value for each in Tuning if each.pays}


def _group_by_policy(candidates: Iterable[RunRecord]) -> list[PolicyGroup]:
    """Group runs by policy, both in the order given; runs with an unreadable config are left out.

    Runs with the same fingerprints of policy and data have the same policy, which is fetched once.
    """
    policies: dict[tuple[str | None, str | None], Policy] = {}
    groups: list[PolicyGroup] = []
    for run in candidates:
        pair = run.tags.get(POLICY_TAG), run.tags.get(DATA_TAG)
        if pair not in policies:
            try:
                policies[pair] = describe_policy(fetch_config(run.run_id))
            except InputError:  # of another version of slarisk; the next run of the pair may not be
                continue
        policy = policies[pair]
        members = next((members for other, members in groups if other == policy), None)
        if members is None:
            groups.append((policy, [run]))
        else:
            members.append(run)
    return groups


def _list_policies(
    groups: Sequence[PolicyGroup],
    runs: Sequence[RunRecord],
    select_by: str,
    champion: Policy | None = None,
) -> str:
    """List policies by the keys in which they differ, each with its best run."""
    policies = [policy for policy, _ in groups]
    keys = find_differing_keys([*policies, champion] if champion is not None else policies)
    lines = []
    for policy, members in groups:
        newest = members[0]
        best, _ = choose_typical(
            _list_comparable(members, newest), _list_comparable(runs, newest), select_by
        )
        lines.append(
            f"\n  - {format_keys(policy, keys)}: {_count(len(members), 'run')}, the best is "
            f"{best.name} ({select_by} {best.metrics[select_by]:.6g}): run_id={best.run_id}"
        )
    return "".join(lines)


def _list_comparable(runs: Iterable[RunRecord], run: RunRecord) -> list[RunRecord]:
    """List the runs on the same tickets, split and policy as one run."""
    return [each for each in runs if each.fingerprints == run.fingerprints]


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"


# Seeds --------------------------------------------------------------------------------------------


def choose_typical(
    candidates: Sequence[RunRecord], runs: Sequence[RunRecord], select_by: str
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
        All comparable runs, newest first, the candidates among them: also a job of a sweep whose
        model was not kept shows the effect of the seed.
    select_by : str
        A metric with a direction.

    Returns
    -------
    run : RunRecord
    alike : int
        How many runs of different seeds it stands for, itself among them.
    """
    sign = -1 if DIRECTIONS[select_by] is Better.higher else 1
    eligible = {run.run_id for run in candidates}
    options = []
    for group in _group_alike(candidates, runs):
        ranked = sorted(
            _take_newest(group, eligible), key=lambda run: sign * run.metrics[select_by]
        )
        middle = len(ranked) // 2
        _, _, nearest = min(
            (abs(rank - middle), -rank, run)
            for rank, run in enumerate(ranked)
            if run.run_id in eligible
        )
        options.append((sign * ranked[middle].metrics[select_by], nearest, len(ranked)))
    _, run, alike = min(options, key=lambda option: option[0])  # of equals the newest
    return run, alike


def _take_newest(group: Iterable[RunRecord], eligible: set[str]) -> list[RunRecord]:
    """Take the newest run of each seed, an eligible one before others."""
    by_seed: dict[tuple[str | None, ...], RunRecord] = {}
    for run in group:
        seed = tuple(run.params.get(f"model.{name}") for name in SEEDS)
        if seed not in by_seed or (run.run_id in eligible and by_seed[seed].run_id not in eligible):
            by_seed[seed] = run
    return list(by_seed.values())


def _group_alike(
    candidates: Iterable[RunRecord], runs: Iterable[RunRecord]
) -> list[list[RunRecord]]:
    """Group runs that are alike in all but the seed; groups without a candidate are left out.

    Params, which are at hand, have the choices and the tuned values; only where these are alike is
    the config fetched, which has everything.
    """
    by_params: dict[object, list[RunRecord]] = defaultdict(list)
    for run in runs:
        by_params[_params_but_seed(run)].append(run)
    by_config: dict[object, list[RunRecord]] = defaultdict(list)
    for params in dict.fromkeys(map(_params_but_seed, candidates)):
        group = by_params[params]
        for run in group:
            config = _config_but_seed(run) if len(group) > 1 else run.run_id
            by_config[params, config].append(run)
    eligible = {run.run_id for run in candidates}
    return [group for group in by_config.values() if any(run.run_id in eligible for run in group)]


def _params_but_seed(run: RunRecord) -> frozenset[tuple[str, str]]:
    ignored = {*_RECIPES, *(f"model.{name}" for name in SEEDS)}
    return frozenset((key, value) for key, value in run.params.items() if key not in ignored)


def _config_but_seed(run: RunRecord) -> str:
    try:
        return repr(leave_seed_out(fetch_config(run.run_id)))
    except InputError:
        return run.run_id  # alike to none


def leave_seed_out(config: TrainConfig) -> TrainConfig:
    """Copy a config without the model's seed and without what does not affect the model."""
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
