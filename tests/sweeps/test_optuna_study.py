import math
import threading
import time
from types import SimpleNamespace

import numpy as np
import optuna
import pytest
from optuna.distributions import (
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)
from optuna.samplers import RandomSampler, TPESampler
from optuna.storages import InMemoryStorage
from optuna.trial import TrialState

from slarisk.errors import InputError
from slarisk.sweeps import optuna_study as module
from slarisk.sweeps.optuna_study import (
    CONCLUDING,
    CONCLUDING_SEEN,
    SEEN,
    StudyWorker,
    open_study,
    take_defaults,
)
from slarisk.tracking.workers import current_worker, worker_died

SPACE = {
    "model.rate": FloatDistribution(0.001, 1, log=True),
    "model.depth": IntDistribution(1, 9),
    "model.kind": CategoricalDistribution(["a", "b"]),
}
DEFAULTS = {"model.rate": 0.1, "model.depth": 3, "model.kind": "a"}
TRIALS = 6


@pytest.fixture(scope="module", autouse=True)
def quiet_optuna():
    before = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    yield
    optuna.logging.set_verbosity(before)


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture(scope="session")
def empty_study(tmp_path_factory):
    """A database with Optuna's tables: creating them takes a second, copying none."""
    path = tmp_path_factory.mktemp("study") / "optuna.db"
    module._create_tables(f"sqlite:///{path}")
    return path.read_bytes()


@pytest.fixture
def database(here, empty_study):
    (here / "optuna.db").write_bytes(empty_study)
    return "sqlite:///optuna.db"


def sample(rank):
    """TPE from the third trial on: what is drawn depends on all that is known by then."""
    return TPESampler(seed=100 + rank, n_startup_trials=2)


def loss(params):
    value = (math.log(params["model.rate"]) + 3) ** 2 + params["model.depth"]
    if value > 14:
        raise ValueError("it diverges")
    return value


def searching(study, storage="sqlite:///optuna.db", runs=None, n_trials=TRIALS, **others):
    """A worker's part in a study; ``runs`` are the objectives of finished MLflow runs."""
    fetch_value = (runs if runs is not None else {}).get
    return StudyWorker(study, storage, n_trials, others.pop("space", SPACE), sample, fetch_value)


def begin(storage, name="study"):
    """Open a study as a search does, the default parameters first."""
    return open_study(storage, name, "context", lambda study: queue_defaults(study) or "parent")[0]


def queue_defaults(study):
    study.enqueue_trial(DEFAULTS)


def work(search, runs, before_end=lambda: None):
    """Run what is left, as the command does."""
    search.recover()
    while (trial := search.claim()) is not None:
        try:
            value = loss(trial.params)
        except ValueError as error:
            search.fail(trial, str(error))
            continue
        before_end()
        assert trial.number not in runs
        runs[trial.number] = value  # as MLflow has it
        before_end()
        search.finish(trial, value)


def outcome(study):
    """What a search comes to: the parameters and values of the trials that count, in order."""
    trials = [trial for trial in study.trials if module.counts(trial)]
    assert all(trial.state.is_finished() for trial in trials)
    return [(trial.params, trial.value) for trial in trials]


def states(study):
    return [trial.state.name for trial in study.trials]


# Killed and resumed -----------------------------------------------------------------------------


class Killed(BaseException):
    """The process is gone: nothing catches it, and nothing is written any more."""


class Mortal(InMemoryStorage):
    """The storage of a process that is killed before one of its writes."""

    left = math.inf

    def spend(self):
        if self.left <= 0:
            raise Killed
        self.left -= 1


def dying(name):
    write = getattr(InMemoryStorage, name)

    def write_or_die(self, *values, **named):
        self.spend()
        return write(self, *values, **named)

    return write_or_die


for _name in (
    *("create_new_trial", "set_trial_param", "set_trial_state_values", "set_study_user_attr"),
    *("set_trial_user_attr", "set_trial_system_attr"),
):
    setattr(Mortal, _name, dying(_name))


