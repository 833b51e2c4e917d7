"""What a model's chat template does: whether it is its own, knows thinking, and what it adds to a conversation."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from qwenlab.errors import QwenlabError
from qwenlab.models.contestant import Message
from qwenlab.models.rendering import SWITCH, TAGS, render

CHATML = (
    "{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\\n' + message['content'] + '<|im_end|>\\n' }}"
    "{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}"
)
"""Qwen's chat form, for a model that brings no template of its own."""
WORDS, OTHER_WORDS = "\ue000", "\ue001"
"""They stand for what a person writes while a template runs."""


def thinks(path: Path) -> bool:
    """Whether the template of a model folder or GGUF file has a switch for thinking."""
    return SWITCH in own(path)


def own(path: Path) -> str:
    """The text of the template that a model folder or GGUF file brings; "" where it brings none or cannot be read."""
    names = ("chat_template.jinja", "chat_template.json", "tokenizer_config.json")
    sources = [path / name for name in names if (path / name).is_file()] if path.is_dir() else [path]
    stamps = tuple((str(source), source.stat().st_mtime_ns) for source in sources if source.is_file())
    return next(filter(None, (_read(*stamp) for stamp in stamps)), "")


@lru_cache(maxsize=64)
def _read(path: str, modified: int) -> str:  # the time is part of the key on purpose
    source = Path(path)
    try:
        if source.suffix == ".jinja":
            return source.read_text(encoding="utf-8")
        if source.suffix == ".json":
            found = json.loads(source.read_text(encoding="utf-8"))
        else:
            import libgguf

            header = libgguf.read_gguf_header(source, max_array_values=0).metadata.get("tokenizer.chat_template")
            found = {"chat_template": header.value if header else ""}
    except (OSError, ValueError):
        return ""
    template = found.get("chat_template") if isinstance(found, dict) else None
    return template if isinstance(template, str) else json.dumps(template) if template else ""


@dataclass(frozen=True)
class Additions:
    """What a template writes that nobody said.

    Attributes:
        own: False where the model brings no template and ChatML stands in.
        system: the system turn that is put before a conversation without one; "" for none.
        no_thoughts: whether answers begin with an empty pair of think tags, which says: do not think.
    """

    own: bool
    system: str
    no_thoughts: bool


def additions(tokenizer: Any) -> Additions:
    """What the tokenizer's template adds to a conversation of one question, thinking switched off."""
    asked = Message(role="user", content=WORDS)
    try:
        plain = render(tokenizer, [asked], open_turn=True)
        told = render(tokenizer, [Message(role="system", content=OTHER_WORDS), asked], open_turn=True)
    except QwenlabError:  # a template that refuses system turns, or single questions, adds none of its own
        return Additions(tokenizer.chat_template != CHATML, "", False)
    before, _, after = told.partition(WORDS)[0].partition(OTHER_WORDS)
    head, _, tail = plain.partition(WORDS)
    found = head[len(before) : len(head) - len(after)] if head.startswith(before) and head.endswith(after) else ""
    return Additions(tokenizer.chat_template != CHATML, found.strip(), all(tag in tail for tag in TAGS))
