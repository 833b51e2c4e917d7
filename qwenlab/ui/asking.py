"""From what a person wrote and chose to the next exchange of a conversation; knows no Gradio."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass
from typing import Any

import psutil

from qwenlab.conversations.messages import Question, of_sample
from qwenlab.errors import QwenlabError
from qwenlab.evals.suite import Case, Suite
from qwenlab.models.contestant import Message
from qwenlab.ui import roster, talk_lists
from qwenlab.ui.components import NOTHING, Html, notice
from qwenlab.ui.judging import Wanted, expected_text
from qwenlab.ui.lab import Lab
from qwenlab.ui.room import Room
from qwenlab.ui.talk import Exchange, Reply, Talk
from qwenlab.ui.texts import Translator

LONGEST = 20_000
"""Characters of a message; more would take a small model's whole context, and minutes to read."""
LOOKED_AT = 200
"""Samples that are looked at for the usual system prompt."""
LISTED = 200
"""Samples offered in one list; typed words find the others."""
WORDS = 70

_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\u200b\u2028\u2029\ufeff\ud800-\udfff]")


@dataclass(frozen=True)
class Wish:
    """What the person wrote and chose before pressing Send."""

    words: str
    specs: tuple[str, ...]
    system: str = ""
    suite: Suite | None = None
    case_id: str = ""
    expected: str = ""
    blind: bool = False
    seed: int = 0


@dataclass(frozen=True)
class Ready:
    """Whether the exchange stands in the conversation and can be answered, and what to say about it."""

    go: bool
    note: Html = NOTHING


def put(lab: Lab, room: Room, talk: Talk, wish: Wish, t: Translator) -> Ready:
    """Add the wished exchange to the conversation; one that was rewritten cuts it there, and others begin anew.

    Raises:
        QwenlabError: when there is nothing to ask, or nobody to ask it.
    """
    words, dropped = clean(wish.words)
    words = _checked(words, t)
    entrants = roster.pick(lab, wish.specs, t)
    cost = _cost(lab, room, entrants, t)
    if cost and not talk.agreed:
        talk.agreed = True
        return Ready(False, cost)
    note = notice("warn", t("compare_dropped", number=dropped)) if dropped else NOTHING
    if 0 <= talk.changing < len(talk.exchanges):
        talk.cut(talk.changing)
        note = note or notice("none", t("compare_cut_off"))
    elif not talk.continues(entrants, wish.system):
        note = note or (notice("none", t("compare_began_anew")) if talk.exchanges else NOTHING)
        talk.begin_anew()
    talk.system, talk.keeping, talk.changing, talk.attached = wish.system, -1, -1, None
    exchange = Exchange(words, [Reply(one) for one in entrants], wanted(wish), seed=wish.seed)
    if wish.blind:
        before = talk.exchanges[-1] if talk.exchanges else None
        exchange.shuffle(before.order if before is not None and before.hidden else None)
    talk.exchanges.append(exchange)
    return Ready(True, note)


def clean(words: str) -> tuple[str, int]:
    """The words without signs that nobody sees, and how many those were."""
    return _CONTROL.subn("", words.replace("\r\n", "\n").replace("\r", "\n"))


def _checked(words: str, t: Translator) -> str:
    if not words.strip():
        raise QwenlabError(t("compare_no_message"), t("compare_no_message_remedy"))
    if len(words) > LONGEST:
        most = f"{LONGEST:,}"
        raise QwenlabError(t("compare_too_long", number=f"{len(words):,}", most=most), t("compare_too_long_remedy"))
    return words


def _cost(lab: Lab, room: Room, entrants: list[roster.Entrant], t: Translator) -> Html:
    """What loading somebody would mean for a training that runs; nothing when there is none or all are loaded."""
    if not any(job.state() == "running" for job in lab.runs()[:3]):
        return NOTHING
    needed = {room.weights_of(one): (one, needs) for one in entrants if (needs := room.loading(one)) is not None}
    if not needed:
        return NOTHING
    names = ", ".join(dict.fromkeys(str(path.name) for path in needed if path is not None))
    total = sum(needs.bytes for _, needs in needed.values())
    return talk_lists.cost(names, total, psutil.virtual_memory().available, t)


