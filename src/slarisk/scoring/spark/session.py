"""The Spark session: as its own settings describe it, or a local one."""

from __future__ import annotations

import os
import re
import shutil
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from slarisk.errors import InputError

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

_MISSING = (
    "engine=spark needs pyspark and a Java runtime of 17 or newer: make spark, or "
    "pip install '.[spark]'"
)


def open_session() -> SparkSession:
    """Open the session that Spark's own settings describe, or a local one.

    Raises
    ------
    InputError
        There is no pyspark, or no Java.
    """
    try:
        from pyspark import SparkConf, SparkContext
        from pyspark.errors import PySparkException
        from pyspark.sql import SparkSession
    except ImportError as error:
        raise InputError(f"{_MISSING}.") from error
    os.environ.setdefault("PYSPARK_PYTHON", sys.executable)
    running = SparkSession.getActiveSession()
    if running is not None:
        return running
    if shutil.which("java") is None and "JAVA_HOME" not in os.environ:
        raise InputError(f"{_MISSING}. There is no java here.")
    try:
        warnings.filterwarnings("ignore", "PySpark does not yet fully support pandas")
        SparkContext._ensure_initialized()
        conf = SparkConf()
        builder = SparkSession.builder.appName("slarisk")
        for key, value in choose_settings(conf.get("spark.master", None)).items():
            if not conf.contains(key):
                builder = builder.config(key, value)
        if not sys.stderr.isatty():  # Spark does not check
            builder = builder.config("spark.ui.showConsoleProgress", "false")
        session: SparkSession = builder.getOrCreate()
    except PySparkException as error:
        raise InputError(f"{_MISSING}. Spark says: {_first_line(error)}") from error
    return session


def choose_settings(master: str | None) -> dict[str, str]:
    """Choose the settings that apply unless the user sets them.

    Without a master, ``spark-submit`` itself sets ``local[*]``.
    """
    settings = {
        "spark.log.level": "ERROR",
        "spark.sql.caseSensitive": "true",  # as fields are
        "spark.sql.execution.arrow.maxRecordsPerBatch": "50000",
    }
    if master is None or master.startswith("local"):
        settings |= {
            "spark.master": "local[*]",
            "spark.log.level": "OFF",  # failures raise an exception anyway
            "spark.ui.enabled": "false",
            "spark.driver.host": "127.0.0.1",
            "spark.driver.bindAddress": "127.0.0.1",
            # each part unpacks the model
            "spark.sql.shuffle.partitions": str(os.cpu_count() or 1),
        }
    return settings


@contextmanager
def explain_spark_failures() -> Iterator[None]:
    """Raise the InputError of a task without Spark's own message around it."""
    from py4j.protocol import Py4JJavaError
    from pyspark.errors import PySparkException

    try:
        yield
    except (PySparkException, Py4JJavaError) as error:  # the latter if several fail at once
        refused = re.search(r"slarisk\.errors\.InputError: (.+)", str(error))
        if refused is None:
            raise
        raise InputError(refused.group(1).strip()) from error


def _first_line(error: Exception) -> str:
    return next(iter(str(error).strip().splitlines()), repr(error))
