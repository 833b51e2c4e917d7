"""What a proof writes into an export, and what verifying finds there - without a model."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
from fakes import ScriptedContestant

from qwenlab import files
from qwenlab.commands import prove, verify
from qwenlab.commands.console import BELOW, DONE, Console
from qwenlab.errors import QwenlabError
from qwenlab.evals import runner
from qwenlab.evals.likelihood_gate import NotLessLikely
from qwenlab.evals.result import Result
from qwenlab.evals.step_gate import judge_step
from qwenlab.evals.suite import Suite, suite_from
from qwenlab.export import mending, package
from qwenlab.workspace import Workspace

CASES = 12
SCHEMA = {"type": "object", "required": ["n"], "properties": {"n": {"type": "integer"}}}
RIGHT = {f"q{at}": f'{{"n": {at}}}' for at in range(CASES)}
STEP = [("merged", "merged"), ("int4", "int4")]


def suite() -> Suite:
    cases = [{"id": f"c{at}", "prompt": f"q{at}", "expected": {"n": at}} for at in range(CASES)]
    return suite_from({"name": "numbers", "schema": SCHEMA, "cases": cases}, "test")


def asked(workspace: Workspace, script: dict[str, str]) -> Result:
    """A result in which the merged model answers rightly and int4 from a script."""
    home = workspace.results / "proof"
    runner.run(suite(), [ScriptedContestant("merged", RIGHT)], home)
    return runner.run(suite(), [ScriptedContestant("int4", script)], home)


def an_export(workspace: Workspace, name: str, **about: Any) -> Path:
    def make(folder: Path) -> None:
        for file in package.REQUIRED["merged"]:
            (folder / file).write_text("{}")
        (folder / "model.safetensors").write_text("weights")

    package.build(workspace.exports / name, "merged", about, make, lambda _: {})
    return workspace.exports / name


def test_no_loss_passes_and_goes_with_the_export(workspace: Workspace) -> None:
    folder = an_export(workspace, "small")
    found = prove.record(workspace, folder, asked(workspace, RIGHT), STEP, None)
    assert found["passed"]
    assert found["path"] == str(folder)
    assert package.check_sums(folder) == []
    for name in ("scorecard.json", "client.py", "case.json", "proof/suite.json", "proof/answers.jsonl"):
        assert name in (folder / "SHA256SUMS").read_text()
    card = (folder / "README.md").read_text(encoding="utf-8")
    assert "int4 passed its check: on 12 cases no loss against merged can be seen" in card
    assert "通过检查" in card
    assert files.read_json(folder / "case.json")["expected"] == {"n": 0}


@pytest.mark.parametrize(
    "worse",
    [dict.fromkeys(RIGHT, "{}"), {key: f"Sure! {text}" for key, text in RIGHT.items()}, {}],
    ids=["broken values", "prose around it", "silence"],
)
def test_damage_fails_the_gate_and_the_name_says_so(workspace: Workspace, worse: dict[str, str]) -> None:
    folder = an_export(workspace, "small")
    found = prove.record(workspace, folder, asked(workspace, worse), STEP, None)
    assert not found["passed"]
    assert found["path"] == str(workspace.exports / "small-failed-check")
    assert [path.name for path in workspace.exports.iterdir()] == ["small-failed-check"]
    assert package.check_sums(Path(found["path"])) == []
    assert "CHECK FAILED: do not deploy" in (Path(found["path"]) / "README.md").read_text(encoding="utf-8")
    assert "beyond doubt" in found["sentence"]["en"]
    assert "请勿部署" in found["sentence"]["zh"]
    assert len(found["broken"]) == CASES
    assert prove.tell(found, Console(machine=True)) == BELOW


def test_export_that_passes_later_loses_the_mark_in_its_name(workspace: Workspace) -> None:
    folder = an_export(workspace, "small-failed-check")
    found = prove.record(workspace, folder, asked(workspace, RIGHT), STEP, None)
    assert found["path"] == str(workspace.exports / "small")
    assert prove.tell(found, Console(machine=True)) == DONE


def test_export_that_passes_later_leaves_a_newer_one_alone(workspace: Workspace) -> None:
    folder, newer = an_export(workspace, "small-failed-check"), an_export(workspace, "small", title="newer")
    found = prove.record(workspace, folder, asked(workspace, RIGHT), STEP, None)
    assert found["path"] == str(folder)
    assert package.read_manifest(newer)["title"] == "newer"


def nearness(*rises: float) -> dict[str, Any]:
    """What comparing next tokens would find, for answers whose tokens became so much less likely (nats)."""
    counts = {"same_next_token": 90, "tokens": 100, "rows": len(rises)}
    return {"kl": 0.5, "nll": 0.9, "nll_reference": 0.1, "rises": list(rises), **counts}


def test_right_answers_that_became_much_less_likely_fail_the_gate_though_every_case_passes(
    workspace: Workspace,
) -> None:
    folder = an_export(workspace, "small")
    found = prove.record(workspace, folder, asked(workspace, RIGHT), STEP, nearness(0.3, 0.5, 0.4, 0.6, 0.2, 0.4))
    assert not found["passed"]
    assert found["path"].endswith("small-failed-check")
    assert "33 % less likely than with merged" in found["sentence"]["en"]
    assert "平均少 33 %" in found["sentence"]["zh"]
    assert [gate["passed"] for gate in found["gates"]] == [True, True, False]
    assert any("-33.0 % (-" in line for line in found["details"]["en"])
    assert len(found["details"]["en"]) == len(found["details"]["zh"]) == 4


@pytest.mark.parametrize(
    "rises",
    [(0.01, 0.02, 0.01, 0.03, 0.01, 0.02), (-0.5,) * 6, (2.0, 0.0, 0.0, 0.0, 0.0, 0.0), (1.0,) * 5],
    ids=["a little", "likelier", "one conversation of six", "five conversations"],
)
def test_a_small_or_doubtful_fall_in_likelihood_passes(workspace: Workspace, rises: tuple[float, ...]) -> None:
    folder = an_export(workspace, "small")
    found = prove.record(workspace, folder, asked(workspace, RIGHT), STEP, nearness(*rises))
    assert found["passed"], found["details"]["en"]


def test_numbers_that_are_none_fail_the_gate() -> None:
    assert not NotLessLikely.of("merged", "int4", [math.nan] * 8).passed


def test_a_few_flips_are_chance(workspace: Workspace) -> None:
    result = asked(workspace, {**RIGHT, "q0": "{}", "q1": "{}"})
    assert all(gate.passed for gate in judge_step(result, "merged", "int4"))


def test_cases_can_be_left_out(workspace: Workspace) -> None:
    folder = an_export(workspace, "small")
    prove.record(workspace, folder, asked(workspace, RIGHT), STEP, None)
    prove.record(workspace, folder, asked(workspace, RIGHT), STEP, None, cases=False)
    assert not {"proof", "client.py", "case.json"} & {path.name for path in folder.iterdir()}
    assert package.check_sums(folder) == []
    assert verify.check_scorecard(folder, 0, workspace, Console()) is None


def test_scorecard_that_claims_more_than_its_answers_is_found(workspace: Workspace) -> None:
    folder = an_export(workspace, "small")
    prove.record(workspace, folder, asked(workspace, {**RIGHT, "q3": "?"}), STEP, None)
    checked = verify.check_scorecard(folder, 0, workspace, Console())
    assert checked is not None
    assert checked["matches"]
    card = files.read_json(folder / "scorecard.json")
    card["rows"][-1]["usable"] = 1.0
    files.write_json(folder / "scorecard.json", card)
    checked = verify.check_scorecard(folder, 0, workspace, Console())
    assert checked is not None
    assert not checked["matches"]


@pytest.mark.parametrize("text", ["[]", "{}", '{"rows": 3}', '{"rows": ["x"]}'])
def test_scorecard_that_is_none_is_refused_in_a_sentence(workspace: Workspace, text: str) -> None:
    folder = an_export(workspace, "small")
    (folder / "scorecard.json").write_text(text)
    with pytest.raises(QwenlabError, match="is no scorecard"):
        verify.check_scorecard(folder, 0, workspace, Console())


def test_export_whose_origin_is_gone_says_what_to_name(workspace: Workspace) -> None:
    folder = an_export(workspace, "small")
    about = {"kind": "gguf", "bits": 4, "made_from": "old-merged", "made_from_weights": "1"}
    with pytest.raises(QwenlabError, match="old-merged") as caught:
        prove.the_way(workspace, folder, about)
    assert "--against" in caught.value.remedy
    assert "--against" in caught.value.say("zh")[1]


@pytest.mark.parametrize(
    ("kind", "bits", "rows", "keys"),
    [
        ("gguf", 4, 64, ["rows", "5", "8"]),
        ("gguf", 4, 0, ["5", "8"]),
        ("gguf", 5, 64, ["rows", "8"]),
        ("gguf", 8, 0, []),
        ("gptq", 4, 64, ["rows", "8"]),
        ("merged", None, 0, []),
    ],
)
def test_what_mends_depends_on_what_was_made(kind: str, bits: int | None, rows: int, keys: list[str]) -> None:
    found = mending.remedies({"kind": kind, "bits": bits, "calibration_rows": rows})
    assert [one.key for one in found] == keys
    if kind == "gptq":
        finer = mending.remedies({"kind": kind, "bits": bits, "calibration_rows": rows, "group_size": 128})
        assert finer[1].flags == ["--format", "gptq", "--bits", "4", "--group-size", "32"]
    if "rows" in keys:
        assert found[0].flags[-2:] == ["--rows", "256"]
