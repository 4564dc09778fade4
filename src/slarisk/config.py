"""The typed schema of every config.

One dataclass per config group and one root per command. Hydra merges the YAML files of ``conf/``
into them, so that an unknown key or a wrong type fails when the config is composed. What a value
must be beyond its type stands in the type (see :mod:`slarisk.constraints`) and is checked once,
when a composed config becomes these objects; whoever is handed them can trust them. The same
objects travel inside a registered model (see :mod:`slarisk.model.bundle`), which is why this
module imports nothing of Hydra.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum
from typing import Annotated, Any

from slarisk.constraints import Bounds, Date, Delimiter, FileEnding, OneOf

MISSING: Any = "???"  # OmegaConf's mark for a key that some YAML file must give

_MOST_HOURS = 1_000_000  # no SLA target is 114 years, and far more would overflow a date
_MOST_SEED = 2**32 - 1  # of NumPy's legacy generator, which scikit-learn uses

Share = Annotated[float, Bounds(at_least=0, at_most=1)]
OpenShare = Annotated[float, Bounds(above=0, below=1)]  # neither none nor all
Dollars = Annotated[float, Bounds(at_least=0)]
Points = Annotated[float, Bounds(at_least=0)]
Hours = Annotated[float, Bounds(above=0, at_most=_MOST_HOURS)]
Positive = Annotated[int, Bounds(at_least=1)]
Count = Annotated[int, Bounds(at_least=0)]
Seed = Annotated[int, Bounds(at_least=0, at_most=_MOST_SEED)]
Day = Annotated[str, Date()]


class Moment(Enum):
    """When a field becomes known, in order. A field that a policy does not list is never known."""

    created = "created"
    first_response = "first_response"
    resolved = "resolved"
    never = "never"


class CreationKind(Enum):
    """How the creation time is had."""

    observed = "observed"
    imputed = "imputed"


class LabelKind(Enum):
    """How it is known that a ticket breached."""

    target = "target"  # resolution hours against the SLA target of its priority
    due_date = "due_date"  # resolution time against a due date in the data
    column = "column"  # a column already says so


class UnknownPriority(Enum):
    """What a priority without an SLA target means."""

    error = "error"
    drop = "drop"
    default = "default"


class SplitKind(Enum):
    """How the test tickets are held out."""

    random = "random"
    temporal = "temporal"


class CalibrationKind(Enum):
    """How scores become probabilities."""

    none = "none"
    sigmoid = "sigmoid"
    isotonic = "isotonic"
    venn_abers = "venn_abers"


class Weight(Enum):
    """How much each training ticket counts in a fit.

    ``stakes``: the dollars that an escalation of it saves if it would breach. ``known``: 1 / the
    chance that a label which took as long was known when the training period ended.
    """

    none = "none"
    stakes = "stakes"
    known = "known"


class DecisionKind(Enum):
    """Escalate or leave."""

    per_ticket = "per_ticket"
    threshold = "threshold"
    capacity = "capacity"
    grid = "grid"


@dataclass
class Creation:
    """Where the creation time comes from.

    ``imputed``: whole hours drawn from ``low_hours`` to ``high_hours`` (both included) before the
    first response, as the notebook does, over the tickets that have both times.
    """

    kind: CreationKind = CreationKind.observed
    low_hours: Count = 1
    high_hours: Count = 5
    seed: Seed = 42


@dataclass
class Quarantine:
    """Tickets whose labels cannot be trusted: those created from one moment on, before another."""

    created: list[Day] = MISSING
    why: str = MISSING


@dataclass
class Label:
    """Where the label comes from.

    ``column`` and ``breach_value`` are read with ``kind: column``. ``known_at`` names the date
    field that says when the label was known; without it that is the resolution, or the moment an
    unresolved ticket passed its target. ``observed_at`` is the moment the export was taken
    (default: the latest time in the data, due dates aside; name it if another date lies ahead).
    ``late_if_open_after`` (hours since the creation) is for a column without due dates, with
    ``split.settled``: a ticket without a label for so long counts as breached; null: the age is
    learnt. Tickets in ``quarantine`` neither train nor test.
    """

    kind: LabelKind = LabelKind.target
    column: str | None = None
    breach_value: str = "true"
    known_at: str | None = None
    observed_at: Day | None = None
    late_if_open_after: Hours | None = None
    quarantine: list[Quarantine] = field(default_factory=list)


@dataclass
class EventLog:
    """Several rows per ticket, put in order by the field ``order``: a number or a date.

    What is known at creation is read from the first event, everything else from the last.
    """

    order: str = MISSING


@dataclass
class Known:
    """The fields known at each moment; a field in no list is never known."""

    created: list[str] = field(default_factory=list)
    first_response: list[str] = field(default_factory=list)
    resolved: list[str] = field(default_factory=list)


@dataclass
class CostColumns:
    """Fields that carry each ticket's own costs, in dollars."""

    breach: str | None = None
    escalation: str | None = None


