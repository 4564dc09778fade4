import gc
import os
import signal
import subprocess
import sys
import time

import pytest
from hydra.errors import ConfigCompositionException, HydraException
from omegaconf.errors import ConfigTypeError

from slarisk.command_line import run_command
from slarisk.errors import InputError, Refused
from slarisk.training.estimator import build_estimator


@pytest.fixture
def leave(capsys, monkeypatch):
    """Runs a main function as a command; gives its exit code and what it said."""
    monkeypatch.setenv("HYDRA_FULL_ERROR", "0")
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGHUP)}
    thresholds, hook = gc.get_threshold(), sys.unraisablehook

    def run(main):
        with pytest.raises(SystemExit) as left:
            run_command(main)
        return left.value.code, capsys.readouterr().err

    yield run
    sys.unraisablehook = hook
    for number, handler in before.items():
        signal.signal(number, handler)
    gc.set_threshold(*thresholds)
    gc.unfreeze()


def fail(error):
    def main():
        raise error

    return main


@pytest.mark.parametrize(
    ("error", "code", "told"),
    [
        (Refused("Not promoted:\n  - too bad\n  - too late"), 1, "Not promoted:\n  - too bad"),
        (InputError("t.csv: no such file"), 2, "error: t.csv: no such file\n"),
        (HydraException("no such option"), 2, "error in the config: no such option\n"),
        (ConfigTypeError("not a number"), 2, "error in the config: not a number\n"),
        (KeyboardInterrupt(), 130, "interrupted\n"),
    ],
)
def test_an_error_for_people_is_one_message(leave, error, code, told):
    left, err = leave(fail(error))
    assert left == code
    assert err.startswith(told)
    assert "Traceback" not in err


def test_done_says_nothing_on_stderr(leave):
    assert leave(lambda: 5.0) == (0, "")


def test_a_bug_keeps_its_traceback(leave):
    code, err = leave(fail(ZeroDivisionError("by zero")))
    assert code == 70
    assert "Traceback" in err
    assert "ZeroDivisionError: by zero" in err


def test_a_config_error_names_its_cause(leave):
    error = ConfigCompositionException("Error merging override split.seed=x")
    error.__cause__ = ConfigTypeError("Value 'x' could not be converted to Integer")
    code, err = leave(fail(error))
    assert code == 2
    assert "split.seed=x" in err
    assert "could not be converted to Integer" in err


def test_a_reader_that_went_away_is_no_error(leave, tmp_path, monkeypatch):
    with (tmp_path / "out").open("w") as out:
        monkeypatch.setattr(sys, "stdout", out)
        assert leave(fail(BrokenPipeError()))[0] == 0


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_kill_and_a_closed_terminal_interrupt(leave, number):
    signal.signal(number, signal.SIG_DFL)
    assert leave(lambda: os.kill(os.getpid(), number)) == (130, "interrupted\n")


def test_an_interrupt_in_a_finalizer_counts(leave):
    """Python tells of an exception there and goes on."""

    class Finalized:
        def __del__(self):
            raise KeyboardInterrupt

    def main():
        Finalized()
        time.sleep(60)

    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    assert leave(main) == (130, "interrupted\n")


def test_sigterm_counts_though_ctrl_c_is_switched_off(leave):
    """A shell starts background commands so: `python train.py &`."""
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        assert leave(lambda: os.kill(os.getpid(), signal.SIGTERM))[0] == 130
    finally:
        signal.signal(signal.SIGINT, before)


def test_what_nohup_ignores_stays_ignored(leave):
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    assert leave(lambda: os.kill(os.getpid(), signal.SIGHUP))[0] == 0


def test_an_estimator_is_built_from_plain_values():
    built = build_estimator(
        {
            "_target_": "sklearn.ensemble.VotingClassifier",
            "estimators": [["lr", {"_target_": "sklearn.linear_model.LogisticRegression", "C": 2}]],
            "voting": "soft",
        }
    )
    ((name, inner),) = built.estimators
    assert (name, inner.C) == ("lr", 2)
    assert type(built.estimators) is list


@pytest.mark.parametrize(
    ("model", "reason"),
    [
        ({"C": 1.0}, "no _target_"),
        ({"_target_": "os.system", "command": "touch owned"}, "cannot be authorized"),
        ({"_target_": "sklearn.linear_model.NoSuchModel"}, "NoSuchModel"),
        ({"_target_": "sklearn.linear_model.LogisticRegression", "depth": 3}, "depth"),
        ({"_target_": "sklearn.linear_model.LinearRegression"}, "gives probabilities"),
        ({"_target_": "sklearn.preprocessing.StandardScaler"}, "gives probabilities"),
    ],
)
def test_what_is_no_classifier_of_a_trusted_package_is_refused(
    model, reason, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match=reason) as told:
        build_estimator(model)
    assert "\n" not in str(told.value)
    assert not (tmp_path / "owned").exists()


READER_GONE = """
import os, sys
from types import SimpleNamespace
from hydra.types import RunMode
from slarisk import command_line as command

command.HydraConfig = SimpleNamespace(get=lambda: SimpleNamespace(mode=RunMode.RUN))
command.read_config = lambda config: config
reading, writing = os.pipe()
os.close(reading)
os.dup2(writing, 1)
command.run_command(lambda: command.run_job(lambda config: print("x" * 10, flush=True), None))
"""


def test_a_reader_that_is_gone_is_no_bug():
    done = subprocess.run(
        [sys.executable, "-c", READER_GONE], stderr=subprocess.PIPE, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
