import numpy as np
import pandas as pd
import pytest

from slarisk.analysis.fields import Field, Outcomes


@pytest.fixture
def code():
    """Codes a list of values as a field, its levels by name."""

    def code_values(name, values, natural=False):
        codes, levels = pd.factorize(np.asarray(values, dtype=object), sort=True)
        return Field(name, codes.astype(np.int64), tuple(map(str, levels)), natural)

    return code_values


@pytest.fixture
def outcome():
    """Makes the outcomes of tickets; what is not given is not known."""

    def make(breach, price=1.0, hours=np.nan, target=np.nan, created="NaT"):
        breach = np.asarray(breach, dtype=bool)
        return Outcomes(
            breach,
            np.broadcast_to(np.asarray(price, float), breach.shape).copy(),
            np.broadcast_to(np.asarray(hours, float), breach.shape).copy(),
            np.broadcast_to(np.asarray(target, float), breach.shape).copy(),
            np.broadcast_to(np.asarray(created, "datetime64[us]"), breach.shape).copy(),
        )

    return make
