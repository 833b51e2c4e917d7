"""The one place where the page calls the engine of qwenlab.chat."""

from __future__ import annotations

import dataclasses
import inspect
import json
import threading
from collections.abc import Callable, Iterator, Sequence
from functools import cache
from pathlib import Path
from typing import Any

from qwenlab import files
from qwenlab.errors import QwenlabError
from qwenlab.models.contestant import Contestant, Generation, Message

Conversations = Sequence[list[Message]]


@cache
def _parameters() -> frozenset[str]:
    from qwenlab.chat import arena

    return frozenset(inspect.signature(arena.stream).parameters)


def can_force() -> bool:
    """Whether answers can be forced into a schema."""
    return "schema" in _parameters()


def generation(**wanted: Any) -> Generation:
    """Settings to decode with, of what the engine knows."""
    known = {one.name for one in dataclasses.fields(Generation)}
    return Generation(**{key: value for key, value in wanted.items() if key in known})


def own_generation(folder: Path) -> dict[str, float]:
    """How a model's makers want it to be sampled, of its generation_config.json; empty when it says nothing."""
    of_model = getattr(Generation, "of_model", None)
    if of_model is not None:
        return dataclasses.asdict(of_model(folder))
    try:
        found = files.read_json(folder / "generation_config.json")
    except QwenlabError:
        return {}
    names = ("temperature", "top_p", "top_k", "repetition_penalty")
    named = {key: float(found[key]) for key in names if isinstance(found.get(key), int | float)}
    return named if found.get("do_sample") else {key: named[key] for key in named if key == "repetition_penalty"}


def stream(
    contestants: Sequence[Contestant],
    conversations: Conversations,
    settings: Generation,
    brake: Callable[[], threading.Event],
    schema: dict[str, Any] | None = None,
) -> Iterator[list[Any]]:
    """Yield the arena's columns, one per contestant, until all have ended; one conversation each.

    Args:
        brake: makes the event that stops them.
        schema: what every answer is forced into.
    """
    from qwenlab.chat import arena

    if "conversations" in _parameters():
        forced = {"schema": schema} if schema is not None else {}
        yield from arena.stream(contestants, conversations, settings, brake(), **forced)  # type: ignore[arg-type]
        return
    shown: list[Any] = [None] * len(contestants)
    for group in _groups(conversations):  # one call of this arena takes one conversation
        chosen = [contestants[at] for at in group]
        for columns in arena.stream(chosen, conversations[group[0]], settings, brake()):
            for at, column in zip(group, columns, strict=True):
                shown[at] = column
            yield shown


def _groups(conversations: Conversations) -> list[list[int]]:
    groups: dict[str, list[int]] = {}
    for at, messages in enumerate(conversations):
        groups.setdefault(json.dumps(messages), []).append(at)
    return list(groups.values())
