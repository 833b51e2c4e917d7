"""A small test result with every kind of answer, for tests of the page."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from fakes import ScriptedContestant

from qwenlab.evals import runner
from qwenlab.evals.suite import Suite, suite_from
from qwenlab.models.contestant import Answer
from qwenlab.ui import suites

GOOD, FENCED, WRONG, BAD = '{"a": 1}', '```json\n{"a": 1}\n```', '{"a": 2}', "<script>alert(1)</script>"
BASE = {"q1": GOOD, "q2": BAD, "q3": BAD, "q4": BAD, "q5": BAD, "q6": GOOD}
TUNED = {"q1": BAD, "q2": GOOD, "q3": FENCED, "q4": WRONG, "q5": Answer("", "error", error="<b>lost</b>"), "q6": GOOD}


def make_suite(cases: int = 6, /, **changes: Any) -> Suite:
    """Cases c1, c2, ... that ask q1, q2, ... and want {"a": 1}."""
    content = {
        "name": "s",
        "schema": {"type": "object", "required": ["a"]},
        "thresholds": {"usable": 0.9},
        "cases": [
            {"id": f"c{n}", "prompt": f"q{n}", "expected": {"a": 1}, "tags": ["odd" if n % 2 else "even"]}
            for n in range(1, cases + 1)
        ],
    }
    return suite_from({**content, **changes}, "test")


def run(folder: Path, cases: int = 6, **scripts: dict[str, Any]) -> Path:
    """Let contestants answer by their scripts (default: base and tuned), with c2 leaked."""
    asked = scripts or {"base": BASE, "tuned": TUNED}
    folder.mkdir(parents=True, exist_ok=True)
    contestants = [ScriptedContestant(name, script) for name, script in asked.items()]
    runner.run(make_suite(cases), contestants, folder, leaked={"c2"})
    return folder


def read(folder: Path) -> suites.Shown:
    """What the page shows of it."""
    found = suites.read_result(folder)
    assert found is not None
    return found
