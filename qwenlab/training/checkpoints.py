"""Checkpoints that can be trusted: durable before they count, whole before training goes on from one."""

from __future__ import annotations

import json
import shutil
import zlib
from pathlib import Path

from qwenlab import files
from qwenlab.jobs import Job
from qwenlab.models import adapters

PIECE = 1 << 20


def seal(checkpoint: Path) -> None:
    """Make every file durable, then write the marker with the size and CRC-32 of each: power may fail at any moment."""
    files.sync_tree(checkpoint)
    inside = sorted(path for path in checkpoint.rglob("*") if path.is_file() and path.name != adapters.COMPLETE)
    known = {path.relative_to(checkpoint).as_posix(): [path.stat().st_size, _crc32(path)] for path in inside}
    files.write_json(checkpoint / adapters.COMPLETE, known)


def damage(checkpoint: Path) -> str:
    """The first file of a complete checkpoint that is not as it was written; an empty string when it is whole."""
    try:
        marker = (checkpoint / adapters.COMPLETE).read_text(encoding="utf-8")
        known = json.loads(marker) if marker else {}  # an older version wrote no sums
        for name, written in known.items():
            path = checkpoint / name
            if path.stat().st_size != written[0] or _crc32(path) != written[1]:
                return str(name)
    except (OSError, ValueError, AttributeError, TypeError, LookupError) as error:
        return Path(getattr(error, "filename", None) or adapters.COMPLETE).name
    return ""


def discard(checkpoint: Path) -> None:
    """Delete a checkpoint; one that is half deleted does not count as complete."""
    (checkpoint / adapters.COMPLETE).unlink(missing_ok=True)
    shutil.rmtree(checkpoint, ignore_errors=True)


def recover(job: Job) -> Path | None:
    """The newest whole checkpoint of a run, or None; what is torn or damaged is deleted, damage is reported."""
    folder = job.folder / adapters.CHECKPOINTS
    for torn in folder.glob("checkpoint-*"):
        if not (torn / adapters.COMPLETE).exists():
            discard(torn)
    for checkpoint in _newest_first(folder):
        damaged = damage(checkpoint)
        if not damaged:
            return checkpoint
        discard(checkpoint)
        left = adapters.last_checkpoint(job.folder)
        _report(job, step_of(checkpoint), damaged, step_of(left) if left else 0)
    return None


def step_of(checkpoint: Path) -> int:
    """The step at which it was saved."""
    return int(checkpoint.name.rpartition("-")[2])


def _report(job: Job, step: int, damaged: str, left: int) -> None:
    then = f"Training goes on from step {left}." if left else "Training starts again from the beginning."
    then_zh = f"将从第 {left} 步继续训练。" if left else "将从头开始训练。"
    job.report(
        "damaged",
        step=step,
        words=f"What was saved at step {step} is damaged on the disk ({damaged}). {then}",
        words_zh=f"第 {step} 步保存的内容在磁盘上已损坏（{damaged}）。{then_zh}",
    )


def _newest_first(folder: Path) -> list[Path]:
    complete = [path.parent for path in folder.glob(f"checkpoint-*/{adapters.COMPLETE}")]
    return sorted(complete, key=step_of, reverse=True)


def _crc32(path: Path) -> int:
    """Checksum of a file, read in pieces; it finds what a disk does wrong, and is far quicker than SHA-256."""
    value = 0
    with path.open("rb") as file:
        while piece := file.read(PIECE):
            value = zlib.crc32(piece, value)
    return value