@dataclass
class FeatureFields:
    """The fields of a data policy that feature sets may use."""

    categorical: list[str] = field(
        default_factory=lambda: ["ticket_type", "priority", "channel", "product"]
    )
    numeric: list[str] = field(default_factory=list)
    text: list[str] = field(default_factory=list)


@dataclass
class DataPolicy:
    """From an export to tickets: the file, what its columns mean, when each becomes known.

    ``columns`` maps a field (``ticket_id``, ``created_at``, ``priority``, ... or any name of your
    own) to the column of the file; everything else in a policy speaks of fields. ``known`` says
    which fields are known at which moment. ``values`` renames values of a field. ``segments`` are
    the fields whose training breach rates make the segment baseline. ``test_from`` and
    ``test_until`` are the period that the temporal split holds out.
    """

    name: str = MISSING
    path: str = MISSING
    format: Annotated[str, OneOf("auto", "csv", "parquet")] = "auto"  # auto: by file ending
    member: str | None = None  # the file inside a zip; default: the only one
    encoding: str = "utf-8"
    delimiter: Annotated[str, Delimiter()] = ","
    missing: list[str] = field(default_factory=lambda: ["", "NA", "N/A", "NaN", "null", "None"])
    date_formats: list[str] = field(
        default_factory=lambda: ["%Y-%m-%d %H:%M:%S", "%Y-%m-%d %H:%M", "ISO8601"]
    )
    columns: dict[str, str] = field(default_factory=dict)
    dates: list[str] = field(default_factory=list)  # date fields beyond the five canonical ones
    values: dict[str, dict[str, str]] = field(default_factory=dict)
    known: Known = field(default_factory=Known)
    creation: Creation = field(default_factory=Creation)
    label: Label = field(default_factory=Label)
    events: EventLog | None = None
    costs: CostColumns = field(default_factory=CostColumns)
    features: FeatureFields = field(default_factory=FeatureFields)
    segments: list[str] = field(default_factory=lambda: ["priority", "ticket_type"])
    test_from: Day | None = None
    test_until: Day | None = None
    truth: str | None = None  # true breach probabilities by ticket id: synthetic data only


@dataclass
class SlaPolicy:
    """Targets (hours) and breach costs (dollars) by priority.

    ``default_target`` and ``default_cost`` serve unknown priorities under
    ``unknown_priority: default``, and every ticket of a system without priorities.
    """

    name: str = MISSING
    targets: dict[str, Hours] = field(default_factory=dict)
    costs: dict[str, Dollars] = field(default_factory=dict)
    aliases: dict[str, str] = field(default_factory=dict)
    unknown_priority: UnknownPriority = UnknownPriority.error
    default_target: Annotated[float, Bounds(at_least=0, at_most=_MOST_HOURS)] | None = None
    default_cost: Dollars | None = None


@dataclass
class CostPolicy:
    """What an escalation costs (dollars) and achieves.

    ``charged`` is the share of the escalation cost paid when the ticket would have breached;
    ``effectiveness`` the share of its breach cost that the escalation averts.
    """

    name: str = MISSING
    escalation_cost: Dollars = MISSING
    charged: Share = MISSING
    effectiveness: Share = MISSING


@dataclass
class FeatureSet:
    """Which fields a model sees, and how they are treated.

    ``calendar`` takes parts of the creation time: ``hour``, ``weekday``, ``weekend``, ``month``,
    ``hour_cyclic``, ``weekday_cyclic``. ``days_since`` gives the days from a date field to the
    creation. ``max_categories`` keeps the most frequent values of a column and groups the rest;
    null keeps all.
    """

    name: str = MISSING
    categorical: list[str] = field(default_factory=list)
    numeric: list[str] = field(default_factory=list)
    calendar: list[str] = field(default_factory=list)
    days_since: list[str] = field(default_factory=list)
    text: list[str] = field(default_factory=list)
    max_categories: Positive | None = 100
    scale: bool = True