def search_with_kills(lives):
    """StudyWorker, killed after so many writes of each life; the last life is long enough."""
    storage, runs = Mortal(), {}
    study = optuna.create_study(storage=storage)
    queue_defaults(study)
    kills = 0
    for life in (*lives, math.inf):
        # each process opens the study anew, and knows of the others only what is stored
        study = optuna.load_study(study_name=study.study_name, storage=storage)
        storage.left = life
        try:
            work(searching(study, runs=runs), runs, storage.spend)
        except Killed:
            kills += 1
    return study, runs, kills


@pytest.fixture
def mortals(here, monkeypatch):
    """Each process that works here is one whose lock nobody holds any more."""
    gone = f"{current_worker()}0"
    monkeypatch.setattr(module, "current_worker", lambda: gone)
    assert worker_died(gone)


@pytest.fixture
def undisturbed(mortals):
    study, runs, kills = search_with_kills([])
    assert kills == 0
    assert states(study).count("COMPLETE") == len(runs)
    assert states(study).count("FAIL") == TRIALS - len(runs) == 2
    assert outcome(study)[0][0] == DEFAULTS
    return outcome(study)


def check_whole(study, runs, undisturbed):
    assert outcome(study) == undisturbed
    assert not {"RUNNING", "WAITING"} & set(states(study))
    assert sorted(runs.values()) == sorted(value for _, value in undisturbed if value is not None)


@pytest.mark.slow
def test_a_search_killed_at_any_moment_is_resumed_as_if_it_had_not_been(undisturbed):
    moment = 0
    while True:  # from its first write to its last
        study, runs, kills = search_with_kills([moment])
        check_whole(study, runs, undisturbed)
        if not kills:
            break
        moment += 1
    assert moment > 8 * TRIALS


def test_a_search_killed_again_while_it_recovers_is_too(undisturbed):
    for moment in range(3, 40, 3):
        for again in range(3):
            study, runs, kills = search_with_kills([moment, again])
            check_whole(study, runs, undisturbed)
            assert kills == 2


@pytest.mark.parametrize("seed", range(12))
def test_a_search_killed_again_and_again_is_too(undisturbed, seed):
    lives = np.random.default_rng(seed).integers(1, 15, 8).tolist()
    study, runs, kills = search_with_kills(lives)
    check_whole(study, runs, undisturbed)
    assert kills > 2


@pytest.mark.slow
@pytest.mark.parametrize("moment", [2, 5, 20, 33])
def test_a_study_in_a_database_survives_a_kill(database, mortals, undisturbed, moment):
    study, runs = begin(database), {}
    ticks = iter([None] * moment)

    def tick(*_):
        if next(ticks, Killed) is Killed:
            raise Killed

    dying_study = begin(database)
    for name in ("create_new_trial", "set_trial_param", "set_trial_state_values"):
        write = getattr(dying_study._storage, name)
        setattr(dying_study._storage, name, lambda *v, w=write, **n: tick() or w(*v, **n))
    with pytest.raises(Killed):
        work(searching(dying_study, runs=runs), runs, tick)
    assert sum(trial.state.is_finished() for trial in study.trials) < TRIALS
    work(searching(begin(database), runs=runs), runs)
    check_whole(study, runs, undisturbed)


def test_each_trial_draws_from_a_seed_of_its_own(here):
    study, seeds = optuna.create_study(), []

    def make(rank):
        seeds.append(rank)
        return RandomSampler(rank)

    search = searching(study)
    search.make_sampler = make
    drawn = []
    while trial := search.claim():
        drawn.append((trial.params, seeds[-1]))
        if trial.number == 2:
            search.release()  # its parameters come again, in its place
        else:
            search.finish(trial, 1.0)
    assert [seed for _, seed in drawn] == [0, 1, 2, 2, 3, 4, 5]
    assert drawn[2] == drawn[3]
    fresh = {tuple(params.values()) for params, _ in drawn}
    assert len(fresh) == TRIALS


# Trials of workers that are gone ----------------------------------------------------------------


@pytest.fixture
def others(here):
    """Names of workers: one that died here, one that lives here, one of another machine."""
    alive = current_worker()
    place = alive.rpartition("-")[0]
    return SimpleNamespace(dead=f"{place}-dead", alive=alive, elsewhere="123456abcdef-far")


