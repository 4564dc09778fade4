"""Properties of a whole training run: what may depend on which tickets.

The parts have tests of their own; these find a part that is given the wrong tickets.
"""

from __future__ import annotations

from dataclasses import asdict, replace

import numpy as np
import pandas as pd
import pytest
from scipy.special import expit
from sklearn.base import BaseEstimator, ClassifierMixin

from slarisk.datasets.sample import generate_tickets
from slarisk.decisions.costs import cost_matrix
from slarisk.evaluation import baselines
from slarisk.evaluation.baselines import AT_CREATION
from slarisk.learning.splits import make_folds
from slarisk.model.seen_tickets import hash_identities
from slarisk.tracking.source import Source
from slarisk.training import fit as training
from slarisk.training import prepare as preparation
from slarisk.training.result import SECONDS, differing_metrics

TICKETS = 1_500
# so dear that neither threshold nor trivial rules are the same whatever tickets they are fitted on
BASE = [
    "model=lr",
    "cost.escalation_cost=60",
    "cost.effect=fading",
    "evaluation.bootstrap_draws=50",
    "evaluation.threshold_draws=20",
]
CHOICES = ["objective", "optimal_threshold", "optimal_threshold_low", "optimal_threshold_high"]


class Fixed(ClassifierMixin, BaseEstimator):
    """Scores by the features alone, whatever labels it is fitted on."""

    def fit(self, X, y):
        self.classes_ = np.array([0, 1])
        return self

    def predict_proba(self, X):
        score = expit(X @ np.random.default_rng(3).normal(size=X.shape[1]))
        return np.column_stack([1 - score, score])


@pytest.fixture(scope="module")
def export(tmp_path_factory):
    """The tickets of an export as a table, and the file of their true probabilities."""
    sample = generate_tickets(TICKETS, seed=7)
    path = tmp_path_factory.mktemp("honesty") / "truth.csv"
    sample.truth.sample(frac=1, random_state=1).to_csv(path, index=False)
    return sample.tickets.astype({"Ticket ID": "str"}), path


@pytest.fixture
def prepare(export, composed, tmp_path, monkeypatch):
    """A config, and what `train.py` prepares from an export, whose rows may be shuffled."""
    table, truth = export
    source = Source(commit="0" * 40, diff="")
    monkeypatch.setattr(preparation, "find_source", lambda: source)

    def prepare_export(*overrides, shuffled=False):
        path = tmp_path / "tickets.csv"
        rows = table.sample(frac=1, random_state=2) if shuffled else table
        rows.to_csv(path, index=False)
        config = composed(f"data.path={path}", f"data.truth={truth}", *BASE, *overrides)
        return config, preparation.prepare(config)

    return prepare_export


@pytest.fixture
def fit(monkeypatch):
    """Fits and evaluates; gives the result, the cross-fit, and what the trivial rules learned."""
    found = {}

    def record(module, name):
        real = getattr(module, name)

        def call(*arguments):
            found[name] = real(*arguments)
            return found[name]

        monkeypatch.setattr(module, name, call)

    record(training, "cross_fit")
    record(baselines, "choose_priorities")
    record(baselines, "rate_segments")
    monkeypatch.setattr(training, "run_checks", lambda context: [])

    def fit_prepared(config, prepared):
        trained = training.fit_and_evaluate(config, prepared)
        return trained, found["cross_fit"], (found["choose_priorities"], found["rate_segments"])

    return fit_prepared


def replace_frame(config, prepared, frame):
    """Replace the labelled tickets, and price them again by their breach costs."""
    cost = config.cost
    costs = cost_matrix(
        frame["breach_cost"], cost.escalation_cost, cost.charged, cost.effectiveness
    )
    return replace(prepared, tickets=replace(prepared.tickets, frame=frame, costs=costs))


def relabel(config, prepared, rows):
    """Reverse the labels of some tickets, make them ten times as dear, with a new product."""
    frame = prepared.tickets.frame.copy()
    chosen = np.zeros(len(frame), dtype=bool)
    chosen[rows] = True
    frame["breach"] = frame["breach"] ^ chosen
    frame["breach_cost"] = np.where(chosen, 10 * frame["breach_cost"], frame["breach_cost"])
    frame["product"] = frame["product"].mask(pd.Series(chosen, frame.index), "Toaster")
    return replace_frame(config, prepared, frame)


