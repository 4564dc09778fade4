"""The model as it is registered: the estimator with every policy and number that a decision needs.

A bundle is a folder of four files, none of them a pickle: ``bundle.json`` (the policies and every
number chosen in training), ``pipeline.skops`` (encoder and estimator), ``seen.parquet`` (the
tickets of the training run, so that none gets its in-sample score) and ``seal.json`` (the SHA-256
of the others, verified whenever a bundle is loaded). A model with context has a fifth,
``history.parquet``: the events of the training export.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import skops.io
import skops.io.exceptions
from pydantic import TypeAdapter

from slarisk.config import Moment
from slarisk.decisions.policies import DecisionPolicy
from slarisk.errors import InputError
from slarisk.learning.context import (
    History,
    add_context,
    list_groups,
    remember_tickets,
)
from slarisk.learning.features import CATEGORIES, category_names, make_features
from slarisk.learning.landmarks import get_standing
from slarisk.learning.models import BreachModel
from slarisk.model.checksums import checksum_folder, list_changed_files, write_checksums
from slarisk.model.history import load_history, save_history
from slarisk.model.manifest import FORMAT, Manifest
from slarisk.model.plan import plan_escalations
from slarisk.model.seen_tickets import SeenTickets, is_landmark
from slarisk.model.unique_rows import UniqueRows
from slarisk.tickets.changes import take_now
from slarisk.tickets.fields import AS_OF
from slarisk.times.zones import show_local

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from slarisk.arrays import Bools, Floats
    from slarisk.decisions.policies import DecisionPolicy
    from slarisk.tickets.prepare import LabelledTickets

MANIFEST, PIPELINE, SEEN, CHECKSUMS = "bundle.json", "pipeline.skops", "seen.parquet", "seal.json"
HISTORY = "history.parquet"

# The columns of a decision, in order.
PROBABILITY = "breach_probability"
BUCKET = "risk_bucket"
ESCALATE = "escalate"
LEFT = "expected_loss_if_left"
ESCALATED = "expected_loss_if_escalated"
ORIGIN = "score_origin"
ESCALATE_AT = "escalate_at"
TIME_FORMAT = "%Y-%m-%d %H:%M:%S"  # of ESCALATE_AT
BUCKETS = {"Low Risk": 0.33, "Medium Risk": 0.66, "High Risk": 1.0}  # upper ends, included

# Types that skops may build when it loads a pipeline, beyond its own list: plain data, compiled
# structures, and for HistGradientBoosting a partial of a scikit-learn check (a partial of anything
# that is not itself trusted is still refused). Nothing in the file can run code of its own.
TRUSTED_TYPES = (
    "catboost.core.CatBoostClassifier",
    "collections.OrderedDict",
    "empulse.models.boosting._backends.LGBMObjective",
    "empulse.models.boosting.csboost.CSBoostClassifier",
    "functools.partial",
    "lightgbm.basic.Booster",
    "lightgbm.sklearn.LGBMClassifier",
    "numpy.dtype",
    "sklearn.ensemble._hist_gradient_boosting.predictor.TreePredictor",
    "sklearn.tree._tree.Tree",
    "sklearn.utils.validation.check_array",
)


@dataclass(frozen=True, eq=False)
class ScoredTickets:
    """Tickets with their creation times, breach probabilities and the origin of each probability.

    ``features`` are their feature rows, equal ones once.
    """

    tickets: pd.DataFrame
    probability: NDArray[np.float64]
    origin: pd.Series
    features: UniqueRows


@dataclass(frozen=True, eq=False)
class Bundle:
    """A model with the policies it was trained under.

    ``seen`` has one row per ticket of the training run: ``identity``, ``created_at``, ``origin``
    and, for training tickets, the out-of-fold ``probability``. ``history`` has the events that the
    context of a ticket is counted in, at first those of the training run; None without context.
    """

    manifest: Manifest
    model: BreachModel
    seen: pd.DataFrame
    history: History | None = None

    def decide(self, tickets: pd.DataFrame) -> pd.DataFrame:
        """Score tickets and decide about each.

        Parameters
        ----------
        tickets : DataFrame
            Typed tickets (:func:`~slarisk.tickets.contract.type_fields`), any index.

        Returns
        -------
        DataFrame
            One row per ticket, same index: ``breach_probability``, ``risk_bucket``, ``escalate``,
            ``expected_loss_if_left`` and ``expected_loss_if_escalated`` (dollars) and
            ``score_origin``. A ticket that the model was trained on has its out-of-fold
            probability. With ``as_of``, for a model of open tickets, also ``escalate_at``: when
            each is to be escalated if nothing changes but the time; missing if never.
        """
        scored = self.score(tickets)
        costs = self.manifest.costs(scored.tickets)
        left, escalated = costs.expected(scored.probability)
        facts = self.manifest.facts(scored.tickets)
        escalate = self.manifest.policy.decide(scored.probability, costs, facts)
        decided = pd.DataFrame(
            {
                PROBABILITY: scored.probability,
                BUCKET: np.array(list(BUCKETS), dtype=object)[risk_buckets(scored.probability)],
                ESCALATE: escalate,
                LEFT: left,
                ESCALATED: escalated,
                ORIGIN: scored.origin.to_numpy(),
            },
            index=tickets.index,
        )
        if self.manifest.moment is Moment.open and AS_OF in tickets:
            standing = get_standing(scored.tickets)
            may = tickets[AS_OF].notna().to_numpy() & ~(standing.age >= standing.target)
            times = self.plan(self.manifest.policy, scored.tickets, escalate, may)
            shown = show_local(times, self.manifest.data.timezone)
            decided[ESCALATE_AT] = shown.dt.strftime(TIME_FORMAT).astype("str").to_numpy()
        return decided

    def score(self, tickets: pd.DataFrame, features: UniqueRows | None = None) -> ScoredTickets:
        """Give each ticket its creation time, its probability and the origin of the probability.

        ``features`` are the scored feature rows of the tickets, if they are known already.
        """
        matches = self.seen_tickets.match(tickets)
        created = self.seen_tickets.creation_times(tickets, matches)
        dated = self.manifest.stand(tickets.assign(created_at=created))
        if features is None:
            frame = self.make_standing_features(dated)
            features = UniqueRows(frame, np.arange(len(frame)), self.model.calibrate(frame))
        out_of_fold = self._find_out_of_fold(dated, matches)
        by_model = features.scores[features.inverse]
        probability = np.where(np.isnan(out_of_fold), by_model, out_of_fold)
        if self.manifest.moment is Moment.open:  # a ticket past its target has breached
            standing = get_standing(dated)
            probability = np.where(standing.age >= standing.target, 1.0, probability)
        return ScoredTickets(dated, probability, matches["origin"], features)

    def _find_out_of_fold(self, dated: pd.DataFrame, matches: pd.DataFrame) -> Floats:
        """Find the out-of-fold probability of training tickets, NaN of others; shape (n,).

        Of an open ticket it is that of the last landmark at which it has one.
        """
        stopping = self.manifest.stopping
        if stopping is None:
            return matches["probability"].to_numpy(dtype=float)
        names = ["probability", *(name for name in matches if is_landmark(str(name)))]
        table = matches[names].to_numpy(dtype=float)
        known = ~np.isnan(table)
        last = np.maximum.accumulate(np.where(known, np.arange(len(names)), 0), axis=1)
        standing = get_standing(dated)
        place = np.minimum(stopping.find_places(standing.age, standing.target), len(names) - 1)
        rows = np.arange(len(table))
        return np.where(known.any(axis=1), table[rows, last[rows, place]], np.nan)

    def plan(
        self, policy: DecisionPolicy, tickets: pd.DataFrame, now: Bools, may: Bools
    ) -> pd.Series:
        """Find when each open ticket is to be escalated: see :func:`plan_escalations`."""

        def score(later: pd.DataFrame) -> Floats:
            return self.model.calibrate(self.make_standing_features(later))

        return plan_escalations(self.manifest, policy, score, tickets, now, may)

    def make_features(self, tickets: pd.DataFrame) -> pd.DataFrame:
        """Build the feature frame of some tickets."""
        dated = tickets.assign(created_at=self.seen_tickets.creation_times(tickets))
        return self.make_standing_features(self.manifest.stand(dated))

    def make_standing_features(self, dated: pd.DataFrame) -> pd.DataFrame:
        """Build the feature frame of tickets to which :meth:`Manifest.stand` was applied."""
        features = self.manifest.features
        return make_features(take_now(add_context(dated, features, self.history)), features)

    def remember(self, history: History | LabelledTickets) -> Bundle:
        """Give the same model with another history, or that of a labelled export."""
        if not isinstance(history, History):
            recorded = remember_tickets(history, self.manifest.features, self.manifest.data)
            if recorded is None:
                return self
            history = recorded
        return replace(self, history=history)

    @cached_property
    def seen_tickets(self) -> SeenTickets:
        """The tickets of the training run, for matching."""
        return SeenTickets(self.manifest.data, self.seen)

    def required_fields(self) -> list[str]:
        """List the fields that a decision needs."""
        return self.manifest.required_fields()

    def known_categories(self) -> dict[str, NDArray[np.object_]]:
        """Give the categories in training of each categorical feature."""
        names = category_names(self.manifest.features)
        if not names:
            return {}
        encoder = self.model.pipeline["encode"].named_transformers_[CATEGORIES]
        return dict(zip(names, encoder.categories_, strict=True))


def risk_buckets(probability: NDArray[np.float64]) -> NDArray[np.intp]:
    """Number the risk bucket of each probability: 0 in [0, .33], 1 in (.33, .66], 2 above."""
    return np.searchsorted(list(BUCKETS.values())[:-1], probability, side="left")


def save_bundle(bundle: Bundle, folder: Path) -> None:
    """Write a bundle into a folder.

    Raises
    ------
    InputError
        The estimator holds a type that is not in :data:`TRUSTED_TYPES`.
    """
    folder.mkdir(parents=True, exist_ok=True)
    manifest = TypeAdapter(Manifest).dump_json(bundle.manifest, indent=2)
    (folder / MANIFEST).write_bytes(manifest)
    skops.io.dump(bundle.model.pipeline, folder / PIPELINE)
    untrusted = set(skops.io.get_untrusted_types(file=folder / PIPELINE)) - set(TRUSTED_TYPES)
    if untrusted:
        raise InputError(
            f"the model {bundle.manifest.model_name} holds {', '.join(sorted(untrusted))}, not on "
            "the list of types a registered model may hold (TRUSTED_TYPES in "
            "slarisk/model/bundle.py)."
        )
    bundle.seen.to_parquet(folder / SEEN, index=False)
    if bundle.history is not None:
        save_history(bundle.history, folder / HISTORY)
    write_bundle_checksums(folder)


def write_bundle_checksums(folder: Path) -> None:
    """Write the SHA-256 of each file of a bundle into ``seal.json``."""
    (folder / CHECKSUMS).write_text(write_checksums(checksum_folder(folder, leave_out=[CHECKSUMS])))


def verify_bundle(folder: Path) -> None:
    """Compare the files of a bundle with its checksums.

    Raises
    ------
    InputError
        Names each file that is missing, was changed or was added.
    """
    actual = checksum_folder(folder, leave_out=[CHECKSUMS])
    written = (folder / CHECKSUMS).read_bytes() if (folder / CHECKSUMS).exists() else b""
    if written == write_checksums(actual).encode():
        return
    try:
        expected = TypeAdapter(dict[str, str]).validate_json(written)
    except ValueError:  # not JSON, or no checksums
        expected = {}
    missing = [f"{name} is missing" for name in (MANIFEST, PIPELINE, SEEN) if name not in actual]
    changes = list_changed_files(expected, actual) if expected else missing
    raise InputError(f"{'; '.join(changes or [f'{CHECKSUMS} is missing or was changed'])}.")


def load_bundle(folder: Path) -> Bundle:
    """Load a bundle; no code in it is executed.

    Raises
    ------
    InputError
        A file was changed, its format is another, or it holds a type that is not in
        :data:`TRUSTED_TYPES`.
    """
    verify_bundle(folder)
    text = (folder / MANIFEST).read_bytes()
    written = json.loads(text).get("format")
    if written != FORMAT:
        raise InputError(f"{MANIFEST}: format {written}, but this version reads {FORMAT}.")
    manifest = TypeAdapter(Manifest).validate_json(text)
    try:
        pipeline = skops.io.load(folder / PIPELINE, trusted=list(TRUSTED_TYPES))
    except skops.io.exceptions.UntrustedTypesFoundException as error:
        raise InputError(f"{PIPELINE}: not loaded. {error}") from error
    model = BreachModel(manifest.features, pipeline, manifest.calibrator)
    history = None
    if manifest.has_context:
        history = load_history(folder / HISTORY, list_groups(manifest.features))
    return Bundle(manifest, model, pd.read_parquet(folder / SEEN), history)