def claimed_by(worker, study, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(module, "current_worker", lambda: worker)
        return searching(study).claim()


@pytest.fixture
def clock(monkeypatch):
    """The time, as the module sees it; it passes only when somebody sleeps."""
    now = [time.time()]

    def sleep(seconds):
        now[0] += seconds

    monkeypatch.setattr(
        module, "time", SimpleNamespace(time=lambda: now[0], monotonic=lambda: now[0], sleep=sleep)
    )
    return SimpleNamespace(sleep=sleep)


def test_a_trial_whose_run_finished_takes_its_value_from_it(others, monkeypatch):
    study = optuna.create_study()
    first, second = (claimed_by(others.dead, study, monkeypatch) for _ in range(2))
    search = searching(study, runs={first.number: 0.25})
    search.recover()
    assert states(study) == ["COMPLETE", "FAIL", "WAITING"]
    assert study.trials[0].value == 0.25
    again = search.claim()
    assert (again.number, again.params) == (2, second.params)
    assert search.count_left() == TRIALS - 2


def test_a_living_worker_keeps_its_trials_however_silent_it_is(others, clock, monkeypatch):
    study = optuna.create_study()
    trial = claimed_by(others.alive, study, monkeypatch)
    clock.sleep(10 * module._SILENCE)  # suspended, or the machine was asleep
    search = searching(study)
    search.recover()
    assert states(study) == ["RUNNING"]
    search.study.tell(trial, 1.0)


def test_a_worker_elsewhere_is_taken_for_dead_after_a_silence(others, clock, monkeypatch):
    study = optuna.create_study()
    trial = claimed_by(others.elsewhere, study, monkeypatch)
    search = searching(study)
    for _ in range(3):  # as long as it shows signs of life
        clock.sleep(module._SILENCE - 1)
        search.recover()
        assert states(study) == ["RUNNING"]
        trial.set_user_attr(SEEN, module.time.time())
    clock.sleep(module._SILENCE + 1)
    search.recover()
    assert states(study) == ["FAIL", "WAITING"]


def test_on_a_server_a_trial_without_a_name_yet_has_the_same_time(here, clock):
    study = optuna.create_study()
    study.ask()  # killed, or just about to say whose it is
    search = searching(study, storage="postgresql://host/db")
    clock.sleep(module._SILENCE - 5)
    search.recover()
    assert states(study) == ["RUNNING"]
    clock.sleep(10)
    search.recover()
    assert states(study) == ["FAIL"]


@pytest.mark.parametrize("ending", ["finish", "fail"])
def test_a_worker_that_wakes_up_to_find_its_trial_taken_goes_on(others, clock, monkeypatch, ending):
    study = optuna.create_study()
    sleeper = searching(study)
    monkeypatch.setattr(module, "current_worker", lambda: others.elsewhere)
    trial = sleeper.claim()
    clock.sleep(module._SILENCE + 1)
    searching(study).recover()
    getattr(sleeper, ending)(trial, {"finish": 0.5, "fail": "too late"}[ending])
    assert sleeper.claimed == {}
    assert states(study) == ["FAIL", "WAITING"]
    assert sleeper.count_left() == TRIALS
    assert sleeper.claim().params == trial.params


def test_signs_of_life_are_given_for_trials_under_way_alone(here, monkeypatch):
    monkeypatch.setattr(module, "_HEARTBEAT", 0.01)
    study = optuna.create_study()
    search = searching(study)
    ended, running = search.claim(), search.claim()
    study.tell(ended, 1.0)  # by another, or a moment before it is struck off the list
    before = [trial.user_attrs[SEEN] for trial in study.trials]
    with search.heartbeat():
        deadline = time.monotonic() + 5
        while study.trials[running.number].user_attrs[SEEN] == before[1]:
            assert time.monotonic() < deadline
            time.sleep(0.01)
    assert study.trials[ended.number].user_attrs[SEEN] == before[0]


# What counts ------------------------------------------------------------------------------------


def test_failed_trials_count_and_are_not_tried_again(here):
    study, n = optuna.create_study(), 0
    search = searching(study)
    while trial := search.claim():
        search.fail(trial, "x" * 5000)
        n += 1
    assert n == TRIALS
    search.recover()
    assert states(study) == ["FAIL"] * TRIALS
    assert study.trials[0].user_attrs[module.FAILURE] == "x" * 1000
    assert searching(study, n_trials=TRIALS + 2).count_left() == 2


def test_a_value_that_is_no_number_is_a_failure(here):
    search = searching(optuna.create_study())
    search.finish(search.claim(), float("nan"))
    assert (search.count_left(), search.claimed) == (TRIALS - 1, {})
    assert states(search.study) == ["FAIL"]


def test_trials_given_back_do_not_count_and_come_again(here):
    study = optuna.create_study()
    search = searching(study)
    wanted = [search.claim().params for _ in range(2)]
    search.release()
    assert search.count_left() == TRIALS
    assert search.claimed == {}
    assert [search.claim().params for _ in range(2)] == wanted
    assert search.count_left() == TRIALS - 2
    assert not search.is_complete()


def test_a_trial_that_has_its_value_is_not_given_back(here):
    search = searching(optuna.create_study(), runs={0: 2.5})
    search.claim()
    search.release()
    assert search.study.trials[0].value == 2.5
    assert states(search.study) == ["COMPLETE"]


# Several workers --------------------------------------------------------------------------------


def work_together(make_search, workers):
    runs, errors = {}, []

    def part():
        try:
            work(make_search(runs), runs)
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=part) for _ in range(workers)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    return runs


