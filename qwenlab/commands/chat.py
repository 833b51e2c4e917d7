"""qwenlab chat: talk to a contestant in the terminal."""

from __future__ import annotations

import argparse
import sys
import threading
from typing import Any

from qwenlab.commands.console import DONE, FAILED, Console
from qwenlab.commands.models import ensure
from qwenlab.models import adapter_base, adapters, catalogue
from qwenlab.models.contestant import Answer, Contestant, Generation, Message
from qwenlab.workspace import Workspace


def add_verbs(verbs: Any) -> None:
    """Add `chat`."""
    chatting = verbs.add_parser("chat", help="talk to a model in the terminal")
    chatting.add_argument("--model", help="catalogue name, folder, GGUF file or URL")
    chatting.add_argument("--adapter", help="run id or adapter folder")
    chatting.add_argument("--system", default="", help="system turn")
    chatting.add_argument("--message", help="ask this one thing and leave")
    chatting.add_argument("--max-new-tokens", type=int, default=512)
    chatting.add_argument("--temperature", type=float, default=0.0)
    chatting.add_argument("--thinking", action="store_true", help="let it think first, where its template knows that")
    chatting.add_argument("--json", action="store_true", help="print JSON (with --message)")
    chatting.set_defaults(run=chat)


def chat(chosen: argparse.Namespace, workspace: Workspace, console: Console) -> int:
    """Answer one message, or hold a conversation until end of input."""
    from qwenlab.chat import contestants
    from qwenlab.chat.pool import ModelPool

    model = chosen.model or default_model()
    if not chosen.model and chosen.adapter:  # a run or a folder knows its base
        model = str(adapter_base.find(workspace, adapters.find(workspace, chosen.adapter)))
    elif catalogue.entry(model):
        ensure(workspace, model, console)
    spec = f"{model}+{chosen.adapter}" if chosen.adapter else model
    contestant = contestants.make(workspace, ModelPool(), "chat", spec)
    settings = Generation(chosen.max_new_tokens, chosen.temperature, thinking=chosen.thinking)
    history: list[Message] = [Message(role="system", content=chosen.system)] if chosen.system else []
    try:
        if chosen.message is not None:
            return _once(contestant, [*history, Message(role="user", content=chosen.message)], settings, console)
        console.say("Type a message; an empty line or Ctrl-D leaves.")
        for line in iter(_ask, ""):
            history.append(Message(role="user", content=line))
            answer = _spoken(contestant, history, settings)
            history.append(Message(role="assistant", content=answer.text))
    finally:
        contestant.close()
    return DONE


def default_model() -> str:
    """QWENLAB_MODEL, or the catalogue's default."""
    import os

    return os.environ.get("QWENLAB_MODEL", catalogue.DEFAULT)


def _ask() -> str:
    try:
        return input("> ").strip()
    except EOFError:
        return ""


def _once(contestant: Contestant, messages: list[Message], settings: Generation, console: Console) -> int:
    _, answer = next(iter(contestant.answer([messages], settings)))
    value = {"answer": answer.text, "finish": answer.finish, "tokens": answer.tokens, "seconds": answer.seconds}
    console.result(value | ({"error": answer.error} if answer.error else {}), answer.text or answer.error)
    return FAILED if answer.error else DONE


def _spoken(contestant: Contestant, history: list[Message], settings: Generation) -> Answer:
    """Print the answer while it comes."""
    from qwenlab.chat import arena

    shown = 0
    for (column,) in arena.stream([contestant], [history], settings, threading.Event()):
        sys.stdout.write(column.text[shown:])
        sys.stdout.flush()
        shown = len(column.text)
    sys.stdout.write("\n")
    assert column.answer is not None, "a stream ends with an answer"
    if column.answer.error:
        sys.stderr.write(f"Error: {column.answer.error}\n")
    return column.answer
