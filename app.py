"""Starts the page: python app.py [--port 7860] [--listen [--name HOST]] [--model M] [--workspace DIR]."""

from __future__ import annotations

import argparse
import errno
import importlib.util
import os
import socket
import sys
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


def main() -> int:
    """Open the port, build the lab, serve until Ctrl+C."""
    options = _options()
    workspace = Workspace(Path(options.workspace).expanduser().resolve()) if options.workspace else Workspace.default()
    if options.listen and (refusal := _nobody(workspace)):
        print(refusal, file=sys.stderr)
        return 2
    try:
        port = _open_port("0.0.0.0" if options.listen else "127.0.0.1", options.port)
    except OSError as error:
        print(_port_words(options.port, error), file=sys.stderr)
        return 2
    print("Starting Qwenlab ...", flush=True)

    os.environ.setdefault("GRADIO_TEMP_DIR", str(workspace.root / "uploads"))  # one knob relocates everything
    # Late, because they take seconds: a wrong flag or a taken port is said at once.
    import uvicorn

    from qwenlab.ui.page import Lab, create_app

    app = create_app(Lab(workspace, model=options.model, listen=options.listen), options.name)
    print(f"Qwenlab is at http://127.0.0.1:{port.getsockname()[1]} (stop it with Ctrl+C)")
    print(f"Workspace: {workspace.root}. Optional extras: {_extras()}")
    if options.listen:
        print("Other computers reach it by this one's address. Passwords cross the network readable, unless a proxy")
        print("with TLS stands before the lab: see docs/security.md.")
    sys.stdout.flush()
    server = uvicorn.Server(
        uvicorn.Config(app, log_level="warning", timeout_graceful_shutdown=2, server_header=False, proxy_headers=False)
    )
    server.run(sockets=[port])
    return 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Open Qwenlab in the browser.")
    parser.add_argument("--port", type=int, default=7860, help="port to serve on (default: 7860)")
    parser.add_argument("--listen", action="store_true", help="let other computers reach the page; users log in")
    parser.add_argument(
        "--name", action="append", default=[], help="with --listen: another name of this lab, such as its proxy's"
    )
    parser.add_argument(
        "--model",
        default=os.environ.get("QWENLAB_MODEL", ""),
        help="model to begin with: a catalogue name or a model folder",
    )
    parser.add_argument("--workspace", default="", help="folder for models, data and runs (default: $QWENLAB_HOME)")
    return parser.parse_args()


def _nobody(workspace: Workspace) -> str:
    """Why a lab that others reach cannot start: there is nobody who could log in."""
    try:
        known = accounts.read(workspace)
    except QwenlabError as error:
        return str(error)
    return "" if known else "With --listen users have to log in, and there are none yet: qwenlab user add NAME."


def _open_port(host: str, port: int) -> socket.socket:
    found = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    if sys.platform != "win32":  # there it would let two programs share the port
        found.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        found.bind((host, port))
        found.listen(128)
    except (OSError, OverflowError) as error:
        found.close()
        raise OSError(getattr(error, "errno", None) or errno.EINVAL, str(error)) from error
    return found


def _port_words(port: int, error: OSError) -> str:
    if error.errno == errno.EADDRINUSE:
        return f"Port {port} is taken, perhaps by a Qwenlab that already runs. Open it, or choose another with --port."
    return f"Port {port} cannot be opened: {error.strerror}. Choose another with --port."


def _extras() -> str:
    active = [name for name, module in EXTRAS.items() if importlib.util.find_spec(module) is not None]
    return ", ".join(active) if active else "none active"


if __name__ == "__main__":
    sys.exit(main())
