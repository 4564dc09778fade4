"""Does a model of how long tickets take, which learns from open ones too, decide better?

``python experiments/better-decisions/resolution_time.py``, from the repository root. The draws, and
the plain model beside it, are those of ``study.yaml``; Kaggle is split 30 more times.
"""

import sys
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd
from scipy.sparse import issparse

from slarisk.command_line import register_schemas
from slarisk.config import LabelKind
from slarisk.decisions.policies import PerTicket
from slarisk.evaluation.metrics import measure_log_loss
from slarisk.learning.features import category_names, make_encoder, make_features
from slarisk.learning.models import breach_scores, fit_pipeline
from slarisk.stats.replicates import mean_interval
from slarisk.training.estimator import build_estimator
from slarisk.training.prepare import prepare

sys.path.append(str(Path(__file__).resolve().parents[1]))  # where `lab` is
from lab.recipe import PART, plan_jobs, read_recipe
from lab.study import Study, compose_job, draw_samples

HERE = Path(__file__).resolve().parent
PLAIN, TIME, COUNTED = "gbm", "resolution time", "weighted for those still open"
# The ends of the intervals of a ticket's age, in hours. All targets are among the first. ServiceNow
# closes an incident some days after it is resolved, and the label is known only then.
TARGETS = np.array([0.5, 1, 2, 3, 4, 6, 8, 12, 16, 20, 24, 36, 48, 72])
CLOSING = 24.0 * np.array([1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 12, 14, 17, 20, 25, 30])
MET, BREACHED = 1, 2  # how a ticket's time ends where the data has no target, but says who broke it


@dataclass(frozen=True)
class Watched:
    """Tickets and what was seen of their time at the cut.

    ``hours`` until the end, or until the cut for tickets without one; ``end`` is 0 for these.
    """

    tickets: pd.DataFrame
    hours: np.ndarray
    end: np.ndarray


def watch(config, prepared):
    """Give the training tickets and, where the split is by time, those still open at the cut."""
    frame, held_out = prepared.tickets.frame, prepared.held_out
    if held_out.cut is None:
        training = frame.iloc[held_out.train]
        return Watched(training, training["resolution_hours"].to_numpy(), np.full(len(training), 1))
    tickets = pd.concat([frame, prepared.tickets.unlabelled], ignore_index=True)
    tickets = tickets[tickets["created_at"] < held_out.cut]
    if config.data.label.kind is LabelKind.column:
        ended = tickets["label_known_at"]
        kind = np.where(tickets["breach"].fillna(False).astype(bool), BREACHED, MET)
    else:
        ended, kind = tickets["resolved_at"], np.full(len(tickets), 1)
    seen = (ended < held_out.cut).to_numpy()
    hours = (ended.where(seen, held_out.cut) - tickets["created_at"]).dt.total_seconds() / 3600
    return Watched(tickets, hours.to_numpy(), np.where(seen, kind, 0))


def spell_out(watched, ends):
    """Give a row for each interval that was watched whole, or in which the ticket ended.

    Returns
    -------
    which, interval, outcome : arrays of shape (rows,)
        Which ticket, which interval of its age, and how the ticket ended in it (0: it did not).
    """
    last = np.searchsorted(ends, watched.hours)  # the interval in which what was seen stops
    rows = np.where(watched.end > 0, np.minimum(last + 1, len(ends)), last)
    which = np.repeat(np.arange(len(rows)), rows)
    interval = np.arange(len(which)) - np.repeat(np.cumsum(rows) - rows, rows)
    outcome = np.where(interval == last[which], watched.end[which], 0)
    return which, interval, outcome


def fit_hazard(config, watched, ends):
    """Fit the chance that a ticket ends in an interval of its age, given that it got there.

    Returns
    -------
    function
        Feature frame of n tickets to hazards, shape (n, intervals, kinds of end).
    """
    frame = make_features(watched.tickets, config.features)
    encoder = make_encoder(config.features, "native").fit(frame)
    model = build_estimator(config.model)
    which, interval, outcome = spell_out(watched, ends)

    def encode(frame, which, interval):
        encoded = encoder.transform(frame)
        assert not issparse(encoded)
        return np.column_stack([interval, encoded[which]])

    categories = list(range(1, 1 + len(category_names(config.features))))
    model.fit(encode(frame, which, interval), outcome, categorical_feature=categories)

    def hazard(frame):
        which, interval = np.indices((len(frame), len(ends)))
        found = model.predict_proba(encode(frame, which.ravel(), interval.ravel()))
        return found[:, 1:].reshape(len(frame), len(ends), -1)

    return hazard


