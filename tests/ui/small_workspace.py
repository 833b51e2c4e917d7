"""A workspace with a data set, a run, an export and a test, made of files alone, for tests of the Start page."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path
from typing import Any

from fakes import ScriptedContestant
from model_shapes import SMOLLM2
from small_result import BASE, TUNED, make_suite

from qwenlab import files
from qwenlab.conversations.dataset import new_data_set
from qwenlab.conversations.sample import Sample
from qwenlab.evals import runner
from qwenlab.jobs import Job
from qwenlab.models import catalogue
from qwenlab.training.recipe import Recipe
from qwenlab.ui.lab import Lab
from qwenlab.workspace import Workspace

MODEL = "smollm2-135m"


class Described(ScriptedContestant):
    """A scripted contestant that says where its weights are."""

    def __init__(self, name: str, script: dict[str, Any], **where: str) -> None:
        super().__init__(name, script)
        self._where = where

    def describe(self) -> dict[str, str]:
        return {**super().describe(), **self._where}


def a_lab(root: Path, samples: int = 3) -> Lab:
    """A lab that works with "shop" and a model that is here, as far as folders tell."""
    workspace = Workspace(root)
    asked = ("I want my money back", "Where is my kettle?", "The lamp arrived broken, please send another one")
    made = [Sample.make(f"s{at}", [("user", asked[at]), ("assistant", '{"a": 1}')]) for at in range(samples)]
    path = new_data_set(workspace, "shop", made)
    model = workspace.models / MODEL
    files.write_json(model / "config.json", {"model_type": "llama", **SMOLLM2})
    files.write_text(model / "model.safetensors", "x" * 1000)
    files.write_text(model / catalogue.COMPLETE, "{}")
    lab = Lab(workspace)
    lab.choose(dataset=str(path), model=MODEL)
    return lab


def a_run(lab: Lab, name: str = "shop-1", state: str = "finished", ago: float = 500, **recipe: Any) -> Job:
    """A run that learned from the data as they are now; finished ones have an adapter."""
    folder = lab.workspace.runs / name
    data = lab.dataset_path()
    assert data is not None
    files.write_json(folder / "recipe.json", Recipe(model=MODEL, data=str(data), **recipe).model_dump())
    files.write_json(folder / "base.json", {"folder": str(lab.workspace.models / MODEL)})
    files.write_bytes(folder / "data.json", data.read_bytes())
    files.write_json(folder / "job.json", {"kind": "train", "argv": [], "started": time.time() - ago})
    events = [{"event": "encoded", "samples": 3, "tokens": 60, "steps": 4, "left_out": []}, _step(2)]
    events += [{"event": "timing", "seconds": 120.0}] if state == "finished" else []
    files.write_text(folder / "events.jsonl", "".join(json.dumps(event) + "\n" for event in events))
    if state == "running":
        files.write_json(folder / "pid", {"starting": time.time()})
    else:
        files.write_json(folder / "done.json", {"state": state, "reason": "No room.", "remedy": "Make some."})
    if state == "finished":
        for part in ("adapter_config.json", "adapter_model.safetensors"):
            files.write_text(folder / "adapter" / part, "{}")
            aged(folder / "adapter" / part, ago)
    aged(folder / "job.json", ago)
    return Job(folder)


def _step(step: int) -> dict[str, Any]:
    values = {"loss": 0.5, "learning_rate": 1e-4, "tokens_per_s": 100.0, "memory_bytes": 1, "eta_seconds": 90.0}
    return {"event": "step", "step": step, "total": 4, **values}


def an_export(lab: Lab, run: str, kind: str = "gguf", ago: float = 400) -> Path:
    """A finished export folder of that run."""
    folder = lab.workspace.exports / f"{run}-{'merged' if kind == 'merged' else 'int4'}"
    about = {"kind": kind, "run": run, "base": "SmolLM2-135M-Instruct"} | ({"format": "Q4"} if kind == "gguf" else {})
    files.write_json(folder / "qwenlab-export.json", about)
    files.write_bytes(folder / "model.bin", b"x" * 2_000_000)
    aged(folder / "qwenlab-export.json", ago)
    return folder


def a_test(lab: Lab, run: str = "", export: Path | None = None, name: str = "s-1") -> Path:
    """A whole test of the base, of that run's adapter, and of that export."""
    model = str(lab.workspace.models / MODEL)
    asked = [Described("base", BASE, model=model)]
    if run:
        adapter = str(lab.workspace.runs / run / "adapter")
        asked.append(Described("tuned", TUNED, model=model, adapter=adapter))
    if export:
        asked.append(Described("int4", TUNED, path=str(export / "model.gguf")))
    folder = lab.workspace.results / name
    folder.mkdir(parents=True)
    runner.run(make_suite(), asked, folder)
    return folder


def aged(path: Path, seconds: float) -> None:
    """Let a file be that many seconds old."""
    os.utime(path, (time.time() - seconds,) * 2)
