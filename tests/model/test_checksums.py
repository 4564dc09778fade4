from slarisk.model.checksums import checksum_folder, fingerprint_checksums, list_changed_files

# of no bytes at all, and of "abc": FIPS 180-2, appendix B.1
EMPTY = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
ABC = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"


def test_every_file_is_sealed_by_its_path(tmp_path):
    (tmp_path / "code" / "__pycache__").mkdir(parents=True)
    (tmp_path / "code" / "__pycache__" / "a.pyc").write_bytes(b"x")
    (tmp_path / "code" / "__init__.py").touch()
    (tmp_path / "MLmodel").write_text("abc")
    (tmp_path / "note").write_text("not the model's")

    assert checksum_folder(tmp_path, leave_out=["note", "absent"]) == {
        "MLmodel": ABC,
        "code/__init__.py": EMPTY,
    }


def test_a_fingerprint_stands_for_all_files():
    seal = {"a": ABC, "b": EMPTY}

    assert fingerprint_checksums(seal) == fingerprint_checksums({"b": EMPTY, "a": ABC})
    for other in ({"a": ABC}, {"a": EMPTY, "b": ABC}, {"a": ABC, "c": EMPTY}, {}):
        assert fingerprint_checksums(other) != fingerprint_checksums(seal)


def test_nothing_is_damaged_that_is_as_it_was():
    assert list_changed_files({"a": ABC}, {"a": ABC}) == []
