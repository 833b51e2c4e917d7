"""One schema from the editor to the score: the Data tab takes that of a suite."""

from __future__ import annotations

from pathlib import Path

import pytest

from qwenlab import files
from qwenlab.conversations.dataset import new_data_set
from qwenlab.conversations.sample import Sample
from qwenlab.errors import QwenlabError
from qwenlab.ui import data_schema
from qwenlab.ui.lab import Lab
from qwenlab.ui.texts import Translator
from qwenlab.workspace import Workspace

EN = Translator("en")
SUITE = """name: {name}
schema: {schema}
cases: [{{id: c, prompt: Hello, expected: {{"order": "A1"}}}}]
"""
INLINE = "{type: object, required: [order]}"


@pytest.fixture
def lab(tmp_path: Path) -> Lab:
    found = Lab(Workspace(tmp_path))
    for name, answer in (("good", '{"order": "A1"}'), ("bad", "{}")):
        turns = [{"from": "user", "value": "Hello"}, {"from": "assistant", "value": answer}]
        found.choose(dataset=str(new_data_set(found.workspace, name, [Sample({"id": name, "conversations": turns})])))
    files.write_text(found.workspace.suites / "mine" / "suite.yaml", SUITE.format(name="mine", schema=INLINE))
    return found


def test_answers_are_judged_by_the_schema_of_the_chosen_suite(lab: Lab) -> None:
    suite = str(lab.workspace.suites / "mine" / "suite.yaml")
    data_schema.choose(lab, suite, EN)
    document = lab.document()
    assert document is not None
    assert [code for _, code, _ in document.facts[0].problems] == ["schema"]
    assert data_schema.choices(lab, document, EN)[1] == suite
    data_schema.choose(lab, data_schema.NONE, EN)
    assert document.schema is None
    assert document.facts[0].problems == ()


def test_choice_outlives_the_lab_and_follows_the_suite(lab: Lab) -> None:
    suite = lab.workspace.suites / "mine" / "suite.yaml"
    data_schema.choose(lab, str(suite), EN)
    files.write_text(suite, SUITE.format(name="mine", schema="{type: object}"))
    document = Lab(lab.workspace).document()
    assert document is not None
    assert document.schema is not None
    assert document.schema.schema == {"type": "object"}


def test_shipped_set_names_its_suite_and_is_copied_when_another_is_chosen(tmp_path: Path) -> None:
    lab = Lab(Workspace(tmp_path))
    offered, now = data_schema.choices(lab, lab.document(), EN)
    assert {file: label for label, file in offered}[now] == "after-sales-tickets"
    data_schema.choose(lab, data_schema.NONE, EN)
    document = lab.document()
    assert document is not None
    assert document.dataset.path.is_relative_to(tmp_path)
    assert document.schema is None


def test_file_that_the_list_does_not_offer_is_refused(lab: Lab, tmp_path: Path) -> None:
    files.write_json(tmp_path / "secret.json", {"type": "object"})
    with pytest.raises(QwenlabError, match="not there"):
        data_schema.choose(lab, str(tmp_path / "secret.json"), EN)
