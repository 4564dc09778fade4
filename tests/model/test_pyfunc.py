import json
import subprocess
import sys
import textwrap
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from slarisk.errors import InputError
from slarisk.model.bundle import BUCKET, ESCALATE, ESCALATED, LEFT, ORIGIN, PROBABILITY, save_bundle
from slarisk.model.code import list_model_code
from slarisk.model.pyfunc import DecisionModel, _load_pyfunc
from slarisk.model.seen_tickets import NEW, OUT_OF_FOLD

SRC = Path(__file__).parents[2] / "src"


@pytest.fixture(scope="module")
def made(train):
    """A model whose decisions rest on a number, a date and the creation time."""
    return train("features=customer", model="rf")


@pytest.fixture(scope="module")
def model(made):
    return DecisionModel(made.bundle)


def test_raw_rows_are_decided_like_the_tickets_they_are(made, model, raw):
    pd.testing.assert_frame_equal(
        model.predict(raw), made.bundle.decide(made.tickets), check_exact=True
    )
    assert OUT_OF_FOLD in set(model.predict(raw)[ORIGIN])


def test_the_stored_model_is_the_model(made, model, raw, tmp_path):
    save_bundle(made.bundle, tmp_path)

    loaded = _load_pyfunc(str(tmp_path)).predict(raw, params={})
    pd.testing.assert_frame_equal(loaded, model.predict(raw), check_exact=True)


def test_extra_columns_and_their_order_do_not_matter(model, raw):
    expected = model.predict(raw)
    shuffled = raw[raw.columns[::-1]].assign(priority="Low", Weather="sunny", breach=True)
    needed = raw[[model.bundle.manifest.data.columns[f] for f in model.bundle.required_fields()]]

    pd.testing.assert_frame_equal(model.predict(shuffled), expected)
    assert len(model.predict(needed)) == len(raw)


@pytest.mark.parametrize(
    "column", ["Ticket Priority", "Customer Age", "Date of Purchase", "Created At"]
)
def test_a_missing_column_is_named(model, raw, column):
    with pytest.raises(InputError, match=column):
        model.predict(raw.drop(columns=column))


def test_all_missing_columns_are_named(model, raw):
    with pytest.raises(InputError, match=r"Ticket Type, Ticket Channel"):
        model.predict(raw.drop(columns=["Ticket Type", "Ticket Channel"]))


def test_the_outcome_is_not_needed(model, raw):
    at_creation = raw.drop(
        columns=["Time to Resolution", "First Response Time", "Ticket Status", "Ticket Subject"]
    )
    with pytest.raises(InputError, match="Ticket Subject"):  # a feature, and known at creation
        model.predict(at_creation)
    pd.testing.assert_frame_equal(
        model.predict(at_creation.assign(**{"Ticket Subject": raw["Ticket Subject"]})),
        model.predict(raw),
    )


def types():
    """Ways in which a client may type the columns that are text in a CSV file."""
    dates = ["Created At", "Date of Purchase", "First Response Time", "Time to Resolution"]

    def as_dates(frame, unit="us", zone=None):
        stamps = {name: pd.to_datetime(frame[name]).astype(f"M8[{unit}]") for name in dates}
        if zone:
            stamps = {name: stamp.dt.tz_localize(zone) for name, stamp in stamps.items()}
        return frame.assign(**stamps)

    def as_numbers(frame):
        age = pd.to_numeric(frame["Customer Age"])  # floats, for there are gaps
        return frame.assign(
            **{"Customer Age": age, "Ticket ID": frame["Ticket ID"].astype("int64")}
        )

    return {
        "dates": as_dates,
        "dates in nanoseconds": lambda frame: as_dates(frame, "ns"),
        "dates with a zone": lambda frame: as_dates(frame, zone="UTC"),
        "numbers": as_numbers,
        "objects": lambda frame: frame.astype(object).where(frame.notna(), None),
        "categories": lambda frame: frame.astype({"Ticket Priority": "category"}),
    }


@pytest.mark.parametrize("kind", types())
def test_typed_columns_are_answered_like_text(model, raw, kind):
    typed = types()[kind](raw)

    assert not typed.dtypes.equals(raw.dtypes)
    pd.testing.assert_frame_equal(model.predict(typed), model.predict(raw), check_exact=True)


@pytest.mark.parametrize("index", [[5, 5, 5], ["a", "b", "a"], [2, 1, 0]])
def test_rows_keep_their_labels(model, raw, index):
    # dates in two formats: each is read in a pass of its own
    some = raw.head(3).assign(**{"Created At": ["2024-05-06", raw["Created At"][1], "2024-05-07"]})
    decided = model.predict(some.set_axis(index))

    assert decided.index.tolist() == index
    pd.testing.assert_frame_equal(decided.reset_index(drop=True), model.predict(some))


def test_marks_of_a_missing_value_are_missing(model, raw):
    marked = raw.head(2).assign(**{"Ticket Channel": [" N/A ", "null"], "Customer Age": "NaN"})
    blank = marked.assign(**{"Ticket Channel": None, "Customer Age": np.nan})

    pd.testing.assert_frame_equal(model.predict(marked), model.predict(blank))


def test_nothing_but_gaps_is_answered(model, raw):
    blank = pd.DataFrame(None, index=range(2), columns=raw.columns)
    decided = model.predict(blank)

    assert (decided[ORIGIN] == NEW).all()
    assert np.isfinite(decided[[PROBABILITY, LEFT, ESCALATED]].to_numpy(dtype=float)).all()


