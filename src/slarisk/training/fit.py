"""Cross-fit, choose the threshold out of fold, and evaluate once on the test tickets."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from slarisk.checks.context import CheckContext
from slarisk.checks.run import run_checks
from slarisk.config import Moment, Weight
from slarisk.decisions.arrivals import decide_on_arrival, learn_place_prices
from slarisk.decisions.effect import make_effect
from slarisk.decisions.policies import Capacity, find_policy, make_policy
from slarisk.decisions.thresholds import (
    best_threshold,
    bootstrap_threshold,
    grid_threshold,
    threshold_curve,
)
from slarisk.errors import InputError
from slarisk.evaluation.baselines import decide_baselines
from slarisk.evaluation.evaluate import evaluate
from slarisk.learning.crossfit import cross_fit
from slarisk.learning.models import make_fit_params, weigh_recent
from slarisk.learning.settling import weigh_known
from slarisk.learning.splits import make_folds
from slarisk.tickets.contract import take_facts
from slarisk.tickets.fields import list_segments, note_segments
from slarisk.training.open_tickets import fit_lives, follow_lives
from slarisk.training.pack import pack
from slarisk.training.priced import PricedTickets
from slarisk.training.result import SECONDS, TrainingResult

if TYPE_CHECKING:
    from slarisk.arrays import Floats
    from slarisk.config import DataPolicy, Evaluation, TrainConfig
    from slarisk.decisions.policies import DecisionPolicy
    from slarisk.evaluation.baselines import Baselines
    from slarisk.evaluation.evaluate import EvaluationResult
    from slarisk.evaluation.regret import Truth
    from slarisk.training.prepare import Prepared


def fit_and_evaluate(config: TrainConfig, prepared: Prepared) -> TrainingResult:
    """Cross-fit and choose on the training tickets, then evaluate once on the test tickets."""
    started = time.monotonic()
    tickets, held_out = prepared.tickets, prepared.held_out
    labelled = PricedTickets(tickets.frame, tickets.costs)
    training, test = labelled.take(held_out.train), labelled.take(held_out.test)

    folds = make_folds(training.frame, config.split)
    weights = weigh_training(config, prepared)
    fit_params = make_fit_params(prepared.estimator, training.costs, config.weight, weights)
    lives = None
    if config.moment is Moment.open:
        lives = fit_lives(config, prepared, folds, fit_params)
        learned = lives.learned_at_creation
        training = replace(training, frame=lives.training.creation_frame)
        test = replace(test, frame=lives.test.creation_frame)
    else:
        kind = config.calibration.name
        learned = cross_fit(
            prepared.estimator, config.features, kind, training.frame, folds, fit_params
        )
    eligible, out_of_fold = training.take(learned.eligible), learned.probability[learned.eligible]
    threshold, chosen = choose_threshold(config.evaluation, eligible, out_of_fold)

    probability = learned.model.probability(test.frame)
    if find_policy(config.decision).optimistic:
        # the notebook's mistake, on demand: the test tickets choose the threshold
        threshold = grid_threshold(probability, test.breach, test.costs).threshold
    parts = (training.frame, test.frame, training.costs, test.costs)
    baselines = decide_baselines(*parts, list_segments(config.data), make_effect(config.cost))
    if lives is None:
        policy = make_policy(config.decision, threshold)
        facts = take_facts(test.frame, config.data)
        at = np.where(policy.decide(probability, test.costs, facts), 0.0, np.inf)
        objective = measure_mean_loss(policy, eligible, out_of_fold, config.data)
        followed = None
    else:
        followed = follow_lives(config, lives, training, baselines)
        policy, at, objective = followed.policy, followed.at, followed.objective
    evaluation = evaluate_on_test(config, at, test, probability, baselines, prepared.truth)
    metrics = {
        # first, as the UI compares runs by the first metric until told otherwise
        "objective": objective,
        **evaluation.metrics,
        **chosen,
        **({} if followed is None else followed.metrics),
        "train_tickets": float(len(training.frame)),
        SECONDS: time.monotonic() - started,
    }
    if isinstance(policy, Capacity):
        metrics["expected_loss_on_arrival"] = measure_on_arrival(
            policy, eligible, out_of_fold, test, probability, config.data
        )
    if policy.by_threshold:
        metrics["decision_threshold"] = min(threshold, 1.0)

    bundle = pack(config, learned, threshold, prepared, training.frame, followed)
    packed = bundle.manifest.threshold
    context = CheckContext(
        config,
        tickets,
        training.frame,
        test.frame,
        folds,
        learned,
        packed,
        metrics,
        lives,
        bundle.manifest.stopping,
    )
    return TrainingResult(
        config=config,
        tickets=tickets,
        left_out=held_out.left_out,
        notes=(
            *tickets.notes,
            *note_segments(config.data),
            *held_out.notes,
            *baselines.notes,
        ),
        training=training.frame,
        test=test.frame,
        bundle=bundle,
        probability=probability,
        metrics=metrics,
        evaluation=evaluation,
        curve=threshold_curve(probability, test.breach, test.costs),
        checks=run_checks(context),
        followed=followed,
    )


def weigh_training(config: TrainConfig, prepared: Prepared) -> Floats | None:
    """Weigh the training tickets by their age and by the chance that their label was known.

    Returns
    -------
    float array of shape (n,) or None
        None if neither is asked for.
    """
    held_out, tickets = prepared.held_out, prepared.tickets.frame
    weights = None
    if config.half_life is not None:
        weights = weigh_recent(tickets["created_at"].iloc[held_out.train], config.half_life)
    if held_out.weighted or config.weight is Weight.known:
        if held_out.cut is None:
            raise InputError(
                "weight=known: a random split has no moment by which labels were known."
            )
        known = weigh_known(tickets, held_out.train, held_out.cut)
        weights = known if weights is None else known * weights
    return weights


def choose_threshold(
    settings: Evaluation, eligible: PricedTickets, out_of_fold: Floats
) -> tuple[float, dict[str, float]]:
    """Choose the threshold that loses least if all tickets share one; and give its metrics."""
    scored = out_of_fold, eligible.breach, eligible.costs
    chosen = best_threshold(*scored)
    rng = np.random.default_rng(settings.seed)
    low, high = bootstrap_threshold(*scored, settings.threshold_draws, settings.confidence, rng)
    name = "optimal_threshold"
    return chosen.threshold, {name: chosen.finite, f"{name}_low": low, f"{name}_high": high}


def measure_mean_loss(
    policy: DecisionPolicy, part: PricedTickets, probability: Floats, data: DataPolicy
) -> float:
    """Measure the dollars per ticket that the decisions of a policy lose."""
    escalate = policy.decide(probability, part.costs, take_facts(part.frame, data))
    return float(part.costs.losses(part.breach, escalate).mean())


def measure_on_arrival(
    policy: Capacity,
    eligible: PricedTickets,
    out_of_fold: Floats,
    test: PricedTickets,
    probability: Floats,
    data: DataPolicy,
) -> float:
    """Measure the dollars lost if capacity is given out as the test tickets arrive.

    The policy itself looks at the whole day, which is hindsight while it lasts. What a place is
    worth by the hour is learnt on the training tickets.
    """
    learning, deciding = (
        (part.costs.expected_saving(chance), take_facts(part.frame, data))
        for part, chance in ((eligible, out_of_fold), (test, probability))
    )
    prices = learn_place_prices(*learning, policy.per_day)
    escalate = decide_on_arrival(*deciding, prices)
    return float(test.costs.losses(test.breach, escalate).sum())


def evaluate_on_test(
    config: TrainConfig,
    at: Floats,
    test: PricedTickets,
    probability: Floats,
    baselines: Baselines,
    truth: Truth | None,
) -> EvaluationResult:
    """Evaluate probabilities and decisions on the test tickets against the trivial rules.

    ``at`` is the age in hours at which each ticket is escalated; infinite: never.
    """
    settings = config.evaluation
    return evaluate(
        test.breach,
        probability,
        np.isfinite(at),
        test.costs,
        baselines,
        settings.bootstrap_draws,
        settings.confidence,
        settings.seed,
        truth,
        at,
    )
