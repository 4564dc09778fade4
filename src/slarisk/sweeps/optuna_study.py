"""An Optuna study that can be resumed after a kill and shared by machines, and loses no trial.

Hydra's Optuna sweeper asks for a batch of trials and tells Optuna their values once the whole batch
is done. If it is killed its trials stay RUNNING, and after a restart it draws the first trials
again. Here

* each trial has a rank, from 0 on, and draws from its own seed: the study's plus its rank. The rank
  of an interrupted trial goes to its successor, so an interrupted study draws what an undisturbed
  one would;
* each trial carries its worker and when that last gave a sign of life. A trial whose worker is dead
  takes its value from its MLflow run, if that finished, or is queued again with its parameters;
* workers without a common lock agree by the numbers that the database gives their trials: of two
  that take the same rank, the lower number comes first, and a worker that finds no rank left gives
  its trial back.
"""

from __future__ import annotations

import itertools
import math
import threading
import time
from collections.abc import Callable, Iterator
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
    from optuna.distributions import BaseDistribution
    from optuna.trial import FrozenTrial, Trial

_LOCAL = "sqlite:///"
# user attributes of trials, and of the study
WORKER, SEEN, RANK, FAILURE = "worker", "seen_at", "rank", "failure"
CONTEXT, PARENT = "ground", "parent_run"
CONCLUDING, CONCLUDING_SEEN = "finishing", "finishing_seen_at"
_HEARTBEAT = 20.0  # seconds between two signs of life
_SILENCE = 120.0  # seconds without one, after which a worker elsewhere counts as dead
_SETUP_SECONDS = 60.0  # for another worker to set up a new study
_DATABASE_ERRORS = (SQLAlchemyError, optuna.exceptions.StorageInternalError)


