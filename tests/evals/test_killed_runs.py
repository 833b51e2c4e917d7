"""A run killed with kill -9, again and again, ends as one that was never disturbed: real processes."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from small_suites import without_times
from stub_server import Reply, StubServer, number_of

from qwenlab import files
from qwenlab.evals.runner import run
from qwenlab.evals.suite import suite_from
from qwenlab.workspace import Workspace

KILLS = int(os.environ.get("QWENLAB_TEST_KILLS", "20"))
CASES = 12 * KILLS
"""Enough that there is always something left to ask: a kill comes after 15 questions of twice as many, on average."""
SUITE: dict[str, Any] = {
    "name": "many",
    "schema": {"type": "object", "required": ["number"]},
    "generation": {"repeats": 2, "temperature": 0.5},
    "cases": [{"id": f"c{n}", "prompt": f"Number {n}", "expected": {"number": n}} for n in range(CASES)],
}
CHILD = """
import sys
from pathlib import Path
from qwenlab import files
from qwenlab.chat.endpoint_contestant import EndpointContestant
from qwenlab.chat.endpoint_pace import Pace
from qwenlab.evals.runner import run
from qwenlab.evals.suite import suite_from
suite = suite_from(files.read_json(Path(sys.argv[1])), "suite.json")
contestant = EndpointContestant("far", sys.argv[2] + "#m", Pace(concurrent=4))
run(suite, [contestant], Path(sys.argv[3]))
"""


def slow(body: dict[str, Any]) -> str:
    """The number of the question, wrongly for every third, after a blank per seed; slowly enough to be killed."""
    time.sleep(0.01)
    number = number_of(body)
    return " " * body["seed"] + json.dumps({"number": number + (number % 3 == 0)})


@pytest.fixture
def server(stub: Callable[[Reply], StubServer]) -> StubServer:
    return stub(slow)


def started(*arguments: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, *arguments], start_new_session=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )


def killed_when(process: subprocess.Popen[bytes], ready: Callable[[], bool], seconds: float = 60) -> bool:
    """Kill the process as soon as something is so; False when it had ended before."""
    end = time.monotonic() + seconds
    while process.poll() is None and time.monotonic() < end:
        if ready():
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            return True
        time.sleep(0.001)
    process.kill()
    process.wait()
    return False


def test_a_run_killed_again_and_again_ends_like_an_undisturbed_one(tmp_path: Path, server: StubServer) -> None:
    files.write_json(tmp_path / "suite.json", SUITE)
    chance, killed = random.Random(), 0
    command = ("-c", CHILD, str(tmp_path / "suite.json"), server.url)
    for _ in range(KILLS):
        until = len(server.bodies) + chance.randint(1, 30)
        child = started(*command, str(tmp_path / "broken"))
        killed += killed_when(child, lambda until=until: len(server.bodies) >= until)  # type: ignore[misc]
    assert killed >= KILLS / 2, "otherwise this test shows nothing"
    print(f"{killed} kills")
    assert started(*command, str(tmp_path / "broken")).wait(600) == 0
    assert started(*command, str(tmp_path / "whole")).wait(600) == 0
    found = without_times(tmp_path / "broken")
    assert found["result.json"]["state"] == "finished"
    assert found["far/summary.json"]["repeats"]["pass_all"] == pytest.approx(2 / 3)
    assert found == without_times(tmp_path / "whole")


@pytest.mark.parametrize("left", [0, 1, 2])
def test_a_run_killed_while_it_wrote_its_report_writes_it_again(tmp_path: Path, left: int) -> None:
    from fakes import ScriptedContestant

    suite = suite_from(SUITE, "suite.json")
    right = {f"Number {n}": json.dumps({"number": n}) for n in range(CASES)}
    run(suite, [ScriptedContestant("far", right)], tmp_path)
    before = without_times(tmp_path)
    for path in [tmp_path / "far" / "scores.json", tmp_path / "far" / "summary.json", tmp_path / "result.json"][left:]:
        path.unlink()
    again = ScriptedContestant("far", right)
    run(suite, [again], tmp_path)
    assert again.asked == []
    assert without_times(tmp_path) == before


@pytest.mark.model
def test_a_real_model_killed_in_the_middle_of_a_batch_ends_like_an_undisturbed_one(
    with_model: Workspace, tmp_path: Path
) -> None:
    cases = [
        {"id": f"c{n}", "prompt": f"Say {n} colours. " + "Please. " * (n % 7), "expected": "red"} for n in range(30)
    ]
    content = {"name": "colours", "system": "You are a painter who answers in a few words.", "cases": cases}
    files.write_json(tmp_path / "suite.json", {**content, "generation": {"max_new_tokens": 16}})
    command = ("-m", "qwenlab", "test", str(tmp_path / "suite.json"), "-c", "base=smollm2-135m", "-o")
    log = tmp_path / "broken" / "base" / "answers.jsonl"
    child = started(*command, str(tmp_path / "broken"))
    assert killed_when(child, lambda: log.exists() and log.read_bytes().count(b"\n") >= 3, 240)
    assert started(*command, str(tmp_path / "broken")).wait(240) == 0
    assert started(*command, str(tmp_path / "whole"), "--fresh").wait(240) == 0
    assert without_times(tmp_path / "broken") == without_times(tmp_path / "whole")
