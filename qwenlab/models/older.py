"""A model in an older form, Qwen 1's own layout or pickle weights, becomes an ordinary folder, once."""

from __future__ import annotations

import hashlib
import re
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from qwenlab import files
from qwenlab.errors import QwenlabError
from qwenlab.models import catalogue, pickles, qwen1
from qwenlab.models import folder as model_folder
from qwenlab.models.arrival import FROM_FOLDER, finish, refuse_full_disk
from qwenlab.workspace import Workspace

Progress = Callable[[str, float], Any]
"""Called with what is being done and how much of it is done, from 0 to 1."""


@dataclass(frozen=True)
class Older:
    """What stands between a folder and its use.

    Attributes:
        qwen1: it has the original format of Qwen 1.
        pickled: its weights are pickle files, which are read only when a person agrees.
        bytes: of its weights, and about of what they become.
        config: the sizes that its config.json will have.
    """

    qwen1: bool
    pickled: bool
    bytes: int
    config: Mapping[str, Any]


def look(folder: Path) -> Older | None:
    """In which older form a folder is; None for one that is used as it stands, or cannot be converted."""
    if not (folder / "config.json").is_file():
        return None
    try:
        original, weights = model_folder.is_qwen1(folder), list(folder.glob("*.safetensors"))
        old = [] if weights else pickles.pickle_files(folder)
        if not original and not old:
            return None
        config = qwen1.sizes(folder) if original else model_folder.read_config(folder)
        return Older(original, bool(old), sum(path.stat().st_size for path in [*weights, *old]), config)
    except (QwenlabError, OSError):  # what is wrong with it is said where it would be used
        return None


def make(source: Path, target: Path, progress: Progress, pickle: bool = False) -> list[tuple[str, str]]:
    """Make `target`, an ordinary folder, of a folder in an older form; it appears whole or not at all.

    Args:
        pickle: the person consents to reading pickle weights, with `weights_only`.

    Returns:
        What a person should know of it, each in English and in Chinese.

    Raises:
        ConsentError: its weights are pickles, and nobody agreed.
        QwenlabError: it is incomplete or another model, or the disk is full.
    """
    if model_folder.is_qwen1(source):
        return qwen1.convert(source, target, progress, pickle).notes()
    if not pickle:
        raise pickles.ConsentError(str(source), f"qwenlab models add {source} --pickle")
    refuse_full_disk(target.parent, sum(path.stat().st_size for path in pickles.pickle_files(source)))
    pickles.convert(source, target, progress)
    return []


def bring(workspace: Workspace, named: Path, progress: Progress, pickle: bool = False) -> Path:
    """Convert a person's folder into a model of the workspace; the folder itself stays as it is.

    What a stopped conversion has done is kept, and the next one goes on from there.

    Raises:
        QwenlabError: as `make`; also when it is being converted already.
    """
    source = named.expanduser().resolve()
    staging = workspace.models / f".{key(source)}{FROM_FOLDER}"
    staging.mkdir(parents=True, exist_ok=True)
    try:
        with FileLock(staging / "lock", timeout=0):
            made = staging / "model"
            if not made.exists():
                make(source, made, progress, pickle)
            model_folder.check(made)
            mark = made / catalogue.COMPLETE
            told = files.read_json(mark) if mark.exists() else {"made_from": "pickle"}
            name = _name(workspace, source)
            target = finish(workspace, name, made, {**told, "name": name, "source": str(source)})
    except Timeout as error:
        raise QwenlabError(
            f"{source.name} is being converted already.",
            "Wait for that, or stop it first.",
            zh=(f"{source.name} 正在转换中。", "请等它完成，或先停止它。"),
        ) from error
    shutil.rmtree(staging, ignore_errors=True)
    return target


def key(folder: Path) -> str:
    """A name for the work on a folder: the same each time, and another for each folder."""
    return f"{_plain(folder)}-{hashlib.sha256(str(folder.expanduser().resolve()).encode()).hexdigest()[:8]}"


def _name(workspace: Workspace, source: Path) -> str:
    """What it is called in the workspace: as its folder, unless another model is."""
    name = _plain(source)
    taken = catalogue.entry(name) is not None or (workspace.models / name).exists()
    return key(source) if taken else name


def _plain(folder: Path) -> str:
    return re.sub(r"[^\w.-]", "-", folder.expanduser().resolve().name).lstrip(".-") or "model"
