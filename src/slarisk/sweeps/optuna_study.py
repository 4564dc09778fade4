"""An Optuna study that survives: resumed after a kill, shared by machines, never short of a trial.

Hydra's Optuna sweeper asks for a batch of trials and tells their values once the whole batch is
done. A worker that is killed leaves its trials running for ever, and the command that is run again
draws the same first trials anew. Here

* each trial has a rank, from 0 on, and draws from a seed of its own: the study's plus its rank.
  The rank of a trial that was cut off goes to the next, so a study that was interrupted goes on as
  if it had not been;
* each trial carries its worker and the time it was last seen alive. A trial whose worker is gone
  takes its value from its MLflow run, if that had finished, or is queued again with the same
  parameters;
* workers need no other agreement than the numbers that the database gives their trials: of those
  that take a rank together, the one with the lower number has the first choice, and one that finds
  no rank left gives its trial back.
"""

from __future__ import annotations

import itertools
import math
import threading
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import optuna
from filelock import FileLock
from optuna.trial import TrialState
from sqlalchemy.exc import SQLAlchemyError

from slarisk.errors import InputError
from slarisk.tracking.store import create_whole, hide_password
from slarisk.tracking.workers import current_worker, is_local_worker, worker_died

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from optuna.distributions import BaseDistribution
    from optuna.trial import FrozenTrial, Trial

_LOCAL = "sqlite:///"
WORKER, SEEN, RANK, FAILURE = "worker", "seen_at", "rank", "failure"
GROUND, PARENT = "ground", "parent_run"
FINISHING, FINISHING_SEEN = "finishing", "finishing_seen_at"
_PULSE = 20.0  # seconds between two signs of life
_SILENCE = 120.0  # seconds without one, after which a worker elsewhere is taken for dead
_PATIENCE = 60.0  # seconds for another worker to set a new study up
_EDGE = 0.02  # of a parameter's range
_DATABASE_ERRORS = (SQLAlchemyError, optuna.exceptions.StorageInternalError)

MakeSampler = Callable[[int], optuna.samplers.BaseSampler]


def open_study(
    storage: str, name: str, ground: str, set_up: Callable[[optuna.Study], str]
) -> tuple[optuna.Study, str]:
    """Open a study, or create it; whoever creates it sets it up.

    Parameters
    ----------
    storage, name : str
        As Optuna takes them. The objective is a loss: it is minimised.
    ground : str
        What its values depend on. A study that was begun on another ground is refused.
    set_up : function
        Begins the study's parent run, and gives its id.

    Returns
    -------
    study, parent : Study and str
        The study, and the id of its parent run.

    Raises
    ------
    InputError
        The database cannot be opened, or the study is about something else.
    """
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    with lock_study(storage):
        study, created = _create_study(storage, name)
        # Without the parent run, it was being set up: by a process that is gone if we hold the
        # lock, by a worker on another machine if there is no lock to hold.
        patience = 0.0 if created or _is_local(storage) else _PATIENCE
        deadline = time.monotonic() + patience
        while PARENT not in study.user_attrs:
            if time.monotonic() >= deadline:
                study.set_user_attr(GROUND, ground)
                study.set_user_attr(PARENT, set_up(study))
            else:
                time.sleep(0.2)
    if study.user_attrs[GROUND] != ground:
        raise InputError(
            f"The study {name} was begun with another config, other data or another search space, "
            "so its trials cannot be compared with new ones. Give this search a name of its own: "
            "hydra.sweeper.study_name=<name>"
        )
    return study, str(study.user_attrs[PARENT])


def _create_study(storage: str, name: str) -> tuple[optuna.Study, bool]:
    try:
        opened = _open_storage(storage)
        try:
            return optuna.create_study(storage=opened, study_name=name, direction="minimize"), True
        except optuna.exceptions.DuplicatedStudyError:
            return optuna.load_study(storage=opened, study_name=name), False
    except (*_DATABASE_ERRORS, ImportError, ValueError, RuntimeError) as error:
        reason = str(error).strip().splitlines()[0]
        raise InputError(
            f"The study {name} in {hide_password(storage)} cannot be opened: "
            f"{hide_password(reason)}"
        ) from error


