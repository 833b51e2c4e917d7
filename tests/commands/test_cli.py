"""The command line's contract: JSON for machines, exit codes, one sentence for errors."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from qwenlab import files
from qwenlab.cli import main, parser
from qwenlab.conversations.dataset import DataSet
from qwenlab.jobs import Job
from qwenlab.training import recipe as recipes
from qwenlab.training.recipe import Recipe
from qwenlab.workspace import SHIPPED, Workspace

SUITE = str(SHIPPED / "eval_suites" / "after-sales-tickets")


def run(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, Any, str]:
    """Exit code, parsed standard output, and standard error of `qwenlab ... --json`."""
    code = main([*arguments, "--json"])
    said = capsys.readouterr()
    return code, json.loads(said.out) if said.out else None, said.err


def test_models_list_names_the_default(capsys: pytest.CaptureFixture[str]) -> None:
    code, value, _ = run(capsys, "models", "list")
    assert code == 0
    assert value["default"] == "qwen2.5-coder-0.5b"
    assert {row["name"]: row["ready"] for row in value["models"] if row["origin"] == "shipped"} == {
        "qwen2.5-coder-0.5b": False,
        "smollm2-135m": False,
    }


def test_run_of_before_a_restart_is_listed_as_interrupted(
    capsys: pytest.CaptureFixture[str], workspace: Workspace
) -> None:
    job = Job(workspace.runs / "tickets-1")
    files.write_json(job.folder / "recipe.json", recipes.read({"languages": ["en"]}).model_dump())
    files.write_json(job.folder / "job.json", {"kind": "train", "argv": [], "started": 1.0})
    # Its process id is now that of another process: this one.
    files.write_json(job.folder / "pid", {"pid": os.getpid(), "born": "the-boot-before 123"})
    code, out, _ = run(capsys, "runs", "list")
    assert code == 0
    assert [(row["id"], row["state"]) for row in out["runs"]] == [("tickets-1", "interrupted")]


def test_runs_list_is_empty_at_first(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(capsys, "runs", "list")[:2] == (0, {"runs": []})


def test_shipped_data_checks_clean(capsys: pytest.CaptureFixture[str]) -> None:
    code, value, _ = run(capsys, "data", "check", str(SHIPPED / "data" / "after-sales.train.json"))
    assert (code, value) == (0, {"samples": 400, "problems": []})


def test_library_that_prints_does_not_spoil_the_json(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def greeting(path: Path) -> DataSet:
        print("[WARNING] Setting accelerator to CPU.")  # as deepspeed does when it is imported
        return opened(path)

    opened = DataSet.open
    monkeypatch.setattr(DataSet, "open", greeting)
    code, value, said = run(capsys, "data", "check", str(SHIPPED / "data" / "after-sales.train.json"))
    assert (code, value["samples"]) == (0, 400)
    assert "Setting accelerator" in said


def test_data_with_problems_exits_1_and_names_the_sample(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    path = tmp_path / "bad.json"
    path.write_text(json.dumps([{"id": "x", "conversations": [{"from": "user", "value": "Hi"}]}]))
    code, value, _ = run(capsys, "data", "check", str(path))
    assert code == 1
    assert value["problems"][0]["id"] == "x"


def test_score_gives_rung_and_fields_of_every_case(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    cases = [
        json.loads(line)
        for name in ("generated.jsonl", "handwritten.jsonl")
        for line in (Path(SUITE) / name).read_text(encoding="utf-8").splitlines()
    ]
    answers = [{"case": case["id"], "answer": json.dumps(case["expected"], ensure_ascii=False)} for case in cases]
    answers[0]["answer"] = "```json\n" + answers[0]["answer"] + "\n```"
    answers[1]["answer"] = "I do not know."
    path = tmp_path / "answers.jsonl"
    path.write_text("".join(json.dumps(line) + "\n" for line in answers[:-1]))
    code, value, _ = run(capsys, "score", SUITE, "--answers", str(path))
    assert code == 0
    scored = {case["case"]: case for case in value["cases"]}
    assert len(scored) == len(cases) == 120
    assert {"case", "rung", "schema_valid", "usable", "fields", "passed"} <= set(scored[cases[2]["id"]])
    assert [scored[case["id"]]["rung"] for case in cases[:3]] == ["fenced", "none", "strict"]
    assert scored[cases[-1]["id"]]["passed"] is False, "what was not answered stays in the denominator"
    assert value["summary"]["usable"] == pytest.approx(117 / 120)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("models", "get", "smollm2-135"), 'Did you mean "smollm2-135m"'),
        (("runs", "stop", "nothing"), "no run nothing"),
        (("data", "check", "/nowhere.json"), "/nowhere.json"),
        (("score", "no-such-suite", "--answers", "x"), "no suite no-such-suite"),
        (("score", SUITE, "--answers", "/nowhere.jsonl"), "/nowhere.jsonl"),
        (("train", "--learning-rate", "5"), "learning_rate is '5'"),
        (("verify", "/"), "not an export"),
        (("quantize", "/", "-o", "x"), "not a model folder"),
        (("merge", "nothing", "-o", "x"), "no run nothing"),
        (("test", SUITE, "-c", "x=/nowhere"), "no model /nowhere"),
        (("test", SUITE, "-c", "x=y", "--threshold", "usabel=1"), 'Did you mean "usable"'),
    ],
)
def test_what_cannot_run_exits_2_with_one_sentence(
    capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...], message: str
) -> None:
    code, value, said = run(capsys, *arguments)
    assert code == 2
    assert message in value["error"] + value["remedy"]
    assert said.startswith("Error: ")
    assert "Traceback" not in said


def test_every_recipe_setting_is_a_flag() -> None:
    flags = parser().parse_args(["train", "--learning-rate", "1e-4", "--languages", "en", "zh"])
    assert (flags.set_learning_rate, flags.set_languages) == ("1e-4", ["en", "zh"])
    assert {f"set_{name}" for name in Recipe.model_fields} <= set(vars(flags))


def test_import_and_export_round_trip(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    shipped = SHIPPED / "data" / "identity.train.json"
    code, value, _ = run(capsys, "data", "export", str(shipped), "-o", str(tmp_path / "out.jsonl"))
    assert code == 0
    code, again, _ = run(capsys, "data", "import", str(tmp_path / "out.jsonl"), "-o", str(tmp_path / "back.json"))
    assert (code, again["samples"]) == (0, value["samples"])
    code, _, said = run(capsys, "data", "import", str(shipped), "-o", str(tmp_path / "back.json"))
    assert code == 2
    assert "exists already" in said


def test_workspace_flag_relocates_everything(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, workspace: Workspace
) -> None:
    code, value, _ = run(capsys, "--workspace", str(tmp_path / "other"), "models", "list")
    assert code == 0
    assert value["models"][0]["path"].startswith(str(tmp_path / "other"))
