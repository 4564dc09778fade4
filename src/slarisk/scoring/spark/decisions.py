"""What is decided about tickets in Spark: scored by MLflow's function, laid out as the export."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from slarisk.decisions.costs import CostMatrix
from slarisk.decisions.facts import TicketFacts
from slarisk.decisions.shortlist import Candidates, Shortlist
from slarisk.learning.features import make_features
from slarisk.model.bundle import ORIGIN, PROBABILITY, ScoredTickets
from slarisk.scoring.export import EXPORT_PLAIN, as_array, build_export_rows
from slarisk.scoring.export_reader import needed_fields
from slarisk.scoring.spark.rows import name_number, number_fields
from slarisk.scoring.summary import ScoringSummary
from slarisk.tickets.contract import take_facts, type_fields

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from pyspark.sql import DataFrame, SparkSession

    from slarisk.decisions.policies import DecisionPolicy
    from slarisk.model.bundle import Manifest
    from slarisk.model.seen_tickets import SeenTickets
    from slarisk.scoring.task import Task

TALLY = "tally"  # of what a model looked at in many tickets, beside one of them
_COSTS = ("tn", "fp", "fn", "tp")
# what a joint policy decides by, with the probability as the model gave it
_CANDIDATE = pa.schema(
    [
        ("candidate", pa.string()),  # the ticket's id, before anything in it was neutralised
        ("chance", pa.float64()),
        *((name, pa.float64()) for name in _COSTS),
        ("created", pa.int64()),  # microseconds; NaT is the number that NumPy has for it
    ]
)
_BESIDE = pa.schema([*_CANDIDATE, (TALLY, pa.string())])
_DECISION = "decision_of_the_model"


@dataclass(frozen=True, eq=False)
class Finish:
    """What it takes to lay the export out once the probabilities are known; no model."""

    manifest: Manifest
    memory: SeenTickets
    known: Mapping[str, NDArray[np.object_]]
    policy: DecisionPolicy
    version: str
    scored_at: str


def decide_rows(spark: SparkSession, good: DataFrame, task: Task, model_uri: str) -> DataFrame:
    """Score tickets with the model as MLflow has it, and lay the export out.

    Returns
    -------
    DataFrame
        As EXPORT_PLAIN, with TALLY and what a joint policy decides by. Such a policy has then
        decided about each Arrow batch alone: see :func:`decide_jointly`.
    """
    from pyspark.sql.pandas.types import from_arrow_schema

    schema = from_arrow_schema(pa.schema([*EXPORT_PLAIN, *_BESIDE]))
    scored = score_rows(spark, good, task.bundle.manifest, model_uri)
    return scored.mapInArrow(partial(lay_out, prepare_finish(task)), schema)


def decide_jointly(decided: DataFrame, policy: DecisionPolicy) -> DataFrame:
    """Let a joint policy decide about all tickets.

    One task goes through the tickets that their own batches escalate, and keeps in memory no more
    than are escalated in the end. All others stay where they are.

    Parameters
    ----------
    decided : DataFrame
        As :func:`decide_rows` gives it. It is read twice, so it should be persisted.
    policy : DecisionPolicy

    Returns
    -------
    DataFrame
        The same rows, ``Escalate`` as decided.
    """
    from pyspark.sql import functions as fn

    candidates = decided.where("Escalate").select(*_CANDIDATE.names).repartition(1)
    chosen = candidates.mapInArrow(partial(choose, policy), "candidate string, chosen boolean")
    joined = decided.join(fn.broadcast(chosen), "candidate", "left")
    return joined.withColumn("Escalate", fn.coalesce("chosen", fn.lit(False)))


def choose(policy: DecisionPolicy, batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """Give the ids of the candidates that a joint policy escalates."""
    shortlist, seen = Shortlist(policy), 0
    for batch in batches:
        columns = {name: batch[name].to_numpy(zero_copy_only=False) for name in _CANDIDATE.names}
        shortlist.add(
            Candidates(
                columns["chance"],
                CostMatrix(*(columns[name] for name in _COSTS)),
                TicketFacts(columns["created"].astype("datetime64[us]"), columns["candidate"]),
                np.arange(seen, seen + len(batch)),
            )
        )
        seen += len(batch)
    if shortlist.kept is not None:
        ids = pa.array(shortlist.kept.tickets.ticket_id, pa.string())
        yield pa.record_batch([ids, pa.repeat(True, len(ids))], ["candidate", "chosen"])


def score_rows(
    spark: SparkSession, good: DataFrame, manifest: Manifest, model_uri: str
) -> DataFrame:
    """Add the probability of each ticket and its origin, as the model gives them."""
    import mlflow
    from pyspark.sql import functions as fn

    fields = {column: name for name, column in manifest.data.columns.items()}
    numbers = number_fields(manifest)
    inputs = []
    for column in mlflow.models.get_model_info(model_uri).signature.inputs.inputs:
        name = fields[column.name]
        source = name_number(name) if name in numbers else name
        inputs.append(fn.col(f"`{source}`").alias(column.name))
    # it would have the model run in an environment of its own
    logging.getLogger("mlflow.pyfunc").setLevel(logging.ERROR)
    decide = mlflow.pyfunc.spark_udf(spark, model_uri, env_manager="local")
    scored = good.withColumn(_DECISION, decide(fn.struct(*inputs)))
    return scored.select(
        *(fn.col(f"`{name}`") for name in needed_fields(manifest)),
        *(fn.col(f"{_DECISION}.{name}") for name in (PROBABILITY, ORIGIN)),
    )


def prepare_finish(task: Task) -> Finish:
    """Take what travels to the tasks."""
    return Finish(
        manifest=task.bundle.manifest,
        memory=task.bundle.memory,
        known=task.bundle.known_categories(),
        policy=task.policy,
        version=task.version,
        scored_at=task.scored_at,
    )


def lay_out(finish: Finish, batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """Lay out the export of scored rows, with what decides and what the model looked at."""
    manifest = finish.manifest
    fields = needed_fields(manifest)
    for batch in batches:
        if not len(batch):
            continue
        frame = batch.to_pandas()
        tickets = type_fields(frame[fields], manifest.data, fields)
        met = finish.memory.match(tickets)
        dated = tickets.assign(created_at=finish.memory.creation_times(tickets, met))
        looks = make_features(dated, manifest.features)
        probability = frame[PROBABILITY].to_numpy(dtype=float)
        judged = ScoredTickets(dated, probability, frame[ORIGIN], looks, np.arange(len(frame)))
        costs = manifest.costs(dated)
        losses = costs.expected(probability)
        facts = take_facts(dated)
        escalate = finish.policy.decide(probability, costs, facts)
        export = build_export_rows(
            manifest, judged, escalate, losses, finish.version, finish.scored_at
        )
        tally = ScoringSummary()
        tally.count_looks(manifest.profile, finish.known, judged)
        beside = [
            pa.array(facts.ticket_id, pa.string()),
            probability,
            *(getattr(costs, name) for name in _COSTS),
            facts.created_at.astype(np.int64),
            pa.array([tally.write()] + [None] * (len(frame) - 1), pa.string()),
        ]
        columns = [*export.cast(EXPORT_PLAIN).columns, *map(as_array, beside)]
        yield pa.record_batch(columns, pa.schema([*EXPORT_PLAIN, *_BESIDE]))
