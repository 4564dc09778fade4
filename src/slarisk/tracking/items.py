"""What a run may log, as plain values: nothing here knows MLflow."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

    from slarisk.model.bundle import Bundle


@dataclass(frozen=True)
class Params:
    """The choices of a run and its tuned values."""

    values: dict[str, str]


@dataclass(frozen=True)
class Metrics:
    """Numbers by metric name."""

    values: dict[str, float]


@dataclass(frozen=True)
class Tags:
    """Texts by tag name."""

    values: dict[str, str]


@dataclass(frozen=True)
class Text:
    """A text file."""

    path: str
    text: str


@dataclass(frozen=True, eq=False)
class Plot:
    """A picture."""

    path: str
    figure: Figure


@dataclass(frozen=True, eq=False)
class Table:
    """A table as a CSV file."""

    path: str
    frame: pd.DataFrame


@dataclass(frozen=True, eq=False)
class Dataset:
    """Tickets a run used: only their schema, profile and fingerprint are logged, no row."""

    name: str
    source: str
    fingerprint: str
    frame: pd.DataFrame
    target: str
    context: str


@dataclass(frozen=True, eq=False)
class Model:
    """A bundle, logged so that any MLflow client can load it."""

    bundle: Bundle


Item = Params | Metrics | Tags | Text | Plot | Table | Dataset | Model
