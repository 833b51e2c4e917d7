"""What is wrong in a data set: named by sample and turn, with what to do about it."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from functools import cached_property
from typing import Any, Literal

from qwenlab.conversations import attached, near, personal, strict_json, words
from qwenlab.conversations.dataset import DataSet
from qwenlab.conversations.facts import Facts, Finding
from qwenlab.conversations.overlap import Questions
from qwenlab.conversations.sample import ROLES, Sample, Turn, broken
from qwenlab.conversations.schema_check import SchemaCheck
from qwenlab.conversations.strict_json import NotJsonError
from qwenlab.conversations.words import Language
from qwenlab.errors import QwenlabError

SPECIAL_TOKENS = ("<|im_start|>", "<|im_end|>", "<|endoftext|>")
_SURROGATE = re.compile("[\ud800-\udfff]")
WARNINGS = {
    *("duplicate", "near_duplicate", "duplicate_id", "contradiction", "special_token", "not_text", "lone_surrogate"),
    *("personal", "leak"),
}
"""Worth a look, but training works as it stands; every other code is an error."""
EXTRA = {"too_long", "leak"}
"""Codes that only `Extras` can find."""
MOST_PER_TURN, MOST_AROUND = 16, 128
"""Tokens that a chat template adds at most to each turn, and around the whole."""
_BLOCK = 500
_QUOTED = 40


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong.

    Attributes:
        sample_index: position in the data set, from 0.
        sample_id: the sample's id, possibly empty.
        turn_index: position of the turn, from 0; None when the sample as a whole is meant.
        code: its entry in `words.PROBLEMS`.
        detail: what the sentences name.
    """

    sample_index: int
    sample_id: str
    turn_index: int | None
    code: str
    detail: Mapping[str, Any] = field(default_factory=dict)

    @property
    def severity(self) -> Literal["error", "warning"]:
        """error: the sample cannot teach what it should; warning: worth a look."""
        return severity(self.code)


def severity(code: str) -> Literal["error", "warning"]:
    """error: the sample cannot teach what it should; warning: worth a look."""
    return "warning" if code in WARNINGS else "error"


@dataclass(frozen=True)
class LengthLimit:
    """What training takes, from whoever has the tokenizer.

    Attributes:
        limit: tokens of the longest sample that is trained.
        count: tokens of a sample as training encodes it; raises QwenlabError when it cannot be trained at all.
        cut: the words that stand beyond so many tokens of a sample.
    """

    limit: int
    count: Callable[[Sample], int]
    cut: Callable[[Sample, int], str]


@dataclass(frozen=True, eq=False)
class Extras:
    """What a check can also look at.

    Attributes:
        length: names samples that are too long to be trained.
        suites: names user turns that also stand in a test: name of the suite -> (case id, question) each.
    """

    length: LengthLimit | None = None
    suites: Mapping[str, Sequence[tuple[str, str]]] = field(default_factory=dict)

    @cached_property
    def questions(self) -> Questions[tuple[str, str]]:
        """The questions of all suites, ready to be looked for; their keys are (suite, case id)."""
        return Questions(((name, case), text) for name, cases in self.suites.items() for case, text in cases)


def check(
    dataset: DataSet,
    schema: Mapping[str, Any] | None = None,
    progress: Callable[[int, int], None] | None = None,
    extras: Extras | None = None,
) -> list[Problem]:
    """Check every sample.

    Args:
        dataset: its settings may name samples that answer in plain text: {"plain_text": ["identity_*"]}.
        schema: what assistant turns must satisfy; None: the attached schema, or no JSON check without one.
        progress: called now and then with samples done and samples in all.
        extras: what else to look at.

    Raises:
        DataError: when the attached schema cannot be used.
    """
    facts = [Facts(sample) for sample in dataset.samples]
    compiled = compile_schema(schema, dataset) if schema is not None else attached_check(dataset)
    check_facts(dataset.samples, facts, compiled, plain_text(dataset.settings()), progress, extras)
    return problems(facts)