def read_chosen(trained):
    """All that a run chooses or learns: figures, the manifest, and the out-of-fold scores."""
    manifest = asdict(trained.bundle.manifest)
    scores = trained.bundle.seen["probability"].to_numpy()
    return {name: trained.metrics[name] for name in CHOICES}, manifest, scores


def reverse_block(config, prepared, number):
    """Reverse the labels of a temporal block of the training tickets, and nothing else."""
    train = prepared.held_out.train
    blocks = make_folds(prepared.tickets.frame.iloc[train].reset_index(drop=True), config.split)
    frame = prepared.tickets.frame.copy()
    rows = train[blocks[number].score]
    frame.iloc[rows, frame.columns.get_loc("breach")] = ~frame["breach"].iloc[rows]
    return replace_frame(config, prepared, frame)


@pytest.mark.parametrize("decision", ["per_ticket", "threshold"])
@pytest.mark.slow
def test_nothing_is_chosen_on_the_first_block(prepare, fit, decision):
    """Its scores are by models of later tickets, so its outcomes move no choice; others do."""
    cheap = "cost.escalation_cost=20"  # at which scores that say little have a best threshold too
    config, prepared = prepare("calibration=isotonic", f"decision={decision}", cheap)
    prepared = replace(prepared, estimator=Fixed())
    before, learned, _ = fit(config, prepared)
    first, _, _ = fit(config, reverse_block(config, prepared, 0))
    second, _, _ = fit(config, reverse_block(config, prepared, 1))

    assert not learned.eligible.all()
    assert read_chosen(first)[0] == read_chosen(before)[0]
    calibrator = before.bundle.manifest.calibrator
    assert first.bundle.manifest.calibrator == calibrator != second.bundle.manifest.calibrator
    assert first.bundle.manifest.threshold == before.bundle.manifest.threshold
    assert second.metrics["objective"] != before.metrics["objective"]
    assert second.metrics["optimal_threshold"] != before.metrics["optimal_threshold"]


@pytest.mark.parametrize("weight", ["none", "stakes"])
def test_nothing_is_learned_from_test_tickets(prepare, fit, weight):
    """Neither from their outcomes, nor their costs, nor their fields."""
    config, prepared = prepare("calibration=sigmoid", "decision=threshold", f"weight={weight}")
    before, learned, rules = fit(config, prepared)
    after, relearned, refitted = fit(config, relabel(config, prepared, prepared.held_out.test))

    for one, other in zip(read_chosen(before), read_chosen(after), strict=True):
        np.testing.assert_equal(one, other)
    assert rules == refitted
    scored = [each.model.probability(before.training) for each in (learned, relearned)]
    assert (scored[0] == scored[1]).all()
    assert before.metrics["expected_loss"] != after.metrics["expected_loss"]


def test_tickets_in_neither_part_change_nothing(prepare, fit):
    """Their labels were not known in time, or they are older than the training period."""
    config, prepared = prepare("calibration=sigmoid", "split.train_days=200")
    before, _, rules = fit(config, prepared)
    used = np.concatenate([prepared.held_out.train, prepared.held_out.test])
    rest = np.setdiff1d(np.arange(len(prepared.tickets.frame)), used)
    after, _, refitted = fit(config, relabel(config, prepared, rest))

    assert len(rest) > 100
    assert differing_metrics(before.metrics, after.metrics) == []
    for one, other in zip(read_chosen(before), read_chosen(after), strict=True):
        np.testing.assert_equal(one, other)
    assert rules == refitted


def test_the_training_tickets_make_the_rules_and_the_manifest(prepare, fit):
    """The counterpart: what must not move with test tickets does with training tickets."""
    config, prepared = prepare()
    before, _, rules = fit(config, prepared)
    after, _, refitted = fit(config, relabel(config, prepared, prepared.held_out.train[::3]))
    frame, train = prepared.tickets.frame, prepared.held_out.train
    cost = frame["breach_cost"].iloc[train].mean()
    assert before.bundle.manifest.fallback_cost == pytest.approx(cost)
    counts = before.bundle.manifest.profile["product"].counts
    assert sum(counts) == len(train)
    assert after.bundle.manifest.profile["product"].counts != counts
    assert rules != refitted


