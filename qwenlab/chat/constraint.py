"""Answers forced into a JSON Schema: which next tokens keep the answer valid (llguidance)."""

from __future__ import annotations

import json
import re
import threading
from typing import Any
from weakref import WeakKeyDictionary

from qwenlab.errors import QwenlabError

OPTIONS: Any = {
    "lenient": True,  # what cannot be enforced is left out; `unenforced` says so
    "coerce_one_of": True,
    # Enough for an indented answer; without a bound a small model may write blanks until its limit.
    "whitespace_pattern": r"[\x20\x0A\x0D\x09]{1,20}",
}
KEPT = 32
"""Compiled schemas remembered per tokenizer."""


class Constraint:
    """The state of one answer being forced into a schema.

    Args:
        matcher: llguidance's; this object owns it.
    """

    def __init__(self, matcher: Any) -> None:
        self._matcher = matcher

    def allowed(self) -> bytes:
        """One bit per token of the vocabulary, lowest bit first: whether it may come next."""
        mask: bytes = self._matcher.compute_bitmask()
        if self._matcher.is_error():
            raise _unusable(self._matcher.get_error())
        return mask

    def take(self, token: int) -> None:
        """The token was chosen."""
        if not self._matcher.is_stopped():
            self._matcher.consume_token(token)


class Compiler:
    """Schemas compiled for one tokenizer, each once.

    Args:
        tokenizer: a fast transformers tokenizer.
        ends: the tokens that end a turn; they are allowed where the value is complete.
        vocabulary: rows of the model's output, which may be more than the tokenizer has tokens.
    """

    def __init__(self, tokenizer: Any, ends: list[int], vocabulary: int) -> None:
        from llguidance import hf

        self._tokenizer = hf.from_tokenizer(tokenizer, n_vocab=max(vocabulary, len(tokenizer)), eos_token=ends)
        self._compiled: dict[str, Any] = {}
        self._lock = threading.Lock()

    def constraint(self, schema: dict[str, Any]) -> Constraint:
        """A fresh constraint for one answer.

        Raises:
            QwenlabError: when the schema cannot be used at all.
        """
        from llguidance import LLMatcher

        written = json.dumps(schema)  # unsorted: properties are answered in the order of the schema
        with self._lock:
            if written not in self._compiled:
                matcher = LLMatcher(self._tokenizer, _grammar(schema), log_level=0)
                if matcher.is_error():
                    raise _unusable(matcher.get_error())
                while len(self._compiled) >= KEPT:
                    self._compiled.pop(next(iter(self._compiled)))
                self._compiled[written] = matcher
            return Constraint(self._compiled[written].deep_copy())


_compilers: WeakKeyDictionary[Any, Compiler] = WeakKeyDictionary()
_making = threading.Lock()


def compiler(tokenizer: Any, ends: list[int], vocabulary: int) -> Compiler:
    """The compiler of a tokenizer; made on first use (seconds), kept as long as the tokenizer."""
    with _making:
        if tokenizer not in _compilers:
            _compilers[tokenizer] = Compiler(tokenizer, ends, vocabulary)
        return _compilers[tokenizer]


def unenforced(schema: dict[str, Any]) -> list[tuple[str, str]]:
    """What of a schema cannot be enforced while an answer is written, in English and Chinese; no model is needed.

    The answer is free in these points, and checked against them afterwards like any other.

    Raises:
        QwenlabError: when the schema cannot be used at all.
    """
    from llguidance import LLMatcher

    broken, said = LLMatcher.validate_grammar_with_warnings(_grammar(schema))
    if broken:
        raise _unusable(said[0])
    return [_in_words(warning) for warning in dict.fromkeys(said)]


def for_llama_cpp(schema: dict[str, Any]) -> dict[str, Any]:
    """The schema with the same leniency for llama.cpp, which has llguidance inside.

    Without it llama.cpp says nothing where it cannot enforce a keyword, and lets the whole answer go free.
    """
    return {**schema, "x-guidance": OPTIONS}


def _grammar(schema: dict[str, Any]) -> str:
    from llguidance import LLMatcher

    return LLMatcher.grammar_from_json_schema(schema, overrides=OPTIONS)


def _in_words(warning: str) -> tuple[str, str]:
    """llguidance's warning as a person reads it."""
    if warning.startswith("Unimplemented keys"):
        keys = re.findall(r'"([^"]+)"', warning)
        return f"{', '.join(keys)} cannot be enforced.", f"无法强制执行 {'、'.join(keys)}。"
    if warning.startswith("Unknown format"):
        named = warning.partition(": ")[2]
        return f'The format "{named}" cannot be enforced.', f"无法强制执行格式“{named}”。"
    if warning.startswith("oneOf"):
        return "oneOf is enforced as anyOf: more than one may fit.", "oneOf 按 anyOf 执行：可能同时符合多项。"
    return f"Not enforced: {warning}", f"未强制执行：{warning}"


def _unusable(reason: str) -> QwenlabError:
    first = next((line.strip() for line in reason.strip().splitlines() if line.strip()), "no details")
    return QwenlabError(
        f"Answers cannot be forced into this JSON Schema: {first}.",
        "Change the schema, or ask without enforcing it.",
        zh=(f"无法强制回答符合该 JSON Schema：{first}。", "请修改 Schema，或不强制执行。"),
    )
