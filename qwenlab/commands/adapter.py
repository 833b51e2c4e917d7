"""qwenlab adapter: a run's adapter alone, as a folder for whoever has its base."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from qwenlab import files
from qwenlab.commands.console import DONE, Console
from qwenlab.models import adapters
from qwenlab.training import runs
from qwenlab.workspace import Workspace


def add_verbs(verbs: Any) -> None:
    """Add `adapter`."""
    handing = verbs.add_parser("adapter", help="export a run's adapter alone, also as GGUF")
    handing.add_argument("name", metavar="RUN", help="run id, or RUN/checkpoint-N")
    handing.add_argument("--title", default="", help="name on the model card")
    handing.add_argument("-o", "--output", type=Path, required=True, help="folder to make")
    handing.add_argument("--json", action="store_true", help="print JSON")
    handing.set_defaults(run=export)


def export(chosen: argparse.Namespace, workspace: Workspace, console: Console) -> int:
    """Copy the adapter with all that goes with it, and let it speak on its base."""
    from qwenlab.export.adapter_folder import export_adapter

    run = runs.find(workspace, chosen.name.partition("/")[0])
    console.progress("exporting the adapter", 0.0)
    proof = export_adapter(
        runs.base_of(run),
        adapters.find(workspace, chosen.name),
        chosen.output.absolute(),
        title=chosen.title or run.id,
        run=run.id,
        data_sha256=files.sha256(run.folder / "data.json"),
    )
    console.progress("exporting the adapter", 1.0)
    also = " and llama.cpp's adapter.gguf" if "gguf_answer" in proof else ""
    words = f"The adapter stands in {chosen.output}, for PEFT and vLLM{also}. It says: {proof['answer']!r}"
    console.result({"path": str(chosen.output), "proof": proof}, words)
    return DONE
