"""qwenlab suite: begun from a data set, and checked."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from qwenlab import cli
from qwenlab.conversations.dataset import DataSet
from qwenlab.evals.suite import load_suite
from qwenlab.workspace import SHIPPED, Workspace

DATA = SHIPPED / "data" / "after-sales.train.json"


def test_new_holds_out_and_test_can_run_what_it_made(workspace: Workspace, capsys: pytest.CaptureFixture[str]) -> None:
    before = DATA.read_bytes()
    assert cli.main(["suite", "new", "mine", "--from", str(DATA), "--hold-out", "30", "--infer-schema", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["cases"], told["left"], told["answers"], told["attached"]) == (30, 370, 400, False)
    assert {field["pointer"]: field["rule"]["rule"] for field in told["fields"]}["/date"] == "date"
    assert len(load_suite(Path(told["folder"])).cases) == 30
    assert len(DataSet.open(Path(told["data"])).samples) == 370
    assert DATA.read_bytes() == before
    assert cli.main(["suite", "check", "mine"]) == 0
    assert "30 cases, 0 faults" in capsys.readouterr().out


def test_preview_writes_nothing(workspace: Workspace, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["suite", "new", "mine", "--from", str(DATA), "--preview"]) == 0
    assert "40 samples become test cases." in capsys.readouterr().out
    assert list(workspace.suites.iterdir()) == []
    assert list(workspace.data.iterdir()) == []


def test_a_name_that_is_taken_cannot_run(workspace: Workspace, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["suite", "new", "mine", "--from", str(DATA), "--hold-out", "5"]) == 0
    assert cli.main(["suite", "new", "mine", "--from", str(DATA), "--hold-out", "5"]) == 2
    assert "There is a suite named mine already. Choose another name." in capsys.readouterr().err


def test_check_names_every_fault_at_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    cases = [{"id": "a", "prompt": "", "expected": 1}, {"id": "b", "prompt": "q", "expected": "x", "tag": 1}]
    cases += [{"id": "c", "prompt": "q", "expected": 1}, {"id": "c", "prompt": "r", "expected": 2}]
    content = {"name": "n", "schema": {"type": "integer"}, "fields": {"/x": "odd"}, "cases": cases}
    (tmp_path / "suite.json").write_text(json.dumps({**content, "fields": {}}))
    assert cli.main(["suite", "check", str(tmp_path), "--json"]) == 1
    assert [fault["case"] for fault in json.loads(capsys.readouterr().out)["faults"]] == ["a", "b", "c"]
    (tmp_path / "suite.json").write_text(json.dumps(content))
    assert cli.main(["suite", "check", str(tmp_path)]) == 1
    assert "fields./x.rule" in capsys.readouterr().out
