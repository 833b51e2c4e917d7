"""qwenlab test, report and history as a build server uses them: exit codes, gates, files; a real server answers."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from stub_server import Reply, StubServer

from qwenlab import files
from qwenlab.cli import main
from qwenlab.workspace import Workspace

RIGHT, WRONG, LOST = '{"a": 1}', '{"a": 2}', None
Answers = Callable[[int], str | None]


@pytest.fixture
def serve(stub: Callable[[Reply], StubServer]) -> Callable[[Answers], str]:
    """Starts a server that answers question qN with answers(N); None is a failure of the server."""

    def start(answers: Answers) -> str:
        server = stub(lambda body: answers(int(body["messages"][-1]["content"].removeprefix("q"))))
        return f"{server.url}#m"

    return start


@pytest.fixture
def suite(tmp_path: Path) -> str:
    cases = [{"id": f"c{n}", "prompt": f"q{n}", "expected": {"a": 1}} for n in range(20)]
    files.write_json(tmp_path / "tickets.json", {"name": "tickets", "schema": {"type": "object"}, "cases": cases})
    return str(tmp_path / "tickets.json")


def right_until(count: int, otherwise: str | None = WRONG) -> Answers:
    return lambda number: RIGHT if number < count else otherwise


def run(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, Any, str]:
    """Exit code, parsed standard output, and standard error of `qwenlab ... --json`."""
    code = main([*arguments, "--json"])
    said = capsys.readouterr()
    return code, json.loads(said.out), said.err


@pytest.mark.parametrize(
    ("gates", "code", "sentence"),
    [
        ((), 0, None),
        (("--threshold", "passed=0.9"), 0, 'tuned meets "at least 90.0 % passed": 90.0 % (70-97) of 20 cases.'),
        (
            ("--threshold", "passed=0.95"),
            1,
            'tuned misses "at least 95.0 % passed": 90.0 % (70-97) of 20 cases; 1 case',
        ),
        (
            ("--threshold", "base:passed=0.9"),
            1,
            'base misses "at least 90.0 % passed": 50.0 % (30-70) of 20 cases; 8 cases',
        ),
        (("--not-worse", "passed,field_accuracy"), 0, 'tuned meets "not worse than base (passed)": +40.0'),
        (("--threshold", "base:passed=0.5", "--threshold", "passed=1"), 1, 'tuned misses "at least 100.0 % passed"'),
    ],
)
def test_the_exit_code_says_whether_the_gates_are_met(capsys, serve, suite, gates, code, sentence):
    asked = ("-c", f"base={serve(right_until(10))}", "-c", f"tuned={serve(right_until(18))}")
    found, value, said = run(capsys, "test", suite, *asked, *gates)
    assert found == code
    assert all(gate["passed"] for gate in value["gates"]) is (code == 0)
    if sentence:
        assert any(gate["sentence"].startswith(sentence) for gate in value["gates"])
    assert ("misses" in said) is (code == 1), "what failed a build stands in its log"


def test_worse_beyond_doubt_fails_the_gate_and_a_margin_asks_for_more(capsys, serve, suite):
    base, worse = serve(right_until(20)), serve(right_until(12))
    same = serve(right_until(20, WRONG))
    assert run(capsys, "test", suite, "-c", f"b={base}", "-c", f"w={worse}", "--not-worse", "passed")[0] == 1
    assert run(capsys, "test", suite, "-c", f"b={base}", "-c", f"s={same}", "--not-worse", "passed=0.02")[0] == 0
    a_bit = serve(right_until(19))
    assert run(capsys, "test", suite, "-c", f"b={base}", "-c", f"a={a_bit}", "--not-worse", "passed")[0] == 0
    assert run(capsys, "test", suite, "-c", f"b={base}", "-c", f"a={a_bit}", "--not-worse", "passed=0.02")[0] == 1


def test_errors_stay_in_the_denominator_and_are_said(capsys, serve, suite):
    code, value, _ = run(capsys, "test", suite, "-c", f"x={serve(right_until(18, LOST))}", "--threshold", "passed=0.95")
    (gate,) = value["gates"]
    assert (code, gate["n"], gate["errors"], gate["missing"]) == (1, 20, 2, 1)
    assert "2 of them without an answer, which counts as wrong" in gate["sentence"]


def test_a_contestant_that_answers_nothing_could_not_run(capsys, serve, suite):
    code, value, said = run(capsys, "test", suite, "-c", f"x={serve(lambda number: LOST)}", "--threshold", "passed=0")
    assert code == 2
    assert value["contestants"][0]["errors"] == 20
    assert "Error: x gave no answer to any case. The endpoint" in said


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (("--report", "report.pdf"), "cannot be written as report.pdf"),
        (("--threshold", "tuned:passed=1"), 'names the contestant "tuned", which is not asked'),
        (("--not-worse", "passed"), "cannot be held against itself"),
    ],
)
def test_what_is_wrong_with_the_command_is_said_before_anyone_is_asked(capsys, serve, suite, wrong, message):
    asked: list[int] = []
    address = serve(lambda number: asked.append(number) or RIGHT)
    code, value, _ = run(capsys, "test", suite, "-c", f"x={address}", *wrong)
    assert code == 2
    assert message in value["error"]
    assert not asked


def test_one_run_writes_every_report_and_each_can_be_had_later(capsys, serve, suite, tmp_path, workspace: Workspace):
    names = ("r.html", "r.md", "r.csv", "r.xml", "r.json")
    wanted = [word for name in names for word in ("--report", str(tmp_path / name))]
    asked = (
        "-c",
        f"base={serve(right_until(10))}",
        "-c",
        f"tuned={serve(right_until(18))}",
        "--threshold",
        "passed=0.99",
    )
    code, value, _ = run(capsys, "test", suite, *asked, *wanted)
    assert code == 1
    folder = Path(value["folder"])
    for name in names:
        again = tmp_path / f"again-{name}"
        assert run(capsys, "report", folder.name, "-o", str(again))[0] == 0
        assert again.read_bytes() == (tmp_path / name).read_bytes(), "gates of the command line are remembered"
    assert "8" in (tmp_path / "r.md").read_text(encoding="utf-8")


def test_a_report_can_be_printed_and_its_form_and_language_chosen(capsys, serve, suite, workspace: Workspace):
    _, value, _ = run(capsys, "test", suite, "-c", f"base={serve(right_until(10))}")
    folder = value["folder"]
    assert main(["report", folder, "--language", "zh"]) == 0
    assert "| 测试对象 | 用例 |" in capsys.readouterr().out
    assert main(["report", folder, "--format", "junit"]) == 0
    assert capsys.readouterr().out.startswith("<?xml")
    code, value, _ = run(capsys, "report", folder)
    assert (code, len(value["cases"])) == (0, 20)


def test_an_unknown_result_is_named_with_the_nearest(capsys, serve, suite):
    code, value, _ = run(capsys, "report", "nothing")
    assert (code, value["remedy"]) == (2, "Run qwenlab test first.")
    _, made, _ = run(capsys, "test", suite, "-c", f"base={serve(right_until(1))}")
    name = Path(made["folder"]).name
    code, value, _ = run(capsys, "report", name[:-1])
    assert code == 2
    assert f'Did you mean "{name}"' in value["error"]


def test_history_tells_what_every_result_reached_and_how_the_newest_compares(capsys, serve, suite):
    run(capsys, "test", suite, "-c", f"tuned={serve(right_until(2))}")
    run(capsys, "test", suite, "-c", f"tuned={serve(right_until(20))}")
    code, value, _ = run(capsys, "history", "tickets")
    assert code == 0
    assert [one["contestants"][0]["passed"] for one in value["results"]] == [0.1, 1.0]
    assert [verdict["code"] for verdict in value["since_last"]] == ["better", "better"]
    assert main(["history", "tickets"]) == 0
    assert capsys.readouterr().out.splitlines()[0].split()[:2] == ["time", "contestant"]
    assert run(capsys, "history", "tickts")[0] == 2


def test_saved_answers_are_judged_by_the_suites_thresholds(capsys, tmp_path):
    cases = [{"id": f"c{n}", "prompt": "q", "expected": {"a": 1}} for n in range(4)]
    thresholds = {"passed": 0.75}
    files.write_json(tmp_path / "s.json", {"name": "s", "schema": {}, "thresholds": thresholds, "cases": cases})
    lines = [{"case": f"c{n}", "answer": RIGHT if n < 2 else WRONG} for n in range(4)]
    (tmp_path / "mine.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    code, value, _ = run(capsys, "score", str(tmp_path / "s.json"), "--answers", str(tmp_path / "mine.jsonl"))
    assert code == 1
    assert value["gates"][0]["sentence"].startswith(
        'mine misses "at least 75.0 % passed": 50.0 % (15-85) of 4 cases; 1 case'
    )
