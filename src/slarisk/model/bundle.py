"""The model as it is registered: not only a score, but everything a decision rests on.

A bundle is a folder of four files, none of them a pickle: ``bundle.json`` (the policies and every
number chosen in training), ``pipeline.skops`` (encoder and estimator), ``seen.parquet`` (the
tickets the model has met, so that none is ever given its in-sample score) and ``seal.json`` (the
SHA-256 of the other three: whoever loads a bundle, with any MLflow client, finds out if a file is
not what was written).
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import skops.io
import skops.io.exceptions
from pydantic import TypeAdapter

from slarisk.config import CostPolicy, DataPolicy, Decision, FeatureSet, SlaPolicy
from slarisk.decisions.policies import DecisionPolicy, make_policy
from slarisk.errors import InputError
from slarisk.learning.calibration import Calibrator
from slarisk.learning.features import CATEGORIES, category_names, feature_fields, make_features
from slarisk.learning.models import BreachModel
from slarisk.model.checksums import checksum_folder, list_changed_files, write_checksums
from slarisk.model.profile import Bins
from slarisk.model.seen_tickets import SeenTickets, identity_time_field
from slarisk.model.unique_rows import UniqueRows
from slarisk.tickets.contract import take_facts
from slarisk.tickets.prices import price_tickets

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from slarisk.decisions.costs import CostMatrix

FORMAT = 1
MANIFEST, PIPELINE, SEEN, SEAL = "bundle.json", "pipeline.skops", "seen.parquet", "seal.json"

# What a decision says of a ticket, in order.
PROBABILITY = "breach_probability"
BUCKET = "risk_bucket"
ESCALATE = "escalate"
LEFT = "expected_loss_if_left"
ESCALATED = "expected_loss_if_escalated"
ORIGIN = "score_origin"
BUCKETS = {"Low Risk": 0.33, "Medium Risk": 0.66, "High Risk": 1.0}  # upper ends, included

# Types that skops may build when it loads a pipeline, beyond its own list: plain data, compiled
# structures, and for HistGradientBoosting a partial of a scikit-learn check (a partial of anything
# that is not itself trusted is still refused). Nothing in the file can run code of its own.
TRUSTED_TYPES = (
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


@dataclass(frozen=True)
class Manifest:
    """What ``bundle.json`` holds.

    ``threshold`` is the one chosen in training; ``fallback_cost`` (dollars) prices a ticket whose
    own breach cost is not known: the mean over the training tickets. ``profile`` says by feature
    what these looked like, and under the name of the probability what was made of them.
    """

    data: DataPolicy
    sla: SlaPolicy
    cost: CostPolicy
    features: FeatureSet
    decision: Decision
    calibrator: Calibrator
    threshold: float
    fallback_cost: float
    model_name: str
    profile: dict[str, Bins] = field(default_factory=dict)
    format: int = FORMAT

    @property
    def policy(self) -> DecisionPolicy:
        """The rule that decides, unless a command names another."""
        return make_policy(self.decision, self.threshold)

    def required_fields(self) -> list[str]:
        """Name the fields without which there is no decision.

        They are the features, the birth by which a ticket of the training run is recognised (and
        never given its in-sample score), and what prices the ticket.
        """
        data = self.data
        fields = [*feature_fields(self.features), identity_time_field(data)]
        fields = [name for name in fields if name in data.columns]
        priced = data.costs.breach or ("priority" if "priority" in data.columns else None)
        fields += [name for name in (priced, data.costs.escalation) if name]
        return list(dict.fromkeys(fields))

    def costs(self, tickets: pd.DataFrame) -> CostMatrix:
        """Price each ticket; one whose own cost is unknown at the mean of training."""
        return price_tickets(tickets, self.data, self.sla, self.cost, self.fallback_cost)


@dataclass(frozen=True, eq=False)
class ScoredTickets:
    """Tickets with their creation times, their breach probabilities and the origin of these.

    ``distinct`` has what the model looked at, each row once; ``place`` says which is a ticket's.
    """

    tickets: pd.DataFrame
    probability: NDArray[np.float64]
    origin: pd.Series
    distinct: pd.DataFrame
    place: NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Bundle:
    """A model with the policies it was trained under.

    ``seen`` has one row per ticket of the training run: ``identity``, ``created_at``, ``origin``
    and, for training tickets, the out-of-fold ``probability``.
    """

    manifest: Manifest
    model: BreachModel
    seen: pd.DataFrame

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
            probability.
        """
        judged = self.judge(tickets)
        costs = self.manifest.costs(judged.tickets)
        left, escalated = costs.expected(judged.probability)
        facts = take_facts(judged.tickets)
        return pd.DataFrame(
            {
                PROBABILITY: judged.probability,
                BUCKET: np.array(list(BUCKETS), dtype=object)[risk_buckets(judged.probability)],
                ESCALATE: self.manifest.policy.decide(judged.probability, costs, facts),
                LEFT: left,
                ESCALATED: escalated,
                ORIGIN: judged.origin.to_numpy(),
            },
            index=tickets.index,
        )

    def judge(self, tickets: pd.DataFrame, looks: UniqueRows | None = None) -> ScoredTickets:
        """Give each ticket its creation time, its probability and where that comes from.

        ``looks`` is what the model makes of them, if that is known before.
        """
        met = self.memory.match(tickets)
        dated = tickets.assign(created_at=self.memory.creation_times(tickets, met))
        if looks is None:
            frame = make_features(dated, self.manifest.features)
            looks = UniqueRows(frame, np.arange(len(frame)), self.model.calibrate(frame))
        known = met["probability"].to_numpy(dtype=float)
        probability = np.where(np.isnan(known), looks.scores[looks.place], known)
        return ScoredTickets(dated, probability, met["origin"], looks.distinct, looks.place)

    def see(self, tickets: pd.DataFrame) -> pd.DataFrame:
        """Build the feature frame of some tickets: what the model looks at."""
        dated = tickets.assign(created_at=self.memory.creation_times(tickets))
        return make_features(dated, self.manifest.features)

    @cached_property
    def memory(self) -> SeenTickets:
        """What the model remembers of the tickets it has met."""
        return SeenTickets(self.manifest.data, self.seen)

    def required_fields(self) -> list[str]:
        """Name the fields without which there is no decision."""
        return self.manifest.required_fields()

    def known_categories(self) -> dict[str, NDArray[np.object_]]:
        """Give the categories of each feature that training had."""
        names = category_names(self.manifest.features)
        if not names:
            return {}
        encoder = self.model.pipeline["encode"].named_transformers_[CATEGORIES]
        return dict(zip(names, encoder.categories_, strict=True))