def test_no_rows_get_no_decisions(model, raw):
    decided = model.predict(raw.head(0))

    assert decided.empty
    assert decided.columns.tolist() == [PROBABILITY, BUCKET, ESCALATE, LEFT, ESCALATED, ORIGIN]


def test_imputed_tickets_are_answered_one_by_one(imputed, raw):
    model = DecisionModel(imputed.bundle)
    at_creation = raw.head(40).drop(columns="Created At")
    whole = model.predict(at_creation)

    alone = pd.concat([model.predict(at_creation.iloc[[row]]) for row in range(40)])
    pd.testing.assert_frame_equal(alone, whole, rtol=1e-12, atol=0)
    assert set(whole[ORIGIN]) > {OUT_OF_FOLD}


# What a client does who has MLflow and the pinned libraries, but not this checkout.
CLIENT = """
import importlib.util, json, os, sys

class Absent:
    def find_spec(self, name, *rest):
        if name.split(".")[0] in {"hydra", "omegaconf"}:
            raise ModuleNotFoundError(name)

sys.path = [path for path in sys.path if not os.path.exists(os.path.join(path, "slarisk"))]
sys.meta_path = [Absent()] + [one for one in sys.meta_path if "editable" not in repr(one)]
sys.path_hooks = [hook for hook in sys.path_hooks if "editable" not in repr(hook)]
sys.path_importer_cache.clear()
assert importlib.util.find_spec("slarisk") is None

import mlflow.pyfunc
import pandas as pd
from mlflow.exceptions import MlflowException

model = mlflow.pyfunc.load_model(sys.argv[1])
raw = pd.read_json(sys.argv[2], orient="split", dtype=False, convert_dates=False)
raw["Customer Age"] = raw["Customer Age"].astype(float)
answer = {"whole": model.predict(raw).to_dict("list")}
answer["alone"] = [model.predict(raw.iloc[[row]]).to_dict("list") for row in range(5)]

odd = raw.head(3).assign(**{"Ticket Channel": "Pigeon", "Ticket Priority": "Cosmic"})
answer["odd"] = model.predict(odd).to_dict("list")
blank = raw.head(3).assign(**{name: None for name in raw if name != "Customer Age"})
blank["Customer Age"] = float("nan")
answer["blank"] = model.predict(blank).to_dict("list")
answer["few"] = model.predict(raw.drop(columns="Ticket ID").head(3)).to_dict("list")
try:
    model.predict(raw.drop(columns="Ticket Priority"))
except MlflowException as error:
    answer["refused"] = str(error)
import slarisk
answer["from"] = slarisk.__path__[0]
print(json.dumps(answer))
"""


@pytest.fixture(scope="module")
def logged(made, tmp_path_factory):
    """The model as a run logs it, with a folder in the place of a store."""
    import mlflow.pyfunc

    from slarisk.tracking.log import _log_model

    folder = tmp_path_factory.mktemp("logged") / "model"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            mlflow.pyfunc,
            "log_model",
            lambda name, **options: (
                mlflow.pyfunc.save_model(folder, **options),
                SimpleNamespace(model_uri=name),
            )[1],
        )
        patch.setattr("slarisk.tracking.log._log_seal", lambda uri: None)
        _log_model(made.bundle)
    return folder


@pytest.mark.slow
def test_a_logged_model_decides_outside_this_checkout(made, model, raw, logged, tmp_path):
    fields = ["ticket_id", *made.bundle.required_fields()]
    sent = raw.tail(30)[[made.bundle.manifest.data.columns[name] for name in fields]]
    sent.to_json(tmp_path / "tickets.json", orient="split", index=False)
    arguments = [str(logged), str(tmp_path / "tickets.json")]
    done = subprocess.run(
        [sys.executable, "-IB", "-c", textwrap.dedent(CLIENT), *arguments],
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    answer = json.loads(done.stdout.splitlines()[-1])
    expected = model.predict(sent)

    assert Path(answer["from"]).is_relative_to(logged)
    assert answer["whole"] == expected.to_dict("list")  # to the last digit
    alone = [row[PROBABILITY][0] for row in answer["alone"]]
    assert alone == expected[PROBABILITY].tolist()[:5]
    for some in ("odd", "blank", "few"):
        numbers = [answer[some][name] for name in (PROBABILITY, LEFT, ESCALATED)]
        assert np.isfinite(np.array(numbers, dtype=float)).all()
        assert np.array(numbers).shape == (3, 3)
    assert answer["odd"][ORIGIN] == expected[ORIGIN].tolist()[:3]
    assert answer["few"][ORIGIN] == [NEW] * 3
    assert "Ticket Priority" in answer["refused"]


def test_a_logged_model_carries_its_code_and_no_other(logged):
    files = [path for path in (logged / "code").rglob("*") if path.is_file()]
    carried = {path.relative_to(logged / "code").as_posix(): path.read_bytes() for path in files}

    assert carried == {name: (SRC / name).read_bytes() for name in list_model_code()}


def test_a_logged_model_holds_no_pickle_and_no_ticket(made, raw, logged):
    files = [path for path in logged.rglob("*") if path.is_file()]

    assert not [path for path in files if path.suffix in {".pkl", ".pickle", ".joblib", ".pyc"}]
    names = raw["Customer Email"].dropna().iloc[:50]
    for path in files:
        content = path.read_bytes()
        assert not any(name.encode() in content for name in names), path