def check_total(study, runs, total):
    counted = [trial for trial in study.trials if module.counts(trial)]
    assert len(counted) == total
    assert all(trial.state.is_finished() for trial in counted)
    values = {t.number: t.value for t in counted if t.state is TrialState.COMPLETE}
    assert values == runs
    assert len({tuple(trial.params.items()) for trial in counted}) == total


def test_workers_with_connections_of_their_own_run_the_total_and_no_more(database):
    study = begin(database)
    runs = work_together(lambda runs: searching(begin(database), runs=runs, n_trials=10), workers=3)
    check_total(study, runs, 10)


@pytest.mark.parametrize("attempt", range(5))
def test_workers_without_a_lock_between_them_do_too(here, attempt):
    study = optuna.create_study()

    def join_in(runs):
        own = optuna.load_study(study_name=study.study_name, storage=study._storage)
        return searching(own, storage="postgresql://host/db", runs=runs, n_trials=10)

    runs = work_together(join_in, workers=8)
    check_total(study, runs, 10)


def test_a_worker_that_was_slower_gives_its_trial_back(here):
    study = optuna.create_study()
    fast, slow = (searching(study, "postgresql://host/db", n_trials=1) for _ in range(2))
    won = []

    def overtaken(rank):
        if not won:
            won.append(fast.claim())
        return sample(rank)

    slow.make_sampler = overtaken  # it is asked for when there still was one left
    assert slow.claim() is None
    assert [trial.number for trial in won] == [0]
    assert states(study) == ["RUNNING", "FAIL"]
    fast.finish(won[0], 1.0)
    assert slow.count_left() == 0


# Opening a study --------------------------------------------------------------------------------


def test_a_study_is_set_up_once(database):
    set_up = []
    for _ in range(2):
        study, parent = open_study(
            database, "study", "context", lambda study: set_up.append(study) or "parent"
        )
        assert (study.study_name, parent) == ("study", "parent")
    assert len(set_up) == 1
    assert study.direction.name == "MINIMIZE"


def test_a_study_whose_setting_up_was_cut_off_is_set_up_again(database):
    def cut_off(study):
        raise Killed

    with pytest.raises(Killed):
        open_study(database, "study", "context", cut_off)
    assert open_study(database, "study", "context", lambda _: "parent")[1] == "parent"


def test_a_study_of_another_context_is_refused(database):
    begin(database)
    with pytest.raises(InputError, match=r"study .*hydra\.sweeper\.study_name="):
        open_study(database, "study", "another", lambda _: pytest.fail("set up again"))
    assert open_study(database, "other", "another", lambda _: "another")[1] == "another"


