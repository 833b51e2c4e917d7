"""From base to int4: what each artefact is, and which step broke which case."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from fakes import ScriptedContestant

from qwenlab.evals import runner
from qwenlab.evals.result import Result, load_result
from qwenlab.evals.steps import stage, steps
from qwenlab.evals.suite import suite_from

SUITE = suite_from(
    {
        "name": "s",
        "cases": [{"id": f"c{n}", "prompt": f"q{n}", "expected": "yes"} for n in range(1, 7)],
    },
    "test",
)


class Described(ScriptedContestant):
    """A scripted contestant that says what a real artefact says of itself."""

    def __init__(self, name: str, right: str, about: dict[str, str]) -> None:
        super().__init__(name, {f"q{n}": "yes" for n in right})
        self.about = about

    def describe(self) -> dict[str, str]:
        """What the artefact says."""
        return self.about


BASE = {"kind": "model", "model": "/lab/models/small", "weights": "w"}
ADAPTER = {"kind": "adapter", "model": "/lab/models/small", "weights": "w", "adapter": "/lab/runs/r1/adapter"}
MERGED = {"kind": "model", "model": "/lab/exports/r1-merged", "weights": "m"}
INT4 = {"kind": "gguf", "path": "/lab/exports/r1-int4/model.gguf", "weights": "g"}


def result_of(folder: Path, *contestants: tuple[str, str, dict[str, str]], leaked: tuple[str, ...] = ()) -> Result:
    asked = [Described(name, right, about) for name, right, about in contestants]
    runner.run(SUITE, asked, folder, leaked=leaked)
    return load_result(folder)


@pytest.mark.parametrize(
    ("about", "name", "found"),
    [
        (BASE, "whatever", "base"),
        (ADAPTER, "whatever", "adapter"),
        (MERGED, "whatever", "merged"),
        (INT4, "whatever", "int4"),
        ({"kind": "model", "model": "/lab/exports/r1-gptq-int4"}, "whatever", "int4"),
        ({"kind": "model", "model": "/lab/runs/r1/adapter"}, "trained in full", "adapter"),
        ({"kind": "model", "model": "/elsewhere/out"}, "merged", "merged"),
        ({"kind": "endpoint", "url": "http://cluster/v1"}, "cluster", ""),
    ],
)
def test_artefact_is_known_by_what_it_says_of_itself(about: dict[str, str], name: str, found: str) -> None:
    assert stage(about, name) == found


def test_each_step_names_the_cases_that_it_broke_and_fixed(tmp_path: Path) -> None:
    found = steps(
        result_of(tmp_path, ("a", "1", BASE), ("b", "12345", ADAPTER), ("c", "12345", MERGED), ("d", "126", INT4))
    )
    assert [(one.before, one.after, one.stage) for one in found] == [
        ("a", "b", "adapter"), ("b", "c", "merged"), ("c", "d", "int4"),
    ]  # fmt: skip
    assert [(one.right_before, one.right_after) for one in found] == [(1, 5), (5, 5), (5, 3)]
    assert [one.broken for one in found] == [(), (), ("c3", "c4", "c5")]
    assert [one.fixed for one in found] == [("c2", "c3", "c4", "c5"), (), ("c6",)]
    assert found[2].verdict.broken == 3
    assert found[2].verdict.code == "cannot_tell"


def test_contestants_in_any_order_stand_in_the_order_of_the_way(tmp_path: Path) -> None:
    found = steps(result_of(tmp_path, ("d", "1", INT4), ("b", "1", ADAPTER), ("a", "1", BASE)))
    assert [(one.before, one.after) for one in found] == [("a", "b"), ("b", "d")]


def test_leaked_cases_break_no_step(tmp_path: Path) -> None:
    found = steps(result_of(tmp_path, ("a", "12", BASE), ("b", "1", ADAPTER), leaked=("c2",)))
    assert (found[0].broken, found[0].right_before, found[0].verdict.n) == ((), 1, 5)


@pytest.mark.parametrize(
    "others",
    [
        [("b", ADAPTER), ("c", {**ADAPTER, "adapter": "/lab/runs/r2/adapter"})],
        [("b", {**ADAPTER, "weights": "other"})],
        [("b", ADAPTER), ("c", {**MERGED, "model": "/lab/exports/r2-merged"})],
    ],
    ids=["two adapters", "another base", "an export of another run"],
)
def test_artefacts_of_several_models_are_no_way(tmp_path: Path, others: list[tuple[str, dict[str, Any]]]) -> None:
    contestants = [("a", "1", BASE), *((name, "1", about) for name, about in others)]
    assert steps(result_of(tmp_path, *contestants)) == []
