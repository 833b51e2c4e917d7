"""llama.cpp on a GGUF file: started for a proof, or as an OpenAI-compatible endpoint on this machine."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

from qwenlab.errors import QwenlabError


def start(path: Path, port: int = 0, slots: int = 1, context: int = 512) -> Any:
    """Load `path` into a llama.cpp server that listens on 127.0.0.1.

    Args:
        port: 0 takes a free one; `listening_address` of the result says which.
        slots: requests answered at once.
        context: tokens per slot.

    Raises:
        QwenlabError: when llama.cpp cannot load the file or the port is taken.
    """
    import psutil
    import xllamacpp

    parameters = xllamacpp.CommonParams()
    parameters.model.path = str(path)
    parameters.hostnames = ["127.0.0.1"]
    parameters.port = port
    parameters.n_parallel, parameters.n_ctx = slots, context * slots
    parameters.cpuparams.n_threads = psutil.cpu_count(logical=False) or 1
    parameters.use_jinja = True
    parameters.verbosity = 0
    parameters.ui = False
    try:
        return xllamacpp.Server(parameters)
    except RuntimeError as error:
        raise QwenlabError(
            f"llama.cpp cannot serve {path} on port {port}: {error}.", "Choose another port, or export it again."
        ) from error


def serve_gguf(path: Path, port: int, ready: Callable[[], None]) -> None:
    """Serve until interrupted; `ready` is called once requests are answered."""
    server = start(path, port, slots=4, context=4096)
    ready()
    try:
        threading.Event().wait()
    finally:
        del server
