import os
import stat

import pytest

from slarisk.atomic_files import replace_files, write_whole
from slarisk.errors import InputError
from slarisk.scoring.output_files import write_all


def list_files(folder):
    return sorted(path.name for path in folder.rglob("*") if path.is_file())


def test_a_file_is_replaced_and_nothing_else_is_left(tmp_path):
    path = tmp_path / "new" / "result.json"
    write_whole(path, b"1")
    write_whole(path, b"2")

    assert path.read_bytes() == b"2"
    assert list_files(tmp_path) == ["result.json"]
    (tmp_path / "ordinary").touch()
    modes = {stat.S_IMODE(each.stat().st_mode) for each in (path, tmp_path / "ordinary")}
    assert len(modes) == 1


def fail_while_writing(paths, error):
    with replace_files(paths) as parts:
        for part in parts:
            part.write_text("half")
        raise error


@pytest.mark.parametrize("error", [KeyboardInterrupt, ValueError])
def test_an_error_while_writing_changes_no_file(tmp_path, error):
    old = tmp_path / "old"
    old.write_text("old")
    with pytest.raises(error):
        fail_while_writing([tmp_path / "first", old], error)

    assert old.read_text() == "old"
    assert list_files(tmp_path) == ["old"]


@pytest.mark.parametrize("error", [PermissionError(13, "Permission denied"), KeyboardInterrupt()])
@pytest.mark.parametrize("failing", [0, 1, 2])
def test_an_error_while_renaming_restores_all_files(tmp_path, monkeypatch, error, failing):
    paths = [tmp_path / name for name in ("a", "b", "c")]
    paths[0].write_text("old")
    rename, done = os.replace, []

    def fail(part, path):
        done.append(path)
        if len(done) == failing + 1:
            raise error
        rename(part, path)

    monkeypatch.setattr(os, "replace", fail)
    expected = KeyboardInterrupt if isinstance(error, KeyboardInterrupt) else InputError
    with pytest.raises(expected):
        write_all(dict.fromkeys(paths, "new"))

    assert list_files(tmp_path) == ["a"]
    assert paths[0].read_text() == "old"


def test_parts_may_be_in_another_folder(tmp_path):
    (tmp_path / "parts").mkdir()
    with replace_files([tmp_path / "a"], tmp_path / "parts") as (part,):
        assert part.parent == tmp_path / "parts"
        part.write_text("new")

    assert (tmp_path / "a").read_text() == "new"
    assert list_files(tmp_path) == ["a"]
