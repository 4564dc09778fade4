"""What is decided about tickets in Spark: scored by MLflow's function, laid out as the export."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from slarisk.decisions.policies import PerTicket, make_policy
from slarisk.learning.features import make_features
from slarisk.scoring.bundle import ORIGIN, PROBABILITY, Judged, creation_days
from slarisk.scoring.export import EXPORT_PLAIN, as_array, lay_out_export
from slarisk.scoring.intake import needed_fields
from slarisk.scoring.spark.rows import name_number, number_fields
from slarisk.scoring.tally import Tally
from slarisk.tickets.contract import type_fields

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from pyspark.sql import DataFrame, SparkSession

    from slarisk.config import Decision
    from slarisk.scoring.bundle import Manifest
    from slarisk.scoring.memory import Memory
    from slarisk.scoring.task import Task

TALLY = "tally"  # of what a model looked at in many tickets, beside one of them
_CLAIM = pa.schema(
    [
        ("day", pa.int64()),
        ("saving", pa.float64()),
        ("born", pa.int64()),
        ("claimant", pa.string()),
        ("gains", pa.bool_()),
        (TALLY, pa.string()),
    ]
)
_DECISION = "decision_of_the_model"


@dataclass(frozen=True, eq=False)
class Finish:
    """What it takes to lay the export out once the probabilities are known; no model."""

    manifest: Manifest
    memory: Memory
    known: Mapping[str, NDArray[np.object_]]
    decision: Decision
    rationed: bool
    version: str
    scored_at: str


def decide_rows(spark: SparkSession, good: DataFrame, task: Task, model_uri: str) -> DataFrame:
    """Score tickets with the model as MLflow has it, and lay the export out.

    Returns
    -------
    DataFrame
        As EXPORT_PLAIN, with TALLY and the claims to a day's escalations.
    """
    from pyspark.sql import Window
    from pyspark.sql import functions as fn
    from pyspark.sql.pandas.types import from_arrow_schema

    schema = from_arrow_schema(pa.schema([*EXPORT_PLAIN, *_CLAIM]))
    scored = score_rows(spark, good, task.bundle.manifest, model_uri)
    decided = scored.mapInArrow(partial(lay_out, prepare_finish(task)), schema)
    if task.per_day is None:
        return decided
    most_valuable = Window.partitionBy("day", "gains").orderBy(
        fn.desc("saving"), fn.asc_nulls_last("born"), fn.asc("claimant")
    )
    rank = fn.row_number().over(most_valuable)
    return decided.withColumn("Escalate", fn.col("gains") & (rank <= task.per_day))


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
        decision=task.decision,
        rationed=task.per_day is not None,
        version=task.version,
        scored_at=task.scored_at,
    )


def lay_out(finish: Finish, batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """Lay out the export of scored rows, with their claims and what the model looked at."""
    manifest = finish.manifest
    fields = needed_fields(manifest)
    for batch in batches:
        if not len(batch):
            continue
        frame = batch.to_pandas()
        tickets = type_fields(frame[fields], manifest.data, fields)
        met = finish.memory.recognise(tickets)
        dated = tickets.assign(created_at=finish.memory.creation_times(tickets, met))
        looks = make_features(dated, manifest.features)
        probability = frame[PROBABILITY].to_numpy(dtype=float)
        judged = Judged(dated, probability, frame[ORIGIN], looks, np.arange(len(frame)))
        costs = manifest.costs(dated)
        losses = costs.expected(probability)
        gains = PerTicket().decide(probability, costs)
        escalate = gains  # who is among those of a day, the ranks of all will tell
        if not finish.rationed:
            policy = make_policy(finish.decision, manifest.threshold)
            escalate = policy.decide(probability, costs)
        export = lay_out_export(
            manifest, judged, escalate, losses, finish.version, finish.scored_at
        )
        tally = Tally()
        tally.count_looks(manifest.profile, finish.known, judged)
        created = dated["created_at"].astype("datetime64[us]")
        claims = [
            pa.array(creation_days(dated)),
            pa.array(losses[0] - losses[1]),
            pa.array(created.astype("int64"), mask=created.isna().to_numpy()),
            as_array(tickets["ticket_id"]).cast(pa.string()),
            pa.array(gains),
            pa.array([tally.write()] + [None] * (len(frame) - 1), pa.string()),
        ]
        columns = [*export.cast(EXPORT_PLAIN).columns, *map(as_array, claims)]
        yield pa.record_batch(columns, pa.schema([*EXPORT_PLAIN, *_CLAIM]))
