"""Write tables and text into files, all of them or none."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd

from slarisk.atomic_files import explain_os_errors, replace_files
from slarisk.exports.spreadsheets import neutralise

if TYPE_CHECKING:
    from collections.abc import Mapping


def is_parquet(path: Path) -> bool:
    """Whether a file is Parquet by its ending; any other is CSV."""
    return path.suffix.lower() in {".parquet", ".pq"}


def write_all(files: Mapping[Path, pd.DataFrame | str]) -> None:
    """Write all files, or none.

    Parameters
    ----------
    files : mapping of Path to DataFrame or str
        Text as it is; tables as Parquet by file ending, else as CSV. Replaced in this order.

    Raises
    ------
    InputError
        A file cannot be written.
    """
    with replace_files(list(files)) as parts:
        for part, (path, content) in zip(parts, files.items(), strict=True):
            with explain_os_errors(path):
                _write(content, part, is_parquet(path))


def _write(content: pd.DataFrame | str, path: Path, parquet: bool) -> None:
    with path.open("wb") as stream:
        if isinstance(content, str):
            stream.write(content.encode())
        elif parquet:
            neutralise(content).to_parquet(stream, index=False)
        else:
            neutralise(content).to_csv(stream, index=False, lineterminator="\n")


def rejected_path(output: Path) -> Path:
    """Name the file of the rejected rows: ``<output>.rejected.csv``."""
    return output.with_name(f"{output.name}.rejected.csv")
