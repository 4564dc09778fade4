import pytest

from slarisk.errors import InputError
from slarisk.sweeps.parent import raise_errors, show_job_progress
from slarisk.sweeps.shared_folder import JobOutcome


def test_a_terminal_gets_a_bar(monkeypatch, capsys):
    monkeypatch.setattr("sys.stderr.isatty", lambda: True)
    with show_job_progress(2) as report:
        report(JobOutcome("finished", "r1", "lr: objective 3"))
        report(JobOutcome("failed", None, "rf failed: no such column"))
    out, err = capsys.readouterr()
    assert "lr: objective 3\nrf failed: no such column\n" in out
    assert "2/2" in err


def test_elsewhere_each_job_has_a_line_after_those_of_earlier_commands(capsys):
    with show_job_progress(3, done=1) as report:
        report(JobOutcome("finished", "r1", "one"))
        report(JobOutcome("finished", "r2", "two"))
    assert capsys.readouterr().out == "[2/3] one\n[3/3] two\n"


def test_a_bug_is_raised_itself_and_wrong_input_once_for_all_jobs():
    wrong, bug = InputError("no column"), ZeroDivisionError()
    raise_errors([], 3)
    with pytest.raises(InputError, match=r"^3 of 4 jobs failed: no column; no row$"):
        raise_errors([wrong, InputError("no row"), wrong], 4)
    with pytest.raises(ZeroDivisionError):
        raise_errors([wrong, bug], 4)
