"""Cases that also stand in the training data."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from qwenlab.conversations.sample import Sample
from qwenlab.evals import burned, leaks
from qwenlab.evals.leaks import Leak, leaked
from qwenlab.evals.suite import suite_from

ENGLISH = "Hello, I bought the red kettle on 3 March and it leaks, please refund 25 dollars."
CHINESE = "你好，我上周买的红色水壶漏水了，订单号是20240317，请尽快退款。"
TABLE = [
    ("the same text", ENGLISH, ENGLISH, True),
    ("other case, punctuation and width", ENGLISH, "hello i bought the RED kettle on ３ march - and it leaks; "
     "please refund 25 dollars", True),
    ("inside a longer training text", ENGLISH, f"Dear shop! {ENGLISH} Thank you, Tom", True),
    ("one word changed", ENGLISH, ENGLISH.replace("25", "30"), True),
    ("another story in similar words", ENGLISH, "Hello, I ordered the blue lamp on 4 May and it arrived broken, "
     "please repair it.", False),
    ("Chinese, the same", CHINESE, CHINESE.replace("，", " "), True),
    ("Chinese, one word changed", CHINESE, CHINESE.replace("红色", "蓝色"), True),
    ("Chinese, another story", CHINESE, "你好，我昨天收到的台灯不亮，订单号是20240401，请帮我换一个新的。", False),
    ("short text, the same", "退货", "退货！", True),
    ("short text inside a longer one", "我要退货", "你好，我要退货，因为颜色不对，谢谢你们的帮助。", False),
    ("training text is a small part", ENGLISH, "I bought the red kettle on 3 March", False),
]  # fmt: skip


@pytest.mark.parametrize(("question", "text", "found"), [row[1:] for row in TABLE], ids=[row[0] for row in TABLE])
def test_a_question_that_was_trained_on_is_found(question, text, found):
    cases = [{"id": "x", "prompt": question, "expected": "a"}, {"id": "y", "prompt": "Tell a joke", "expected": "a"}]
    suite = suite_from({"name": "n", "cases": cases}, "suite.yaml")
    assert leaked(suite, ["Something else", text]) == ({"x"} if found else set())


def dialogue(*turns: str) -> list[dict[str, str]]:
    return [{"role": ("user", "assistant")[at % 2], "content": text} for at, text in enumerate(turns)]


def sample(name: str, *turns: str) -> Sample:
    return Sample.make(name, [(("user", "assistant")[at % 2], text) for at, text in enumerate(turns)])


def test_the_short_last_question_of_a_dialogue_alone_is_no_leak():
    history = dialogue("My kettle from the third of March leaks a lot", "Which order?", "Yes please")
    suite = suite_from({"name": "n", "cases": [{"id": "x", "history": history, "expected": "a"}]}, "suite.yaml")
    assert leaks.find(suite, [sample("s", "Yes please", "ok")]) == []
    whole = sample("s", "My kettle from the third of March leaks a lot!", "Which?", "yes, please", "ok")
    assert leaks.find(suite, [whole]) == [Leak("x", "s", "exact")]


def test_how_a_case_is_known_is_told_with_the_sample():
    cases = [{"id": "a", "prompt": ENGLISH, "expected": "x"}, {"id": "b", "prompt": CHINESE, "expected": "x"}]
    suite = suite_from({"name": "n", "cases": cases}, "suite.yaml")
    samples = [sample("near", f"Dear shop! {ENGLISH} Thanks, Tom", "x"), sample("same", ENGLISH, "x")]
    samples.append(sample("zh", CHINESE.replace("红色", "蓝色"), "x"))
    found = leaks.find(suite, samples)
    assert found == [Leak("a", "same", "exact"), Leak("b", "zh", "near")]
    assert leaks.sentence(found[1], "tuned", "en") == "tuned was trained on nearly the same question (zh)."
    assert "几乎相同" in leaks.sentence(found[1], "tuned", "zh")


def run_with(workspace, name, data, samples):
    folder = workspace.runs / name
    folder.mkdir()
    (folder / "recipe.json").write_text(json.dumps({"data": f"/somewhere/{data}"}))
    (folder / "data.json").write_text(json.dumps([one.raw for one in samples]))
    return folder


def test_a_case_that_was_sent_to_training_data_stays_burned_when_its_question_is_changed_there(workspace):
    suite = suite_from(
        {"name": "n", "cases": [{"id": at, "prompt": at * 3, "expected": "x"} for at in ("a", "b")]}, "suite.yaml"
    )
    burned.mark(workspace, "n", {"a": "from-test-0001"}, Path("mine.train.json"))
    burned.mark(workspace, "other", {"b": "from-test-0001"}, Path("mine.train.json"))
    with (workspace.root / burned.FILE).open("a") as file:
        file.write('{"suite": "n", "case": "b", "sam')  # a line that a crash left
    changed = sample("from-test-0001", "written anew in quite other words", "x")
    learned = run_with(workspace, "one", "mine.train.json", [changed])
    others = run_with(workspace, "two", "else.train.json", [changed])
    before = run_with(workspace, "three", "mine.train.json", [sample("s1", "nothing of it", "x")])
    assert leaks.of_runs(workspace, suite, [learned]) == [Leak("a", "from-test-0001", "burned")]
    assert leaks.of_runs(workspace, suite, [others, before]) == []
    assert burned.cases(workspace, "n") == {"a": ["mine.train.json"]}
    burned.mark(workspace, "n", {"b": "from-test-0002"}, Path("mine.train.json"))
    assert set(burned.cases(workspace, "n")) == {"a", "b"}


def test_what_each_contestant_knows_is_kept_beside_the_result(tmp_path):
    leaks.remember(tmp_path, {"base": [], "tuned": [Leak("a", "s", "near")]})
    leaks.remember(tmp_path, {"int4": [Leak("b", "s", "exact")]})
    known = leaks.recall(tmp_path)
    assert known == {"base": [], "tuned": [Leak("a", "s", "near")], "int4": [Leak("b", "s", "exact")]}
    assert leaks.recall(tmp_path / "older") == {}
