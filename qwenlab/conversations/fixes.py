"""Safe fixes of what the checks find: only where no meaning is lost, and never at the price of a new problem."""

from __future__ import annotations

import ast
import itertools
import json
import re
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

from qwenlab.conversations import personal, strict_json, words
from qwenlab.conversations.checks import Problem, findings
from qwenlab.conversations.facts import Facts, Finding
from qwenlab.conversations.journal import Change
from qwenlab.conversations.sample import Sample, Turn
from qwenlab.conversations.schema_check import SchemaCheck
from qwenlab.conversations.strict_json import NotJsonError
from qwenlab.conversations.words import Language

_MOST_FIXES = 100
"""Fixes of one kind in one sample; more are left for the next time."""
_ABOUT_KIND = {"type", "enum", "const", "other"}
"""What a schema may say of a number in quotes; "other" is also anyOf, where it may stand deeper inside."""
_MOST_SCALARS = 50


@dataclass(frozen=True)
class Fix:
    """What can be done about one kind of problem.

    Attributes:
        code: the problem it fixes, in `words.PROBLEMS`.
    """

    code: str

    def say(self, language: Language) -> str:
        """What it does."""
        return words.FIXES[self.code][language == "zh"]


def fix_for(code: str) -> Fix | None:
    """The fix of this kind of problem; None where only a person can decide."""
    return Fix(code) if code in words.FIXES else None


def apply(sample: Sample, problem: Problem, schema: SchemaCheck | None) -> Sample | None:
    """The sample without the problem; the very same sample where that is not safe; None: it is deleted.

    A fix is safe when the problem is gone and no problem of any kind is new.

    Args:
        problem: as the checks found it in this sample.
        schema: what the sample's answers must satisfy.
    """
    if problem.code == "duplicate":
        return None
    way = _WAYS.get(problem.code)
    if way is None or sample.broken():
        return sample
    turns = list(sample.turns)
    at = problem.turn_index
    if at is None or not 0 <= at < len(turns):
        return sample
    before = _kinds(findings(sample, schema))
    for fixed in way(turns, at, problem.detail):
        made = sample.with_turns(fixed)
        after = _kinds(findings(made, schema))
        if after < before and after[problem.code] < before[problem.code]:
            return made
    return sample


def fixable(sample: Sample, problem: Problem, schema: SchemaCheck | None) -> bool:
    """Whether `apply` would change anything."""
    return apply(sample, problem, schema) is not sample


def changes_for(
    samples: Sequence[Sample],
    facts: Sequence[Facts],
    code: str,
    schema_for: Callable[[str], SchemaCheck | None],
    only: int | None = None,
    turn: int | None = None,
) -> list[Change]:
    """The changes of one step that fixes every problem of a kind that can safely be fixed.

    They go from the back to the front, so that deleted samples do not shift those that follow.

    Args:
        samples: with their `facts`, in the same order.
        schema_for: the schema of the sample of that id, such as `Document.schema_for`.
        only: fix this sample alone.
        turn: fix this turn of it alone.
    """
    if fix_for(code) is None:
        return []
    flagged = [
        index
        for index in (range(len(facts)) if only is None else (only,))
        if any(found == code for _, found, _ in facts[index].problems)
    ]
    if code == "duplicate":
        flagged = list(_copies(samples, facts, flagged))
    changes = []
    for index in reversed(flagged):
        sample = samples[index]
        made = None if code == "duplicate" else _fixed(sample, code, schema_for(facts[index].id), turn)
        if made is not sample:
            changes.append(Change(index, sample, made))
    return changes


def _copies(samples: Sequence[Sample], facts: Sequence[Facts], flagged: Sequence[int]) -> Iterator[int]:
    """Those that still have an equal sample before them: a large set may have been edited since it was checked."""
    first: dict[int, int] = {}
    for index, known in enumerate(facts):
        if known.same is not None:
            first.setdefault(known.same, index)
    for index in flagged:
        same = facts[index].same
        if same is not None and first[same] != index and _said(samples[index]) == _said(samples[first[same]]):
            yield index


def _said(sample: Sample) -> list[tuple[str, str]]:
    return [(turn.role, turn.text.strip()) for turn in sample.turns]