def risk_buckets(probability: NDArray[np.float64]) -> NDArray[np.intp]:
    """Number the bucket of each probability, in the order of BUCKETS: [0, .33], (.33, .66], ..."""
    return np.searchsorted(list(BUCKETS.values())[:-1], probability, side="left")


def save_bundle(bundle: Bundle, folder: Path) -> None:
    """Write a bundle into a folder.

    Raises
    ------
    InputError
        The estimator holds a type that may not be loaded.
    """
    folder.mkdir(parents=True, exist_ok=True)
    manifest = TypeAdapter(Manifest).dump_json(bundle.manifest, indent=2)
    (folder / MANIFEST).write_bytes(manifest)
    skops.io.dump(bundle.model.pipeline, folder / PIPELINE)
    odd = set(skops.io.get_untrusted_types(file=folder / PIPELINE)) - set(TRUSTED_TYPES)
    if odd:
        raise InputError(
            f"the model {bundle.manifest.model_name} holds {', '.join(sorted(odd))}, which is not "
            "on the list of types a registered model may hold (TRUSTED_TYPES in "
            "slarisk/scoring/bundle.py)."
        )
    bundle.seen.to_parquet(folder / SEEN, index=False)
    write_bundle_checksums(folder)


def write_bundle_checksums(folder: Path) -> None:
    """Write down what the files of a bundle are."""
    (folder / SEAL).write_text(write_checksums(checksum_folder(folder, leave_out=[SEAL])))


def verify_bundle(folder: Path) -> None:
    """Refuse a bundle whose files are not those that were written.

    Raises
    ------
    InputError
        Names each file that is missing, was changed or was added.
    """
    found = checksum_folder(folder, leave_out=[SEAL])
    written = (folder / SEAL).read_bytes() if (folder / SEAL).exists() else b""
    if written == write_checksums(found).encode():
        return
    try:
        sealed = TypeAdapter(dict[str, str]).validate_json(written)
    except ValueError:  # not JSON, or not a seal
        sealed = {}
    needed = [f"{name} is missing" for name in (MANIFEST, PIPELINE, SEEN) if name not in found]
    damage = list_changed_files(sealed, found) if sealed else needed
    raise InputError(f"{'; '.join(damage or [f'{SEAL} is missing or was changed'])}.")


def load_bundle(folder: Path) -> Bundle:
    """Load a bundle; nothing in it is executed.

    Raises
    ------
    InputError
        A file was changed, another version wrote it, or it holds a type that may not be loaded.
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
    return Bundle(manifest, model, pd.read_parquet(folder / SEEN))
