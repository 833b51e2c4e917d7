"""A GGUF export as an OpenAI-compatible endpoint on this machine."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path

from qwenlab.models import llama_cpp

SLOTS, CONTEXT = 4, 4096
"""Requests answered at once, and tokens of each."""


def serve_gguf(path: Path, port: int, ready: Callable[[], None]) -> None:
    """Serve until interrupted; `ready` is called once requests are answered.

    Raises:
        QwenlabError: when llama.cpp cannot load the file or the port is taken.
    """
    server = llama_cpp.start(path, SLOTS, CONTEXT, port)
    ready()
    try:
        threading.Event().wait()
    finally:
        del server
