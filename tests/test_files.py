"""Files are always the old or the new version."""

from __future__ import annotations

from pathlib import Path

import pytest

from qwenlab import files
from qwenlab.errors import QwenlabError


def test_write_replaces_the_whole_content(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    files.write_json(path, {"名": "长" * 1000})
    files.write_json(path, {"名": "短"})
    assert files.read_json(path) == {"名": "短"}
    assert [one.name for one in tmp_path.iterdir()] == ["a.json"], "no temporary file may stay"


def test_write_that_fails_leaves_the_old_file_and_no_trace(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    files.write_json(path, [1])
    with pytest.raises(ValueError, match="JSON compliant"):
        files.write_json(path, [float("nan")])
    (tmp_path / "folder").mkdir()
    with pytest.raises(QwenlabError, match="Cannot write"):
        files.write_bytes(tmp_path / "folder", b"a file cannot replace a folder")
    with pytest.raises(QwenlabError, match="Cannot write"):
        files.write_bytes(path / "below-a-file.json", b"")
    assert files.read_json(path) == [1]
    assert sorted(one.name for one in tmp_path.iterdir()) == ["a.json", "folder"]


def test_permissions_of_the_old_file_survive(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    path.write_text("1")
    path.chmod(0o600)
    files.write_json(path, 2)
    assert path.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("content", [b"{", b"\xff\xfe{}", b"nope"])
def test_reading_what_is_no_json_names_the_file(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "broken.json"
    path.write_bytes(content)
    with pytest.raises(QwenlabError, match=r"broken\.json is not valid JSON"):
        files.read_json(path)


def test_new_folders_of_one_second_are_different(tmp_path: Path) -> None:
    made = [files.new_folder(tmp_path / "results", "tickets") for _ in range(3)]
    assert len(set(made)) == 3
    assert all(folder.is_dir() and folder.name.startswith("tickets-") for folder in made)


def test_line_behind_a_torn_one_stands_by_itself(tmp_path: Path) -> None:
    path = tmp_path / "log.jsonl"
    files.append_line(path, "one")
    path.write_bytes(path.read_bytes() + b"to")  # a crash
    files.append_line(path, "three \ud800", durable=True)
    assert path.read_bytes() == b"one\nto\nthree ?\n"


@pytest.mark.parametrize("rows", [[], [1], [{"a": "中\n"}, [], None]], ids=str)
def test_rows_are_the_same_json_one_a_line(tmp_path: Path, rows: list[object]) -> None:
    files.write_rows(tmp_path / "x.json", {"cases": rows, "name": "n", "more": {"b": []}}, "cases")
    assert files.read_json(tmp_path / "x.json") == {"name": "n", "more": {"b": []}, "cases": rows}
    lines = (tmp_path / "x.json").read_text(encoding="utf-8").splitlines()
    assert len(lines) == 8 + max(1, len(rows))
