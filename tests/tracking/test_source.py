import subprocess

import pytest

from slarisk.tracking import source
from slarisk.tracking.source import find_source


@pytest.fixture
def checkout(tmp_path, monkeypatch):
    """A repository whose package stands where the real one would."""

    def git(*arguments):
        identity = ["-c", "user.name=a", "-c", "user.email=a@example.com"]
        command = ["git", "-C", str(tmp_path), *identity, *arguments]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout

    package = tmp_path / "src" / "tracking"
    package.mkdir(parents=True)
    (tmp_path / "train.yaml").write_text("seed: 1\n")
    git("init", "-q")
    git("add", ".")
    git("commit", "-qm", "first")
    monkeypatch.setattr(source, "__file__", str(package / "source.py"))
    return tmp_path, git


def test_a_clean_checkout_has_a_commit_and_no_diff(checkout):
    folder, git = checkout
    (folder / "untracked.csv").write_text("not the code's\n")
    found = find_source()
    assert found.commit == git("rev-parse", "HEAD").strip()
    assert (found.dirty, found.diff) == (False, "")


def test_uncommitted_changes_anywhere_in_the_checkout_are_kept(checkout):
    folder, git = checkout
    git("config", "color.diff", "always")
    git("config", "diff.external", "false")
    (folder / "train.yaml").write_text("seed: 2\n")
    git("add", ".")  # staged is not committed
    found = find_source()
    assert found.dirty
    assert "-seed: 1\n+seed: 2\n" in found.diff


def test_without_git_the_commit_is_unknown(tmp_path, monkeypatch):
    monkeypatch.setattr(source, "__file__", str(tmp_path / "source.py"))
    assert find_source() == source.Source("unknown", "")
    monkeypatch.setenv("PATH", str(tmp_path))  # no git at all
    assert find_source() == source.Source("unknown", "")


def test_the_package_alone_is_the_code(checkout):
    folder, git = checkout
    module = folder / "src" / "module.py"
    module.write_text("one = 1\n")
    git("add", ".")
    git("commit", "-qm", "second")
    code = find_source().code
    (folder / "train.yaml").write_text("seed: 2\n")
    assert find_source().code == code
    git("commit", "-qam", "third")  # another commit, the same package
    assert find_source().code == code
    module.write_text("one = 2\n")
    assert find_source().code != code
