import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from slarisk.scoring import repeated_ids as repeats
from slarisk.scoring.repeated_ids import IdFile


def find(folder, parts):
    file = IdFile(folder / "ids")
    series = [pd.Series(part, dtype="str") for part in parts]
    for part in series:
        file.write(part)
    return file.find_repeated(series).tolist()


@given(parts=st.lists(st.lists(st.sampled_from("abcdefghijklmnop"), max_size=6), max_size=6))
@settings(deadline=None)
def test_every_id_but_the_first_of_its_kind_is_found(tmp_path_factory, parts):
    everything = pd.Series([each for part in parts for each in part], dtype="str")
    expected = np.flatnonzero(everything.duplicated()).tolist()
    assert find(tmp_path_factory.mktemp("ids"), parts) == expected


@pytest.mark.parametrize("at_once", [3, 10, 1 << 22])
def test_with_little_memory(tmp_path, monkeypatch, at_once):
    monkeypatch.setattr(repeats, "_AT_ONCE", at_once)
    ids = [str(n % 37) for n in range(60)]
    assert find(tmp_path, [ids[:25], ids[25:]]) == list(range(37, 60))


def test_a_collision_of_hashes_is_no_repetition(tmp_path, monkeypatch):
    real = repeats._hash

    def collide(ids, key="first"):
        return np.full(len(ids), 7, dtype=np.uint64) if key == "first" else real(ids, key)

    monkeypatch.setattr(repeats, "_hash", collide)
    assert find(tmp_path, [["a", "b"], ["c", "a"]]) == [3]
