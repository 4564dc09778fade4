import json
import random
import shutil
from dataclasses import replace

import pytest

from slarisk.errors import InputError
from slarisk.model.bundle import write_bundle_checksums
from slarisk.registry.models import fetch_bundle, fetch_checksums, fetch_run_bundle, read_checksums
from slarisk.registry.versions import Version
from slarisk.tracking.log import checksum_model
from slarisk.tracking.runs import find_run, run_model_uri


def test_a_model_is_fetched_whole(logged_run, judged):
    fetched = fetch_run_bundle(find_run(logged_run))
    assert fetched.manifest == judged.bundle.manifest
    assert fetched.seen["identity"].tolist() == judged.bundle.seen["identity"].tolist()


def test_the_checksums_name_every_file_of_the_model(logged_run, place):
    checksums = fetch_checksums(find_run(logged_run))
    (folder,) = place.glob("mlruns/*/models/*/artifacts")
    there = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
    assert {*checksums} == there - {"registered_model_meta"}  # MLflow's own note
    assert {"MLmodel", "data/bundle/pipeline.skops", "code/slarisk/model/pyfunc.py"} <= {*checksums}


def test_each_file_altered_by_one_byte_is_named(logged_run, place):
    """Also those that only another MLflow client reads: its MLmodel, its code."""
    run = find_run(logged_run)
    checksums = fetch_checksums(run)
    (folder,) = place.glob("mlruns/*/models/*/artifacts")
    rng = random.Random(0)
    code = [name for name in checksums if name.startswith("code/")]
    for name in [*(name for name in checksums if name not in code), *code[::8]]:
        sound = (folder / name).read_bytes()
        altered = bytearray(sound or b" ")
        if sound:
            altered[rng.randrange(len(altered))] ^= 1 << rng.randrange(8)
        (folder / name).write_bytes(altered)
        with pytest.raises(InputError) as refused:
            fetch_bundle(run_model_uri(find_run(logged_run)), checksums)
        assert str(refused.value).endswith(f"is not what was logged: {name} was changed.")
        (folder / name).write_bytes(sound)
    assert fetch_bundle(run_model_uri(find_run(logged_run)), checksums)


def test_a_file_that_is_gone_or_new_is_named(logged_run, place):
    checksums = fetch_checksums(find_run(logged_run))
    (folder,) = place.glob("mlruns/*/models/*/artifacts")
    (folder / "code" / "slarisk" / "sitecustomize.py").write_text("print()")
    with pytest.raises(InputError, match=r"code/slarisk/sitecustomize\.py was added\."):
        fetch_bundle(run_model_uri(find_run(logged_run)), checksums)
    shutil.rmtree(folder / "data")
    with pytest.raises(InputError, match=r"data/bundle/seen\.parquet is missing"):
        fetch_bundle(run_model_uri(find_run(logged_run)), checksums)
    shutil.rmtree(folder / "code")
    with pytest.raises(InputError, match=r"MLmodel|and \d+ more\.$"):
        fetch_bundle(run_model_uri(find_run(logged_run)), checksums)


@pytest.mark.slow
def test_what_python_leaves_beside_code_is_no_damage(logged_run, place):
    (folder,) = place.glob("mlruns/*/models/*/artifacts")
    (folder / "code" / "slarisk" / "__pycache__").mkdir()
    (folder / "code" / "slarisk" / "__pycache__" / "errors.cpython-311.pyc").write_bytes(b"...")
    assert fetch_run_bundle(find_run(logged_run))


def test_a_list_of_files_that_was_replaced_is_told(logged_run, place):
    """Whoever replaces the model and the list of its files cannot replace the tag with them."""
    run = find_run(logged_run)
    (listed,) = place.glob("mlruns/*/*/artifacts/model_files.json")
    sound = listed.read_text()
    for text in (sound.replace("a", "b"), "{}", "[1]", "no JSON"):
        listed.write_text(text)
        with pytest.raises(InputError, match=r"model_files\.json was changed after the run"):
            fetch_checksums(run)
    listed.unlink()
    with pytest.raises(InputError, match=r"model_files\.json cannot be fetched"):
        fetch_checksums(run)
    with pytest.raises(InputError, match="model_sha256"):
        fetch_checksums(replace(run, tags={}))


def test_a_version_of_unknown_files_is_not_loaded(logged_run):
    with pytest.raises(InputError, match=r"version 7 .*python promote\.py run_id=abc does"):
        read_checksums(Version("7", "abc", {}))
    assert read_checksums(Version("7", "abc", {"files_sha256": '{"a": "01"}'})) == {"a": "01"}


def test_a_run_without_a_model_is_told(logged_run):
    run = replace(find_run(logged_run), model_id=None)
    with pytest.raises(InputError, match=f"run {logged_run}:"):
        fetch_run_bundle(run)
    with pytest.raises(InputError, match="runs:/nope/model"):
        fetch_bundle("runs:/nope/model", {})


def test_a_model_of_another_format_is_refused_with_what_to_do(logged_run, place):
    (manifest,) = place.glob("mlruns/*/models/*/artifacts/data/bundle/bundle.json")
    written = json.loads(manifest.read_text())
    manifest.write_text(json.dumps(written | {"format": written["format"] - 1}))
    write_bundle_checksums(manifest.parent)
    checksums = checksum_model(manifest.parents[2])
    with pytest.raises(InputError, match=r"(?s)bundle\.json.*python train\.py$") as refused:
        fetch_bundle(run_model_uri(find_run(logged_run)), checksums)
    assert "\n" not in str(refused.value)
