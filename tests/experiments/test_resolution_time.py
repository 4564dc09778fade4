import runpy
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

FOLDER = Path(__file__).resolve().parents[2] / "experiments" / "better-decisions"
SCRIPT = runpy.run_path(str(FOLDER / "resolution_time.py"))
Watched, spell_out = SCRIPT["Watched"], SCRIPT["spell_out"]
ENDS = np.array([1.0, 2.0, 4.0, 8.0])


def survive(watched, ends):
    """Share of tickets that outlast each interval, by the hazards of the rows alone."""
    _, interval, outcome = spell_out(watched, ends)
    return np.cumprod([1 - (outcome[interval == k] > 0).mean() for k in range(len(ends))])


def test_a_ticket_has_a_row_for_each_interval_that_was_seen():
    # ends in (1, 2]; ends at its target of 2; seen for 3 hours and still open; outlasts them all
    watched = Watched(pd.DataFrame(), np.array([1.5, 2.0, 3.0, 9.0]), np.array([1, 2, 0, 1]))
    which, interval, outcome = spell_out(watched, ENDS)
    assert list(zip(which.tolist(), interval.tolist(), outcome.tolist(), strict=True)) == [
        *[(0, 0, 0), (0, 1, 1)],
        *[(1, 0, 0), (1, 1, 2)],
        *[(2, 0, 0), (2, 1, 0)],
        *[(3, 0, 0), (3, 1, 0), (3, 2, 0), (3, 3, 0)],
    ]


def test_without_open_tickets_the_hazards_give_the_shares_that_miss_each_target():
    hours = np.random.default_rng(0).lognormal(1, 1, 500)
    watched = Watched(pd.DataFrame(), hours, np.ones(500, dtype=int))
    assert survive(watched, ENDS) == pytest.approx([(hours > end).mean() for end in ENDS])


def test_open_tickets_count_for_as_long_as_they_were_seen():
    rng = np.random.default_rng(0)
    hours, cut = rng.lognormal(1, 1, 20_000), rng.uniform(0, 10, 20_000)
    seen = hours < cut
    watched = Watched(pd.DataFrame(), np.minimum(hours, cut), seen.astype(int))
    late = [(hours > end).mean() for end in ENDS]
    # an interval in which sight was lost is left out whole, which fine intervals make harmless
    fine = np.linspace(0.1, 8, 80)
    found = survive(watched, fine)[np.searchsorted(fine, ENDS - 1e-9)]
    assert found == pytest.approx(late, abs=0.02)
    quick_only = [(hours[seen] > end).mean() for end in ENDS]
    assert (np.array(late) - quick_only > 0.05).all()  # what leaving them out comes to
