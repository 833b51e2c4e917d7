"""What is wrong in a data set: named by sample and turn, with what to do about it."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Any, Literal

from qwenlab.conversations import strict_json, words
from qwenlab.conversations.dataset import DataSet
from qwenlab.conversations.facts import Facts, Finding
from qwenlab.conversations.sample import ROLES, Sample, Turn, broken
from qwenlab.conversations.strict_json import NotJsonError
from qwenlab.conversations.words import Language

SPECIAL_TOKENS = ("<|im_start|>", "<|im_end|>", "<|endoftext|>")
_SURROGATE = re.compile("[\ud800-\udfff]")
WARNINGS = {"duplicate", "contradiction", "special_token", "not_text", "lone_surrogate"}
"""Worth a look, but training works as it stands; every other code is an error."""


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


class SchemaCheck:
    """A compiled JSON Schema: quick to say yes, and in words why not.

    Raises:
        ValueError: when the schema itself is wrong.
    """

    def __init__(self, schema: Mapping[str, Any]) -> None:
        import jsonschema_rs

        self.schema = dict(schema)
        self._fast = jsonschema_rs.validator_for(self.schema)
        self._slow: Any = None

    def why_not(self, value: Any) -> list[dict[str, Any]]:
        """One entry per violation: pointer, keyword and what its sentence names; empty when valid."""
        if self._fast.is_valid(value):
            return []
        if self._slow is None:  # slow to import, and only needed for words
            from jsonschema.validators import validator_for

            self._slow = validator_for(self.schema)(self.schema)
        errors = sorted(self._slow.iter_errors(value), key=lambda error: [str(step) for step in error.path])
        return [_violation(error) for error in errors] or [{"pointer": "/", "keyword": "other", "message": "not valid"}]


def _violation(error: Any) -> dict[str, Any]:
    steps = [str(step).replace("~", "~0").replace("/", "~1") for step in error.absolute_path]
    wanted = error.validator_value
    found: dict[str, Any] = {
        "pointer": "/" + "/".join(steps),
        "keyword": error.validator if error.validator in words.SCHEMA else "other",
        "message": error.message,
        "value": _short(error.instance),
        "wanted": " / ".join(map(str, wanted))
        if error.validator == "type" and isinstance(wanted, list)
        else wanted
        if isinstance(wanted, str)
        else _short(wanted),
        "found": _kind(error.instance),
    }
    if error.validator == "required":
        found["missing"] = ", ".join(key for key in wanted if key not in error.instance)
    if error.validator == "additionalProperties":
        known = error.schema.get("properties", {})
        found["extra"] = ", ".join(key for key in error.instance if key not in known)
    return found


def _short(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 120 else text[:117] + "..."


def _kind(value: Any) -> str:
    kinds = {bool: "boolean", int: "integer", float: "number", str: "string", list: "array", dict: "object"}
    return kinds.get(type(value), "null")


def check(
    dataset: DataSet,
    schema: Mapping[str, Any] | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> list[Problem]:
    """Check every sample.

    Args:
        dataset: its settings may name samples that answer in plain text: {"plain_text": ["identity_*"]}.
        schema: what assistant turns must satisfy; None: the attached schema, or no JSON check without one.
        progress: called now and then with samples done and samples in all.

    Raises:
        DataError: when the attached schema cannot be used.
    """
    facts = [Facts(sample) for sample in dataset.samples]
    wanted = schema if schema is not None else dataset.attached_schema()
    compiled = compile_schema(wanted, dataset) if wanted is not None else None
    check_facts(dataset.samples, facts, compiled, plain_text(dataset.settings()), progress)
    return problems(facts)


def check_facts(
    samples: Sequence[Sample],
    facts: Sequence[Facts],
    schema: SchemaCheck | None,
    plain: Callable[[str], bool],
    progress: Callable[[int, int], None] | None = None,
) -> None:
    """Fill in `findings` where they are missing and `across` everywhere.

    Args:
        samples: with their `facts`, in the same order.
        schema: what assistant turns must satisfy.
        plain: whether the sample of that id answers in plain text although there is a schema.
        progress: called now and then with samples done and samples in all.
    """
    for index, (sample, known) in enumerate(zip(samples, facts, strict=True)):
        if known.findings is None:
            known.findings = tuple(findings(sample, None if plain(known.id) else schema))
        if progress and index % 500 == 0:
            progress(index, len(samples))
    across(facts)


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


def plain_text(settings: Mapping[str, Any]) -> Callable[[str], bool]:
    """Whether the sample of that id answers in plain text although a schema is attached, from the settings."""
    patterns = settings.get("plain_text", [])
    patterns = [str(pattern) for pattern in patterns] if isinstance(patterns, list) else []
    return lambda sample_id: any(fnmatchcase(sample_id, pattern) for pattern in patterns)


def check_sample(sample: Sample, index: int = 0, schema: SchemaCheck | None = None) -> list[Problem]:
    """Problems within one sample; `schema` applies to every assistant turn."""
    return [Problem(index, sample.id, turn, code, detail) for turn, code, detail in findings(sample, schema)]


def findings(sample: Sample, schema: SchemaCheck | None = None) -> list[Finding]:
    """What is wrong within one sample: (turn, code, detail) each."""
    raw = sample.raw
    unreadable = broken(raw)
    if unreadable:
        return [(None, unreadable, {})]
    turns = [Turn.of(turn) for turn in raw["conversations"]]
    return [*_turn_order(turns), *_turn_texts(turns, schema)]


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
    """Find exact duplicates and contradictions anew; the later sample is the one named."""
    first_same: dict[int, int] = {}
    first_asked: dict[int, int] = {}
    for index, known in enumerate(facts):
        known.across = ()
        if known.same is None:
            continue
        other = first_same.setdefault(known.same, index)
        if other != index:
            known.across = ((None, "duplicate", {"other": _called(facts, other)}),)
            continue
        if known.asked is None:
            continue
        other = first_asked.setdefault(known.asked, index)
        if facts[other].answer != known.answer:
            known.across = ((None, "contradiction", {"other": _called(facts, other)}),)


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
    if code == "schema":
        values["why"] = words.schema_reason(values.pop("keyword"), language, **values)
    what_en, what_zh, do_en, do_zh = words.PROBLEMS[code]
    what, remedy = (what_zh, do_zh) if language == "zh" else (what_en, do_en)
    return what.format_map(values), remedy.format_map(values)
