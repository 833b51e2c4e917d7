"""Which samples of a data set can become test cases, and a choice of them that training data does not give away."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from qwenlab.conversations import near, split, strict_json
from qwenlab.conversations.facts import Facts
from qwenlab.conversations.overlap import Questions
from qwenlab.conversations.sample import ROLES, Sample
from qwenlab.conversations.strict_json import NotJsonError
from qwenlab.errors import QwenlabError
from qwenlab.evals.schema import SchemaCheck
from qwenlab.models.contestant import Message

ROUNDS = 6
_MOSTLY = 0.5


@dataclass(frozen=True)
class Answered:
    """A sample that can become a case.

    Attributes:
        at: its position in the data set.
        messages: the conversation up to its last answer. answer: that answer, as text.
        value: the answer's JSON value. is_json: whether it is one (an object or a list).
        group: samples that are nearly the same share it.
    """

    at: int
    messages: tuple[Message, ...]
    answer: str
    value: Any
    is_json: bool
    group: int


def answered(samples: Sequence[Sample], facts: Sequence[Facts]) -> list[Answered]:
    """The samples that can become cases: a question and its answer, and no sample nearly like it that contradicts it.

    Where the answers are mostly JSON, one that only looks like JSON is an error in the data and left out.
    """
    groups = _groups(samples, facts)
    found = [one for at in range(len(samples)) if (one := _answered(samples[at], at, groups[at])) is not None]
    if mostly_json(found):
        found = [one for one in found if one.is_json or not one.answer.lstrip().startswith(("{", "[", "```"))]
    whole, here = Counter(groups), Counter(one.group for one in found)
    answers: dict[int | None, set[int | None]] = {}
    for known in facts:
        answers.setdefault(known.asked, set()).add(known.answer)
    unsure = {one.group for one in found if len(answers[facts[one.at].asked]) > 1}
    return [one for one in found if here[one.group] == whole[one.group] and one.group not in unsure]


def mostly_json(found: Collection[Answered]) -> bool:
    """Whether at least half of the answers are JSON."""
    return bool(found) and sum(one.is_json for one in found) >= _MOSTLY * len(found)


def fitting(found: Sequence[Answered], schema: Mapping[str, Any] | None) -> list[Answered]:
    """Those whose JSON answers satisfy a schema; the others are errors in the data."""
    if schema is None:
        return list(found)
    check = SchemaCheck(dict(schema))
    wrong = {one.group for one in found if one.is_json and not check.is_valid(one.value)}
    return [one for one in found if one.group not in wrong]


def choose(
    found: Sequence[Answered], samples: Sequence[Sample], facts: Sequence[Facts], count: int, seed: int
) -> list[Answered]:
    """About `count` samples to hold out; the same seed gives the same ones.

    Near-duplicates go together, each language gets its share, and whatever stands nearly in a sample that stays in
    training (see `overlap.Questions`) is not chosen.

    Raises:
        QwenlabError: when there are not so many.
    """
    candidates = list(found)
    chosen: list[Answered] = []
    said = [[turn.text for turn in sample.turns if turn.role == "user"] for sample in samples]
    for _ in range(ROUNDS):
        if count < 1 or len(candidates) <= count:
            raise _too_few(len(candidates), count)
        groups = [one.group for one in candidates]
        _, kept = split.split([facts[one.at] for one in candidates], count / len(candidates), seed, groups)
        chosen = [candidates[at] for at in kept]
        known = _given_away(chosen, said)
        if not known:
            return chosen
        candidates = [one for one in candidates if one.group not in known]
    known = _given_away(chosen, said)
    chosen = [one for one in chosen if one.group not in known]
    if not chosen:
        raise _too_few(0, count)
    return chosen


def _given_away(chosen: Sequence[Answered], said: Sequence[Sequence[str]]) -> set[int]:
    """Groups of chosen samples whose question stands, exactly or nearly, in a user turn of a sample that stays."""
    questions = Questions((one.group, one.messages[-1]["content"]) for one in chosen)
    out = {one.at for one in chosen}
    texts = {text for at, turns in enumerate(said) if at not in out for text in turns}
    return {group for text in texts for group in questions.inside(text)}


def _groups(samples: Sequence[Sample], facts: Sequence[Facts]) -> list[int]:
    """Near-duplicates have the same number, and so have samples whose object in the file names the same "group"."""
    found = near.groups(facts)
    above: dict[int, int] = {}
    named: dict[str, int] = {}

    def top(group: int) -> int:
        while group in above:
            group = above[group]
        return group

    for sample, group in zip(samples, found, strict=True):
        name = sample.raw.get("group") if isinstance(sample.raw, dict) else None
        if isinstance(name, str) and name:
            first, other = top(named.setdefault(name, group)), top(group)
            if first != other:
                above[other] = first
    return [top(group) for group in found]


def _answered(sample: Sample, at: int, group: int) -> Answered | None:
    turns = sample.turns
    spoken = [turn for turn in turns if turn.role != "system"]
    if len(spoken) < 2 or [turn.role for turn in spoken[-2:]] != ["user", "assistant"]:
        return None
    odd = any(turn.role not in ROLES for turn in turns) or any(turn.role == "system" for turn in turns[1:])
    if odd or not all(turn.text.strip() for turn in spoken[-2:]) or not sample.id.isprintable():
        return None
    messages = tuple(Message(role=turn.role, content=turn.text) for turn in turns[:-1])
    answer = turns[-1].text.strip()
    try:
        value = strict_json.read(answer)
    except NotJsonError:
        return Answered(at, messages, answer, None, False, group)
    return Answered(at, messages, answer, value, isinstance(value, dict | list), group)


def _too_few(there: int, count: int) -> QwenlabError:
    return QwenlabError(
        f"{count} samples cannot be held out: {there} can become test cases, and some must stay to train on.",
        "Hold out fewer, or add samples; broken, contradictory and nearly equal ones do not count.",
        zh=(
            f"无法留出 {count} 个样本：能成为测试用例的有 {there} 个，且必须留一些用于训练。",
            "请少留一些，或增加样本；有错误、相互矛盾或几乎相同的样本不计在内。",
        ),
    )
