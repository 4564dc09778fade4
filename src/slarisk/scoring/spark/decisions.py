"""Score and decide in Spark tasks, with the functions of the local engine."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from slarisk.decisions.costs import CostMatrix
from slarisk.decisions.facts import TicketFacts
from slarisk.decisions.shortlist import Candidates, Shortlist
from slarisk.scoring.decided import decide_tickets
from slarisk.scoring.export import EXPORT_PLAIN, as_array, build_export_rows
from slarisk.scoring.export_reader import list_ticket_columns
from slarisk.scoring.summary import ScoringSummary
from slarisk.tickets.contract import type_fields

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

    from slarisk.decisions.policies import DecisionPolicy
    from slarisk.scoring.task import Task

SUMMARY = "summary"  # the binned features of an Arrow batch, in its first row
_COSTS = ("tn", "fp", "fn", "tp")
# what a joint policy decides by
_CANDIDATE = pa.schema(
    [
        ("candidate", pa.string()),  # the ticket's id as read, not neutralised
        ("probability", pa.float64()),
        *((name, pa.float64()) for name in _COSTS),
        ("created", pa.int64()),  # microseconds; NaT as the number that NumPy has for it
    ]
)
_DECIDED = pa.schema([*EXPORT_PLAIN, *_CANDIDATE, (SUMMARY, pa.string())])


def decide_rows(good: DataFrame, task: Task) -> DataFrame:
    """Score tickets and build the export.

    The model travels to the tasks with ``task``, so that the installed version scores, as with
    the local engine, whatever version registered the model.

    Returns
    -------
    DataFrame
        As EXPORT_PLAIN, with SUMMARY and the columns a joint policy decides by. Such a policy has
        weighed only the tickets of each Arrow batch: see :func:`decide_joint_rows`.
    """
    from pyspark.sql import functions as fn
    from pyspark.sql.pandas.types import from_arrow_schema

    fields = list_ticket_columns(task.bundle.manifest)
    tickets = good.select(*(fn.col(f"`{name}`") for name in fields))
    return tickets.mapInArrow(partial(_decide_batches, task), from_arrow_schema(_DECIDED))


def _decide_batches(task: Task, batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    manifest = task.bundle.manifest
    fields = list_ticket_columns(manifest)
    for batch in batches:
        if not len(batch):
            continue
        decided = decide_tickets(task, type_fields(batch.to_pandas(), manifest.data, fields))
        summary = ScoringSummary()
        summary.count_features(task.bundle, decided.scored)
        others = [
            pa.array(decided.facts.ticket_id, pa.string()),
            decided.scored.probability,
            *(getattr(decided.costs, name) for name in _COSTS),
            decided.facts.created_at.astype(np.int64),
            pa.array([summary.to_json()] + [None] * (len(batch) - 1), pa.string()),
        ]
        export = build_export_rows(decided).cast(EXPORT_PLAIN)
        yield pa.record_batch([*export.columns, *map(as_array, others)], _DECIDED)


def decide_joint_rows(decided: DataFrame, policy: DecisionPolicy) -> DataFrame:
    """Let a joint policy decide about all tickets.

    One task reads the tickets that their own batches escalate, and keeps no more of them in memory
    than are escalated in the end.

    Parameters
    ----------
    decided : DataFrame
        From :func:`decide_rows`. It is read twice, so it should be persisted.
    policy : DecisionPolicy

    Returns
    -------
    DataFrame
        The same rows, with ``Escalate`` as decided.
    """
    from pyspark.sql import functions as fn

    candidates = decided.where("Escalate").select(*_CANDIDATE.names).repartition(1)
    chosen = candidates.mapInArrow(partial(choose, policy), "candidate string, chosen boolean")
    joined = decided.join(fn.broadcast(chosen), "candidate", "left")
    return joined.withColumn("Escalate", fn.coalesce("chosen", fn.lit(False)))


def choose(policy: DecisionPolicy, batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """Give the ids of the candidates that a joint policy escalates."""
    shortlist, read = Shortlist(policy), 0
    for batch in batches:
        columns = {name: batch[name].to_numpy(zero_copy_only=False) for name in _CANDIDATE.names}
        shortlist.add(
            Candidates(
                columns["probability"],
                CostMatrix(*(columns[name] for name in _COSTS)),
                TicketFacts(columns["created"].astype("datetime64[us]"), columns["candidate"]),
                np.arange(read, read + len(batch)),
            )
        )
        read += len(batch)
    if shortlist.kept is not None:
        ids = pa.array(shortlist.kept.tickets.ticket_id, pa.string())
        yield pa.record_batch([ids, pa.repeat(True, len(ids))], ["candidate", "chosen"])
