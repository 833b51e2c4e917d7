"""A batch of messages: answered once, kept as it goes, gone on with, and exported."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from fakes import ScriptedContestant

from qwenlab.conversations import tables
from qwenlab.conversations.messages import of_lines
from qwenlab.errors import QwenlabError
from qwenlab.evals import batch
from qwenlab.evals.batch import Plan
from qwenlab.models.contestant import Answer, Contestant

SCHEMA = {"type": "object", "required": ["a"]}
PLAN = Plan((("base", "m"), ("tuned", "m+run")), "be brief", schema=SCHEMA)
SCRIPT = {"one": "no", "two": '{"a": 1}', "three": '```\n{"b": 1}\n```'}


class Opener:
    """Gives scripted contestants and remembers them."""

    def __init__(self, **kinds: object) -> None:
        self.kinds = kinds
        self.made: list[ScriptedContestant] = []

    @contextmanager
    def __call__(self, name: str, spec: str) -> Iterator[Contestant]:
        kind = self.kinds.get(name)
        if isinstance(kind, QwenlabError):
            raise kind
        made = kind if isinstance(kind, ScriptedContestant) else ScriptedContestant(name, SCRIPT, batch=2)
        self.made.append(made)
        yield made
        made.close()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    batch.prepare(tmp_path / "b", PLAN, of_lines("one\ntwo\nthree"))
    return tmp_path / "b"


def test_every_contestant_answers_every_message(folder: Path) -> None:
    opener, seen = Opener(), []
    batch.run(folder, opener, seen.append)
    found = batch.read(folder)
    assert (found.done, found.total) == (6, 6)
    assert [cell and cell.reading.rung for cell in found.cells["base"]] == ["none", "strict", "fenced"]
    assert [cell and batch.schema_valid(cell) for cell in found.cells["tuned"]] == [None, True, False]
    assert opener.made[0].asked[0][0] == {"role": "system", "content": "be brief"}
    assert all(one.closed for one in opener.made)
    assert seen[-1].done == 6


def test_batch_goes_on_where_it_was_stopped(folder: Path) -> None:
    asked: list[bool] = []

    def after_two() -> bool:
        asked.append(True)
        return len(asked) > 3

    batch.run(folder, Opener(), should_stop=after_two)
    assert batch.read(folder).done == 2
    opener = Opener()
    batch.run(folder, opener)
    assert batch.read(folder).done == 6
    assert [len(one.asked) for one in opener.made] == [1, 3]


def test_contestant_that_cannot_be_had_leaves_the_others_alone_and_is_tried_again(folder: Path) -> None:
    batch.run(folder, Opener(base=QwenlabError("gone", zh=("没了", ""))))
    found = batch.read(folder)
    assert [cell and cell.answer.error for cell in found.cells["base"]] == ["gone"] * 3
    assert [cell and cell.answer.finish for cell in found.cells["tuned"]] == ["stop"] * 3
    batch.run(folder, Opener(base=ScriptedContestant("base", {"one": Answer("x", "error", error="y")})))
    assert [cell and cell.answer.finish for cell in batch.read(folder).cells["base"]] == ["error", "stop", "stop"]


def test_folder_of_another_batch_is_refused(folder: Path) -> None:
    batch.prepare(folder, PLAN, of_lines("one\ntwo\nthree"))
    with pytest.raises(QwenlabError, match="another batch"):
        batch.prepare(folder, PLAN, of_lines("one"))
    with pytest.raises(QwenlabError, match="another batch"):
        batch.prepare(folder, Plan((("base", "m"),)), of_lines("one\ntwo\nthree"))


@pytest.mark.parametrize("names", [("../x",), ("a", "a")])
def test_name_that_cannot_be_a_folder_is_refused(tmp_path: Path, names: tuple[str, ...]) -> None:
    with pytest.raises(QwenlabError, match="cannot name"):
        batch.prepare(tmp_path / "b", Plan(tuple((name, "m") for name in names)), of_lines("one"))


def test_table_is_exported_in_three_forms(folder: Path, tmp_path: Path) -> None:
    batch.run(folder, Opener())
    found = batch.read(folder)
    for form in batch.FORMS:
        batch.export(found, tmp_path / f"t.{form}")
    rows = list(csv.DictReader((tmp_path / "t.csv").open(encoding="utf-8-sig")))
    assert [row["message"] for row in rows] == ["one", "two", "three"]
    assert (rows[1]["tuned JSON"], rows[2]["tuned schema"]) == ("strict", "broken")
    lines = [json.loads(line) for line in (tmp_path / "t.jsonl").read_text(encoding="utf-8").splitlines()]
    assert lines[1]["answers"]["base"]["schema_valid"] is True
    assert tables.read(tmp_path / "t.xlsx", None).rows[1][1][1] == "two"
    with pytest.raises(QwenlabError, match="cannot be written"):
        batch.export(found, tmp_path / "t.pdf")
