"""Getting a model from a hub: only what it needs, the small files first, paused and continued at any byte."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from qwenlab import files
from qwenlab.errors import QwenlabError
from qwenlab.models import folder as model_folder
from qwenlab.models import hub as hubs
from qwenlab.models import older, qwen1, web
from qwenlab.models.arrival import FROM_HUB, Progress, finish, refuse_full_disk
from qwenlab.models.catalogue import COMPLETE
from qwenlab.models.download import PART, fetch_file
from qwenlab.models.entry import Entry
from qwenlab.models.hub import Hub, RemoteFile
from qwenlab.workspace import Workspace

SPARE_BYTES = 500_000_000
"""What must stay free on the disk beside the model."""


def get(
    workspace: Workspace,
    entry: Entry,
    progress: Progress,
    hub: Hub,
    pickles: bool = False,
    stopping: Callable[[], bool] = lambda: False,
    patience: web.Patience = web.PATIENCE,
) -> Path:
    """Fetch the repository `entry.hub` into the workspace; what arrived in an earlier attempt is not fetched again.

    Args:
        pickles: convert pickle weights where there are no others.
        stopping: asked again and again whether to pause.

    Raises:
        PausedError: what has arrived waits for the next call.
        QwenlabError: it cannot be had, is of another family, or does not fit on the disk.
    """
    staging = workspace.models / f".{entry.name}{FROM_HUB}"
    made = staging / "model"
    made.mkdir(parents=True, exist_ok=True)
    try:
        with FileLock(staging / "lock", timeout=0):
            repository = hubs.look_up(hub, entry.hub, patience)
            wanted = repository.wanted(pickles)
            _drop_others(made, staging / "plan.json", wanted)
            _fetch_all(repository, wanted, made, progress, stopping, patience)
            if older.look(made):
                made = _converted(made, staging / "converted", progress, pickles)
            model_folder.check(made)
            mark = made / COMPLETE
            told = files.read_json(mark) if mark.exists() else {}
            licence = repository.licence or entry.licence
            about = {"name": entry.name, "source": hub, "hub": entry.hub, "revision": repository.revision}
            target = finish(workspace, entry.name, made, {**told, **about, "licence": licence})
    except Timeout as error:
        raise QwenlabError(
            f"{entry.name} is being fetched already.",
            "Wait for that, or stop it first.",
            zh=(f"{entry.name} 正在下载中。", "请等它完成，或先停止它。"),
        ) from error
    shutil.rmtree(staging, ignore_errors=True)
    return target


def arrived(workspace: Workspace, name: str) -> int:
    """Bytes of a model that wait for its download to go on; 0 when there is nothing."""
    made = workspace.models / f".{name}{FROM_HUB}" / "model"
    return sum(path.stat().st_size for path in made.glob("*")) if made.is_dir() else 0


def _drop_others(made: Path, plan: Path, wanted: Sequence[RemoteFile]) -> None:
    """Delete what has arrived of another revision, and note what is fetched now."""
    now = {file.name: f"{file.bytes} {file.digest}" for file in wanted}
    before = files.read_json(plan) if plan.exists() else {}
    for path in made.iterdir():
        name = path.name.removesuffix(PART)
        if now.get(name) is None or now[name] != before.get(name):
            path.unlink()
    files.write_json(plan, now)


def _fetch_all(
    repository: hubs.Repository,
    wanted: Sequence[RemoteFile],
    made: Path,
    progress: Progress,
    stopping: Callable[[], bool],
    patience: web.Patience,
) -> None:
    total = sum(file.bytes for file in wanted)
    here = sum(path.stat().st_size for path in made.iterdir())
    pickled = any(hubs.PICKLES.fullmatch(file.name) for file in wanted)
    refuse_full_disk(made, (2 if pickled else 1) * total - here + SPARE_BYTES)
    sign, begun, done = hubs.headers(repository.hub), time.monotonic(), 0
    for file in wanted:

        def watch(seen: int, done: int = done) -> None:
            arrived, spent = done + seen, time.monotonic() - begun
            left = (total - arrived) * spent / (arrived - here) if arrived > here and spent > 1 else None
            details: dict[str, Any] = {"bytes": arrived, "total": total}
            progress("downloading", min(0.999, arrived / max(1, total)), seconds_left=left, **details)

        fetch_file(file, made, sign, repository.id, watch, stopping, patience)
        done += file.bytes
        if file.name == "config.json":  # what cannot be used is refused before gigabytes of it are here
            _check_config(made, 2 * total - max(here, done))
    progress("downloading", 1.0, bytes=total, total=total)


def _check_config(made: Path, with_copy: int) -> None:
    """Refuse another family, and a Qwen 1 for whose converted copy there is no room.

    Args:
        with_copy: bytes of what is still to be fetched and of the copy.
    """
    if not model_folder.is_qwen1(made):
        model_folder.read_config(made)
        return
    qwen1.sizes(made)
    refuse_full_disk(made, with_copy + SPARE_BYTES)


def _converted(original: Path, made: Path, progress: Progress, pickles: bool) -> Path:
    """Turn an older form into the folder `made`, which may be there from an attempt that was stopped right after."""
    if not made.exists():
        older.make(original, made, progress, pickles)
    return made