def _fixed(sample: Sample, code: str, schema: SchemaCheck | None, turn: int | None) -> Sample:
    """The sample with every problem of that kind fixed that can be."""
    at = 0
    for _ in range(_MOST_FIXES):
        found = [one for one in findings(sample, schema) if one[1] == code and (turn is None or one[0] == turn)]
        if at >= len(found):
            break
        made = apply(sample, Problem(0, sample.id, found[at][0], code, found[at][2]), schema)
        if made is sample or made is None:
            at += 1
        else:
            sample = made
            if turn is not None and len(found) == 1:  # another turn may have taken its number
                break
    return sample


def _kinds(found: Sequence[Finding]) -> Counter[str]:
    return Counter(code for _, code, _ in found)


# --- one kind each: how the turns could look without the problem ---------------------------------------------

Turns = list[Turn]
Ways = Iterator[Turns]


def _with(turns: Turns, at: int, turn: Turn) -> Turns:
    return [*turns[:at], turn, *turns[at + 1 :]]


def _as_text(turns: Turns, at: int, detail: Any) -> Ways:
    raw = {**turns[at].raw, "value": turns[at].text}
    yield _with(turns, at, replace(turns[at], raw=raw))


def _as_json(turns: Turns, at: int, detail: Any) -> Ways:
    text = only_value(turns[at].text)
    if text is not None:
        yield _with(turns, at, replace(turns[at], text=text))


def _whole_characters(turns: Turns, at: int, detail: Any) -> Ways:
    # Two halves that belong together become the character that was meant.
    text = turns[at].text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    yield _with(turns, at, replace(turns[at], text=text))


def _masked(turns: Turns, at: int, detail: Any) -> Ways:
    """Masked in every turn: an answer that repeats a number must repeat the masked one."""
    made = []
    for turn in turns:
        text = turn.text if turn.role == "system" else personal.mask(turn.text, str(detail["kind"]))
        if _is_data(turn.text) and not _is_data(text):
            return
        made.append(replace(turn, text=text))
    yield made


def _without_end(turns: Turns, at: int, detail: Any) -> Ways:
    """Nothing after the last answer is ever trained."""
    ends = [place for place, turn in enumerate(turns) if turn.role == "assistant" and turn.text.strip()]
    if ends and at > ends[-1] and all(turn.role in ("user", "assistant") for turn in turns[ends[-1] :]):
        yield turns[: ends[-1] + 1]


def _in_order(turns: Turns, at: int, detail: Any) -> Ways:
    turn = turns[at]
    if at and turn.role == turns[at - 1].role:
        end = next((place for place in range(at, len(turns)) if turns[place].role != turn.role), len(turns))
        joined = _joined(turns[at - 1 : end])
        if joined is not None:
            yield [*turns[: at - 1], joined, *turns[end:]]
    elif at and turn.role == "system":
        rest = [*turns[:at], *turns[at + 1 :]]
        joined = _joined([rest[0], turn]) if rest[0].role == "system" else None
        yield [turn, *rest] if joined is None else [joined, *rest[1:]]


def _joined(turns: Turns) -> Turn | None:
    """One turn that says what several said; None where that would spoil JSON."""
    texts = list(dict.fromkeys(turn.text for turn in turns if turn.text.strip()))
    if len(texts) > 1 and turns[0].role == "assistant" and any(_is_data(text) for text in texts):
        return None
    raw = {key: value for turn in reversed(turns) for key, value in turn.raw.items()}
    return replace(turns[0], text="\n".join(texts), raw={**turns[0].raw, **raw})


def _as_wanted(turns: Turns, at: int, detail: Any) -> Ways:
    """Text that is a number, or a number that should be text: only the quotes change."""
    text = turns[at].text
    if detail.get("keyword") not in _ABOUT_KIND or not _is_json(text):
        return
    start, end = _place(text, str(detail["pointer"]))
    for place, token in itertools.islice(_scalars(text, start, end), _MOST_SCALARS):
        number = json.loads(token).strip() if token.startswith('"') else token
        if _NUMBER.fullmatch(number):
            made = number if token.startswith('"') else f'"{number}"'
            yield _with(turns, at, replace(turns[at], text=text[:place] + made + text[place + len(token) :]))