def predict_by_time(config, prepared, test):
    """P(breach) from hazards: past its target unresolved, or closed as a breach before it is met.

    Without targets in the data the ends compete: what is open after the last interval is a breach.
    """
    by_target = config.data.label.kind is LabelKind.target
    ends = TARGETS if by_target else CLOSING
    hazard = fit_hazard(config, watch(config, prepared), ends)(make_features(test, config.features))
    still = np.cumprod(1 - hazard.sum(axis=2), axis=1)
    if by_target:
        place = np.searchsorted(ends, test["sla_target_hours"])
        assert (ends[place] == test["sla_target_hours"]).all()
        return still[np.arange(len(test)), place]
    before = np.column_stack([np.ones(len(test)), still[:, :-1]])
    return (before * hazard[:, :, BREACHED - 1]).sum(axis=1) + still[:, -1]


def weigh(config, prepared, training):
    """Weigh each training ticket for those of its age that were still open at the cut.

    1 / the share of tickets that were created long enough before the cut for it to be seen (Robins
    and Rotnitzky 1992).
    """
    cut = prepared.held_out.cut
    created = watch(config, prepared).tickets["created_at"]
    room = np.sort((cut - created).dt.total_seconds())
    took = (training["label_known_at"] - training["created_at"]).dt.total_seconds()
    return len(room) / (len(room) - np.searchsorted(room, took))


def decide(probability, test, costs):
    """Give the loss per 1,000 tickets of the per-ticket rule, and the log loss."""
    breach = test["breach"].to_numpy(dtype=bool)
    loss = costs.losses(breach, PerTicket().decide(probability, costs)).mean()
    return 1000 * loss, measure_log_loss(breach, probability)


def run_draw(config):
    """Decide the test tickets of one draw by each model."""
    prepared = prepare(config)
    frame, held_out = prepared.tickets.frame, prepared.held_out
    training, test = frame.iloc[held_out.train], frame.iloc[held_out.test]
    costs = prepared.tickets.costs.take(held_out.test)
    seen, asked = (make_features(part, config.features) for part in (training, test))
    breach = training["breach"].to_numpy(dtype=bool)
    found = {}
    weights = {PLAIN: {}}
    if held_out.cut is not None:
        weights[COUNTED] = {"sample_weight": weigh(config, prepared, training)}
    for name, beside in weights.items():
        pipeline = fit_pipeline(prepared.estimator, config.features, seen, breach, beside)
        found[name] = decide(breach_scores(pipeline, asked), test, costs)
    found[TIME] = decide(predict_by_time(config, prepared, test), test, costs)
    still_open = 0 if held_out.cut is None else int((watch(config, prepared).end == 0).sum())
    overlap = len(test) / len(training) if held_out.cut is None else 0.0
    return found, still_open, overlap


def list_draws(study):
    """Give the configs of the plain model's runs, by data set."""
    jobs = [job for job in plan_jobs(read_recipe(HERE)) if job.labels["decided by"] == PLAIN]
    draw_samples(jobs)
    configs = {}
    for job in jobs:
        configs.setdefault(job.labels[PART], []).append(compose_job(study, job))
    again = configs["kaggle"][0]
    configs["kaggle, 30 other splits"] = [
        replace(again, split=replace(again.split, seed=seed)) for seed in range(6, 36)
    ]
    return configs


def main():
    """Print the table of the README."""
    register_schemas()
    print("| data | decided by | loss | more than gbm | log loss | still open at the cut |")
    print("|---|---|---:|---:|---:|---:|")
    for data, configs in list_draws(Study(HERE, HERE.parents[1] / "conf")).items():
        draws = [run_draw(config) for config in configs]
        overlap = np.mean([draw[2] for draw in draws])
        still_open = np.mean([draw[1] for draw in draws])
        losses, scores = (
            pd.DataFrame([{name: pair[at] for name, pair in draw[0].items()} for draw in draws])
            for at in (0, 1)
        )
        for name in losses:
            more = "" if name == PLAIN else say(losses[name] - losses[PLAIN], overlap)
            print(
                f"| {data} | {name} | {say(losses[name], overlap)} | {more} "
                f"| {scores[name].mean():.3f} | {still_open:,.0f} |",
                flush=True,
            )


def say(dollars, overlap):
    """Write a mean over draws with its interval."""
    mean, low, high = (
        f"{'-' * (each < -0.5)}${abs(each):,.0f}"
        for each in mean_interval(dollars.to_numpy(), overlap)
    )
    return f"{mean} [{low} to {high}]"


if __name__ == "__main__":
    main()