def _open_storage(url: str) -> optuna.storages.RDBStorage:
    """Open the database; of workers that create its tables together, all but one try again."""
    if _is_local(url):
        create_whole(_find_file(url), _create_tables)
    for _ in range(4):
        try:
            return optuna.storages.RDBStorage(url)
        except _DATABASE_ERRORS:
            time.sleep(1)
    return optuna.storages.RDBStorage(url)


def _create_tables(url: str) -> None:
    storage = optuna.storages.RDBStorage(url)
    storage.remove_session()
    storage.engine.dispose()


def _find_file(storage: str) -> Path:
    return Path(storage.removeprefix(_LOCAL))


def _is_local(storage: str) -> bool:
    return storage.startswith(_LOCAL)


@contextmanager
def lock_study(storage: str) -> Iterator[None]:
    """Keep the other workers of this machine from the study; those of others have no file to lock.

    SQLite is used from one machine, so there the lock is enough.
    """
    if not _is_local(storage):
        yield
        return
    path = _find_file(storage)
    if not path.absolute().parent.is_dir():  # the lock would make it
        raise InputError(f"The study in {storage} cannot be opened: no folder {path.parent}.")
    lock = FileLock(f"{path}.lock")
    try:
        lock.acquire()
    except OSError as error:
        raise InputError(f"The study in {storage} cannot be opened: {error}") from error
    try:
        yield
    finally:
        lock.release()


