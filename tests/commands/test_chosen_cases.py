"""The run behind a contestant is found in whatever form it is tested: cases that chose it must not flatter it."""

from __future__ import annotations

from pathlib import Path

import pytest

from qwenlab import files
from qwenlab.commands import test as testing
from qwenlab.evals import selection
from qwenlab.evals.suite import Suite, suite_from
from qwenlab.workspace import Workspace

CASES = [{"id": f"c{number}", "prompt": f"Question {number}?", "expected": "yes"} for number in range(6)]


@pytest.fixture
def suite() -> Suite:
    return suite_from({"name": "numbered", "cases": CASES}, "suite.yaml")


@pytest.fixture
def run(workspace: Workspace, suite: Suite) -> Path:
    """A run whose checkpoint was chosen by three of six cases."""
    folder = workspace.runs / "run-1"
    files.write_json(folder / selection.SUITE, suite.to_json())
    files.write_json(folder / "data.json", [])
    selection.remember(folder, suite, selection.part(suite, ["en"], 3))
    return folder


def test_run_is_known_by_id_checkpoint_path_export_and_whole_model(workspace: Workspace, run: Path) -> None:
    export = workspace.exports / "int4"
    files.write_json(export / "qwenlab-export.json", {"run": "run-1", "kind": "gguf"})
    specs = (
        *("smollm2-135m+run-1", "smollm2-135m+run-1/checkpoint-4"),
        *(f"smollm2-135m+{run / 'adapter'}", str(run / "model"), str(export)),
    )
    for spec in specs:
        assert testing.runs_of(workspace, [spec]) == [run], spec
        assert testing.training_data(workspace, [spec]) == [run / "data.json"], spec
    for spec in ("smollm2-135m", "http://127.0.0.1:1/v1", "smollm2-135m+elsewhere", str(workspace.exports)):
        assert testing.runs_of(workspace, [spec]) == [], spec
