"""Where a suite may be written: in the workspace, whole or not at all, its earlier versions kept."""

from __future__ import annotations

import shutil
import threading
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory

from qwenlab import files
from qwenlab.errors import QwenlabError
from qwenlab.evals.suite import load_suite
from qwenlab.evals.suite_files import read_written, suite_file
from qwenlab.evals.suite_model import Suite
from qwenlab.workspace import Workspace

KEPT_VERSIONS = 50
WRITING = threading.RLock()
"""Held by whoever reads a suite to write it again."""
_LARGE = 2**26


def own(workspace: Workspace, path: Path) -> Path:
    """The suite where it may be written: a copy in the workspace unless it lies there already.

    Raises:
        QwenlabError: when the workspace holds another suite of that name, or it cannot be copied.
    """
    if path.resolve().is_relative_to(workspace.suites.resolve()):
        return path
    written = read_written(path)
    alone = path.is_file() and len(written.files) == 1
    target = workspace.suites / (path.name if path.is_dir() or alone else path.stem)
    if target.exists():
        raise QwenlabError(
            f"The workspace holds another suite named {path.name} already.",
            "Rename one of the two.",
            zh=(f"工作区中已有另一个名为 {path.name} 的测试集。", "请给其中一个改名。"),
        )
    making = workspace.suites / f".{path.name}.making"
    shutil.rmtree(making, ignore_errors=True)
    if alone:
        files.write_bytes(target, path.read_bytes())
        return target
    if path.is_dir():
        shutil.copytree(path, making)
    else:  # with the files it names it becomes a folder
        for name in written.files:
            own_name = f"suite{path.suffix}" if name == path.name else name
            files.write_bytes(making / own_name, (path.parent / name).read_bytes())
    making.rename(target)
    return target


def write(path: Path, changed: Mapping[str, str], holds: Callable[[Suite], bool]) -> None:
    """Change files of a suite, once a copy of them with the change was read; the version before is kept.

    Args:
        path: the suite's folder or file. changed: file name -> new text, in the order to write them.
        holds: whether the suite that was read from the copy is what was meant.

    Raises:
        QwenlabError: when it would not be, or it cannot be written.
    """
    file = path if path.is_file() else suite_file(path)
    assert file is not None, "the suite was read before"
    with TemporaryDirectory() as scratch:
        trial = Path(scratch) / file.parent.name
        trial.mkdir()
        for one in file.parent.iterdir():
            if one.is_file() and (path.is_dir() or one.stat().st_size < _LARGE):
                shutil.copyfile(one, trial / one.name)
        for name, text in changed.items():
            (trial / name).write_text(text, encoding="utf-8", newline="")
        if not holds(load_suite(trial / file.name)):
            raise QwenlabError(
                f"The change cannot be written into {file} without rewriting it.",
                'Let its "cases" name a .jsonl file.',
                zh=(f"不重写 {file} 就无法写入这项修改。", "请让它的“cases”指向一个 .jsonl 文件。"),
            )
    keep_version(path)
    for name, text in changed.items():
        files.write_text(file.parent / name, text)


def keep_version(path: Path, most: int = KEPT_VERSIONS) -> Path | None:
    """Keep a suite's files as they are now; the last `most` versions stay. None when it cannot be read any more."""
    try:
        written = read_written(path)
    except QwenlabError:
        return None
    known = versions(path)
    if known and read_written(known[0]).stamp == written.stamp:
        return known[0]
    kept = _versions_folder(path) / f"{datetime.now(UTC):%Y%m%dT%H%M%S.%fZ}"
    for name in written.files:
        files.write_bytes(kept / name, (written.file.parent / name).read_bytes())
    for old in known[most - 1 :]:
        shutil.rmtree(old.parent, ignore_errors=True)
    return kept / written.file.name


def versions(path: Path) -> list[Path]:
    """The suite files of the kept versions, newest first; each folder's name says when it was replaced (UTC)."""
    found = []
    for folder in sorted(_versions_folder(path).glob("*Z"), reverse=True):
        file = folder / path.name if path.suffix in (".yaml", ".yml", ".json") else suite_file(folder)
        if file is not None and file.is_file():
            found.append(file)
    return found


def _versions_folder(path: Path) -> Path:
    return path.parent / ".versions" / path.stem
