"""A history as a table and a file: events of tickets as numbers and hashes, without their text."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from slarisk.errors import InputError
from slarisk.learning.context import History

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

_METADATA = b"slarisk_history"
_FORMAT = 1
_EVENTS = ("identity", "created", "ended", "known", "breach")
_GROUP = "group:"  # begins the column of a group


def to_table(history: History) -> pa.Table:
    """Write a history as a table, in order of creation."""
    order = np.lexsort((history.identity, history.created))
    columns = {name: getattr(history, name)[order] for name in _EVENTS}
    columns |= {_GROUP + name: hashes[order] for name, hashes in history.groups.items()}
    described = json.dumps({"format": _FORMAT, "as_of": history.as_of})
    return pa.table(columns).replace_schema_metadata({_METADATA: described})


def from_table(table: pa.Table) -> History:
    """Read what :func:`to_table` wrote.

    Raises
    ------
    KeyError
        Names what is missing.
    """
    described = json.loads((table.schema.metadata or {})[_METADATA])
    if described["format"] != _FORMAT:
        raise KeyError(f"format {_FORMAT}")
    columns = {name: table[name].to_numpy() for name in table.column_names}
    groups = {name for name in columns if name.startswith(_GROUP)}
    return History(
        **{name: columns[name] for name in _EVENTS},
        groups={name.removeprefix(_GROUP): columns[name] for name in groups},
        as_of=int(described["as_of"]),
    )


def save_history(history: History, path: Path) -> None:
    """Write a history as Parquet."""
    pq.write_table(to_table(history), path, compression="zstd")


def load_history(path: Path, groups: Iterable[str]) -> History:
    """Load a history that is counted by some groups.

    Raises
    ------
    InputError
        The file is no history, is damaged, or lacks one of the groups.
    """
    try:
        history = from_table(pq.read_table(path))
        if lacking := [name for name in groups if name not in history.groups]:
            raise KeyError(f"group {lacking[0]}")
    except (OSError, pa.ArrowException) as error:
        reason = str(error).splitlines()[0]
        raise InputError(f"{path}: the history cannot be read ({reason}).") from error
    except KeyError as error:
        raise InputError(
            f"{path}: is not a history for the context of this model: it has no {error.args[0]!r}."
        ) from error
    return history
