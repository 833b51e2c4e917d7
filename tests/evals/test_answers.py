"""Answers on disk, and answers made elsewhere."""

from __future__ import annotations

import json

import pytest
from small_suites import tickets

from qwenlab.errors import QwenlabError
from qwenlab.evals.answers import Answered, AnswerLog, score_answers_file
from qwenlab.models.contestant import Answer

GOOD = '{"intent": "repair", "amount": null}'


def lines(path, *values):
    path.write_text("\n".join(v if isinstance(v, str) else json.dumps(v) for v in values) + "\n", encoding="utf-8")
    return path


def test_a_file_of_answers_is_scored_in_the_order_of_the_suite(tmp_path):
    path = lines(
        tmp_path / "a.jsonl", {"case": "c2", "answer": GOOD}, "", {"case": "c1", "answer": "x", "model": "other"}
    )
    first, second, third = score_answers_file(tickets(), path)
    assert (first.case_id, first.rung, first.errored) == ("c1", "none", False)
    assert (second.case_id, second.passed) == ("c2", True)
    assert (third.case_id, third.errored, third.flags) == ("c3", True, ("not_answered",))


def test_the_json_of_a_score_holds_the_contract_of_the_command_line(tmp_path):
    path = lines(tmp_path / "a.jsonl", {"case": "c2", "answer": GOOD})
    plain = score_answers_file(tickets(), path)[1].to_json()
    assert {"case", "rung", "schema_valid", "usable", "fields", "passed"} <= plain.keys()
    assert [(field["pointer"], field["ok"]) for field in plain["fields"]] == [
        ("/intent", True), ("/amount/value", True), ("/amount/currency", True),
    ]  # fmt: skip


def test_finish_and_a_byte_order_mark_are_taken_into_account(tmp_path):
    path = tmp_path / "a.jsonl"
    path.write_text("\ufeff" + json.dumps({"case": "c2", "answer": GOOD, "finish": "length"}), encoding="utf-8")
    score = score_answers_file(tickets(), path)[1]
    assert (score.document_exact, score.usable) == (True, False)


BAD = [
    ("{", "line 2 is not JSON"),
    ("5", "line 2 is not an object"),
    ({"case": "c1"}, 'line 2 has no "answer"'),
    ({"answer": "x"}, 'line 2 has no "case"'),
    ({"case": "c1", "answer": {"a": 1}}, 'line 2: "answer" must be text'),
    ({"case": "c1x", "answer": ""}, 'line 2: the suite "tickets" has no case "c1x". Did you mean "c1"'),
    ({"case": "c2", "answer": ""}, 'line 2: the case "c2" is answered twice'),
    ({"case": "c1", "answer": "", "finish": "eos"}, 'line 2: unknown finish "eos"'),
]


@pytest.mark.parametrize(("line", "words"), BAD)
def test_a_bad_line_is_named(tmp_path, line, words):
    path = lines(tmp_path / "a.jsonl", {"case": "c2", "answer": GOOD}, line)
    with pytest.raises(QwenlabError, match=words) as caught:
        score_answers_file(tickets(), path)
    assert caught.value.say("zh")[0].startswith(f"{path} 第 2 行")


def test_a_missing_or_unreadable_file_is_one_clear_error(tmp_path):
    with pytest.raises(QwenlabError, match="There is no file"):
        score_answers_file(tickets(), tmp_path / "none.jsonl")
    (tmp_path / "b.jsonl").write_bytes(b"\xff")
    with pytest.raises(QwenlabError, match="not UTF-8"):
        score_answers_file(tickets(), tmp_path / "b.jsonl")


def test_an_error_survives_the_log_in_both_languages(tmp_path):
    log = AnswerLog(tmp_path / "answers.jsonl")
    log.append(Answered("c1", Answer.failed(QwenlabError("No power.", "Plug it in.", zh=("没有电。", "请接上电源。")))))
    log.append(Answered("c2", Answer.failed(QwenlabError("No power."))))
    known, unknown = (item.answer for item in log.read())
    assert [known.error_in(language) for language in ("en", "zh")] == ["No power. Plug it in.", "没有电。请接上电源。"]
    assert unknown.error_in("zh") == "No power."


def test_answers_of_an_older_version_are_read(tmp_path):
    log = AnswerLog(tmp_path / "answers.jsonl")
    log.path.write_text('{"case": "c1", "text": "", "finish": "error", "error": "lost", "wall": 0.1}\n')
    assert log.read()[0].answer.error_in("zh") == "lost"


@pytest.mark.parametrize("text", ["plain", "订单\n\u2028 \x00", "half a pair \ud83d", ""])
def test_any_text_survives_the_log_unchanged(tmp_path, text):
    log = AnswerLog(tmp_path / "answers.jsonl")
    item = Answered("c1", Answer(text, "stop", 3, 4, 0.5, ""), 0.25)
    log.append(item)
    log.append(item)
    assert log.read() == [item, item]


def test_a_torn_last_line_is_dropped_and_a_torn_middle_one_is_named(tmp_path):
    log = AnswerLog(tmp_path / "answers.jsonl")
    log.append(Answered("c1", Answer("a", "stop")))
    with log.path.open("a") as file:
        file.write('{"case": "c2", "te')
    assert set(log.latest()) == {"c1"}
    log.drop_torn_line()
    log.append(Answered("c2", Answer("b", "stop")))
    assert set(log.latest()) == {"c1", "c2"}
    log.path.write_text('{"case"\n' + log.path.read_text())
    with pytest.raises(QwenlabError, match="line 1 cannot be read"):
        log.read()