@dataclass
class Search:
    """A worker's part in a study of ``n_trials`` trials.

    ``find_value`` looks up the run of a trial, by its number, whose worker is gone or stopped. It
    gives the objective if the run finished, and ends it if it did not.
    """

    study: optuna.Study
    storage: str
    n_trials: int
    space: dict[str, BaseDistribution]
    make_sampler: MakeSampler
    find_value: Callable[[int], float | None]
    mine: dict[int, Trial] = field(default_factory=dict)
    concluding: bool = False

    def count_left(self) -> int:
        """Count the trials that nobody has begun yet."""
        begun = [trial for trial in self.study.trials if trial.state is not TrialState.WAITING]
        return self.n_trials - sum(counts(trial) for trial in begun)

    def claim(self) -> Trial | None:
        """Take the next trial, with its parameters; None if there is none left."""
        with lock_study(self.storage):
            trial = self._claim()
        if trial is not None:
            self.mine[trial.number] = trial
        return trial

    def _claim(self) -> Trial | None:
        if self.count_left() <= 0:
            return None
        self.study.sampler = self.make_sampler(self._find_rank(None))
        trial = self.study.ask()
        trial.set_user_attr(WORKER, current_worker())
        trial.set_user_attr(SEEN, time.time())
        rank = trial.user_attrs.get(RANK)  # one that was queued again has it
        if rank is None:
            rank = self._find_rank(trial.number)
            if rank >= self.n_trials:  # others were faster
                self.study.tell(trial, state=TrialState.FAIL)
                return None
            trial.set_user_attr(RANK, rank)
        self.study.sampler = self.make_sampler(rank)
        for name, distribution in self.space.items():
            trial._suggest(name, distribution)
        return trial

    def _find_rank(self, number: int | None) -> int:
        """Find the first rank that is free; ``number`` is that of the trial that is to have it."""
        trials = [trial for trial in self.study.get_trials(deepcopy=False) if counts(trial)]
        taken = {trial.user_attrs.get(RANK) for trial in trials}
        free = (rank for rank in itertools.count() if rank not in taken)
        before = sum(
            RANK not in trial.user_attrs for trial in trials if trial.number < (number or 0)
        )
        return next(itertools.islice(free, before, None))

    def finish(self, trial: Trial, value: float) -> None:
        """Tell the value of a trial."""
        if math.isnan(value):  # Optuna would fail it as one that was interrupted: it came again
            self.fail(trial, "its objective is not a number")
            return
        self._tell(trial.number, value)
        del self.mine[trial.number]

    def fail(self, trial: Trial, reason: str) -> None:
        """Tell that a trial cannot be done: it counts, and is not tried again."""
        with suppress(optuna.exceptions.UpdateFinishedTrialError):
            trial.set_user_attr(FAILURE, reason[:1000])
        self._tell(trial.number, None)
        del self.mine[trial.number]

    def _tell(self, number: int, value: float | None) -> bool:
        """Tell how a trial ended; False if another worker, to whom we seemed dead, has done so."""
        try:
            self.study.tell(number, value, state=TrialState.FAIL if value is None else None)
        except (ValueError, optuna.exceptions.UpdateFinishedTrialError):
            return False
        return True

    def release(self) -> None:
        """Queue the trials of this worker again: it is being stopped."""
        with lock_study(self.storage):
            for number in list(self.mine):
                self._settle(self.study.trials[number])
                del self.mine[number]

    def recover(self) -> None:
        """Settle the trials of workers that are gone."""
        with lock_study(self.storage):
            for trial in self.study.trials:
                if trial.state is TrialState.RUNNING and self._is_abandoned(trial):
                    self._settle(trial)
            if _is_local(self.storage):  # elsewhere another worker may be about to
                self._queue_forgotten()

    def _is_abandoned(self, trial: FrozenTrial) -> bool:
        worker = trial.user_attrs.get(WORKER)
        if worker is None and _is_local(self.storage):  # we hold the lock under which it is claimed
            return True
        assert trial.datetime_start is not None
        return _is_gone(worker, trial.user_attrs.get(SEEN, trial.datetime_start.timestamp()))

    def _settle(self, trial: FrozenTrial) -> None:
        """Take a trial's value from its run, or queue its parameters again."""
        value, chosen = self.find_value(trial.number), self._choose(trial)
        told = self._tell(trial.number, value)
        if told and value is None and chosen and FAILURE not in trial.user_attrs:
            self._queue(trial, chosen)

    def _queue_forgotten(self) -> None:
        """Queue the parameters that a worker gave back, but was killed before it had queued."""
        trials = self.study.trials
        for trial in trials:
            chosen = None if counts(trial) else self._choose(trial)
            later = trials[trial.number + 1 :]
            if chosen and not any(self._choose(other) == chosen for other in later):
                self._queue(trial, chosen)

    def _queue(self, trial: FrozenTrial, chosen: dict[str, Any]) -> None:
        rank = trial.user_attrs.get(RANK)
        self.study.enqueue_trial(chosen, None if rank is None else {RANK: rank})

    def _choose(self, trial: FrozenTrial) -> dict[str, Any] | None:
        """Give all of a trial's parameters, also of one that was queued with them; else None."""
        chosen = {**trial.system_attrs.get("fixed_params", {}), **trial.params}
        return chosen if chosen.keys() == self.space.keys() else None

    def is_whole(self) -> bool:
        """Whether every trial has ended, whoever ran it."""
        trials = self.study.get_trials(deepcopy=False)
        return sum(trial.state.is_finished() and counts(trial) for trial in trials) >= self.n_trials

    @contextmanager
    def pulse(self) -> Iterator[None]:
        """Give signs of life for this worker's trials."""
        ended = threading.Event()

        def beat() -> None:
            while not ended.wait(_PULSE):
                signs: list[tuple[Trial | optuna.Study, str]]
                signs = [(trial, SEEN) for trial in list(self.mine.values())]
                signs += [(self.study, FINISHING_SEEN)] if self.concluding else []
                for target, sign in signs:
                    # a trial may have ended since, and a busy database gets its sign the next time
                    with suppress(optuna.exceptions.OptunaError, SQLAlchemyError):
                        target.set_user_attr(sign, time.time())

        thread = threading.Thread(target=beat, daemon=True)
        thread.start()
        try:
            yield
        finally:
            ended.set()
            thread.join()

    def take_finishing(self) -> bool:
        """Whether it falls to this worker to draw the study's conclusions."""
        known = self.study.user_attrs
        taken = known.get(FINISHING)
        if taken not in (None, current_worker()) and not _is_gone(
            taken, known.get(FINISHING_SEEN, 0)
        ):
            return False
        self.study.set_user_attr(FINISHING_SEEN, time.time())
        self.study.set_user_attr(FINISHING, current_worker())
        time.sleep(1)  # of workers that do so at once, the last has written
        self.concluding = bool(self.study.user_attrs[FINISHING] == current_worker())
        return self.concluding

    def leave_finishing(self) -> None:
        """Say that the conclusions are drawn, or must be by someone else."""
        self.concluding = False
        if self.study.user_attrs.get(FINISHING) == current_worker():
            self.study.set_user_attr(FINISHING, None)


