"""The eight kinds of leakage of Kapoor and Narayanan (2023), each planted in the sample.

S. Kapoor and A. Narayanan (2023), "Leakage and the reproducibility crisis in machine-learning-based
science", Patterns 4(9). A leak changes an export, or the config, or the estimator, the way a data
scientist may do it without noticing. tests/checks/test_leakage.py asserts that each
is caught, and that the same run without it passes.
"""

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import pandas as pd
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.frozen import FrozenEstimator

from slarisk.config import Moment, SplitKind
from slarisk.learning.features import make_features
from slarisk.learning.models import fit_pipeline
from slarisk.tickets.prepare import prepare_tickets
from slarisk.training.estimator import build_estimator

DATE = "%Y-%m-%d %H:%M:%S"
DATES = ["Created At", "First Response Time", "Time to Resolution"]


@dataclass
class Setup:
    """What a run starts from, to be spoilt: the export's table, the config and the estimator."""

    table: pd.DataFrame
    config: object
    rng: np.random.Generator
    estimator: BaseEstimator | None = None

    def label(self):
        """The tickets with their labels, as a run sees them."""
        config = self.config
        self.table.to_csv(config.data.path, index=False)
        return prepare_tickets(config.data, config.sla, config.cost).frame

    def add(self, field, column, values, kind="numeric", moment=Moment.created):
        """Add a column, say that it is known by then, and make it a feature of a kind."""
        self.table[column] = values
        self.config.data.columns[field] = column
        getattr(self.config.data.known, moment.value).append(field)
        if kind == "days_since":
            self.config.data.dates.append(field)
        if kind:
            getattr(self.config.features, kind).append(field)


@dataclass(frozen=True)
class Leak:
    """A leak, how it comes about, and the check that has to name it."""

    kind: str
    words: str
    plant: Callable[[Setup], None]
    code: str
    verdict: str
    overrides: list[str] = field(default_factory=list)


# L1: training and test are not cleanly separated ------------------------------------------------


class FittedBefore(ClassifierMixin, BaseEstimator):
    """A model that was fitted on all tickets long ago, and takes no notice of what it is given."""

    known = None

    def fit(self, X, y):
        self.classes_ = np.array([0, 1])
        return self

    def predict_proba(self, X):
        return type(self).known.predict_proba(X)


def _fit_on_all(setup):
    frame = setup.label()
    features = setup.config.features
    return fit_pipeline(
        build_estimator(setup.config.model),
        features,
        make_features(frame, features),
        frame["breach"].to_numpy(),
    )[-1]


def keep_no_test_set(setup):
    FittedBefore.known = _fit_on_all(setup)
    setup.estimator = FittedBefore()


def freeze_model(setup):
    setup.estimator = FrozenEstimator(_fit_on_all(setup))


def encode_on_all(setup):
    """The breach rate of each product, smoothed, over the whole export."""
    frame = setup.label()
    groups = frame.groupby("product")["breach"].agg(["sum", "count"])
    rate = (groups["sum"] + 20 * frame["breach"].mean()) / (groups["count"] + 20)
    values = setup.table["Product Purchased"].map(rate).round(6)
    setup.add("difficulty", "Product Difficulty", values)


def scale_on_all(setup):
    """The age with its gaps filled, in standard deviations from the mean of the whole export."""
    age = pd.to_numeric(setup.table["Customer Age"]).astype(float)
    age = age.fillna(age.mean())
    setup.add("age_scaled", "Age (scaled)", ((age - age.mean()) / age.std()).round(6))


def fill_on_all(setup):
    """Days since the purchase, gaps filled with the median of the whole export."""
    days = pd.to_datetime(setup.table["Created At"]) - pd.to_datetime(
        setup.table["Date of Purchase"]
    )
    days = days.dt.total_seconds() / 86400
    days[setup.rng.random(len(days)) < 0.1] = np.nan
    setup.add("tenure", "Tenure", days.fillna(days.median()).round(4))


def select_on_all(setup):
    """The ten of 200 meaningless numbers that go most with the outcome in the whole export."""
    names = [f"n{number}" for number in range(200)]
    noise = pd.DataFrame(setup.rng.normal(size=(len(setup.table), 200)).round(6), columns=names)
    setup.table = pd.concat([setup.table, noise], axis=1)
    for name in names:
        setup.add(name, name, setup.table[name], kind=None)
    frame = setup.label()
    strength = {
        name: abs(np.corrcoef(pd.to_numeric(frame[name]), frame["breach"])[0, 1]) for name in names
    }
    setup.config.features.numeric += sorted(strength, key=strength.get)[-10:]


def repeat_tickets(setup):
    """An export put together from two that overlap, with ids of its own."""
    copies = setup.table.sample(frac=0.1, random_state=1)
    copies = copies.assign(**{"Ticket ID": "again " + copies["Ticket ID"]})
    setup.table = pd.concat([setup.table, copies], ignore_index=True)


def repeat_tickets_later(setup):
    """Old tickets that were entered again, weeks later, with the same course."""
    copies = setup.table.sample(frac=0.1, random_state=1)
    copies = copies.assign(**{"Ticket ID": "again " + copies["Ticket ID"]})
    shift = pd.Timestamp("2024-12-01") - pd.to_datetime(copies["Created At"]).dt.floor("D")
    for name in DATES:
        times = pd.to_datetime(copies[name]) + shift
        copies[name] = times.dt.strftime(DATE)
    setup.table = pd.concat([setup.table, copies], ignore_index=True)


# L2: features that are not legitimate -----------------------------------------------------------


