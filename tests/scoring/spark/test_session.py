import sys

import pytest

from slarisk.errors import InputError
from slarisk.scoring.spark.session import choose_settings, open_session


def test_without_spark_there_is_one_line(monkeypatch):
    monkeypatch.setitem(sys.modules, "pyspark", None)
    with pytest.raises(InputError, match=r"pyspark.*make spark"):
        open_session()


def test_without_java_there_is_one_line(monkeypatch):
    pytest.importorskip("pyspark")
    monkeypatch.setenv("PATH", "")
    monkeypatch.delenv("JAVA_HOME", raising=False)
    with pytest.raises(InputError, match=r"make spark.*java here"):
        open_session()


@pytest.mark.parametrize("master", [None, "local[*]", "local[4]"])
def test_a_local_session_is_quiet_and_has_few_parts(master):
    settings = choose_settings(master)
    assert settings["spark.log.level"] == "OFF"
    assert 1 <= int(settings["spark.sql.shuffle.partitions"]) < 200


def test_a_cluster_keeps_its_own_settings():
    settings = choose_settings("spark://host:7077")
    assert not {"spark.master", "spark.driver.host", "spark.sql.shuffle.partitions"} & {*settings}
