"""An endpoint's reply as it comes: server-sent events, or one JSON object."""

from __future__ import annotations

import json
from typing import Any

from qwenlab.models.contestant import Answer, Finish

MARK = "data:"
END = "[DONE]"


class BrokenError(Exception):
    """The server said in its stream that it failed, or stopped in the middle of the answer.

    Args:
        reason: the server's own words; "" when it just broke off.
    """

    def __init__(self, reason: str = "") -> None:
        super().__init__(reason)
        self.reason = reason


class Reply:
    """One answer as it grows.

    Attributes:
        text: the words so far.
        done: whether the server said that this was all.
    """

    def __init__(self) -> None:
        self.text = ""
        self.done = False
        self._pieces = 0
        self._reason: str | None = None
        self._usage: dict[str, Any] = {}

    def take_line(self, line: str) -> str:
        """Read one line of the stream; returns the words it brought.

        Raises:
            BrokenError: when the server reports an error.
            ValueError, KeyError, TypeError: when the line is not what an OpenAI-compatible server sends.
        """
        if not line.startswith(MARK):  # a comment, a name of an event, or the empty line between two
            return ""
        data = line.removeprefix(MARK).strip()
        if data == END:
            self.done = True
            return ""
        value = json.loads(data)
        if value.get("error"):
            raise BrokenError(error_words(value))
        self._usage = value.get("usage") or self._usage
        if not value.get("choices"):  # the last event brings only the usage
            return ""
        choice = value["choices"][0]
        self._reason = choice.get("finish_reason") or self._reason
        piece = str((choice.get("delta") or {}).get("content") or "")
        self.text += piece
        self._pieces += bool(piece)
        return piece

    def take_whole(self, value: Any) -> None:
        """Read a reply that came at once.

        Raises:
            ValueError, KeyError, IndexError, TypeError: when it is not what an OpenAI-compatible server sends.
        """
        choice = value["choices"][0]
        self.text = str(choice["message"]["content"] or "")
        self._reason = choice.get("finish_reason") or "stop"
        self._usage = value.get("usage") or {}

    def check_whole(self) -> None:
        """The connection has ended.

        Raises:
            BrokenError: when the answer had not.
        """
        if self._reason is None:
            raise BrokenError

    def answer(self, seconds: float) -> Answer:
        """What it all was; stopped, where the server gave no reason to end."""
        finish: Finish = "length" if self._reason == "length" else "stop" if self._reason or self.done else "stopped"
        tokens = int(self._usage.get("completion_tokens") or self._pieces)
        return Answer(self.text, finish, int(self._usage.get("prompt_tokens") or 0), tokens, seconds)


def error_words(value: Any) -> str:
    """The message in a server's JSON of an error; its own form where it is none we know."""
    error = value.get("error", value) if isinstance(value, dict) else value
    if isinstance(error, dict):
        return str(error.get("message") or error.get("detail") or json.dumps(error, ensure_ascii=False))
    return str(error)
