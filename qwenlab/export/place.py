"""The place of an export: made beside it under a hidden name, put there whole, and cleaned up after a crash."""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

from filelock import FileLock, Timeout

from qwenlab import files
from qwenlab.errors import QwenlabError

PART, OLD, LOCK = "part", "old", "lock"
"""Endings of the hidden names beside a place: what is being made, what stood there before, and who is at work."""


def hidden(target: Path, ending: str) -> Path:
    """The hidden name beside a place."""
    return target.with_name(f".{target.name}.{ending}")


@contextlib.contextmanager
def staged(target: Path, needs: int = 0) -> Iterator[Path]:
    """An empty hidden folder that takes the place of `target` when the block ends without an error.

    A crash at any moment leaves the old folder, the new one, or (on the way from one to the other) both under hidden
    names, which `recover` sets right.

    Args:
        needs: bytes that will be written; asked for first.

    Raises:
        QwenlabError: when the disk has no room, or another process makes the same folder.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    with _alone(target):
        _recover(target)
        require_room(target.parent, needs)
        staging = hidden(target, PART)
        try:
            staging.mkdir()
            yield staging
            files.sync_tree(staging)
            _swap(staging, target)
        finally:
            shutil.rmtree(staging, ignore_errors=True)


def _swap(staging: Path, target: Path) -> None:
    old = hidden(target, OLD)
    if target.exists():
        target.rename(old)
    staging.rename(target)
    files.sync_folder(target.parent)
    shutil.rmtree(old, ignore_errors=True)


def recover(parent: Path) -> None:
    """Clean up what killed exports left in a folder of exports; those that are being made are left alone."""
    for left in [*parent.glob(f".*.{PART}"), *parent.glob(f".*.{OLD}"), *parent.glob(f".*.{LOCK}")]:
        target = left.with_name(left.name[1:].rpartition(".")[0])
        with contextlib.suppress(QwenlabError), _alone(target):
            _recover(target)


def _recover(target: Path) -> None:
    old = hidden(target, OLD)
    if old.exists() and not target.exists():
        old.rename(target)  # killed between two renames: this one is whole
    for left in (old, hidden(target, PART)):
        shutil.rmtree(left, ignore_errors=True)


def discard(folder: Path) -> None:
    """Take an export away: whole or not at all, whenever the process is killed."""
    with _alone(folder):
        _recover(folder)
        gone = hidden(folder, PART)
        folder.rename(gone)
        shutil.rmtree(gone, ignore_errors=True)


@contextlib.contextmanager
def _alone(target: Path) -> Iterator[None]:
    lock = hidden(target, LOCK)
    try:
        with FileLock(lock, timeout=0):
            try:
                yield
            finally:
                with contextlib.suppress(OSError):  # Windows keeps a file that is open
                    lock.unlink()
    except Timeout as busy:
        raise QwenlabError(
            f"{target.name} is being made by another process.",
            "Wait for it, or stop it.",
            zh=(f"另一个进程正在生成 {target.name}。", "请等它结束，或先停止它。"),
        ) from busy


def require_room(folder: Path, needs: int) -> None:
    """Check that so many bytes can be written there.

    Raises:
        QwenlabError: when they cannot.
    """
    free = shutil.disk_usage(folder).free
    if needs > free:
        raise QwenlabError(
            f"The export needs about {needs / 1e9:.2f} GB, and {folder} has {free / 1e9:.2f} GB left.",
            "Free some disk space, or name a folder on another disk.",
            zh=(
                f"导出大约需要 {needs / 1e9:.2f} GB，而 {folder} 只剩 {free / 1e9:.2f} GB。",
                "请释放磁盘空间，或指定另一块磁盘上的文件夹。",
            ),
        )


def link_tree(source: Path, target: Path) -> None:
    """Give every file of `source` a second name in `target`; copied where the disk knows no such names."""
    for path in sorted(source.rglob("*")):
        there = target / path.relative_to(source)
        if path.is_dir():
            there.mkdir(exist_ok=True)
            continue
        try:
            os.link(path, there)
        except OSError:
            shutil.copy2(path, there)
