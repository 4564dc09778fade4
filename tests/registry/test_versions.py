import pytest
from mlflow.exceptions import MlflowException

from slarisk.errors import InputError
from slarisk.registry import versions
from slarisk.registry.versions import find_champion, require_champion

NAME = "sla-breach-risk"


def test_a_store_that_fails_does_not_pass_for_an_empty_one(place, monkeypatch):
    assert find_champion(NAME) is None
    with pytest.raises(InputError, match=r"python promote\.py"):
        require_champion(NAME)

    class Unreachable:
        def get_model_version_by_alias(self, *_):
            raise MlflowException("database is locked")

    monkeypatch.setattr(versions, "mlflow_client", Unreachable)
    with pytest.raises(MlflowException, match="locked"):
        find_champion(NAME)