def know_the_end(setup):
    """The day a ticket was closed, an hour or so after its resolution."""
    resolved = pd.to_datetime(setup.table["Time to Resolution"])
    delay = pd.to_timedelta(setup.rng.exponential(1.0, len(resolved)), unit="h")
    closed = (resolved + delay).dt.strftime(DATE)
    setup.add("closed_at", "Closed At", closed, kind="days_since")


def know_the_resolver(setup):
    """Who resolved a ticket: one of those on duty in the week of its resolution."""
    resolved = pd.to_datetime(setup.table["Time to Resolution"])
    week = resolved.dt.isocalendar().week.fillna(0).astype(int).to_numpy()
    agent = (week * 3 + setup.rng.integers(0, 4, len(week))) % 16
    names = pd.Series([f"Agent {number}" for number in agent]).where(resolved.notna().to_numpy())
    setup.add("resolved_by", "Resolved By", names.to_numpy(), kind="categorical")


def know_the_note(setup):
    """A note that is written only when the customer complains about the delay."""
    late = set(setup.label().query("breach")["ticket_id"])
    breached = setup.table["Ticket ID"].isin(late).to_numpy()
    written = breached & (setup.rng.random(len(breached)) < 0.7)
    note = np.where(written, setup.rng.choice(["called", "wrote"], len(written)), "")
    setup.add("note", "Note", note, kind="categorical")


def know_the_code(setup):
    """A code that all but says the outcome."""
    late = set(setup.label().query("breach")["ticket_id"])
    told = setup.table["Ticket ID"].isin(late).to_numpy() ^ (
        setup.rng.random(len(setup.table)) < 0.01
    )
    setup.add("code", "Code", np.where(told, "K7", "K2"), kind="categorical")


# L3: the test set is not drawn from the distribution of interest ---------------------------------


def ignore_time(setup):
    setup.config.split.name = SplitKind.random


def split_cases(setup):
    """Three tickets to a case, which breach together, drawn apart at random."""
    parts = [setup.table]
    for number in (1, 2):
        follow = setup.table.copy()
        follow["Ticket ID"] += f"-{number}"
        for name in DATES:
            later = pd.to_datetime(follow[name]) + pd.Timedelta(hours=number, minutes=7)
            follow[name] = later.dt.strftime(DATE)
        follow["Ticket Channel"] = setup.rng.permutation(follow["Ticket Channel"])
        wobble = pd.to_timedelta(setup.rng.integers(0, 600, len(follow)), unit="s")
        ended = pd.to_datetime(follow["Time to Resolution"]) + wobble
        follow["Time to Resolution"] = ended.dt.strftime(DATE)
        parts.append(follow)
    case = ("C" + setup.table["Ticket ID"]).tolist()
    setup.table = pd.concat(parts, ignore_index=True)
    setup.add("case", "Case", case * 3, kind=None)


def select_test_tickets(setup):
    """From the autumn on, most tickets that met their target are not in the export."""
    met = set(setup.label().query("~breach")["ticket_id"])
    left_out = setup.table["Ticket ID"].isin(met) & (setup.table["Created At"] >= "2024-10-20")
    left_out &= setup.rng.random(len(setup.table)) < 0.7
    setup.table = setup.table[~left_out].reset_index(drop=True)


def lose_test_labels(setup):
    """From the autumn on, the resolution of half of the tickets that met their target is blank.

    The export is taken soon after, so they count as open.
    """
    ends = pd.to_datetime(setup.table["Time to Resolution"])
    recent = (setup.table["Created At"] >= "2024-12-22") & (setup.rng.random(len(ends)) < 0.6)
    setup.table.loc[recent, "Time to Resolution"] = None
    setup.config.data.label.observed_at = "2024-12-23"
    setup.config.split.test_from = "2024-12-22"


LEAKS = [
    Leak(
        "L1.1",
        "no test set: the model was fitted on all tickets",
        keep_no_test_set,
        "SR015",
        "failed",
    ),
    Leak(
        "L1.2",
        "a column was computed from training and test tickets together",
        encode_on_all,
        "SR013",
        "failed",
    ),
    Leak(
        "L1.3",
        "features were picked on training and test tickets together",
        select_on_all,
        "SR014",
        "failed",
    ),
    Leak(
        "L1.4",
        "tickets are in the export twice",
        repeat_tickets,
        "SR010",
        "failed",
        ["split=random"],
    ),
    Leak(
        "L2",
        "a feature is known only at the end: the closing date",
        know_the_end,
        "SR008",
        "failed",
    ),
    Leak("L3.1", "training tickets are younger than test tickets", ignore_time, "SR011", "warning"),
    Leak(
        "L3.2",
        "tickets of one case are in both parts",
        split_cases,
        "SR012",
        "failed",
        ["split=random"],
    ),
    Leak("L3.3", "the test tickets are a selection", select_test_tickets, "SR022", "warning"),
]
# the same kinds, in other guises
VARIANTS = [
    Leak("L1.2", "a number was scaled over all tickets", scale_on_all, "SR013", "warning"),
    Leak("L1.2", "gaps were filled from all tickets", fill_on_all, "SR013", "warning"),
    Leak("L1.4", "old tickets were entered again, later", repeat_tickets_later, "SR010", "failed"),
    Leak("L2", "who resolved the ticket", know_the_resolver, "SR009", "warning"),
    Leak("L2", "a note that is there only if it breached", know_the_note, "SR007", "failed"),
    Leak("L2", "a code that all but says the outcome", know_the_code, "SR006", "failed"),
]
