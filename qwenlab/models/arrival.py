"""What every way of getting a model ends with: room on the disk, a folder that appears whole, and nothing left over."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any, Protocol

from qwenlab import files
from qwenlab.errors import QwenlabError
from qwenlab.models.catalogue import COMPLETE
from qwenlab.workspace import Workspace

FROM_HUB, FROM_INDEX, FROM_FOLDER = ".hub", ".pypi-", ".older"
"""Behind a dot and the model's name: folders of models that are on their way."""


class Progress(Protocol):
    """Called with what is being done, how much of it is done, from 0 to 1, and what else is known, such as bytes."""

    def __call__(self, what: str, fraction: float, **details: Any) -> None: ...


def refuse_full_disk(folder: Path, needed: int) -> None:
    """Raise QwenlabError when so many bytes do not fit on the disk any more."""
    free = shutil.disk_usage(folder).free
    if free < needed:
        raise QwenlabError(
            f"The disk has {free / 1e9:.1f} GB free; getting this model needs {needed / 1e9:.1f} GB.",
            "Free some space or move the workspace with QWENLAB_HOME.",
            zh=(
                f"磁盘剩余 {free / 1e9:.1f} GB，获取该模型需要 {needed / 1e9:.1f} GB。",
                "请释放空间，或用 QWENLAB_HOME 更换工作区。",
            ),
        )


def finish(workspace: Workspace, name: str, made: Path, about: dict[str, Any]) -> Path:
    """Give a finished folder its name, with a note of where it came from."""
    files.write_json(made / COMPLETE, about)
    target = workspace.models / name
    if target.exists():  # an unfinished folder of an older version
        shutil.rmtree(target)
    made.rename(target)
    files.sync_folder(workspace.models)
    return target


def discard(workspace: Workspace, name: str) -> None:
    """Delete what has arrived of a model whose download, or conversion, is not wanted any more."""
    half_made = [workspace.models / f".{name}{end}" for end in (FROM_HUB, FROM_FOLDER)]
    for stale in (*half_made, *workspace.models.glob(f".{name}{FROM_INDEX}*")):
        shutil.rmtree(stale, ignore_errors=True)
