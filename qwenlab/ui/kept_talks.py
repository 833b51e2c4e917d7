"""Conversations that are kept: one JSON file each, listed, reopened, deleted and brought back."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path

from qwenlab import files
from qwenlab.errors import QwenlabError
from qwenlab.ui.talk import SuiteOf, Talk

NAME = re.compile(r"[0-9a-z-]{1,64}")
DELETED = "deleted"
FIRST_WORDS = 90


@dataclass(frozen=True)
class Kept:
    """What the list says of a conversation.

    Attributes:
        id: its file's name. changed: when, ISO 8601 in UTC.
        words: how its first message begins. names: who answered.
        messages: how many there are.
    """

    id: str
    changed: str
    words: str
    names: tuple[str, ...]
    messages: int


class TalkStore:
    """The kept conversations of a folder; deleted ones stay in a folder of their own until they are restored."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def save(self, talk: Talk) -> None:
        """Write a conversation; an empty one is not kept.

        Raises:
            QwenlabError: when it cannot be written.
        """
        if talk.exchanges:
            text = json.dumps(talk.to_json(), ensure_ascii=False, indent=1)
            files.write_bytes(self._path(talk.id), text.encode("utf-8", "replace") + b"\n")

    def newest(self, number: int) -> tuple[list[Kept], int]:
        """The `number` conversations that changed last, newest first, and how many there are."""
        paths = sorted(self.folder.glob("*.json"), key=lambda path: -path.stat().st_mtime_ns)
        found = [kept for path in paths[:number] if (kept := self._look(path)) is not None]
        return found, len(paths)

    def open(self, talk_id: str, suite_of: SuiteOf) -> Talk:
        """A kept conversation, judged anew.

        Raises:
            QwenlabError: when it is not there or cannot be read.
        """
        path = self._path(talk_id)
        try:
            return Talk.of(files.read_json(path), suite_of)
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise QwenlabError(
                f"The conversation {path.name} cannot be read.",
                "It was written by another version, or damaged.",
                zh=(f"无法读取对话 {path.name}。", "它可能来自其他版本，或已损坏。"),
            ) from error

    def delete(self, talk_id: str) -> bool:
        """Put a conversation away; whether it was there."""
        return self._move(self._path(talk_id), self._away(talk_id))

    def restore(self, talk_id: str) -> bool:
        """Bring a deleted conversation back; whether it was there."""
        return self._move(self._away(talk_id), self._path(talk_id))

    def _move(self, source: Path, target: Path) -> bool:
        if not source.exists():
            return False
        target.parent.mkdir(parents=True, exist_ok=True)
        source.replace(target)
        return True

    def _look(self, path: Path) -> Kept | None:
        try:
            found = json.loads(path.read_text(encoding="utf-8"))
            first, last = found["exchanges"][0], found["exchanges"][-1]
            names = tuple(str(reply["entrant"]["name"]) for reply in last["replies"])
            words = " ".join(str(first["message"]).split())[:FIRST_WORDS]
            return Kept(path.stem, str(found["changed"]), words, names, len(found["exchanges"]))
        except (OSError, ValueError, KeyError, TypeError, IndexError, RecursionError):
            return None

    def _path(self, talk_id: str) -> Path:
        return self.folder / f"{_safe(talk_id)}.json"

    def _away(self, talk_id: str) -> Path:
        return self.folder / DELETED / f"{_safe(talk_id)}.json"


def _safe(talk_id: str) -> str:
    """An id that names a file in the folder and no other. Raises QwenlabError."""
    if not NAME.fullmatch(talk_id):
        raise QwenlabError(
            "There is no such conversation.", "Choose one of the list.", zh=("没有这个对话。", "请从列表中选择。")
        )
    return talk_id