def check_facts(
    samples: Sequence[Sample],
    facts: Sequence[Facts],
    schema: SchemaCheck | None,
    plain: Callable[[str], bool],
    progress: Callable[[int, int], None] | None = None,
    extras: Extras | None = None,
) -> None:
    """Fill in `findings` where they are missing and `across` everywhere.

    Args:
        samples: with their `facts`, in the same order.
        schema: what assistant turns must satisfy.
        plain: whether the sample of that id answers in plain text although there is a schema.
        progress: called now and then with samples done and samples in all.
        extras: what else to look at, also in samples whose `findings` are there; None leaves those as they are.
    """
    for start in range(0, len(samples), _BLOCK):
        if progress:
            progress(start, len(samples))
        block = facts[start : start + _BLOCK]
        for sample, known in zip(samples[start : start + _BLOCK], block, strict=True):
            if known.findings is None:
                known.findings = tuple(findings(sample, None if plain(known.id) else schema, extras))
            elif extras is not None:
                before = [finding for finding in known.findings if finding[1] not in EXTRA]
                known.findings = (*before, *extra_findings(sample, extras))
        near.sign(block)
    across(facts)
    if progress:
        progress(len(samples), len(samples))


def problems(facts: Sequence[Facts]) -> list[Problem]:
    """All that is known to be wrong, in the order of the samples and their turns."""
    return [
        Problem(index, known.id, turn, code, detail)
        for index, known in enumerate(facts)
        for turn, code, detail in sorted(known.problems, key=lambda finding: finding[0] or 0)
    ]


def compile_schema(schema: Mapping[str, Any], dataset: DataSet) -> SchemaCheck:
    """Compile the schema of `dataset`. Raises DataError when it is wrong."""
    try:
        return SchemaCheck(schema)
    except ValueError as error:
        first = str(error).splitlines()[0]
        raise words.DataError("schema_unusable", path="", why=first, sidecar=f"{dataset.name}.lab.json") from error


def attached_check(dataset: DataSet) -> SchemaCheck | None:
    """The compiled schema that the settings of `dataset` name, or None. Raises DataError when it is wrong."""
    schema = attached.schema_of(dataset.path)
    return compile_schema(schema, dataset) if schema is not None else None


def plain_text(settings: Mapping[str, Any]) -> Callable[[str], bool]:
    """Whether the sample of that id answers in plain text although a schema is attached, from the settings."""
    patterns = settings.get("plain_text", [])
    patterns = [str(pattern) for pattern in patterns] if isinstance(patterns, list) else []
    return lambda sample_id: any(fnmatchcase(sample_id, pattern) for pattern in patterns)


def check_sample(sample: Sample, index: int = 0, schema: SchemaCheck | None = None) -> list[Problem]:
    """Problems within one sample; `schema` applies to every assistant turn."""
    return [Problem(index, sample.id, turn, code, detail) for turn, code, detail in findings(sample, schema)]


def findings(sample: Sample, schema: SchemaCheck | None = None, extras: Extras | None = None) -> list[Finding]:
    """What is wrong within one sample: (turn, code, detail) each."""
    raw = sample.raw
    unreadable = broken(raw)
    if unreadable:
        return [(None, unreadable, {})]
    turns = [Turn.of(turn) for turn in raw["conversations"]]
    found = [*_turn_order(turns), *_turn_texts(turns, schema)]
    return [*found, *extra_findings(sample, extras, turns)] if extras is not None else found


def extra_findings(sample: Sample, extras: Extras, turns: Sequence[Turn] | None = None) -> Iterator[Finding]:
    """What only `extras` can find within one sample; `turns` are its turns where they are known already."""
    turns = sample.turns if turns is None else turns
    if extras.length is not None and most_tokens(turns) > extras.length.limit:
        yield from _too_long(sample, extras.length)
    if extras.suites:
        for position, turn in enumerate(turns):
            found = extras.questions.inside(turn.text) if turn.role == "user" else []
            if found:
                yield position, "leak", {"suite": found[0][0], "case": found[0][1]}


def most_tokens(turns: Sequence[Turn]) -> int:
    """No tokenizer makes more tokens of a conversation; far cheaper than counting them.

    A token stands for one byte at least. Some tokenizers normalize to NFC first.
    """
    texts = [unicodedata.normalize("NFC", turn.text) for turn in turns]
    return sum(len(text.encode("utf-8", "surrogatepass")) + MOST_PER_TURN for text in texts) + MOST_AROUND


def _too_long(sample: Sample, length: LengthLimit) -> Iterator[Finding]:
    try:
        tokens = length.count(sample)
    except QwenlabError:  # it is not trained at all, and another finding says why
        return
    if tokens > length.limit:
        beyond = " ".join(length.cut(sample, length.limit)[: 4 * _QUOTED].split())
        quote = beyond if len(beyond) <= _QUOTED else beyond[: _QUOTED - 1] + "…"
        yield None, "too_long", {"tokens": tokens, "limit": length.limit, "words": quote}