def _is_gone(worker: str | None, seen: float) -> bool:
    """Whether a worker has died; of one elsewhere only its silence tells."""
    if worker is not None and is_local_worker(worker):
        return worker_died(worker)  # one that is only suspended has not
    return time.time() - seen > _SILENCE


def counts(trial: FrozenTrial) -> bool:
    """Whether a trial is one of those asked for: not one that was interrupted or given back."""
    return trial.state is not TrialState.FAIL or FAILURE in trial.user_attrs


def find_edges(trial: FrozenTrial) -> dict[str, str]:
    """Name the parameters of a trial that lie at an edge of their space, with the edge in words."""
    edges = {}
    for name, distribution in trial.distributions.items():
        if isinstance(distribution, optuna.distributions.CategoricalDistribution):
            continue
        assert isinstance(
            distribution,
            optuna.distributions.FloatDistribution | optuna.distributions.IntDistribution,
        )
        low, high = distribution.low, distribution.high
        place = _place(trial.params[name], low, high, distribution.log)
        if low < high and not _EDGE < place < 1 - _EDGE:
            end = f"lowest, {low:g}" if place <= _EDGE else f"highest, {high:g}"
            edges[name] = f"{trial.params[name]:g} (the {end})"
    return edges


def _place(value: float, low: float, high: float, log: bool) -> float:
    if high == low:
        return 0.5
    if log:
        return (math.log(value) - math.log(low)) / (math.log(high) - math.log(low))
    return (value - low) / (high - low)


def take_defaults(
    model: dict[str, Any], space: dict[str, BaseDistribution]
) -> dict[str, Any] | None:
    """Take the values that the search space varies from the config; None if one is outside."""
    defaults = {}
    for name, distribution in space.items():
        key = name.removeprefix("model.")
        if key not in model:
            return None
        try:
            if not distribution._contains(distribution.to_internal_repr(model[key])):
                return None
        except (ValueError, TypeError):
            return None
        defaults[name] = model[key]
    return defaults


def list_values(study: optuna.Study) -> list[tuple[int, float]]:
    """List the best value so far after each finished trial, in the order they finished."""
    best, values = float("inf"), []
    done = [trial for trial in study.trials if trial.state is TrialState.COMPLETE]
    for step, trial in enumerate(sorted(done, key=_completed)):
        assert trial.value is not None
        best = min(best, trial.value)
        values.append((step, best))
    return values


def _completed(trial: FrozenTrial) -> tuple[Any, int]:
    return trial.datetime_complete, trial.number


@contextmanager
def drawn_study(study: optuna.Study) -> Iterator[dict[str, Figure]]:
    """Draw Optuna's history and importance of the parameters; figures by artifact path."""
    from matplotlib import pyplot
    from optuna.visualization import matplotlib as draw

    figures = {}
    plots: Sequence[tuple[str, Callable[[optuna.Study], Any], int]] = (
        ("plots/history.png", draw.plot_optimization_history, 1),
        ("plots/param_importances.png", draw.plot_param_importances, 2),
        ("plots/parallel_coordinates.png", draw.plot_parallel_coordinate, 2),
    )
    values = {trial.value for trial in study.get_trials(states=[TrialState.COMPLETE])}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        # all trials chose the same of several categories
        warnings.filterwarnings("ignore", "Attempting to set identical low and high ylims")
        for path, plot, least in plots:
            if len(values) >= least:
                figure = plot(study).figure
                figure.set_size_inches(8, 5)
                figures[path] = figure
    try:
        yield figures
    finally:
        for figure in figures.values():  # Optuna draws them where they would stay
            pyplot.close(figure)
