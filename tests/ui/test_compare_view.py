"""A comparison: who may be asked, what is said of each answer, whose turn it is, and what may be kept."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from qwenlab import files
from qwenlab.conversations.dataset import new_data_set
from qwenlab.conversations.messages import of_lines
from qwenlab.conversations.sample import Sample
from qwenlab.errors import QwenlabError
from qwenlab.evals import batch
from qwenlab.evals.answers import Answered, AnswerLog
from qwenlab.evals.preferences import Vote, Voter, tally
from qwenlab.evals.suite import suite_from
from qwenlab.models.contestant import Answer, Generation
from qwenlab.ui import batch_view, compare_view, roster, talk_lists
from qwenlab.ui.judging import Wanted, judge
from qwenlab.ui.keep import keep, keep_case
from qwenlab.ui.kept_talks import Kept
from qwenlab.ui.lab import Lab
from qwenlab.ui.room import Line, Room, Step, ask
from qwenlab.ui.roster import Entrant
from qwenlab.ui.talk import Exchange, Reply, Talk
from qwenlab.ui.texts import Translator
from qwenlab.workspace import Workspace

EN, ZH = Translator("en"), Translator("zh")
BASE = Entrant("m", "base", "model")
TUNED = Entrant("m+run", "tuned", "adapter", "m")
SUITE = suite_from(
    {
        "name": "s",
        "schema": {"type": "object", "required": ["intent"], "properties": {"amount": {"type": "number"}}},
        "fields": {"/amount": {"rule": "number", "critical": True}},
        "cases": [{"id": "c1", "prompt": "q", "expected": {"intent": "refund", "amount": 5}}],
    },
    "test",
)
NOTHING_WANTED = Wanted()
EVIL = "<script>alert(1)</script><img src=x onerror=alert(1)>"


@pytest.fixture
def lab(tmp_path: Path) -> Lab:
    found = Lab(Workspace(tmp_path))
    path = new_data_set(found.workspace, "d", [Sample.make("a", [("user", "q"), ("assistant", "old")])])
    found.choose(dataset=str(path))
    return found


def talk_with(*answers: Answer | None, wanted: Wanted = NOTHING_WANTED) -> Talk:
    replies = [Reply(one) for one in (BASE, TUNED)[: len(answers)]]
    for reply, answer in zip(replies, answers, strict=True):
        if answer is not None:
            reply.end(answer, wanted)
    return Talk(exchanges=[Exchange("hello", replies, wanted)])


def make_run(lab: Lab, name: str, *checkpoints: int, finished: bool = True) -> None:
    run = lab.workspace.runs / name
    files.write_json(run / "job.json", {})
    files.write_json(run / "base.json", {"folder": str(lab.workspace.models / "smollm2-135m")})
    folders = [run / "checkpoints" / f"checkpoint-{step}" for step in checkpoints]
    for folder in folders:
        files.write_text(folder / "complete", "")
    for folder in [*folders, *([run / "adapter"] if finished else [])]:
        files.write_json(folder / "adapter_config.json", {})
        files.write_text(folder / "adapter_model.safetensors", "")


# --- who may be asked --------------------------------------------------------------------------------------


def test_run_is_offered_with_its_checkpoints_beside_its_base(lab: Lab) -> None:
    files.write_json(lab.workspace.models / "smollm2-135m" / "qwenlab-model.json", {})
    make_run(lab, "run-1", 3, 9)
    specs = [one.spec for one in roster.entrants(lab)]
    assert specs[:2] == ["smollm2-135m", "smollm2-135m+run-1"]
    assert set(specs[2:]) == {"smollm2-135m+run-1/checkpoint-3", "smollm2-135m+run-1/checkpoint-9"}
    assert roster.usual(lab) == ["smollm2-135m", "smollm2-135m+run-1"]


def test_run_that_kept_nothing_is_not_offered(lab: Lab) -> None:
    make_run(lab, "run-1", finished=False)
    assert roster.entrants(lab) == []
    assert roster.usual(lab) == []


def test_exports_are_offered_by_kind(lab: Lab) -> None:
    files.write_json(lab.workspace.exports / "small" / "qwenlab-export.json", {"kind": "gguf"})
    files.write_text(lab.workspace.exports / "broken" / "qwenlab-export.json", "{")
    assert [(one.name, one.kind) for one in roster.entrants(lab)] == [("small", "gguf")]


def test_name_that_was_typed_means_the_one_of_that_name(lab: Lab) -> None:
    spec = str(lab.workspace.exports / "small")
    files.write_json(lab.workspace.exports / "small" / "qwenlab-export.json", {"kind": "gguf"})
    assert [one.spec for one in roster.pick(lab, ["Small", spec], EN)] == [spec]


def test_who_chose_nobody_is_told_where_models_come_from() -> None:
    assert "Train tab" in compare_view.lineup([], [], EN)
    assert "“训练”页" in compare_view.lineup([], [], ZH)
    assert "Train tab" not in compare_view.lineup([BASE], [None], EN)


@pytest.mark.parametrize(
    ("specs", "words"),
    [([], "Nobody"), (["gone"], "nobody called gone"), (["a", "b", "c", "d", "e"], "At most 4")],
)
def test_choice_that_cannot_be_asked_is_refused(lab: Lab, specs: list[str], words: str) -> None:
    with pytest.raises(QwenlabError, match=words):
        roster.pick(lab, specs, EN)


def test_endpoint_is_taken_by_url_but_not_from_outside(lab: Lab) -> None:
    assert roster.pick(lab, ["http://127.0.0.1:1/v1"], EN)[0].name == "127.0.0.1-1-v1"
    two = roster.pick(lab, ["https://h:1/v1#Qwen/base", "https://h:1/v1#tuned"], EN)
    assert [one.name for one in two] == ["base h-1", "tuned h-1"]
    lab.listen = True
    with pytest.raises(QwenlabError):
        roster.pick(lab, ["http://127.0.0.1:1/v1"], EN)


# --- what is said of an answer ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "expected", "rung", "right"),
    [
        ('{"intent": "refund", "amount": 5}', '{"intent": "refund", "amount": 5}', "strict", [True, True]),
        ('Sure: {"intent": "refund", "amount": 6}', '{"intent": "refund", "amount": 5}', "extracted", [True, False]),
        ("no", '{"intent": "refund"}', "none", [False]),
        ("no", "", "none", None),
    ],
)
def test_answer_is_held_against_the_expected_one(text: str, expected: str, rung: str, right: list[bool] | None) -> None:
    found = judge(text, Wanted(SUITE, None, expected))
    assert found.reading.rung == rung
    assert (None if found.fields is None else [one.ok for one in found.fields]) == right


@pytest.mark.parametrize(("text", "ok"), [("ＹＥＳ", True), ("no", False)])
def test_expected_text_is_compared_as_text(text: str, ok: bool) -> None:
    assert judge(text, Wanted(expected="yes")).text_ok is ok


@pytest.mark.parametrize(
    ("t", "words"), [(EN, "amount: &quot;x&quot; should be a number"), (ZH, "amount：“x” 应为数字")]
)
def test_first_violation_is_said_in_words(t: Translator, words: str) -> None:
    talk = talk_with(Answer('{"intent": "a", "amount": "x"}', "stop", tokens=9, seconds=1), wanted=Wanted(SUITE))
    assert words in compare_view.conversation(talk, t)


def test_wrong_value_is_marked_and_right_one_is_not() -> None:
    wanted = Wanted(SUITE, SUITE.cases[0], '{"intent": "refund", "amount": 5}')
    page = compare_view.conversation(talk_with(Answer('{"intent": "refund", "amount": 7}', "stop"), wanted=wanted), EN)
    assert "1 of 2 values right" in page
    assert '<span class="wrong"><code>7</code></span>' in page
    assert "refund&quot;</code>" not in page


def test_model_and_person_cannot_put_html_on_the_page() -> None:
    talk = talk_with(Answer(EVIL, "stop"), Answer("", "error", error=EVIL))
    talk.exchanges[0].message = EVIL
    talk.exchanges[0].replies[0].about = {"weights": EVIL, "model": EVIL}
    page = compare_view.conversation(talk, EN)
    assert "<script" not in page
    assert "<img" not in page
    assert "script&gt;" in page


def test_that_there_is_no_json_is_no_fault_where_none_is_wanted() -> None:
    page = compare_view.conversation(talk_with(Answer("hello", "stop")), EN)
    assert 'class="badge none" title' in page
    assert 'class="badge bad"' not in page


@pytest.mark.parametrize(
    ("step", "words"),
    [(Step("waiting", number=2), "before yours: 2"), (Step("loading", "base", 9), "Loading base, about 9 s")],
)
def test_waiting_and_loading_are_said(step: Step, words: str) -> None:
    assert words in compare_view.conversation(talk_with(None, None), EN, step)


# --- the conversation ----------------------------------------------------------------------------------------


def test_follow_up_continues_each_column_with_its_own_answer() -> None:
    talk = talk_with(Answer("left", "stop"), Answer("", "error", error="x"))
    talk.system = "be brief"
    talk.exchanges.append(Exchange("more", [Reply(BASE), Reply(TUNED)]))
    assert [one["content"] for one in talk.messages(0, 1)] == ["be brief", "hello", "left", "more"]
    assert [one["content"] for one in talk.messages(1, 1)] == ["be brief", "more"]  # what failed is left out


@pytest.mark.parametrize(
    ("entrants", "system", "same"), [([BASE, TUNED], "", True), ([TUNED], "", False), ([BASE, TUNED], "new", False)]
)
def test_other_contestants_or_system_begin_a_new_conversation(entrants: list[Entrant], system: str, same: bool) -> None:
    assert talk_with(None, None).continues(entrants, system) is same


def test_line_is_first_come_first_served_and_can_be_left() -> None:
    line = Line()
    first, second, third = line.enter(), line.enter(), line.enter()
    assert [line.ahead(one) for one in (first, second, third)] == [0, 1, 2]
    line.leave(second)
    line.leave(first)
    assert line.ahead(third) == 0
    line.leave(third)
    assert not line.busy


def test_failing_columns_end_with_their_error_and_free_the_line(lab: Lab) -> None:
    room, talk = Room(lab.workspace), Talk()
    unready = Entrant("smollm2-135m", "base", "model")
    closed = Entrant("http://127.0.0.1:9/v1", "far", "endpoint")
    talk.exchanges.append(Exchange("hello", [Reply(unready), Reply(closed)]))
    list(ask(room, talk, Generation()))
    errors = [reply.answer.error for reply in talk.exchanges[0].replies if reply.answer]
    assert "smollm2-135m is not here yet" in errors[0]
    assert "http://127.0.0.1:9/v1" in errors[1]
    assert not talk.busy
    assert not room.line.busy


def test_closed_page_leaves_the_line(lab: Lab) -> None:
    room, talk = Room(lab.workspace), Talk(exchanges=[Exchange("hello", [Reply(BASE)])])
    first = room.line.enter()
    steps = ask(room, talk, Generation())
    assert next(steps) == Step("waiting", number=1)
    steps.close()  # type: ignore[attr-defined]
    room.line.leave(first)
    assert not room.line.busy
    answer = talk.exchanges[0].replies[0].answer
    assert answer is not None
    assert answer.finish == "stopped"


# --- keeping -------------------------------------------------------------------------------------------------


def test_corrected_answer_becomes_a_saved_sample_once(lab: Lab) -> None:
    asked = [{"role": "system", "content": "s"}, {"role": "user", "content": "new question"}]
    said = keep(lab, EN, asked, " right ", "from-compare")
    assert "from-compare-0001" in said
    document = lab.document()
    assert document is not None
    stored = json.loads(document.dataset.path.read_text(encoding="utf-8"))[-1]
    assert stored["id"] == "from-compare-0001"
    assert [turn["value"] for turn in stored["conversations"]] == ["s", "new question", "right"]
    assert "already, as from-compare-0001" in keep(lab, EN, asked, "right", "from-compare")
    assert len(document.samples) == 2


@pytest.mark.parametrize(("answer", "words"), [("new", "another answer"), ("old", "already, as a"), ("  ", "empty")])
def test_sample_that_does_harm_is_refused(lab: Lab, answer: str, words: str) -> None:
    assert words in keep(lab, EN, [{"role": "user", "content": "q"}], answer, "from-compare")
    document = lab.document()
    assert document is not None
    assert len(document.samples) == 1


def test_corrected_question_becomes_a_case_of_the_suite_once(lab: Lab) -> None:
    asked = [{"role": "user", "content": "how long?"}]
    files.write_text(lab.workspace.suites / "mine.yaml", "name: mine\ncases:\n- {id: a, prompt: hi, expected: hello}\n")
    assert "Added to the suite mine as compare-0001" in keep_case(lab, EN, "mine", asked, "two days")
    assert "already, as compare-0001" in keep_case(lab, EN, "mine", asked, "two days")
    assert "expects another answer" in keep_case(lab, EN, "mine", asked, "five days")
    assert "needs its right answer" in keep_case(lab, EN, "mine", asked, " ")
    assert "has this question too, as a" in keep_case(lab, EN, "mine", [{"role": "user", "content": "q"}], "old")


# --- verdicts and lists --------------------------------------------------------------------------------------


def test_nothing_tells_who_is_who_before_a_blind_verdict() -> None:
    talk = talk_with(Answer("yes", "stop", tokens=3), Answer('{"a": 1}', "stop", tokens=4))
    exchange = talk.exchanges[0]
    exchange.shuffle((1, 0))
    for reply in exchange.replies:
        reply.about, reply.seconds = {"weights": "abcdef0123456789"}, 1.0
    page = compare_view.conversation(talk, EN)
    assert not any(word in page for word in ("base", "tuned", "abcdef", "tokens"))
    assert page.index("Answer A") < page.index("a&quot;: 1") < page.index("Answer B")
    exchange.vote(1, talk.id)
    page = compare_view.conversation(talk, EN)
    assert page.index("A · tuned") < page.index("B · base")
    assert 'title="abcdef0123456789"' in page


def test_two_are_judged_by_side_and_three_by_name() -> None:
    talk = talk_with(Answer("yes", "stop"), Answer("no", "stop"))
    assert "Left is better" in compare_view.conversation(talk, EN)
    third = Reply(Entrant("s.gguf", "small", "gguf"))
    third.end(Answer("well", "stop"), NOTHING_WANTED)
    talk.exchanges[0] = Exchange("hello", [*talk.exchanges[0].replies, third])
    page = compare_view.conversation(talk, EN)
    assert ">small</button>" in page
    assert "Left" not in page


def test_differing_words_are_marked() -> None:
    talk = talk_with(Answer("It takes two days.", "stop"), Answer("It takes nine days.", "stop"))
    page = compare_view.conversation(talk, EN)
    assert "It takes <mark>two</mark> days." in page
    assert "It takes <mark>nine</mark> days." in page


def test_forced_answer_stands_beside_the_free_one() -> None:
    talk = talk_with(Answer("sure!", "stop"))
    reply = talk.exchanges[0].replies[0]
    reply.forced = Reply(BASE)
    reply.forced.end(Answer('{"intent": "x"}', "stop"), Wanted(SUITE))
    page = compare_view.conversation(talk, EN)
    assert page.index("sure!") < page.index("With the schema enforced") < page.index("</i> strict JSON")


def test_lists_cannot_be_written_into_by_strangers() -> None:
    found = Kept("a", "2026-01-01T00:00:00Z", EVIL, (EVIL,), 1)
    vote = Vote("k", "t", (Voter(EVIL, "m"), Voter("b", "n")), 0)
    page = talk_lists.kept([found], 1, "", EVIL, EN) + talk_lists.tally(tally([vote]), 1, EN)
    assert "<script" not in page
    assert "<img" not in page


def test_batch_table_has_a_verdict_for_each_answer(tmp_path: Path) -> None:
    plan = batch.Plan((("base", "m"),), schema={"type": "object", "required": ["a"]})
    batch.prepare(tmp_path, plan, of_lines(f"one\n{EVIL}\nthree"))
    log = AnswerLog(tmp_path / "base" / "answers.jsonl")
    log.path.parent.mkdir()
    log.append(Answered("1", Answer('{"a": 1}', "stop")))
    log.append(Answered("2", Answer(EVIL, "error", error=EVIL, error_zh=EVIL)))
    page = batch_view.answers(tmp_path, batch.read(tmp_path), EN)
    assert "fits the schema" in page
    assert "2 answers, 1 strict JSON, 1 fit the schema, 1 without an answer" in page
    assert "<script" not in page
    assert "<img" not in page