def _turn_order(turns: Sequence[Turn]) -> Iterator[Finding]:
    if not turns:
        yield None, "no_turns", {}
        return
    before = "system"
    for position, turn in enumerate(turns):
        if turn.role not in ROLES:
            yield position, "unknown_role", {"role": turn.role}
            continue
        expected = "assistant" if before == "user" else "user"
        if turn.role != expected and not (turn.role == "system" and position == 0):
            yield position, "role_order", {"role": turn.role, "expected": expected}
        before = turn.role
    if turns[-1].role != "assistant":
        yield len(turns) - 1, "no_answer", {}


def _turn_texts(turns: Sequence[Turn], schema: SchemaCheck | None) -> Iterator[Finding]:
    for position, turn in enumerate(turns):
        if not turn.text.strip():
            yield position, "empty_turn", {"role": turn.role}
            continue
        if not isinstance(turn.raw.get("value"), str):
            yield position, "not_text", {}
        for token in SPECIAL_TOKENS:
            if token in turn.text:
                yield position, "special_token", {"token": token}
        if _SURROGATE.search(turn.text):
            yield position, "lone_surrogate", {}
        if turn.role != "system":  # there stand the shop's own numbers, the same in every sample
            first: dict[str, str] = {}
            for one in personal.find(turn.text):
                first.setdefault(one.kind, one.masked)
            for kind, quote in first.items():
                yield position, "personal", {"kind": kind, "quote": quote}
        if schema is not None and turn.role == "assistant":
            for code, detail in answer_problems(turn.text, schema):
                yield position, code, detail


def answer_problems(text: str, schema: SchemaCheck | None) -> list[tuple[str, dict[str, Any]]]:
    """Why an assistant's words are not the JSON they should be: (code, detail) pairs; empty when they are."""
    try:
        value = strict_json.read(text)
    except NotJsonError as error:
        return [("not_json", {"reason": error.code, **error.values})]
    return [("schema", violation) for violation in schema.why_not(value)] if schema else []


def across(facts: Sequence[Facts]) -> None:
    """Find duplicates, near-duplicates, contradictions and names in use twice anew; the later sample is named."""
    first_same: dict[int, int] = {}
    first_asked: dict[int, int] = {}
    first_called: dict[str, int] = {}
    alike = {later: earlier for earlier, later in reversed(near.pairs(facts))}
    for index, known in enumerate(facts):
        found: tuple[Finding, ...] = ()
        same = first_same.setdefault(known.same, index) if known.same is not None else index
        if same != index:
            known.across = ((None, "duplicate", {"other": _called(facts, same)}),)
            continue
        asked = first_asked.setdefault(known.asked, index) if known.asked is not None else index
        if facts[asked].answer != known.answer:
            found = ((None, "contradiction", {"other": _called(facts, asked)}),)
        elif index in alike:
            found = ((None, "near_duplicate", {"other": _called(facts, alike[index])}),)
        called = first_called.setdefault(known.id, index) if known.id else index
        if called != index:
            found = (*found, (None, "duplicate_id", {"id": known.id[:_QUOTED], "other": called + 1}))
        known.across = found


def _called(facts: Sequence[Facts], index: int) -> str:
    return facts[index].id or str(index + 1)


def describe(problem: Problem, language: Language = "en") -> str:
    """What is wrong and what to do, as one or two sentences."""
    what, remedy = explain(problem.code, problem.detail, language)
    return f"{what}{'' if language == 'zh' else ' '}{remedy}"


def explain(code: str, detail: Mapping[str, Any], language: Language = "en") -> tuple[str, str]:
    """What is wrong, and what to do."""
    values = dict(detail)
    for key in ("role", "expected"):
        if values.get(key) in words.ROLE_WORDS:
            values[key] = words.ROLE_WORDS[values[key]][language == "zh"]
    if code == "not_json":
        reason = values.pop("reason")
        values = {"why": words.json_reason(reason, language, **values)}
    if code == "personal":
        values["kind"] = words.PERSONAL[values["kind"]][language == "zh"]
    if code == "schema":
        values["why"] = words.schema_reason(values.pop("keyword"), language, **values)
    what_en, what_zh, do_en, do_zh = words.PROBLEMS[code]
    what, remedy = (what_zh, do_zh) if language == "zh" else (what_en, do_en)
    return what.format_map(values), remedy.format_map(values)
