"""qwenlab batch: a file of messages in, a table out, and an exit code that tells whether all were answered."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from qwenlab.cli import main
from qwenlab.workspace import Workspace

FAR = "far=http://127.0.0.1:9/v1#m"


@pytest.fixture
def messages(tmp_path: Path) -> Path:
    path = tmp_path / "messages.txt"
    path.write_text("What colour is the sky?\nSay hello.\n", encoding="utf-8")
    return path


def test_contestant_that_does_not_answer_is_exit_1(
    messages: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    table = tmp_path / "t.csv"
    assert main(["batch", str(messages), "-c", FAR, "--json", "--table", str(table)]) == 1
    said = json.loads(capsys.readouterr().out)
    assert (said["messages"], said["answers"], said["errors"]) == (2, 2, 2)
    assert "http://127.0.0.1:9/v1" in table.read_text(encoding="utf-8")
    assert (Path(said["folder"]) / "far" / "answers.jsonl").exists()


def test_file_without_messages_is_exit_2(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    empty = tmp_path / "empty.txt"
    empty.write_text("\n", encoding="utf-8")
    assert main(["batch", str(empty), "-c", FAR]) == 2
    assert "no message" in capsys.readouterr().err


@pytest.mark.model
def test_real_model_answers_a_batch_and_goes_on_with_it(
    with_model: Workspace, messages: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    argv = ["batch", str(messages), "-c", "base=smollm2-135m", "--max-new-tokens", "8", "-o", str(tmp_path / "b")]
    assert main([*argv, "--json"]) == 0
    answers = (tmp_path / "b" / "base" / "answers.jsonl").read_bytes()
    assert len(answers.splitlines()) == 2
    assert main([*argv, "--json"]) == 0
    assert (tmp_path / "b" / "base" / "answers.jsonl").read_bytes() == answers, "nothing is asked twice"
