"""A local store whose folder was moved or copied finds its artifacts beside it again.

MLflow keeps the absolute path of every artifact in its database. After a move they lead nowhere;
after a copy they lead into the original, and a new run of the copy would write there.
"""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

_ARTIFACTS = "mlruns"  # MLflow's own name for the folder beside its database
_PATHS = (
    ("experiments", "artifact_location"),
    ("runs", "artifact_uri"),
    ("logged_models", "artifact_location"),
    ("model_versions", "storage_location"),
    ("model_versions", "source"),
)
_FOLDERS = """
    SELECT run_uuid FROM runs WHERE experiment_id = :id
    UNION ALL SELECT 'models/' || model_id FROM logged_models WHERE experiment_id = :id
"""
_PATIENCE = 60.0  # seconds for another process to let go of the database


def follow_move(database: Path) -> bool:
    """Correct the paths in a SQLite store that are no longer, or not, those of its own artifacts.

    An experiment has moved if its folder is not where the database says, but runs or models of it
    lie in ``mlruns`` beside the database. Artifacts that were put elsewhere on purpose stay there.

    Parameters
    ----------
    database : Path
        That exists, with MLflow's tables.

    Returns
    -------
    bool
        Whether a path was corrected.
    """
    beside = database.absolute().parent / _ARTIFACTS
    with closing(sqlite3.connect(database, timeout=_PATIENCE)) as store, store:
        moved = [
            (location, str(beside / str(number)))
            for number, location in store.execute(
                "SELECT experiment_id, artifact_location FROM experiments"
            ).fetchall()
            if _has_moved(store, number, Path(location), beside / str(number))
        ]
        for old, new in moved:
            for table, column in _PATHS:
                store.execute(
                    f"UPDATE {table} SET {column} = :new || substr({column}, length(:old) + 1) "
                    f"WHERE {column} = :old OR substr({column}, 1, length(:old) + 1) = :old || '/'",
                    {"old": old, "new": new},
                )
    return bool(moved)


def _has_moved(store: sqlite3.Connection, number: int, said: Path, own: Path) -> bool:
    if said.parts[-2:] != own.parts[-2:] or not own.is_dir():
        return False
    if said.is_dir() and said.samefile(own):
        return False
    return any((own / name).is_dir() for (name,) in store.execute(_FOLDERS, {"id": number}))
