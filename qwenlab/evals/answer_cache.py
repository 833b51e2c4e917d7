"""Answers that were given before, by the same weights in the same way to the same messages: never by a name.

A file per way of answering, one line per answer, appended. Two tests may write at the same time; a line that is torn,
damaged or of another kind is passed over, as if it were not there. An endpoint does not show its weights, which may
change behind its name: its answers are not kept here.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, replace
from datetime import date
from importlib import metadata
from pathlib import Path
from typing import Any

from qwenlab import files
from qwenlab.models.contestant import Answer, Contestant, Generation, Message

MADE_BY = (
    "kind", "weights", "config", "tokenizer", "template", "ends", "adapter_weights", "adapter_config",
    "trained_weights", "dtype", "computed", "engine", "slots", "schema",
)  # fmt: skip
"""What of a contestant's description decides its answers; its name and its folders do not."""
ENGINES = ("torch", "transformers", "tokenizers", "peft", "gptqmodel", "llguidance")
FORM = 2
"""Counted up whenever the same weights would answer otherwise, because our own decoding changed."""


class AnswerCache:
    """A folder of answers.

    Args:
        folder: made when the first answer is kept.
        today: tells the date, which some chat templates write into every prompt.
    """

    def __init__(self, folder: Path, today: Callable[[], date] = date.today) -> None:
        self.folder = folder
        self._today = today

    def of(self, contestant: Contestant, settings: Generation) -> KnownAnswers | None:
        """What this contestant answered before with these settings; None where its weights are not known."""
        described = contestant.describe()
        if "weights" not in described:
            return None
        made_by = {key: described[key] for key in MADE_BY if key in described}
        if settings.temperature <= 0:
            settings = replace(settings, seed=0)  # nothing is drawn
        made = {"form": FORM, "engines": _versions(), **made_by, **asdict(settings)}
        if "dated" in described:
            made["day"] = self._today().isoformat()
        return KnownAnswers(self.folder / f"{_digest(made)}.jsonl")


class KnownAnswers:
    """The answers of one contestant with one way of decoding."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._places: dict[str, int] = {}
        try:
            with path.open("rb") as file:
                place = 0
                for line in file:
                    self._places[line[:64].decode("ascii", "replace")] = place
                    place += len(line)
        except OSError:  # not there yet, or not to be read: then nothing is known
            self._places = {}

    def find(self, messages: Sequence[Message]) -> Answer | None:
        """The answer to these messages, if it was given before."""
        key = _digest(list(messages))
        if key not in self._places:
            return None
        try:
            with self.path.open("rb") as file:
                file.seek(self._places[key])
                return _read(file.readline(), key)
        except OSError:
            return None

    def keep(self, messages: Sequence[Message], answer: Answer) -> None:
        """Remember an answer that came to its end; where the disk has no room it is not remembered."""
        if answer.finish not in ("stop", "length"):
            return
        key, text = _digest(list(messages)), json.dumps(asdict(answer))
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            files.append_line(self.path, f"{key} {_checksum(key, text)} {text}")
        except OSError:
            return


def _read(line: bytes, key: str) -> Answer | None:
    try:
        known, checksum, text = line.decode("ascii").rstrip("\n").split(" ", 2)
        return Answer(**json.loads(text)) if (known, checksum) == (key, _checksum(key, text)) else None
    except (ValueError, TypeError):
        return None


def _checksum(key: str, text: str) -> str:
    return hashlib.sha256(f"{key} {text}".encode()).hexdigest()[:16]


def _digest(value: Any) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()


def _versions() -> dict[str, str]:
    """What computes: another version may round, cut or draw another way."""
    found = {}
    for name in ENGINES:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found
