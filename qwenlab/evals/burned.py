"""Cases that were sent to training data: they test no model any more that learned from them."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from qwenlab import files
from qwenlab.conversations.strict_json import NotJsonError, read
from qwenlab.errors import QwenlabError
from qwenlab.evals.suite_model import Suite
from qwenlab.workspace import Workspace

FILE = "burned.jsonl"
"""In the workspace: one line a case that was sent."""


def mark(workspace: Workspace, suite: str, samples: Mapping[str, str], data: Path) -> None:
    """Note that cases were sent to a data set; it is on disk when this returns.

    Raises:
        QwenlabError: when it cannot be written.

    Args:
        suite: its name. samples: id of each case -> id of the sample it became. data: the data set.
    """
    path = workspace.root / FILE
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        for case, sample in samples.items():
            line = {"suite": suite, "case": case, "sample": sample, "data": data.name}
            files.append_line(path, json.dumps(line, ensure_ascii=False), durable=True)
    except OSError as error:
        raise QwenlabError(
            f"It could not be noted in {path} that a case was sent to training data: {error.strerror}.",
            "Free some disk space; the sample itself was added.",
            zh=(f"无法在 {path} 中记下用例已加入训练数据：{error.strerror}。", "请释放磁盘空间；样本本身已加入。"),
        ) from error


def cases(workspace: Workspace, suite: str) -> dict[str, list[str]]:
    """The burned cases of a suite: id -> names of the data sets that have it."""
    found: dict[str, list[str]] = {}
    for one in _marks(workspace, suite):
        found.setdefault(one["case"], []).append(one["data"])
    return {case: list(dict.fromkeys(names)) for case, names in found.items()}


def in_run(workspace: Workspace, suite: Suite, run: Path, samples: Collection[str]) -> dict[str, str]:
    """The cases that a run learned from: id -> id of the sample.

    Args:
        samples: ids of the samples in the run's own copy of its data.
    """
    recipe = files.read_json(run / "recipe.json") if (run / "recipe.json").exists() else {}
    data = Path(str(recipe.get("data", ""))).name
    known = {case.id for case in suite.cases}
    sent = [one for one in _marks(workspace, suite.name) if one["data"] == data and one["sample"] in samples]
    return {one["case"]: one["sample"] for one in sent if one["case"] in known}


def _marks(workspace: Workspace, suite: str) -> list[dict[str, str]]:
    path = workspace.root / FILE
    if not path.exists():
        return []
    found = []
    for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
        try:
            value: Any = read(line)
        except NotJsonError:  # a line that a crash left unfinished
            continue
        keys = ("suite", "case", "sample", "data")
        if isinstance(value, dict) and all(isinstance(value.get(key), str) for key in keys) and value["suite"] == suite:
            found.append(value)
    return found
