"""qwenlab serve: an export as an OpenAI-compatible endpoint on this machine, by servers that exist."""

from __future__ import annotations

import argparse
import importlib.util
import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from qwenlab.commands.console import DONE, FAILED, Console
from qwenlab.errors import QwenlabError
from qwenlab.export import package
from qwenlab.workspace import Workspace

PORT = 8080
ENGINES = ("vllm", "transformers")


def add_verbs(verbs: Any) -> None:
    """Add `serve`."""
    serving = verbs.add_parser("serve", help="open an OpenAI-compatible endpoint on an export, on 127.0.0.1")
    serving.add_argument("folder", type=Path, metavar="DIR")
    serving.add_argument("--port", type=int, default=PORT)
    serving.add_argument(
        "--engine", choices=ENGINES, help="for folders with safetensors; default: vllm where it is installed"
    )
    serving.add_argument("--json", action="store_true", help="print JSON")
    serving.set_defaults(run=serve)


def serve(chosen: argparse.Namespace, workspace: Workspace, console: Console) -> int:
    """Serve until Ctrl-C."""
    folder = chosen.folder.absolute()
    kind = package.read_manifest(folder)["kind"]
    address = f"http://127.0.0.1:{chosen.port}/v1"
    if kind == "adapter":
        raise QwenlabError(
            "An adapter alone cannot be served here.",
            "Export the merged model, or use the commands in the adapter's README.md.",
            zh=("单独的适配器无法在这里提供服务。", "请导出合并后的模型，或使用适配器 README.md 中的命令。"),
        )
    if kind == "gguf":
        from qwenlab.export.gguf_server import serve_gguf

        words = f'Serving with llama.cpp on {address}; the model is called "{folder.name}"'
        serve_gguf(folder / "model.gguf", chosen.port, lambda: console.say(words))
        return DONE
    engine = chosen.engine or ("vllm" if importlib.util.find_spec("vllm") else "transformers")
    command = _command(engine, folder, chosen.port)
    console.say(f'Serving with {engine} on {address}; the model is called "{folder.name}"')
    with tempfile.TemporaryDirectory() as none:
        # `transformers serve` lists what is in the cache of downloads, and fails where there is none.
        surroundings = {**os.environ, "HF_HUB_CACHE": none, "HF_HUB_OFFLINE": "1"}
        with subprocess.Popen([sys.executable, "-P", *command], cwd=folder.parent, env=surroundings) as server:
            before = signal.signal(signal.SIGTERM, lambda *_: server.terminate())  # else it would outlive this process
            try:
                code = server.wait()
            except BaseException:
                server.terminate()
                raise
            finally:
                signal.signal(signal.SIGTERM, before)
    return DONE if code in (0, -signal.SIGTERM) else FAILED


def _command(engine: str, folder: Path, port: int) -> list[str]:
    """Arguments for Python that start an engine.

    Raises:
        QwenlabError: when it is not installed, or lacks a package.
    """
    here = ["--host", "127.0.0.1", "--port", str(port)]
    needed = {"vllm": ("vllm",), "transformers": ("openai", "fastapi", "uvicorn")}[engine]
    missing = [name for name in needed if importlib.util.find_spec(name) is None]
    if missing:
        raise QwenlabError(
            f"Serving with {engine} needs the package{'s' if len(missing) > 1 else ''} {' and '.join(missing)}.",
            f"Run: {sys.executable} -m pip install {' '.join(missing)}",
            zh=(
                f"用 {engine} 提供服务需要软件包 {'、'.join(missing)}。",
                f"请运行：{sys.executable} -m pip install {' '.join(missing)}",
            ),
        )
    if engine == "vllm":
        return ["-m", "vllm.entrypoints.cli.main", "serve", str(folder), "--served-model-name", folder.name, *here]
    return ["-m", "transformers.cli.transformers", "serve", folder.name, *here]  # it goes by the name it is given