_WAYS: dict[str, Callable[[Turns, int, Any], Ways]] = {
    "not_json": _as_json,
    "not_text": _as_text,
    "schema": _as_wanted,
    "empty_turn": _without_end,
    "no_answer": _without_end,
    "role_order": _in_order,
    "lone_surrogate": _whole_characters,
    "personal": _masked,
}


# --- JSON in a text ------------------------------------------------------------------------------------------

_SPACE = re.compile(r"[ \t\n\r]*")
_NUMBER = re.compile(r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?")
_TOKEN = re.compile(
    rf"""(?P<space>[ \t\n\r]+) | (?P<mark>[\[\]{{}}:,]) | (?P<text>"(?:[^"\\\n\r]|\\.)*+")
    | (?P<quoted>'(?:[^'\\\n\r]|\\['"\\bfnrtux])*+') | (?P<number>{_NUMBER.pattern}) | (?P<name>[A-Za-z]+)""",
    re.VERBOSE,
)
_NAMES = {"true": "true", "false": "false", "null": "null", "True": "true", "False": "false", "None": "null"}
_DECODER = json.JSONDecoder()


def only_value(text: str) -> str | None:
    """The one object or list that stands in `text`, as strict JSON laid out as it was; None when that is not certain.

    Words and a Markdown fence around it are dropped; quotes, names and commas of Python and JavaScript are corrected.
    """
    opening = re.search(r"[\[{]", text)
    if opening is None:
        return None
    parts: list[str] = []
    depth, position, comma = 0, opening.start(), -1
    while depth or not parts:
        match = _TOKEN.match(text, position)
        token = _strictly(match) if match else None
        if match is None or token is None:
            return None
        if token in ("]", "}") and comma >= 0:
            parts[comma] = ""  # a comma too many
        if match.lastgroup != "space":
            comma = len(parts) if token == "," else -1
        depth += (token in ("[", "{")) - (token in ("]", "}"))
        parts.append(token)
        position = match.end()
    if re.search(r"[\[\]{}]", text[position:]):
        return None  # another value, or the rest of a broken one
    made = "".join(parts)
    return made if _is_json(made) else None


def _strictly(match: re.Match[str]) -> str | None:
    """A token as JSON writes it; None when it is not certain which is meant."""
    token = match[0]
    if match.lastgroup == "name":
        return _NAMES.get(token)
    if match.lastgroup == "quoted":
        try:
            return json.dumps(ast.literal_eval(token), ensure_ascii=False)
        except (SyntaxError, ValueError):
            return None
    return token


def _is_json(text: str) -> bool:
    try:
        strict_json.read(text)
    except NotJsonError:
        return False
    return True


def _is_data(text: str) -> bool:
    """Whether a text is a JSON object or list."""
    return text.lstrip()[:1] in ("{", "[") and _is_json(text)


def _place(text: str, pointer: str) -> tuple[int, int]:
    """Where the value at a JSON pointer begins and ends in a JSON text."""
    steps = [step.replace("~1", "/").replace("~0", "~") for step in pointer.split("/")[1:]] if pointer != "/" else []
    at = _after_space(text, 0)
    for step in steps:
        is_object, number = text[at] == "{", 0
        at = _after_space(text, at + 1)
        while True:
            key: Any = str(number)
            if is_object:
                key, at = _DECODER.raw_decode(text, at)
                at = _after_space(text, _after_space(text, at) + 1)
            if key == step:
                break
            _, at = _DECODER.raw_decode(text, at)
            at = _after_space(text, _after_space(text, at) + 1)
            number += 1
    return at, _DECODER.raw_decode(text, at)[1]


def _scalars(text: str, start: int, end: int) -> Iterator[tuple[int, str]]:
    """(place, token) of the texts and numbers among the values in a part of a JSON text."""
    for match in _TOKEN.finditer(text, start, end):
        is_key = text.startswith(":", _after_space(text, match.end()))
        if match.lastgroup in ("text", "number") and not is_key:
            yield match.start(), match[0]


def _after_space(text: str, at: int) -> int:
    found = _SPACE.match(text, at)
    return found.end() if found else at