@dataclass
class Split:
    """How the test tickets are held out, and how the training part is cross-fitted.

    ``temporal``: the test tickets are those created from ``test_from`` on (default: the latest
    ``test_size`` of them), up to but excluding ``test_until``. ``train_days`` leaves out of the
    training part what was created more than so many days before the test tickets.

    ``settled``: a ticket trains if its target passed before the test tickets were created, whatever
    became of it, and tests if it passed before the export was taken. Otherwise it trains if its
    label was known by then, which is so for the quick ones first.
    """

    name: SplitKind = MISSING
    test_size: OpenShare = 0.2
    seed: Seed = 42
    folds: Annotated[int, Bounds(at_least=2)] = 5
    test_from: Day | None = None
    test_until: Day | None = None
    train_days: Positive | None = None
    settled: bool = False


@dataclass
class Calibration:
    """How scores become probabilities; fitted on out-of-fold scores."""

    name: CalibrationKind = MISSING


@dataclass
class Decision:
    """The decision policy. ``per_day`` is the capacity: the most escalations of one day.

    ``break_even_factor`` multiplies the break-even probability of each ticket. At 2, the per-ticket
    rule decides as if escalations cost twice what is paid for them: what wrong costs lose.
    """

    name: DecisionKind = MISSING
    per_day: Count | None = None
    break_even_factor: Annotated[float, Bounds(above=0)] = 1.0


@dataclass
class Evaluation:
    """How much work the evaluation does."""

    bootstrap_draws: Positive = 2000
    threshold_draws: Positive = 500  # each finds a best threshold; its interval is for reading
    confidence: OpenShare = 0.95
    importance_repeats: Count = 5  # 0 leaves the importance out
    importance_tickets: Positive = 1000  # a random part of a larger test set
    seed: Seed = 42


@dataclass
class Tracking:
    """Where MLflow lives. ``uri`` null means ``MLFLOW_TRACKING_URI``, or the local store."""

    name: str = MISSING
    uri: str | None = None
    experiment: str = "sla-breach-risk"
    registered_model: str = "sla-breach-risk"


class ModelLog(Enum):
    """Of which jobs of a sweep the model and the plots are logged."""

    best = "best"
    all = "all"


class Stage(Enum):
    """What a job of a sweep is for: tried by the sweep, or to see what seeds do to a choice."""

    trial = "trial"
    tuned = "tuned"
    default = "default"


@dataclass
class SweepJob:
    """A job's place in its sweep, filled in by the sweep: its parent run, and its part in it.

    ``folder`` is where the jobs of one command share what they have prepared and say how far they
    are; ``job`` tells them apart. ``at_once`` is how many of them run at the same time.
    """

    parent: str | None = None
    folder: str | None = None
    job: str | None = None
    at_once: int = 1
    stage: Stage = Stage.trial
    trial: int | None = None


@dataclass
class TrainConfig:
    """``python train.py``.

    ``from_run`` is the id of a run to be repeated: everything else is taken from it.
    ``skip_finished`` takes over a run with the same config, data and code instead of a new one.
    ``choices`` and ``overrides`` are what the command line chose: filled in when it is read.
    """

    data: DataPolicy = MISSING
    sla: SlaPolicy = MISSING
    cost: CostPolicy = MISSING
    features: FeatureSet = MISSING
    split: Split = MISSING
    model: dict[str, Any] = MISSING
    weight: Weight = Weight.none
    calibration: Calibration = MISSING
    decision: Decision = MISSING
    evaluation: Evaluation = field(default_factory=Evaluation)
    tracking: Tracking = MISSING
    moment: Moment = Moment.created
    from_run: str | None = None
    skip_finished: bool = False
    log_models: ModelLog = ModelLog.best
    sweep: SweepJob = field(default_factory=SweepJob)
    choices: dict[str, str] = field(default_factory=dict)
    overrides: list[str] = field(default_factory=list)


class PromoteAction(Enum):
    """What ``promote.py`` does."""

    promote = "promote"
    rollback = "rollback"
    status = "status"
    history = "history"


class Resample(Enum):
    """What the gate's bootstrap draws: tickets, whole creation days, or whichever is wider."""

    widest = "widest"
    tickets = "tickets"
    days = "days"


@dataclass
class PromoteConfig:
    """``python promote.py``.

    ``confidence`` and ``margin`` (dollars per ticket) say how clearly a candidate must beat the
    champion: the upper end of the paired interval of its loss minus the champion's must lie below
    ``-margin``. ``clearly_beat_baseline`` asks the same of its value over the best trivial rule.
    ``bootstrap_draws``, ``seed`` and ``resample`` are those of both intervals. Every comparison
    needs ``fewest_tickets`` test tickets, and ``fewest_breaches`` of those that breached and of
    those that did not. ``reason`` goes on record with what is done.
    """

    run_id: str | None = None
    action: PromoteAction = PromoteAction.promote
    dry_run: bool = False
    allow_policy_change: bool = False
    select_by: str = "objective"
    confidence: OpenShare = 0.95
    margin: float = 0.0
    fewest_tickets: Positive = 200
    fewest_breaches: Count = 30
    clearly_beat_baseline: bool = True
    reason: str | None = None
    bootstrap_draws: Positive = 2000
    seed: Seed = 42
    resample: Resample = Resample.widest
    tracking: Tracking = MISSING


