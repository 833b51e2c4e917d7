"""A test suite: cases, what is expected of their answers, and how each value is judged."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Collection
from dataclasses import replace
from functools import cached_property
from typing import Annotated, Any, Literal, get_args

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from qwenlab.errors import QwenlabError
from qwenlab.evals.bilingual import ReasonError
from qwenlab.evals.rules import Rule
from qwenlab.evals.schema import SchemaCheck
from qwenlab.models.contestant import Generation, Message

Language = Literal["zh", "en"]
TextRule = Literal["equals", "contains", "not_contains", "regex", "any_of"]

_CJK = re.compile("[\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U000323af]")


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True, coerce_numbers_to_str=True)


class GenerationSettings(_Strict):
    """How the contestants decode; the defaults are greedy.

    Attributes:
        repeats: answers to each case, the first with `seed`, the next with `seed` + 1, and so on.
    """

    max_new_tokens: int = Field(default=256, ge=1, le=32768)
    temperature: float = Field(default=0.0, ge=0, le=5)
    top_p: float = Field(default=1.0, gt=0, le=1)
    seed: int = Field(default=0, ge=0)
    thinking: bool = False
    repeats: int = Field(default=1, ge=1, le=100)


class Thresholds(_Strict):
    """The least that a contestant must reach, as fractions of 1; what is not named is not asked.

    pass_all and agreement are of suites that ask each case several times (see `repeats.Repeats`).
    """

    strict: float | None = Field(default=None, ge=0, le=1)
    schema_valid: float | None = Field(default=None, ge=0, le=1)
    usable: float | None = Field(default=None, ge=0, le=1)
    field_accuracy: float | None = Field(default=None, ge=0, le=1)
    field_accuracy_parsed: float | None = Field(default=None, ge=0, le=1)
    document_exact: float | None = Field(default=None, ge=0, le=1)
    passed: float | None = Field(default=None, ge=0, le=1)
    pass_all: float | None = Field(default=None, ge=0, le=1)
    agreement: float | None = Field(default=None, ge=0, le=1)


PairedMeasure = Literal["strict", "schema_valid", "usable", "field_accuracy", "document_exact", "passed"]
"""Measures by which a contestant can be held against the first."""


class Turn(_Strict):
    """One turn of a case's history."""

    role: Literal["system", "user", "assistant"]
    content: str


class Case(_Strict):
    """One question and the answer that is wanted.

    Attributes:
        id: unique in the suite.
        prompt, history: exactly one of them; a history ends with a user turn.
        system: instead of the suite's system prompt; "" for none.
        expected: a JSON value where the suite has a schema, else text (or a list of texts for `rule`).
            In a suite with a schema a case that names a `rule` is a text case all the same.
        tags: to filter by. group: cases made from one template or dialogue share it.
        accept: per JSON pointer, values that are as right as the expected one.
        rule: how a text case is judged. equals and any_of compare after NFKC and casefold, contains wants all
            texts of `expected`, not_contains none of them, regex searches for the pattern.
    """

    id: str = Field(min_length=1)
    prompt: str | None = None
    history: list[Turn] | None = None
    system: str | None = None
    expected: Any = None
    tags: list[str] = []
    group: str = ""
    accept: dict[str, list[Any]] = {}
    rule: TextRule = "equals"

    @model_validator(mode="after")
    def _one_question(self) -> Case:
        if (self.prompt is None) == (self.history is None):
            raise ReasonError('needs either "prompt" or "history"', "“prompt”和“history”必须有且只有一个")
        if self.history is not None and (not self.history or self.history[-1].role != "user"):
            raise ReasonError("history must end with a user turn", "“history”必须以用户（user）的话结尾")
        if not self.question.strip():
            raise ReasonError("the question is empty", "问题是空的")
        if "expected" not in self.model_fields_set:
            raise ReasonError('needs "expected"', "缺少“expected”")
        return self

    @property
    def question(self) -> str:
        """What the user says last."""
        return self.history[-1].content if self.history else self.prompt or ""

    @property
    def language(self) -> Language:
        """zh when any Chinese character stands in the question, else en."""
        return "zh" if _CJK.search(self.question) else "en"

    def messages(self, suite: Suite) -> list[Message]:
        """The conversation to answer, with the case's own system prompt or else the suite's."""
        turns = self.history or [Turn(role="user", content=self.prompt or "")]
        messages: list[Message] = [{"role": turn.role, "content": turn.content} for turn in turns]
        system = suite.system if self.system is None else self.system
        if system and messages[0]["role"] != "system":
            messages.insert(0, {"role": "system", "content": system})
        return messages


