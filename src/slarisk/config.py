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

from slarisk.constraints import (
    Bounds,
    Date,
    Delimiter,
    FileEnding,
    NoPassword,
    OneOf,
    Shift,
    TimeZone,
)

MISSING: Any = "???"  # OmegaConf's mark for a key that some YAML file must give

_MOST_HOURS = 1_000_000  # no SLA target is 114 years, and far more would overflow a date
_MOST_SEED = 2**32 - 1  # of NumPy's legacy generator, which scikit-learn uses

Share = Annotated[float, Bounds(at_least=0, at_most=1)]
OpenShare = Annotated[float, Bounds(above=0, below=1)]  # neither none nor all
Dollars = Annotated[float, Bounds(at_least=0)]
Points = Annotated[float, Bounds(at_least=0)]
Days = Annotated[float, Bounds(above=0)]
Hours = Annotated[float, Bounds(above=0, at_most=_MOST_HOURS)]
Positive = Annotated[int, Bounds(at_least=1)]
Count = Annotated[int, Bounds(at_least=0)]
Seed = Annotated[int, Bounds(at_least=0, at_most=_MOST_SEED)]
Day = Annotated[str, Date()]
Zone = Annotated[str, TimeZone()]
Shifts = list[Annotated[str, Shift()]]


class Moment(Enum):
    """When a field becomes known, in order. A field that a policy does not list is never known.

    ``open`` is no such moment: a prediction is made at any age at which a ticket is still open.
    """

    created = "created"
    first_response = "first_response"
    resolved = "resolved"
    open = "open"
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
    now_or_later = "now_or_later"
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

    With ``kind: column`` the values ``breach_value`` (one, or a list) of ``column`` mean a breach,
    and ``met_values`` that it was met (default: the opposite of a yes or no, or the one other
    value). What is neither is no label. A ticket that is still open has no outcome, whatever the
    column says, unless the column is ``final``.

    ``closed_statuses`` are values of the field ``status`` of tickets that are not open, whether or
    not there is a date; tickets with one of ``cancelled_statuses`` get no label at all.

    ``known_at`` names the date field that says when the label was known; without it that is the
    resolution, or the moment an unresolved ticket passed its target. ``observed_at`` is the moment
    the export was taken (default: the latest time in the data, due dates and dates far ahead of all
    others aside; name it if another date lies ahead).
    ``late_if_open_after`` (hours since the creation) is for a column without due dates, with
    ``split.settled``: a ticket without a label for so long counts as breached; null: the age is
    learnt. Tickets in ``quarantine`` neither train nor test.
    """

    kind: LabelKind = LabelKind.target
    column: str | None = None
    breach_value: Any = "true"  # a text, or a list of texts
    met_values: list[str] = field(default_factory=list)
    final: bool = False
    closed_statuses: list[str] = field(default_factory=list)
    cancelled_statuses: list[str] = field(default_factory=list)
    known_at: str | None = None
    observed_at: Day | None = None
    late_if_open_after: Hours | None = None
    quarantine: list[Quarantine] = field(default_factory=list)


class Which(Enum):
    """Which of several events counts."""

    first = "first"
    last = "last"


@dataclass
class ChosenEvent:
    """The first or the last event of some kinds; of any kind, if ``of`` is empty."""

    of: list[str] = field(default_factory=list)
    which: Which = Which.first


@dataclass
class EventLog:
    """Several rows per ticket, put in order by the field ``order``: a number or a date.

    What is known at creation is read from the first event, everything else from the last; unless
    ``take`` says from which event a field is taken. ``kind`` is the field that says what kind of
    event a row is (the activity). A ticket whose first event has one of the statuses ``resolved``
    arrives resolved: nobody can escalate it. ``changed_at`` is the date of an event, from which on
    the fields in ``known.changing`` have its values; null: the date that orders the events.
    """

    order: str = MISSING
    kind: str | None = None
    take: dict[str, ChosenEvent] = field(default_factory=dict)
    resolved: list[str] = field(default_factory=list)
    changed_at: str | None = None


@dataclass
class Known:
    """The fields known at each moment; a field in no list is never known.

    ``changing`` are fields of an event log that may be read as of any moment: with ``moment=open``
    they have the value of the last event by then. One that is known at creation may be among them.
    ``vouched`` names fields that somebody vouches for, with a reason: SR009 does not judge them,
    and says so in the run's table of checks.
    """

    created: list[str] = field(default_factory=list)
    first_response: list[str] = field(default_factory=list)
    resolved: list[str] = field(default_factory=list)
    changing: list[str] = field(default_factory=list)
    vouched: dict[str, str] = field(default_factory=dict)


@dataclass
class CostColumns:
    """Fields that carry each ticket's own costs, in dollars.

    ``breach`` is that of a missed breach, ``escalation`` that of a false alarm. ``tp`` is lost on a
    ticket that is escalated and would have breached, ``tn`` on one that is left and meets its
    target; without them the cost policy gives the one, and the other is 0.
    """

    breach: str | None = None
    escalation: str | None = None
    tp: str | None = None
    tn: str | None = None


@dataclass
class FeatureFields:
    """The fields of a data policy that feature sets may use.

    ``groups`` are what context is counted by: ``all`` tickets, or those with the same value of a
    field, or of several (``priority+channel``). ``people`` are fields that name who calls or opens.
    ``changing`` are categories and ``so_far`` counts of what has happened to an open ticket, for
    ``moment=open``: see :class:`FeatureSet`.
    """

    categorical: list[str] = field(
        default_factory=lambda: ["ticket_type", "priority", "channel", "product"]
    )
    numeric: list[str] = field(default_factory=list)
    text: list[str] = field(default_factory=list)
    groups: list[str] = field(default_factory=lambda: ["all"])
    people: list[str] = field(default_factory=list)
    changing: list[str] = field(default_factory=list)
    so_far: list[str] = field(default_factory=list)


@dataclass
class DataPolicy:
    """From an export to tickets: the file, what its columns mean, when each becomes known.

    ``path`` is a file, a folder, a glob, or the address of a database, from which ``query`` reads.
    A password in it is named, not written: ``postgresql://reader:$PASSWORD@host/desk`` takes the
    environment variable. ``format`` auto goes by the ending and the beginning of a file. The header
    is the first row with all columns that are needed, whatever stands before it; without a
    ``header``, columns are called ``1``, ``2``, ... The first ``skip_lines`` are not looked at.
    ``decimal`` and ``thousands`` are the marks in numbers: of numeric features, costs, durations
    and the fields in ``numbers``.

    ``columns`` maps a field (``ticket_id``, ``created_at``, ``priority``, ... or any name of your
    own) to the column of the file; everything else in a policy speaks of fields. One column may
    feed several fields. ``known`` says which fields are known at which moment. ``values`` renames
    values of a field; those of the fields in ``ignore_case`` are read in lower case.

    ``formats_of`` has the date formats of a field that is written otherwise than ``date_formats``.
    ``times`` names, by date field, the field with its time of day, where that is a column of its
    own. ``durations`` names the unit of numbers in fields that hold durations, of which two mean
    something: ``resolution_hours`` is the time to resolve where no date says it, and
    ``sla_target_hours`` the target of each ticket. ``segments`` are
    the fields whose training breach rates make the segment baseline. ``test_from`` and
    ``test_until`` are the period that the temporal split holds out. ``timezone`` is that of the
    times that are written without an offset, and of days, weekdays and hours; null takes them as
    they are written.
    """

    name: str = MISSING
    path: Annotated[str, NoPassword()] = MISSING
    format: Annotated[str, OneOf("auto", "csv", "parquet", "jsonl", "json", "excel")] = "auto"
    member: str | None = None  # the file inside a zip; default: the only one
    sheet: str | None = None  # of a workbook; default: the only one with the columns
    query: str | None = None  # of a database
    encoding: str = "utf-8"
    delimiter: Annotated[str, Delimiter()] = ","
    header: bool = True
    skip_lines: Count = 0
    decimal: Annotated[str, OneOf(".", ",")] = "."
    thousands: Annotated[str, OneOf(".", ",", "'", " ")] | None = None
    missing: list[str] = field(default_factory=lambda: ["", "NA", "N/A", "NaN", "null", "None"])
    date_formats: list[str] = field(
        default_factory=lambda: ["%Y-%m-%d %H:%M:%S", "%Y-%m-%d %H:%M", "ISO8601"]
    )
    timezone: Zone | None = None
    columns: dict[str, str] = field(default_factory=dict)
    formats_of: dict[str, list[str]] = field(default_factory=dict)
    dates: list[str] = field(default_factory=list)  # date fields beyond the five canonical ones
    numbers: list[str] = field(default_factory=list)  # number fields beyond those named elsewhere
    times: dict[str, str] = field(default_factory=dict)
    durations: dict[str, Annotated[str, OneOf("days", "hours", "minutes", "seconds")]] = field(
        default_factory=dict
    )
    values: dict[str, dict[Any, str]] = field(default_factory=dict)
    ignore_case: list[str] = field(default_factory=list)
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
class Week:
    """The working hours of each weekday. A shift past midnight belongs to the day it begins on."""

    monday: Shifts = field(default_factory=list)
    tuesday: Shifts = field(default_factory=list)
    wednesday: Shifts = field(default_factory=list)
    thursday: Shifts = field(default_factory=list)
    friday: Shifts = field(default_factory=list)
    saturday: Shifts = field(default_factory=list)
    sunday: Shifts = field(default_factory=list)


@dataclass
class PublicHolidays:
    """The public holidays of a country, or of one of its regions, as ``holidays`` names them."""

    country: str = MISSING
    region: str | None = None


@dataclass
class WorkingHours:
    """When time counts towards a target.

    ``week`` without any shift is 24 hours, 7 days. On public ``holidays`` and ``closed`` days no
    time counts from midnight to midnight. ``timezone`` null is that of the tickets.
    """

    week: Week = field(default_factory=Week)
    timezone: Zone | None = None
    holidays: list[PublicHolidays] = field(default_factory=list)
    closed: list[Day] = field(default_factory=list)


@dataclass
class Clock(WorkingHours):
    """How hours are counted towards a target; ``priorities`` have working hours of their own."""

    name: str = "always"
    priorities: dict[str, WorkingHours] = field(default_factory=dict)


@dataclass
class Pause:
    """When the clock of a ticket stands still; each key but ``statuses`` names a field.

    ``statuses`` are values of the field ``status`` of an event log: the clock stands from
    ``changed_at`` of such an event until that of the ticket's next one. Or ``begins`` and ``ends``
    are the dates of a pause, one a ticket, or one an event. Or ``minutes`` has what was paused in
    all, on the clock.
    """

    statuses: list[str] = field(default_factory=list)
    status: str = "status"
    changed_at: str | None = None
    begins: str | None = None
    ends: str | None = None
    minutes: str | None = None


@dataclass
class SlaPolicy:
    """Targets (hours) and breach costs (dollars) by priority, and the clock that counts hours.

    ``default_target`` and ``default_cost`` serve unknown priorities under
    ``unknown_priority: default``, and every ticket of a system without priorities.
    """

    name: str = MISSING
    targets: dict[Any, Hours] = field(default_factory=dict)
    costs: dict[Any, Dollars] = field(default_factory=dict)
    aliases: dict[Any, str] = field(default_factory=dict)
    unknown_priority: UnknownPriority = UnknownPriority.error
    default_target: Annotated[float, Bounds(at_least=0, at_most=_MOST_HOURS)] | None = None
    default_cost: Dollars | None = None
    clock: Clock = field(default_factory=Clock)
    pause: Pause = field(default_factory=Pause)


class EffectKind(Enum):
    """How the effect of an escalation depends on when it comes."""

    constant = "constant"  # the same at any time before the breach
    fading = "fading"  # less and less, linear between points
    expedited = "expedited"  # an escalated ticket takes a time of its own, which must be left


class FadingBy(Enum):
    """What the points of a fading effect count: the share of the target, or the hours, gone by."""

    share = "share"
    hours = "hours"


@dataclass
class CostPolicy:
    """What an escalation costs (dollars) and achieves.

    ``charged`` is the share of the escalation cost paid when the ticket would have breached;
    ``effectiveness`` the share of its breach cost that the escalation averts, times its ``effect``
    at the moment it comes.

    ``expedited``: from then on the ticket takes a lognormal time with a median of
    ``expedited_share`` of its target, and a deviation of ``expedited_spread`` of its logarithm; the
    breach is averted if that much is left. ``fading``: points, each the share of the target, or the
    hours (``fading_by``), that have passed, and the part of the effect that is left.
    """

    name: str = MISSING
    escalation_cost: Dollars = MISSING
    charged: Share = MISSING
    effectiveness: Share = MISSING
    effect: EffectKind = EffectKind.constant
    expedited_share: Annotated[float, Bounds(above=0)] = 0.25
    expedited_spread: Annotated[float, Bounds(above=0)] = 0.6
    fading: list[list[float]] = field(default_factory=lambda: [[0.0, 1.0], [1.0, 0.0]])
    fading_by: FadingBy = FadingBy.share


@dataclass
class Load:
    """How busy the desk is when a ticket is created, for each group in ``by``.

    ``open`` are the tickets that wait then; ``arrived`` and ``resolved`` are counted over each of
    the last ``hours``.
    """

    by: list[str] = field(default_factory=lambda: ["all"])
    counts: list[Annotated[str, OneOf("open", "arrived", "resolved")]] = field(
        default_factory=lambda: ["open", "arrived", "resolved"]
    )
    hours: list[Hours] = field(default_factory=lambda: [24.0])


@dataclass
class Rates:
    """The breach rate of each group in ``by``, of labels known in the last ``days``."""

    by: list[str] = field(default_factory=lambda: ["all"])
    days: list[Days] = field(default_factory=lambda: [30.0])


@dataclass
class Past:
    """The tickets of the last ``days`` of whoever a field in ``of`` names: a caller, an opener."""

    of: list[str] = field(default_factory=list)
    days: Days = 90.0


@dataclass
class FeatureSet:
    """Which fields a model sees, and how they are treated.

    ``calendar`` takes parts of the creation time: ``hour``, ``weekday``, ``weekend``, ``month``,
    ``hour_cyclic``, ``weekday_cyclic``. ``days_since`` gives the days from a date field to the
    creation. ``max_categories`` keeps the most frequent values of a column and groups the rest;
    null keeps all. ``load``, ``rates`` and ``past`` are made of what was known of other tickets
    when a ticket was created. ``timezone`` is where the calendar is; of a run, that of its data.

    With ``moment=open`` only: ``now`` takes ``age``, ``weekday_hours`` (Monday to Friday, since the
    creation), ``share`` (of the target), ``hours_left``, ``hour`` and ``weekday`` of the moment at
    which an open ticket is looked at; ``changing`` are
    fields as they stand then, as categories; ``so_far`` takes ``events`` (their number), ``idle``
    (hours since the last) and ``changes of <field>``.
    """

    name: str = MISSING
    categorical: list[str] = field(default_factory=list)
    numeric: list[str] = field(default_factory=list)
    calendar: list[str] = field(default_factory=list)
    days_since: list[str] = field(default_factory=list)
    text: list[str] = field(default_factory=list)
    load: list[Load] = field(default_factory=list)
    rates: list[Rates] = field(default_factory=list)
    past: list[Past] = field(default_factory=list)
    now: list[str] = field(default_factory=list)
    changing: list[str] = field(default_factory=list)
    so_far: list[str] = field(default_factory=list)
    max_categories: Positive | None = 100
    scale: bool = True
    timezone: Zone | None = None


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
class Landmarks:
    """The ages at which a ticket that is still open is looked at, beside its creation.

    ``shares`` of its target; ``hours`` for a ticket without a target. A model is fitted on each
    ticket at its creation and at ``fitted`` of the landmarks that it reached, drawn at random; null
    takes all.
    """

    shares: list[OpenShare] = field(
        default_factory=lambda: [0.05, 0.1, 0.2, 0.3, 0.45, 0.6, 0.75, 0.9, 0.99]
    )
    hours: list[Hours] = field(
        default_factory=lambda: [0.5, 1, 2, 4, 8, 12, 24, 36, 48, 72, 96, 120, 168, 240]
    )
    fitted: Positive | None = None


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

    ``half_life`` (days) has each training ticket count half as much as one created so many days
    later; null: all count alike. ``weight`` comes on top of it.
    ``max_rejected`` is the share of rows with a fault, above which nothing is trained.
    ``moment`` is when predictions are made: at creation or, with ``open``, at each of the
    ``landmarks`` that a ticket reaches.
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
    half_life: Days | None = None
    calibration: Calibration = MISSING
    decision: Decision = MISSING
    evaluation: Evaluation = field(default_factory=Evaluation)
    tracking: Tracking = MISSING
    max_rejected: Share = 0.5
    moment: Moment = Moment.created
    landmarks: Landmarks = field(default_factory=Landmarks)
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
    ``accept`` names failed checks that are accepted, each with a reason, which goes on record.
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
    accept: dict[str, str] = field(default_factory=dict)
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
    share of rows above which nothing is written. ``history``, for a model with context, is where
    earlier tickets are read from beside the input: a file, a folder, a glob, or ``kept``, what
    earlier scorings left beside the model. ``at`` is the moment as of which tickets are scored:
    null is the latest time in the input, ``now`` that of the clock. What is later is left out.
    """

    input: Annotated[str, NoPassword()] | None = None
    history: Annotated[str, NoPassword()] | None = None
    output: Annotated[str, FileEnding(".csv", ".parquet", ".pq", stdout=True)] = (
        "outputs/risk_scores.csv"
    )
    rejected: Annotated[str, FileEnding(".csv")] | None = None
    run_id: str | None = None
    engine: Engine = Engine.local
    max_rejected: Share = 0.5
    decision: Decision | None = None
    at: Annotated[str, Date("now")] | None = None
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
    of an earlier analysis. ``max_rejected`` is the share of rows with a fault, above which nothing
    is analysed. ``split`` comes with the data policy, and an analysis has no use for it.
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
    max_rejected: Share = 0.5
    tracking: Tracking = MISSING


ROOTS = {
    "train": TrainConfig,
    "promote": PromoteConfig,
    "score": ScoreConfig,
    "analyze": AnalyzeConfig,
}
