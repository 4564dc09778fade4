from slarisk.atomic_files import write_whole


def test_a_file_is_replaced_whole(tmp_path):
    path = tmp_path / "file.tickets"
    for content in (b"old", b"new"):
        write_whole(path, content)
        assert path.read_bytes() == content
    assert list(tmp_path.iterdir()) == [path]