def open_study(
    storage: str, name: str, context: str, set_up: Callable[[optuna.Study], str]
) -> tuple[optuna.Study, str]:
    """Open a study that minimises its objective; create it and set it up if there is none.

    Parameters
    ----------
    storage, name : str
        As Optuna takes them.
    context : str
        Fingerprint of what its values depend on.
    set_up : function
        Begins the study's parent run, and returns its id.

    Returns
    -------
    study, parent : Study and str
        The study, and the id of its parent run.

    Raises
    ------
    InputError
        The database cannot be opened, or the study was begun with another context.
    """
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    with lock_study(storage):
        study, created = _create_study(storage, name)
        # A study without a parent run is being set up by a worker on another machine; where a lock
        # keeps workers apart, the one that set it up has died.
        patience = 0.0 if created or _is_local(storage) else _SETUP_SECONDS
        deadline = time.monotonic() + patience
        while PARENT not in study.user_attrs:
            if time.monotonic() >= deadline:
                study.set_user_attr(CONTEXT, context)
                study.set_user_attr(PARENT, set_up(study))
            else:
                time.sleep(0.2)
    if study.user_attrs[CONTEXT] != context:
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
    """Open the database, in several attempts: workers that create its tables together collide."""
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
    """Lock a study in an SQLite file, which only workers of this machine use; others have no lock.

    Raises
    ------
    InputError
        The file's folder does not exist or cannot be written.
    """
    if not _is_local(storage):
        yield
        return
    path = _find_file(storage)
    if not path.absolute().parent.is_dir():  # the lock would create it
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
class StudyWorker:
    """A process that runs trials of a study of ``n_trials`` trials, besides other processes.

    Parameters
    ----------
    study : Study
    storage : str
        Address of its database.
    n_trials : int
        Trials of the study in all.
    space : dict
        The distribution of each parameter.
    make_sampler : function
        Returns the sampler of the trial with this rank.
    fetch_value : function
        Returns the objective from the run of an interrupted trial, by the trial's number; if the
        run did not finish, ends it and returns None.
    """

    study: optuna.Study
    storage: str
    n_trials: int
    space: dict[str, BaseDistribution]
    make_sampler: Callable[[int], optuna.samplers.BaseSampler]
    fetch_value: Callable[[int], float | None]
    claimed: dict[int, Trial] = field(default_factory=dict)
    concluding: bool = False

    def count_left(self) -> int:
        """Count the trials that no worker has begun yet."""
        begun = [trial for trial in self.study.trials if trial.state is not TrialState.WAITING]
        return self.n_trials - sum(counts(trial) for trial in begun)

    def claim(self) -> Trial | None:
        """Claim the next trial, with its parameters; None if none is left."""
        with lock_study(self.storage):
            trial = self._claim()
        if trial is not None:
            self.claimed[trial.number] = trial
        return trial

    def _claim(self) -> Trial | None:
        if self.count_left() <= 0:
            return None
        self.study.sampler = self.make_sampler(self._find_rank(None))
        trial = self.study.ask()
        trial.set_user_attr(WORKER, current_worker())
        trial.set_user_attr(SEEN, time.time())
        rank = trial.user_attrs.get(RANK)  # set if the trial was queued again
        if rank is None:
            rank = self._find_rank(trial.number)
            if rank >= self.n_trials:  # other workers took the last ranks
                self.study.tell(trial, state=TrialState.FAIL)
                return None
            trial.set_user_attr(RANK, rank)
        self.study.sampler = self.make_sampler(rank)
        for name, distribution in self.space.items():
            trial._suggest(name, distribution)
        return trial

    def _find_rank(self, number: int | None) -> int:
        """Find the first free rank for a trial, after those of trials with lower numbers."""
        trials = [trial for trial in self.study.get_trials(deepcopy=False) if counts(trial)]
        taken = {trial.user_attrs.get(RANK) for trial in trials}
        free = (rank for rank in itertools.count() if rank not in taken)
        before = sum(
            RANK not in trial.user_attrs for trial in trials if trial.number < (number or 0)
        )
        return next(itertools.islice(free, before, None))

    def finish(self, trial: Trial, value: float) -> None:
        """Store the value of a trial."""
        if math.isnan(value):  # Optuna would fail the trial, and it would be tried again
            self.fail(trial, "its objective is not a number")
            return
        self._tell(trial.number, value)
        del self.claimed[trial.number]

    def fail(self, trial: Trial, reason: str) -> None:
        """Store that a trial failed: it counts, and is not tried again."""
        with suppress(optuna.exceptions.UpdateFinishedTrialError):
            trial.set_user_attr(FAILURE, reason[:1000])
        self._tell(trial.number, None)
        del self.claimed[trial.number]

    def _tell(self, number: int, value: float | None) -> bool:
        """Store how a trial ended; False if another worker, which took us for dead, has done so."""
        try:
            self.study.tell(number, value, state=TrialState.FAIL if value is None else None)
        except (ValueError, optuna.exceptions.UpdateFinishedTrialError):
            return False
        return True

    def release(self) -> None:
        """Queue the claimed trials again, as this worker is being stopped."""
        with lock_study(self.storage):
            for number in list(self.claimed):
                self._end_interrupted(self.study.trials[number])
                del self.claimed[number]

    def recover(self) -> None:
        """End the trials of dead workers, and queue again those that have no value."""
        with lock_study(self.storage):
            for trial in self.study.trials:
                if trial.state is TrialState.RUNNING and self._is_abandoned(trial):
                    self._end_interrupted(trial)
            if _is_local(self.storage):  # without the lock, a worker may be about to do so
                self._queue_lost()

    def _is_abandoned(self, trial: FrozenTrial) -> bool:
        worker = trial.user_attrs.get(WORKER)
        if worker is None and _is_local(
            self.storage
        ):  # killed while it claimed, as we hold the lock
            return True
        assert trial.datetime_start is not None
        return _is_dead(worker, trial.user_attrs.get(SEEN, trial.datetime_start.timestamp()))

    def _end_interrupted(self, trial: FrozenTrial) -> None:
        """Store a trial's value if its run has one, or else queue its parameters again."""
        value, params = self.fetch_value(trial.number), self._find_params(trial)
        ended = self._tell(trial.number, value)
        if ended and value is None and params and FAILURE not in trial.user_attrs:
            self._queue(trial, params)

    def _queue_lost(self) -> None:
        """Queue the parameters of ended trials whose worker was killed before it queued them."""
        trials = self.study.trials
        for trial in trials:
            params = None if counts(trial) else self._find_params(trial)
            later = trials[trial.number + 1 :]
            if params and not any(self._find_params(other) == params for other in later):
                self._queue(trial, params)

    def _queue(self, trial: FrozenTrial, params: dict[str, Any]) -> None:
        rank = trial.user_attrs.get(RANK)
        self.study.enqueue_trial(params, None if rank is None else {RANK: rank})

    def _find_params(self, trial: FrozenTrial) -> dict[str, Any] | None:
        """Return a trial's parameters, drawn or queued; None if it does not have all of them."""
        params = {**trial.system_attrs.get("fixed_params", {}), **trial.params}
        return params if params.keys() == self.space.keys() else None

    def is_complete(self) -> bool:
        """Whether every trial has ended, whichever worker ran it."""
        trials = self.study.get_trials(deepcopy=False)
        return sum(trial.state.is_finished() and counts(trial) for trial in trials) >= self.n_trials

    @contextmanager
    def heartbeat(self) -> Iterator[None]:
        """Store signs of life for the claimed trials, and for the conclusion."""
        ended = threading.Event()

        def beat() -> None:
            while not ended.wait(_HEARTBEAT):
                targets: list[tuple[Trial | optuna.Study, str]]
                targets = [(trial, SEEN) for trial in list(self.claimed.values())]
                targets += [(self.study, CONCLUDING_SEEN)] if self.concluding else []
                for target, attribute in targets:
                    # a trial may have ended since, and a busy database is written the next time
                    with suppress(optuna.exceptions.OptunaError, SQLAlchemyError):
                        target.set_user_attr(attribute, time.time())

        thread = threading.Thread(target=beat, daemon=True)
        thread.start()
        try:
            yield
        finally:
            ended.set()
            thread.join()

    def claim_conclusion(self) -> bool:
        """Claim to conclude the study; False if another worker does."""
        attributes = self.study.user_attrs
        other, seen = attributes.get(CONCLUDING), attributes.get(CONCLUDING_SEEN, 0)
        if other not in (None, current_worker()) and not _is_dead(other, seen):
            return False
        self.study.set_user_attr(CONCLUDING_SEEN, time.time())
        self.study.set_user_attr(CONCLUDING, current_worker())
        time.sleep(1)  # of workers that write at the same time, the last one concludes
        self.concluding = bool(self.study.user_attrs[CONCLUDING] == current_worker())
        return self.concluding

    def release_conclusion(self) -> None:
        """Let go of the conclusion, which is drawn, or left to another worker."""
        self.concluding = False
        if self.study.user_attrs.get(CONCLUDING) == current_worker():
            self.study.set_user_attr(CONCLUDING, None)


def _is_dead(worker: str | None, seen: float) -> bool:
    """Whether a worker has died; on another machine, whether it has been silent for too long."""
    if worker is not None and is_local_worker(worker):
        return worker_died(worker)  # a suspended worker has not
    return time.time() - seen > _SILENCE


def counts(trial: FrozenTrial) -> bool:
    """Whether a trial is one of ``n_trials``: it was neither interrupted nor given back."""
    return trial.state is not TrialState.FAIL or FAILURE in trial.user_attrs


def take_defaults(
    model: dict[str, Any], space: dict[str, BaseDistribution]
) -> dict[str, Any] | None:
    """Take the default value of each parameter from the model's config; None if one is outside."""
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
