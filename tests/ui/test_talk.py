"""A conversation with several columns: histories, verdicts, what is kept of it, and what is asked next."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from fakes import ScriptedContestant

from qwenlab import files
from qwenlab.conversations.dataset import new_data_set
from qwenlab.conversations.sample import Sample
from qwenlab.errors import QwenlabError
from qwenlab.evals.suite import Suite, suite_from
from qwenlab.jobs import Job
from qwenlab.models.contestant import Answer, Generation, Message
from qwenlab.ui import asking
from qwenlab.ui.asking import Wish
from qwenlab.ui.judging import Wanted
from qwenlab.ui.kept_talks import TalkStore
from qwenlab.ui.lab import Lab
from qwenlab.ui.room import Room, ask
from qwenlab.ui.roster import Entrant
from qwenlab.ui.talk import Exchange, Reply, Talk
from qwenlab.ui.texts import Translator
from qwenlab.workspace import Workspace

EN = Translator("en")
LEFT = Entrant("http://127.0.0.1:1/v1", "127.0.0.1-1-v1", "endpoint")
RIGHT = Entrant("http://127.0.0.1:2/v1", "127.0.0.1-2-v1", "endpoint")
SPECS = (LEFT.spec, RIGHT.spec)
SUITE = suite_from(
    {
        "name": "s",
        "schema": {},
        "cases": [
            {"id": "c1", "prompt": "q", "expected": {"a": 1}},
            {
                "id": "c2",
                "history": [
                    {"role": "user", "content": "hi"},
                    {"role": "assistant", "content": "hello"},
                    {"role": "user", "content": "and?"},
                ],
                "system": "be brief",
                "expected": 2,
            },
        ],
    },
    "test",
)


@pytest.fixture
def lab(tmp_path: Path) -> Lab:
    return Lab(Workspace(tmp_path))


@pytest.fixture
def room(lab: Lab) -> Room:
    """A room whose contestants say their name and how many turns they heard."""

    def make(workspace: Workspace, pool: object, name: str, spec: str, *more: object) -> ScriptedContestant:
        return ScriptedContestant(name, lambda heard: f"{name[-4]}:{len(heard)}", weights=spec[-4])

    return Room(lab.workspace, make)


def say(lab: Lab, room: Room, talk: Talk, words: str, **more: object) -> str:
    ready = asking.put(lab, room, talk, Wish(words, SPECS, **more), EN)  # type: ignore[arg-type]
    assert ready.go
    list(ask(room, talk, Generation()))
    return ready.note


def heard(talk: Talk, column: int, upto: int) -> list[str]:
    return [one["content"] for one in talk.messages(column, upto)]


# --- histories ---------------------------------------------------------------------------------------------


def test_each_column_goes_on_from_its_own_answer(lab: Lab, room: Room) -> None:
    talk = Talk()
    say(lab, room, talk, "one")
    say(lab, room, talk, "two")
    assert heard(talk, 0, 1) == ["one", "1:1", "two"]
    assert heard(talk, 1, 1) == ["one", "2:1", "two"]


def test_taken_answer_is_everybodys_history_with_all_that_came_before_it(lab: Lab, room: Room) -> None:
    talk = Talk()
    for words in ("one", "two", "three"):
        say(lab, room, talk, words)
    talk.exchanges[1].taken = 1
    assert heard(talk, 0, 2) == ["one", "2:1", "two", "2:3", "three"] == heard(talk, 1, 2)
    talk.exchanges[0].taken = 0
    assert heard(talk, 1, 2)[1] == "1:1"
    talk.exchanges[2].taken = 0  # what is taken later changes nothing of before
    assert heard(talk, 1, 2) == ["one", "1:1", "two", "2:3", "three"]


def test_changed_message_cuts_the_conversation_and_the_old_branch_is_kept(lab: Lab, room: Room) -> None:
    talk = Talk()
    for words in ("one", "two", "three"):
        say(lab, room, talk, words)
    old, talk.changing = talk.id, 1
    assert "cut" in say(lab, room, talk, "another two")
    assert [one.message for one in talk.exchanges] == ["one", "another two"]
    assert talk.id != old
    kept, number = room.talks().newest(10)
    assert number == 2
    assert {(one.id, one.messages) for one in kept} == {(old, 3), (talk.id, 2)}


def test_other_contestants_begin_anew_and_the_old_conversation_is_kept(lab: Lab, room: Room) -> None:
    talk = Talk()
    say(lab, room, talk, "one")
    old = talk.id
    ready = asking.put(lab, room, talk, Wish("two", SPECS[:1]), EN)
    assert "new conversation began" in ready.note
    assert (len(talk.exchanges), talk.id == old) == (1, False)


def test_attached_turns_come_before_the_message(lab: Lab, room: Room) -> None:
    talk = Talk()
    say(lab, room, talk, "one")
    taken = asking.of_case(SUITE.cases[1], SUITE)
    talk.attached = taken.earlier
    say(lab, room, talk, taken.words, system=taken.system, suite=SUITE, case_id="c2", expected=taken.expected)
    assert heard(talk, 0, 0) == ["be brief", "hi", "hello", "and?"]
    assert talk.messages(0, 0) == SUITE.cases[1].messages(SUITE), "Compare asks what Test asks"
    assert talk.exchanges[0].wanted.case == SUITE.cases[1]
    say(lab, room, talk, "more", system=taken.system)
    assert heard(talk, 0, 1)[:4] == ["be brief", "hi", "hello", "and?"]


def test_answer_is_given_again_to_the_same_question(lab: Lab, room: Room) -> None:
    talk = Talk()
    say(lab, room, talk, "one", blind=True)
    before = talk.exchanges[0]
    again = talk.exchanges[0] = before.again(before.wanted)
    list(ask(room, talk, Generation()))
    assert (again.message, again.blind, again.key == before.key) == ("one", True, False)
    assert all(reply.said for reply in again.replies)


def test_sample_is_asked_with_what_came_before_and_its_answer_is_expected(lab: Lab) -> None:
    turns = [("system", "s"), ("user", "a"), ("assistant", "b"), ("user", "c"), ("assistant", "d")]
    lab.choose(dataset=str(new_data_set(lab.workspace, "d", [Sample.make("x", turns), Sample.make("y", [])])))
    found = asking.sample(lab, 0)
    assert found is not None
    assert (found.system, found.words, found.expected) == ("s", "c", "d")
    assert [one["content"] for one in found.earlier] == ["a", "b"]
    assert asking.samples(lab) == [("1  c", "0")]
    assert asking.samples(lab, "nowhere") == []
    assert asking.sample(lab, 1) is None
    assert asking.sample(lab, 7) is None


# --- verdicts ----------------------------------------------------------------------------------------------


def test_blind_names_are_hidden_until_there_is_a_verdict_and_kept_with_the_real_ones(lab: Lab, room: Room) -> None:
    talk = Talk()
    say(lab, room, talk, "one", blind=True)
    exchange = talk.exchanges[0]
    exchange.order = (1, 0)
    assert exchange.hidden
    vote = exchange.vote(1, talk.id)
    assert not exchange.hidden
    assert [one.spec for one in vote.contestants] == [RIGHT.spec, LEFT.spec]
    assert (vote.best, vote.blind, vote.answers) == (0, True, ("2:1", "1:1"))


def test_columns_stay_in_their_places_until_they_are_named(lab: Lab, room: Room) -> None:
    talk = Talk()
    say(lab, room, talk, "one", blind=True)
    for number in range(6):
        say(lab, room, talk, f"more {number}", blind=True)
    assert len({one.order for one in talk.exchanges}) == 1


def test_column_without_an_answer_is_not_voted_on(lab: Lab) -> None:
    replies = [Reply(one) for one in (LEFT, RIGHT, Entrant("m", "m", "model"))]
    for reply, finish in zip(replies, ("stop", "error", "stop"), strict=True):
        reply.end(Answer("x", finish), Wanted())  # type: ignore[arg-type]
    exchange = Exchange("q", replies)
    assert exchange.candidates == [0, 2]
    vote = exchange.vote(2, "t")
    assert ([one.name for one in vote.contestants], vote.best) == ([LEFT.name, "m"], 1)


# --- keeping -----------------------------------------------------------------------------------------------


def test_kept_conversation_opens_as_it_was(lab: Lab, room: Room) -> None:
    talk = Talk()
    say(lab, room, talk, "one", system="s", suite=SUITE, case_id="c1", expected='{"a": 1}', blind=True)
    talk.exchanges[0].vote(None, talk.id)
    talk.exchanges[0].taken = 1
    room.talks().save(talk)
    suites: Callable[[str], Suite | None] = {"s": SUITE}.get
    again = room.talks().open(talk.id, suites)
    assert {**again.to_json(), "changed": ""} == {**talk.to_json(), "changed": ""}
    judged = again.exchanges[0].replies[0].judgement
    assert judged is not None
    assert judged.fields is not None
    assert room.talks().open(talk.id, lambda _: None).exchanges[0].wanted.suite is None


def test_half_an_answer_is_kept_when_the_page_is_closed(lab: Lab, room: Room) -> None:
    talk = Talk()
    asking.put(lab, room, talk, Wish("one", SPECS), EN)
    steps = ask(room, talk, Generation())
    next(steps)
    steps.close()  # type: ignore[attr-defined]
    replies = room.talks().open(talk.id, lambda _: None).exchanges[0].replies
    assert [reply.answer and reply.answer.finish for reply in replies] == ["stopped", "stopped"]


def test_deleted_conversation_can_be_brought_back(tmp_path: Path) -> None:
    store, talk = TalkStore(tmp_path), Talk(exchanges=[Exchange("hello", [Reply(LEFT)])])
    store.save(Talk())
    store.save(talk)
    assert store.delete(talk.id)
    assert store.newest(5) == ([], 0)
    assert not store.delete(talk.id)
    assert store.restore(talk.id)
    assert [one.words for one in store.newest(5)[0]] == ["hello"]


def test_damaged_file_leaves_the_others_alone(tmp_path: Path) -> None:
    store, talk = TalkStore(tmp_path), Talk(exchanges=[Exchange("hello", [Reply(LEFT)])])
    store.save(talk)
    files.write_text(tmp_path / "bad.json", "{")
    files.write_text(tmp_path / "odd.json", '{"id": "odd"}')
    assert [one.id for one in store.newest(5)[0]] == [talk.id]
    for name in ("bad", "odd", "none"):
        with pytest.raises(QwenlabError):
            store.open(name, lambda _: None)


@pytest.mark.parametrize("name", ["../votes", "", "a/b", "A\x00"])
def test_id_that_is_no_file_of_the_folder_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(QwenlabError, match="no such conversation"):
        TalkStore(tmp_path).open(name, lambda _: None)


# --- bad input ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("words", ["", "  \n", "\x00\x07\u200b"])
def test_message_of_nothing_is_refused(lab: Lab, room: Room, words: str) -> None:
    talk = Talk()
    with pytest.raises(QwenlabError, match="no message"):
        asking.put(lab, room, talk, Wish(words, SPECS), EN)
    assert talk.exchanges == []


def test_message_of_100_000_characters_is_refused(lab: Lab, room: Room) -> None:
    with pytest.raises(QwenlabError, match="100,000 characters"):
        asking.put(lab, room, Talk(), Wish("x" * 100_000, SPECS), EN)


def test_control_characters_are_left_out_and_said(lab: Lab, room: Room) -> None:
    talk = Talk()
    note = say(lab, room, talk, "a\x00b\r\nc\td\x1b[0m")
    assert talk.exchanges[0].message == "ab\nc\td[0m"
    assert "left out: 2" in note


def test_training_run_is_told_of_before_a_model_is_loaded(lab: Lab, room: Room) -> None:
    run, model = Job(lab.workspace.runs / "r"), lab.workspace.models / "smollm2-135m"
    run.start("train", ["timeit", "-n1", "-r1", "import time; time.sleep(60)"])
    files.write_json(model / "qwenlab-model.json", {})
    files.write_text(model / "model.safetensors", "x" * 2_000_000)
    talk, wish = Talk(), Wish("hello", ("smollm2-135m",))
    try:
        ready = asking.put(lab, room, talk, wish, EN)
        assert (ready.go, talk.exchanges) == (False, [])
        assert "takes 2 MB" in ready.note
        assert asking.put(lab, room, talk, wish, EN).go, "asked once"
        assert asking.put(lab, room, Talk(), Wish("hello", SPECS), EN).go, "nothing to load"
    finally:
        run.kill()


def test_edited_expected_answer_is_no_longer_the_cases() -> None:
    wish = Wish("q", SPECS, suite=SUITE, case_id="c1", expected='{"a": 1}')
    assert asking.wanted(wish).case is SUITE.cases[0]
    assert asking.wanted(Wish("q", SPECS, suite=SUITE, case_id="c1", expected='{"a": 2}')).case is None


def test_messages_of_a_case_without_history_are_the_prompt_alone() -> None:
    taken = asking.of_case(SUITE.cases[0], SUITE)
    assert (taken.earlier, taken.words, taken.expected) == ((), "q", '{"a": 1}')
    earlier: tuple[Message, ...] = taken.earlier
    assert earlier == ()
