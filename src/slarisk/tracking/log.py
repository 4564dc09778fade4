"""The one place that hands items to MLflow."""

from __future__ import annotations

import tempfile
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from slarisk.config import Moment
from slarisk.model.bundle import (
    BUCKET,
    ESCALATE,
    ESCALATE_AT,
    ESCALATED,
    LEFT,
    ORIGIN,
    PROBABILITY,
    save_bundle,
)
from slarisk.model.checksums import checksum_folder, fingerprint_checksums, write_checksums
from slarisk.model.code import LOADER, copy_model_code
from slarisk.model.inputs import list_inputs, make_example
from slarisk.model.pyfunc import HISTORY_AGE
from slarisk.tracking.items import Dataset, Item, Metrics, Model, Params, Plot, Table, Tags, Text
from slarisk.tracking.store import reaching_store

if TYPE_CHECKING:
    from collections.abc import Iterable

    import pandas as pd

    from slarisk.model.bundle import Bundle
    from slarisk.model.manifest import Manifest

MODEL_NAME = "model"
DATA_FOLDER = "bundle"
SEAL_FILE, SEAL_TAG = "model_files.json", "model_sha256"
_NOTE = "registered_model_meta"  # MLflow puts it beside the files of a model that it fetches
# What a model needs where it is loaded; naming them spares MLflow the seconds of inferring them.
_REQUIREMENTS = (
    "mlflow",
    "scikit-learn",
    "lightgbm",
    "pandas",
    "numpy",
    "scipy",
    "pyarrow",
    "skops",
    "pydantic",
    "holidays",
)


def log_items(items: Iterable[Item]) -> None:
    """Log items to the active run, in order.

    Raises
    ------
    StoreError
        The store is out of reach.
    """
    for item in items:
        with reaching_store():
            _send(item)


def _send(item: Item) -> None:
    import mlflow

    match item:
        case Params(values):
            mlflow.log_params(values)
        case Metrics(values):
            mlflow.log_metrics(values)
        case Tags(values):
            mlflow.set_tags(values)
        case Text(path, text):
            mlflow.log_text(text, path)
        case Plot(path, figure):
            mlflow.log_figure(figure, path)
        case Table(path, frame):
            mlflow.log_text(frame.to_csv(index=False), path)
        case Dataset():
            _log_dataset(item)
        case Model(bundle):
            _log_model(bundle)


def _log_dataset(item: Dataset) -> None:
    import mlflow.data.pandas_dataset
    from mlflow.data.sources import LocalArtifactDatasetSource  # type: ignore[attr-defined]
    from mlflow.exceptions import MlflowException

    dataset = mlflow.data.pandas_dataset.from_pandas(
        item.frame,
        # given as a path, MLflow would look for the kind of source it is, and warn of two
        source=LocalArtifactDatasetSource(item.source),
        targets=item.target,
        name=item.name,
        digest=item.fingerprint,
    )
    # else MLflow finds the types out by looking at every value
    dataset.__dict__["schema"] = _read_schema(item.frame)
    try:
        mlflow.log_input(dataset, context=item.context)
    except MlflowException as error:
        # Another worker logged the same tickets first, between MLflow's look for them and its write
        if "unique" not in str(error).lower():
            raise
        mlflow.log_input(dataset, context=item.context)


def _read_schema(frame: pd.DataFrame) -> Any:
    """Read a table's schema from its column types; any value may be missing."""
    from mlflow.types import ColSpec, DataType, Schema, TensorSpec
    from pandas.api import types

    columns: list[ColSpec | TensorSpec] = []
    for name, column in frame.items():
        if types.is_bool_dtype(column):
            kind = DataType.boolean
        elif types.is_numeric_dtype(column):
            kind = DataType.double
        elif types.is_datetime64_any_dtype(column):
            kind = DataType.datetime
        else:
            kind = DataType.string
        columns.append(ColSpec(kind, str(name), required=False))
    return Schema(columns)


def _log_model(bundle: Bundle) -> None:
    import mlflow

    with tempfile.TemporaryDirectory() as folder:
        data = Path(folder) / DATA_FOLDER
        save_bundle(bundle, data)
        logged = mlflow.pyfunc.log_model(
            name=MODEL_NAME,
            loader_module=LOADER,
            data_path=str(data),
            code_paths=[str(copy_model_code(Path(folder) / "code"))],
            pip_requirements=[*_pinned(), *_pin_outsider(bundle)],
            signature=_signature(bundle.manifest),
            input_example=make_example(bundle.manifest),
        )
    _log_seal(logged.model_uri)


def _log_seal(model_uri: str) -> None:
    """Log the checksum of each file that the store holds of a model, and tag the run with theirs.

    The list is too long for a tag. The tag shows when the files and the list were both replaced.
    """
    import mlflow

    with tempfile.TemporaryDirectory() as folder:
        fetched = mlflow.artifacts.download_artifacts(model_uri, dst_path=folder)
        checksums = checksum_model(Path(fetched))
    mlflow.log_text(write_checksums(checksums), SEAL_FILE)
    mlflow.set_tag(SEAL_TAG, fingerprint_checksums(checksums))


def checksum_model(folder: Path) -> dict[str, str]:
    """Take the SHA-256 of each file of a fetched model, as its run logged them."""
    return checksum_folder(folder, leave_out=[_NOTE])


@cache
def _pinned() -> tuple[str, ...]:
    return tuple(f"{name}=={version(name)}" for name in _REQUIREMENTS)


def _pin_outsider(bundle: Bundle) -> list[str]:
    """Pin the package of an estimator that is of neither scikit-learn nor LightGBM."""
    package = type(bundle.model.pipeline["model"]).__module__.partition(".")[0]
    return [] if package in {"sklearn", "lightgbm"} else [f"{package}=={version(package)}"]


def _signature(manifest: Manifest) -> Any:
    """Make the signature: the raw columns that the model takes, and what it returns.

    Everything comes in as text or float: integer columns would refuse missing values.
    """
    from mlflow.models import ModelSignature
    from mlflow.types import ColSpec, DataType, Schema, TensorSpec

    inputs: list[ColSpec | TensorSpec] = [
        ColSpec(
            DataType.double if each.number else DataType.string,
            each.column,
            required=each.required,
        )
        for each in list_inputs(manifest)
    ]
    outputs: list[ColSpec | TensorSpec] = [
        ColSpec(DataType.double, PROBABILITY),
        ColSpec(DataType.string, BUCKET),
        ColSpec(DataType.boolean, ESCALATE),
        ColSpec(DataType.double, LEFT),
        ColSpec(DataType.double, ESCALATED),
        ColSpec(DataType.string, ORIGIN),
    ]
    if manifest.moment is Moment.open:
        outputs.append(ColSpec(DataType.string, ESCALATE_AT, required=False))
    if manifest.has_context:
        outputs.append(ColSpec(DataType.double, HISTORY_AGE))
    return ModelSignature(inputs=Schema(inputs), outputs=Schema(outputs))
