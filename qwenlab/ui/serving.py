"""Serves the page: the flags, the port, the login of others, and the words at the start. Gradio is imported late."""

from __future__ import annotations

import argparse
import contextlib
import errno
import importlib.util
import os
import socket
import sys
from collections.abc import Callable
from pathlib import Path

from qwenlab import accounts
from qwenlab.errors import QwenlabError
from qwenlab.workspace import Workspace

EXTRAS = {
    "flash-attn": "flash_attn",
    "bitsandbytes": "bitsandbytes",
    "deepspeed": "deepspeed",
    "liger-kernel": "liger_kernel",
    "gptqmodel": "gptqmodel",
}
"""Optional packages and the module by which each is recognized, without importing it."""


def add_flags(parser: argparse.ArgumentParser) -> None:
    """Add what `serve` reads from the command line."""
    parser.add_argument("--port", type=int, default=7860, help="port to serve on (default: 7860)")
    parser.add_argument("--listen", action="store_true", help="let other computers reach the page; users log in")
    parser.add_argument(
        "--name",
        action="append",
        default=[],
        metavar="HOST",
        help="with --listen: another name of this lab, such as its proxy's",
    )
    parser.add_argument(
        "--model",
        default=os.environ.get("QWENLAB_MODEL", ""),
        help="model to begin with: a catalogue name or a model folder",
    )
    parser.add_argument(
        "--workspace",
        type=Path,
        default=argparse.SUPPRESS,  # so that it does not take back what stands before the verb
        help="folder for models, data and runs (default: $QWENLAB_HOME)",
    )


def serve(chosen: argparse.Namespace, workspace: Workspace, say: Callable[[str], None]) -> None:
    """Open the port, build the lab, serve until Ctrl+C.

    Raises:
        QwenlabError: when the workspace cannot be written, nobody can log in, or the port cannot be opened.
    """
    workspace.check()
    if chosen.listen:
        accounts.require(workspace)
    port = open_port("0.0.0.0" if chosen.listen else "127.0.0.1", chosen.port)
    say("Starting Qwenlab ...")

    os.environ.setdefault("GRADIO_TEMP_DIR", str(workspace.root / "uploads"))  # one knob relocates everything
    # Late, because they take seconds: a wrong flag or a taken port is said at once.
    import uvicorn

    from qwenlab.ui.page import Lab, create_app

    app = create_app(Lab(workspace, model=chosen.model, listen=chosen.listen), chosen.name)
    say(f"Qwenlab is at http://127.0.0.1:{port.getsockname()[1]} (stop it with Ctrl+C)")
    say(f"Workspace: {workspace.root}. Optional extras: {_extras()}")
    if chosen.listen:
        say("Other computers reach it by this one's address. Passwords cross the network readable, unless a proxy")
        say("with TLS stands before the lab: see docs/security.md.")
    server = uvicorn.Server(
        uvicorn.Config(app, log_level="warning", timeout_graceful_shutdown=2, server_header=False, proxy_headers=False)
    )
    with contextlib.suppress(KeyboardInterrupt):  # which uvicorn passes on once it has closed everything
        server.run(sockets=[port])


def open_port(host: str, port: int) -> socket.socket:
    """A socket that listens there; 0 is any free port. Raises QwenlabError when it cannot be had."""
    # Only where the protocol is named does asyncio send small answers at once; else each waits 40 ms for the reader.
    found = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    if sys.platform != "win32":  # there it would let two programs share the port
        found.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        found.bind((host, port))
        found.listen(128)
    except (OSError, OverflowError) as error:
        found.close()
        raise _port_error(port, error) from error
    return found


def _port_error(port: int, error: OSError | OverflowError) -> QwenlabError:
    if isinstance(error, OSError) and error.errno == errno.EADDRINUSE:
        return QwenlabError(
            f"Port {port} is taken, perhaps by a Qwenlab that already runs.",
            "Open it, or choose another with --port.",
            zh=(f"端口 {port} 已被占用，可能已有一个 Qwenlab 在运行。", "请直接打开它，或用 --port 换一个端口。"),
        )
    why = (getattr(error, "strerror", None) or str(error)).rstrip(".")
    return QwenlabError(
        f"Port {port} cannot be opened: {why}.",
        "Choose another with --port.",
        zh=(f"无法打开端口 {port}：{why}。", "请用 --port 换一个端口。"),
    )


def _extras() -> str:
    active = [name for name, module in EXTRAS.items() if importlib.util.find_spec(module) is not None]
    return ", ".join(active) if active else "none active"