class Suite(_Strict):
    """Cases and the rules by which their answers are judged. Read one with `suite.load_suite`.

    `not_worse`: measures in which the last contestant must not lose against the first, with the loss that must be
    excluded (a fraction of 1), or None where it must only not be worse beyond doubt. A list of measures stands for the
    latter.

    With a schema answers are meant to be JSON (`{}` accepts any), but for cases that name a `rule` for text; without
    one all cases are text cases.
    """

    name: str = Field(min_length=1)
    description: str = ""
    language: str = ""
    system: str = ""
    json_schema: dict[str, Any] | None = Field(default=None, alias="schema")
    fields: dict[str, Rule] = {}
    generation: GenerationSettings = GenerationSettings()
    thresholds: Thresholds = Thresholds()
    not_worse: dict[PairedMeasure, Annotated[float, Field(ge=0, le=1)] | None] = {}
    cases: list[Case] = Field(min_length=1)

    @field_validator("not_worse", mode="before")
    @classmethod
    def _measures(cls, value: Any) -> Any:
        named = value if isinstance(value, list | dict) else []
        known = get_args(PairedMeasure)
        wrong = next((one for one in map(str, named) if one not in known), None)
        if wrong is not None:
            raise ReasonError(
                f"there is no measure {wrong}; known are {', '.join(known)}",
                f"没有指标 {wrong}，可用的有 {'、'.join(known)}",
            )
        return dict.fromkeys(value) if isinstance(value, list) else value

    @property
    def is_json(self) -> bool:
        """Whether the suite has a schema, so that its answers are judged as JSON (see `as_json`)."""
        return self.json_schema is not None

    def as_json(self, case: Case) -> bool:
        """Whether answers to `case` are judged as JSON: in a suite with a schema, unless it has a rule for text."""
        return self.is_json and "rule" not in case.model_fields_set

    @cached_property
    def check(self) -> SchemaCheck:
        """The compiled schema."""
        return SchemaCheck(self.json_schema if self.json_schema is not None else {})

    @property
    def by_id(self) -> dict[str, Case]:
        """The cases by their ids."""
        return {case.id: case for case in self.cases}

    @property
    def groups(self) -> dict[str, str]:
        """Case id -> group, for the cases that have one."""
        return {case.id: case.group for case in self.cases if case.group}

    def settings(self, repeat: int = 0) -> Generation:
        """The generation settings as a contestant takes them, for the first answer or a repeated one (from 0)."""
        found = Generation(**self.generation.model_dump(exclude={"repeats"}))
        return replace(found, seed=found.seed + repeat)

    def with_thinking(self) -> Suite:
        """The suite whose contestants may think first, where their chat templates know that."""
        return self.model_copy(update={"generation": self.generation.model_copy(update={"thinking": True})})

    def to_json(self) -> dict[str, Any]:
        """The resolved suite: everything inline, as `Suite.model_validate` reads it back."""
        return self.model_dump(mode="json", by_alias=True, exclude_defaults=True) | {
            "cases": [_case_json(case, self.is_json) for case in self.cases]
        }

    def fingerprint(self) -> str:
        """Hex SHA-256 of the resolved content."""
        text = json.dumps(self.to_json(), ensure_ascii=True, sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(text.encode()).hexdigest()

    def only(
        self,
        languages: Collection[str] | None = None,
        tags: Collection[str] | None = None,
        limit: int | None = None,
    ) -> Suite:
        """The suite with the cases in one of `languages`, with one of `tags`, and of these the first `limit`.

        Raises:
            QwenlabError: when no case is left.
        """
        cases = [
            case
            for case in self.cases
            if (languages is None or case.language in languages) and (tags is None or set(tags) & set(case.tags))
        ][:limit]
        if not cases:
            raise QwenlabError(
                f'No case of the suite "{self.name}" is left by this choice.',
                "Choose other languages or tags.",
                zh=(f"按此选择，测试集“{self.name}”中没有剩下的用例。", "请选择其他语言或标签。"),
            )
        return self.model_copy(update={"cases": cases})


def _case_json(case: Case, in_json_suite: bool) -> dict[str, Any]:
    # `expected` may be null, which is also its default: it must not be left out. Nor may a rule that makes a text case.
    rule = {"rule": case.rule} if in_json_suite and "rule" in case.model_fields_set else {}
    return case.model_dump(mode="json", exclude_defaults=True) | {"expected": case.expected} | rule