def test_a_new_database_is_created_whole(here):
    begin("sqlite:///fresh.db")
    assert {path.name for path in here.iterdir()} == {"fresh.db", "fresh.db.lock"}


@pytest.mark.parametrize(
    ("storage", "reason"),
    [
        ("sqlite:///diary.txt", "not a database"),
        ("sqlite:///diary.txt/optuna.db", "diary.txt"),
        ("sqlite:///folder", "unable to open"),
        ("postgresql+psycopg://me:secret@127.0.0.1:9/db", "Connection refused"),
        ("postgresql+psycopg://me:se/secret@127.0.0.1:9/db", "Connection refused"),
        ("carrier-pigeon://me:secret@loft/db", "Could not parse"),
        ("mysql://me:secret@127.0.0.1/db", "import DB access module"),
    ],
)
def test_a_database_that_cannot_be_opened_is_told_without_its_password(
    here, clock, storage, reason
):
    if storage.startswith("postgresql"):
        pytest.importorskip("psycopg")
    (here / "diary.txt").write_text("this is a diary")
    (here / "folder").mkdir()
    with pytest.raises(InputError, match=reason) as refused:
        begin(storage)
    assert "secret" not in str(refused.value)
    assert str(refused.value).count("\n") == 0
    assert storage.rpartition("@")[2] in str(refused.value)
    assert (here / "diary.txt").read_text() == "this is a diary"


# Conclusions ------------------------------------------------------------------------------------


def test_one_of_two_workers_draws_the_conclusions(others, clock, monkeypatch):
    search = searching(optuna.create_study())
    assert search.claim_conclusion()
    assert search.claim_conclusion()  # it may ask again
    monkeypatch.setattr(module, "current_worker", lambda: "another")
    assert not search.claim_conclusion()
    search.release_conclusion()  # which is not its to leave
    assert not search.claim_conclusion()
    monkeypatch.setattr(module, "current_worker", lambda: others.alive)
    search.release_conclusion()
    monkeypatch.setattr(module, "current_worker", lambda: "another")
    assert search.claim_conclusion()


def test_of_workers_that_want_to_at_once_the_last_does(others, clock, monkeypatch):
    search = searching(optuna.create_study())
    monkeypatch.setattr(
        module.time, "sleep", lambda _: search.study.set_user_attr(CONCLUDING, "another")
    )
    assert not search.claim_conclusion()
    assert search.study.user_attrs[CONCLUDING] == "another"


def test_the_conclusions_of_a_silent_worker_elsewhere_are_taken_over_in_time(others, clock):
    search = searching(optuna.create_study())
    search.study.set_user_attr(CONCLUDING, "elsewhere-1")
    search.study.set_user_attr(CONCLUDING_SEEN, module.time.time())
    assert not search.claim_conclusion()
    search.study.set_user_attr(CONCLUDING_SEEN, module.time.time() - 121)
    assert search.claim_conclusion()


def test_the_conclusions_of_a_worker_that_died_are_taken_over(others, clock):
    search = searching(optuna.create_study())
    search.study.set_user_attr(CONCLUDING, others.dead)
    assert search.claim_conclusion()
    assert search.study.user_attrs[CONCLUDING] == others.alive


@pytest.mark.parametrize(
    ("changed", "inside"),
    [
        ({}, True),
        ({"rate": 1}, True),
        ({"rate": 1.001}, False),
        ({"rate": None}, False),
        ({"rate": "auto"}, False),
        ({"depth": 3.5}, False),
        ({"depth": 0}, False),
        ({"kind": "c"}, False),
        ({"other": 7}, True),
    ],
    ids=str,
)
def test_the_defaults_are_taken_if_the_space_holds_them(changed, inside):
    model = {"_target_": "some.Model", "rate": 0.1, "depth": 3, "kind": "a"} | changed
    expected = DEFAULTS | {f"model.{key}": value for key, value in changed.items()}
    expected.pop("model.other", None)
    assert take_defaults(model, SPACE) == (expected if inside else None)


def test_defaults_of_what_the_model_does_not_say_are_not_taken():
    assert take_defaults({"rate": 0.1}, SPACE) is None
    assert take_defaults({"kind": "a"}, {"split.folds": IntDistribution(2, 9)}) is None