@dataclass
class Export:
    """The recipe of the export."""

    name: str = MISSING


class Engine(Enum):
    """What ``score.py`` scores with."""

    local = "local"
    spark = "spark"


@dataclass
class ScoreConfig:
    """``python score.py``.

    ``input`` defaults to the file the model was trained on, ``run_id`` to the champion,
    ``decision`` to the policy the model was trained with, ``rejected`` to
    ``<output>.rejected.csv``. ``-`` is standard input, and standard output. ``max_rejected`` is the
    share of rows above which nothing is written.
    """

    input: str | None = None
    output: Annotated[str, FileEnding(".csv", ".parquet", ".pq", stdout=True)] = (
        "outputs/risk_scores.csv"
    )
    rejected: Annotated[str, FileEnding(".csv")] | None = None
    run_id: str | None = None
    engine: Engine = Engine.local
    max_rejected: Share = 0.5
    decision: Decision | None = None
    export: Export = MISSING
    tracking: Tracking = MISSING


@dataclass
class Costliest:
    """The ``count`` combinations of the fields in ``by`` whose breaches cost most."""

    by: list[str] = field(default_factory=list)
    count: Positive = 2


@dataclass
class Scenario:
    """A measure: whom it reaches, what it achieves, what it costs.

    The tickets are those that meet every condition of ``segment`` (by field: a value, a list of
    values, ``{not: value}``, or ``{at_least: number, below: number}``), those that meet all of
    one of several such sets (``any_of``), or those of the ``costliest`` segments. ``reduction`` is
    the share of their breaches that the measure prevents, for ``cost`` dollars and
    ``cost_per_ticket`` more for each ticket of the segment.
    """

    title: str = MISSING
    segment: dict[str, Any] = field(default_factory=dict)
    any_of: list[dict[str, Any]] = field(default_factory=list)
    costliest: Costliest | None = None
    reduction: Share = MISSING
    cost: Dollars = 0.0
    cost_per_ticket: Dollars = 0.0


@dataclass
class Measures:
    """What a measure on any one segment is taken to achieve, and its effort in points.

    ``reduction`` is the share of the segment's breaches that it prevents. It takes
    ``setup_effort`` points, and the segment's share of ``reach_effort``, which is what reaching all
    tickets would take.
    ``budget`` is the points that the best set of measures may take. ``fields`` are what segments
    are made of, alone and in pairs; null takes the first four of the policy's categorical fields.
    """

    reduction: Annotated[float, Bounds(above=0, at_most=1)] = 0.2
    setup_effort: Points = 1.0
    reach_effort: Points = 10.0
    budget: Points = 10.0
    fields: list[str] | None = None


@dataclass
class KpiTarget:
    """The breach rate that the tickets of one ``value`` of a ``field`` must stay below."""

    field: str = "priority"
    value: str = "Critical"
    below: OpenShare = 0.1


@dataclass
class AnalyzeConfig:
    """``python analyze.py``.

    ``fields`` are broken down and tested beside the policy's categorical ones. Segments with fewer
    than ``min_tickets`` get no row. ``capacities`` are escalations a day. ``compare`` is the run id
    of an earlier analysis. ``split`` comes with the data policy, and an analysis has no use for it.
    """

    data: DataPolicy = MISSING
    sla: SlaPolicy = MISSING
    cost: CostPolicy = MISSING
    split: Split = MISSING
    scenarios: dict[str, Scenario] = field(default_factory=dict)
    measures: Measures = field(default_factory=Measures)
    kpi: KpiTarget = field(default_factory=KpiTarget)
    capacities: list[Positive] = field(default_factory=lambda: [10, 25, 50, 100])
    fields: list[str] = field(default_factory=list)
    min_tickets: Positive = 10
    confidence: OpenShare = 0.95
    bootstrap_draws: Positive = 1000
    seed: Seed = 42
    output: Annotated[str, FileEnding(".html", ".htm")] = "outputs/report.html"
    compare: str | None = None
    tracking: Tracking = MISSING


ROOTS = {
    "train": TrainConfig,
    "promote": PromoteConfig,
    "score": ScoreConfig,
    "analyze": AnalyzeConfig,
}
