"""The raw columns that a model takes, and an example ticket: both from its policies alone."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import pandas as pd

from slarisk.config import Moment
from slarisk.learning.features import A_MONDAY, UNKNOWN, example_values
from slarisk.tickets.changes import list_change_fields
from slarisk.tickets.fields import (
    AS_OF,
    cost_fields,
    date_fields,
    duration_fields,
    list_formats,
    sla_fields,
)
from slarisk.times.dates import EPOCHS, ISO_8601

if TYPE_CHECKING:
    from slarisk.model.manifest import Manifest

_OPTIONAL = ("ticket_id", "created_at")  # they identify a ticket of the training run
_LATER = pd.Timedelta(hours=2)  # the age at which the example ticket is looked at
_ID, _PRICE, _DURATION, _TIME = "1", 100.0, "8", "09:00"  # of the example ticket


@dataclass(frozen=True)
class Input:
    """A raw column that a model takes.

    ``number`` says that it is a float in the model's signature, and not text; ``example`` is its
    value in the example ticket.
    """

    field: str
    column: str
    number: bool
    required: bool
    example: str | float


def list_inputs(manifest: Manifest) -> list[Input]:
    """List the raw columns that a model takes, the required ones first."""
    data, required = manifest.data, manifest.required_fields()
    names = dict.fromkeys([*required, *_OPTIONAL, *sla_fields(data)])
    names |= {data.times[name]: None for name in names if name in data.times}
    # a column that feeds several fields is one input
    by_column = {data.columns[name]: name for name in reversed(names) if name in data.columns}
    listed = [name for name in names if name in by_column.values()]
    examples = _list_examples(manifest)
    inputs = [
        Input(
            field=name,
            column=data.columns[name],
            number=isinstance(examples[name], float),
            required=name in required,
            example=examples[name],
        )
        for name in listed
    ]
    if manifest.moment is not Moment.open:
        return inputs
    events = list_change_fields(data) if data.events is not None else []
    events += [] if data.events is None else [data.events.order]
    given = {each.field for each in inputs}
    inputs += [
        Input(name, data.columns[name], False, False, examples.get(name, _ID))
        for name in dict.fromkeys(events)
        if name not in given
    ]
    as_of = _write(A_MONDAY + _LATER, list_formats(data, "created_at")[0])
    return [*inputs, Input(AS_OF, AS_OF, False, False, as_of)]


def make_example(manifest: Manifest) -> pd.DataFrame:
    """Make an example ticket in raw columns, shape (1, inputs), without any value of a real one."""
    return pd.DataFrame({each.column: [each.example] for each in list_inputs(manifest)})


def _list_examples(manifest: Manifest) -> dict[str, str | float]:
    """Give each field its value in the example ticket; numbers are floats.

    The value depends on the kind of feature that reads the field, and on the field's role in the
    policies: a date, a price, or a priority that the policies name.
    """
    data = manifest.data
    examples = {"ticket_id": _ID, "priority": UNKNOWN, **example_values(manifest.features)}
    examples |= dict.fromkeys(date_fields(data), A_MONDAY)
    examples |= dict.fromkeys(cost_fields(data), _PRICE)
    named = [*data.values.get("priority", ()), *manifest.sla.targets]
    if named and isinstance(examples["priority"], str):
        examples["priority"] = named[0]
    examples |= dict.fromkeys(duration_fields(data), _DURATION)
    examples |= dict.fromkeys(data.times.values(), _TIME)
    return {name: _write(value, list_formats(data, name)[0]) for name, value in examples.items()}


def _write(value: str | float | pd.Timestamp, written: str) -> str | float:
    if not isinstance(value, pd.Timestamp):
        return value
    if written in EPOCHS:
        return str(int(value.timestamp()) * EPOCHS[written])
    return value.isoformat() if written == ISO_8601 else value.strftime(written)
