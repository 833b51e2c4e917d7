"""Several people ask at once: everyone is told a place, and nobody's words reach another's conversation."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from fakes import ScriptedContestant

from qwenlab.models.contestant import Generation, Message
from qwenlab.ui import asking
from qwenlab.ui.asking import Wish
from qwenlab.ui.lab import Lab
from qwenlab.ui.room import Room, Step, ask
from qwenlab.ui.talk import Talk
from qwenlab.ui.texts import Translator
from qwenlab.workspace import Workspace

EN = Translator("en")
PEOPLE, MESSAGES = 10, 2
SPECS = ("http://127.0.0.1:1/v1", "http://127.0.0.1:2/v1")


def test_ten_conversations_at_once_lose_nothing_and_mix_nothing_up(tmp_path: Path) -> None:
    lab = Lab(Workspace(tmp_path))

    def make(workspace: Workspace, pool: object, name: str, spec: str, *more: object) -> ScriptedContestant:
        def heard(messages: list[Message]) -> str:
            return f"{spec[-4]}: {' / '.join(one['content'] for one in messages)}"

        return ScriptedContestant(name, heard)

    room, together = Room(lab.workspace, make), threading.Barrier(PEOPLE + 1)

    def talk(person: int) -> tuple[Talk, list[Step]]:
        mine, steps = Talk(), list[Step]()
        for number in range(MESSAGES):
            assert asking.put(lab, room, mine, Wish(f"p{person} m{number}", SPECS), EN).go
            asked = ask(room, mine, Generation())
            if number == 0:
                steps.append(next(asked))
                together.wait(60)
            steps += asked
        return mine, steps

    with ThreadPoolExecutor(PEOPLE) as pool:
        first, talks = room.line.enter(), pool.map(talk, range(PEOPLE))
        together.wait(60)  # all stand in the line
        room.line.leave(first)
        found = list(talks)
    places = [int(step.number) for _, steps in found for step in steps if step.doing == "waiting"]
    assert max(places) == PEOPLE, "the last one is told how many come before"
    assert not room.line.busy
    for person, (mine, _) in enumerate(found):
        kept = room.talks().open(mine.id, lambda _: None)
        for column, name in enumerate("12"):
            wanted = list[str]()
            for number, exchange in enumerate(kept.exchanges):
                wanted.append(f"p{person} m{number}")
                answer = exchange.replies[column].answer
                assert answer is not None
                assert answer.text == f"{name}: {' / '.join(wanted)}"
                wanted.append(answer.text)
            assert len(wanted) == 2 * MESSAGES


def test_place_in_the_line_moves_up_and_stop_leaves_it(tmp_path: Path) -> None:
    lab = Lab(Workspace(tmp_path))
    room = Room(lab.workspace, lambda *_: ScriptedContestant("far", lambda _: "yes"))
    tickets = [room.line.enter(), room.line.enter()]
    mine = Talk()
    assert asking.put(lab, room, mine, Wish("hello", SPECS[:1]), EN).go
    steps = ask(room, mine, Generation())
    assert next(steps) == Step("waiting", number=2)
    room.line.leave(tickets[0])
    assert next(steps) == Step("waiting", number=1)
    mine.halt()
    assert [step.doing for step in steps] == ["answering"]
    answer = mine.exchanges[0].replies[0].answer
    assert answer is not None
    assert answer.finish == "stopped"
    room.line.leave(tickets[1])
    assert not room.line.busy
