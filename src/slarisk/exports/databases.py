"""Rows of an SQL query, from any database for which SQLAlchemy has a driver."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from slarisk.errors import InputError
from slarisk.exports.rows import SOURCE_LINE, SOURCE_ROW, Layout, Rows, as_text

if TYPE_CHECKING:
    from sqlalchemy import URL

    from slarisk.config import DataPolicy

_VARIABLE = re.compile(r"\$(\w+)")


def is_database(path: str) -> bool:
    """Whether a path is the address of a database, such as ``postgresql://host/tickets``."""
    return re.match(r"[A-Za-z][\w+.-]*://", path) is not None


def read_query(
    path: str, policy: DataPolicy, lay_out: Callable[[list[str]], Layout], rows: int
) -> Iterator[Callable[[], Rows]]:
    """Run the policy's query and read its rows as they come, ``rows`` at a time.

    Parameters
    ----------
    path : str
        The address of the database. ``$NAME`` in it is read from the environment, and is never
        part of a message.
    policy : DataPolicy
    lay_out : callable
        Finds the columns to read among those of the query.
    rows : int

    Raises
    ------
    InputError
        The database cannot be reached, or refuses the query.
    """
    from sqlalchemy import create_engine, exc

    if not policy.query:
        raise InputError(f"{path}: is a database; say what to read from it: data.query=...")
    url, secrets = open_address(path)
    try:
        engine = create_engine(url)
        try:
            with engine.connect() as connection:
                # as written: neither a colon nor a percent sign stands for a parameter
                options = {"stream_results": True, "no_parameters": True}
                result = connection.execution_options(**options).exec_driver_sql(policy.query)
                if not result.returns_rows:
                    raise InputError(f"{path}: data.query gives no rows; it must be a SELECT.")
                layout = lay_out(list(result.keys()))
                columns = list(result.keys())
                for part in result.partitions(rows):
                    table = pd.DataFrame.from_records(
                        [tuple(row) for row in part], columns=columns, coerce_float=False
                    )
                    yield partial(_make_rows, table, layout, policy)
        finally:
            engine.dispose()
    except (exc.SQLAlchemyError, ImportError) as error:
        told = str(getattr(error, "orig", None) or error).split("\n", 1)[0]
        for secret in secrets:
            told = told.replace(secret, "***")
        missing = isinstance(error, (exc.NoSuchModuleError, ImportError))
        what = "there is no driver for it" if missing else "the query failed"
        raise InputError(f"{path}: {what} ({told}).") from None  # its cause may quote the address


def _make_rows(table: pd.DataFrame, layout: Layout, policy: DataPolicy) -> Rows:
    kept = table[list(layout.fields)].astype(object)
    frame = as_text(kept, policy.decimal).rename(columns=layout.fields)
    frame[SOURCE_ROW], frame[SOURCE_LINE] = np.arange(1, len(frame) + 1), 0
    return Rows(frame)


def open_address(path: str) -> tuple[URL, list[str]]:
    """Read an address, with what the environment says for ``$NAME``; and those values."""
    from sqlalchemy import exc, make_url

    try:
        url = make_url(path)
    except (exc.ArgumentError, ValueError) as error:
        raise InputError(f"{path}: is no address of a database.") from error
    secrets: list[str] = []

    def expand(text: str) -> str:
        def find(match: re.Match[str]) -> str:
            name = match[1]
            if name not in os.environ:
                raise InputError(f"{path}: the environment variable {name} is not set.")
            secrets.append(os.environ[name])
            return os.environ[name]

        return _VARIABLE.sub(find, text)

    parts = {
        name: expand(str(value))
        for name in ("username", "password", "host", "database")
        if (value := getattr(url, name))
    }
    url = url.set(**parts)  # type: ignore[arg-type]
    on_disk = url.get_backend_name() == "sqlite" and url.database not in {None, "", ":memory:"}
    if on_disk and not Path(str(url.database)).exists():  # SQLite would make an empty one
        raise InputError(f"{path}: no such file.")
    return url, [each for each in secrets if each]