@pytest.mark.parametrize("options", [[], ["weight=stakes", "calibration=sigmoid"]])
@pytest.mark.slow
def test_the_order_of_the_export_changes_no_metric(prepare, fit, options):
    """Only a random split, which draws by row, goes by it."""
    before, _, _ = fit(*prepare(*options))
    after, _, _ = fit(*prepare(*options, shuffled=True))
    metrics = [
        {name: value for name, value in each.metrics.items() if name != SECONDS}
        for each in (before, after)
    ]
    assert metrics[0] == pytest.approx(metrics[1], rel=1e-6)


def test_the_bundle_holds_each_ticket_its_own_out_of_fold_probability(prepare, fit):
    config, prepared = prepare("calibration=isotonic", shuffled=True)
    trained, learned, _ = fit(config, prepared)
    seen = trained.bundle.seen.set_index("identity")
    held_out, frame = prepared.held_out, prepared.tickets.frame
    identity = hash_identities(frame.iloc[held_out.train], config.data)
    assert (seen.loc[identity, "probability"].to_numpy() == learned.probability).all()
    assert (seen.loc[identity, "origin"] == "out_of_fold").all()
    tested = seen.loc[hash_identities(frame.iloc[held_out.test], config.data)]
    assert (tested["origin"] == "test").all()
    assert tested["probability"].isna().all()
    assert seen["origin"].notna().sum() == len(held_out.train) + len(held_out.test)


def test_losses_and_regret_are_those_of_each_test_ticket(prepare, fit, export):
    """By hand, ticket by ticket, from the export's labels and the file of the truth."""
    config, prepared = prepare(shuffled=True)
    trained, _, _ = fit(config, prepared)
    truth = pd.read_csv(export[1], dtype={"ticket_id": str})
    truth = truth.set_index("ticket_id")["breach_probability"]
    test = prepared.tickets.frame.iloc[prepared.held_out.test]
    probabilities = trained.bundle.model.probability(test)
    lost = {"model": 0.0, "truth": 0.0, "never": 0.0, "always": 0.0}
    for ticket, probability in zip(test.itertuples(), probabilities, strict=True):
        cost = ticket.breach_cost
        escalated = 60 + (0.2 * cost if ticket.breach else 0)
        left = cost if ticket.breach else 0.0
        lost["never"] += left
        lost["always"] += escalated
        lost["model"] += escalated if probability > 60 / (0.8 * cost) else left
        lost["truth"] += escalated if truth[ticket.ticket_id] > 60 / (0.8 * cost) else left
    metrics = trained.metrics
    assert metrics["expected_loss"] == pytest.approx(lost["model"])
    assert metrics["baseline_never_loss"] == pytest.approx(lost["never"])
    assert metrics["baseline_always_loss"] == pytest.approx(lost["always"])
    at_creation = min(metrics[f"baseline_{rule}_loss"] for rule in AT_CREATION)
    winnable = at_creation - lost["truth"]
    assert metrics["regret_at_creation"] == pytest.approx(
        (lost["model"] - lost["truth"]) / winnable
    )


@pytest.mark.parametrize("weight", ["none", "known"])
def test_a_half_life_reaches_every_fit(prepare, fit, weight):
    """By hand: half as much for each 60 days, 1 in the mean, times what else weighs a ticket."""
    config, prepared = prepare("half_life=60", f"weight={weight}")
    weights = training.weigh_training(config, prepared)
    frame = prepared.tickets.frame.iloc[prepared.held_out.train]
    age = (frame["created_at"].max() - frame["created_at"]).dt.total_seconds() / 86_400
    expected = 0.5 ** (age / 60)
    ratio = weights / (expected / expected.mean())
    known = training.weigh_known(
        prepared.tickets.frame, prepared.held_out.train, prepared.held_out.cut
    )
    assert ratio.to_numpy() == pytest.approx(1.0 if weight == "none" else known)
    with_it, without = (
        fit(each, prepared)[1].probability for each in (config, replace(config, half_life=None))
    )
    assert np.abs(with_it - without).max() > 0.01