def wanted(wish: Wish) -> Wanted:
    """The case counts only while its expected answer stands in the box unchanged."""
    suite = wish.suite
    case = suite.by_id.get(wish.case_id) if suite is not None and wish.case_id else None
    if suite is not None and case is not None and wish.expected.strip() != expected_text(case, suite).strip():
        case = None
    return Wanted(suite, case, wish.expected)


# --- questions that are there already --------------------------------------------------------------------


@dataclass(frozen=True)
class Taken:
    """A case or sample as a question: what is told first, what was said before, what is asked, what is right."""

    system: str
    earlier: tuple[Message, ...]
    words: str
    expected: str


def of_case(case: Case, suite: Suite) -> Taken:
    """A test case, asked in Compare as Test asks it."""
    return _taken(Question(tuple(case.messages(suite))), expected_text(case, suite))


def sample(lab: Lab, position: int) -> Taken | None:
    """The last question of a training sample; None when it is gone or asks nothing."""
    document = lab.document()
    if document is None or not 0 <= position < len(document.samples):
        return None
    asked = of_sample(document.samples[position])
    return None if asked is None else _taken(asked, asked.expected)


def _taken(asked: Question, expected: str) -> Taken:
    turns = list(asked.turns)
    system = turns.pop(0)["content"] if turns[0]["role"] == "system" else ""
    return Taken(system, tuple(turns[:-1]), turns[-1]["content"], expected)


def cases(suite: Suite | None) -> list[tuple[str, str]]:
    """(label, id) of the cases to choose from."""
    return [(f"{one.id}  {' '.join(one.question.split())[:WORDS]}", one.id) for one in (suite.cases if suite else [])]


def samples(lab: Lab, search: str = "") -> list[tuple[str, str]]:
    """(label, position) of the first samples in which all words of `search` stand."""
    try:
        document = lab.document()
    except QwenlabError:
        return []
    if document is None:
        return []
    found = []
    for at in document.find(search)[:LISTED]:
        asked = of_sample(document.samples[at])
        if asked is not None:
            found.append((f"{at + 1}  {' '.join(asked.text.split())[:WORDS]}", str(at)))
    return found


def usual_system(lab: Lab, suite: Suite | None) -> str:
    """What models are usually told first: by the suite, else in most samples of the data set."""
    if suite is not None and suite.system:
        return suite.system
    try:
        document = lab.document()
    except QwenlabError:
        return ""
    firsts = [one.turns[0] for one in (document.samples[:LOOKED_AT] if document is not None else []) if one.turns]
    told = Counter(turn.text if turn.role == "system" else "" for turn in firsts)
    return told.most_common(1)[0][0] if told else ""


def schema(lab: Lab, suite: Suite | None) -> dict[str, Any] | None:
    """What an answer can be forced into: the suite's schema, else the data set's; None when there is none."""
    if suite is not None and suite.json_schema:
        return suite.json_schema
    try:
        document = lab.document()
    except QwenlabError:
        return None
    return document.schema.schema if document is not None and document.schema is not None else None


def about_schema(schema: dict[str, Any] | None, t: Translator) -> Html:
    """What to say before answers are forced into it: that there is none, or what of it cannot be enforced."""
    if schema is None:
        return notice("warn", t("compare_no_schema"), t("compare_no_schema_remedy"))
    from qwenlab.chat import constraint

    zh = t.language == "zh"
    left = [words[zh].rstrip(".。") for words in constraint.unenforced(schema)]
    return notice("warn", t("compare_unenforced", what=("；" if zh else "; ").join(left))) if left else NOTHING
