"""One file from a hub: fetched in pieces, continued after any interruption, kept only when its digest is right."""

from __future__ import annotations

import hashlib
import os
import re
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from qwenlab import files
from qwenlab.errors import QwenlabError
from qwenlab.models import web
from qwenlab.models.hub import RemoteFile

PIECE = 1 << 20
PART = ".part"
"""Behind the name of a file that is not whole."""


class PausedError(QwenlabError):
    """A person asked to pause; what has arrived stays."""

    def __init__(self) -> None:
        super().__init__(
            "The download is paused.",
            "The same command goes on from there.",
            zh=("下载已暂停。", "重新执行即可续传。"),
        )


class _TornError(Exception):
    """What was fetched so far is of no use."""


class _StuckError(_TornError):
    """The server does not go on from where it broke off."""


def fetch_file(
    file: RemoteFile,
    folder: Path,
    headers: Mapping[str, str],
    named: str,
    watch: Callable[[int], None] = lambda _: None,
    stopping: Callable[[], bool] = lambda: False,
    patience: web.Patience = web.PATIENCE,
) -> Path:
    """Fetch a file into `folder`; it has its name only when size and digest are right.

    Args:
        headers: for the hub itself; a token in them goes nowhere else.
        named: the repository, for messages.
        watch: called with the bytes of this file that are here.
        stopping: asked between pieces whether to pause.

    Raises:
        PausedError: what has arrived is kept for the next call.
        QwenlabError: it cannot be had, or is another file than the hub's list says (nothing of it is kept).
        OSError: the disk is full.
    """
    target = folder / file.name
    if target.is_file() and target.stat().st_size == file.bytes:
        watch(file.bytes)
        return target
    part = folder / (file.name + PART)
    resumed = part.exists()
    try:
        try:
            _complete(file, part, headers, named, watch, stopping, patience)
        except _TornError as error:
            part.unlink(missing_ok=True)
            if not resumed and not isinstance(error, _StuckError):
                raise
            # A part of an earlier day may be of another revision, or spoiled by the disk: once more from the start.
            _complete(file, part, headers, named, watch, stopping, patience)
    except _TornError as error:
        part.unlink(missing_ok=True)
        raise QwenlabError(
            f"{file.name} of {named} is not what the hub's list says: {error}. Nothing of it was kept.",
            "Run the command again; if it stays so, do not use this mirror.",
            zh=(
                f"{named} 的 {file.name} 与 Hub 列出的不符：{error}。没有保留。",
                "请重试；若仍如此，请不要使用该镜像。",
            ),
        ) from error
    part.replace(target)
    files.sync_folder(folder)
    return target


def _complete(
    file: RemoteFile,
    part: Path,
    headers: Mapping[str, str],
    named: str,
    watch: Callable[[int], None],
    stopping: Callable[[], bool],
    patience: web.Patience,
) -> None:
    """Fetch what is missing of `part`, with new attempts while any bytes arrive, and check it."""
    digest, waits = _digest(file), iter(patience.waits)
    with part.open("ab+") as out:
        out.seek(0)
        while piece := out.read(PIECE):
            digest.update(piece)
        while out.tell() != file.bytes:
            if out.tell() > file.bytes:
                raise _TornError("it is too long")
            before = out.tell()
            try:
                _receive(file, out, digest, headers, named, watch, stopping, patience)
                why = "the connection ended early"
            except web.PassingError as error:
                why = str(error)
            if out.tell() > before:
                waits = iter(patience.waits)
            if out.tell() < file.bytes:
                _wait(waits, file, why, stopping)
        out.flush()
        os.fsync(out.fileno())
    expected = file.digest.partition(":")[2]
    if expected and digest.hexdigest() != expected:
        raise _TornError(f"its digest is {digest.hexdigest()[:12]}... instead of {expected[:12]}...")
    watch(file.bytes)


def _receive(
    file: RemoteFile,
    out: Any,
    digest: Any,
    headers: Mapping[str, str],
    named: str,
    watch: Callable[[int], None],
    stopping: Callable[[], bool],
    patience: web.Patience,
) -> None:
    """Append what one answer brings."""
    start = out.tell()
    wanted = {**headers, "Range": f"bytes={start}-"} if start else headers
    if stopping():
        raise PausedError
    try:
        answer = web.request(file.url, wanted, named, patience.seconds)
    except web.RangeError as error:
        raise _StuckError("it is shorter") from error
    with answer:
        if start and not _continues(answer, start):
            raise _StuckError("the server cannot continue it")
        try:
            while piece := answer.read1(PIECE):
                if out.tell() + len(piece) > file.bytes:
                    raise _TornError(f"it is longer than {file.bytes} bytes")
                out.write(piece)
                digest.update(piece)
                watch(out.tell())
                if stopping():
                    raise PausedError
        except web.BROKEN as error:
            raise web.PassingError(web.reason(error)) from error


def _continues(answer: Any, start: int) -> bool:
    """Whether an answer begins where it was asked to."""
    found = re.match(r"bytes (\d+)-", answer.headers.get("Content-Range") or "")
    return answer.status == 206 and found is not None and int(found[1]) == start


def _wait(waits: Any, file: RemoteFile, why: str, stopping: Callable[[], bool]) -> None:
    seconds = next(waits, None)
    if seconds is None:
        raise web.unreachable(file.url, why)
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        if stopping():
            raise PausedError
        time.sleep(min(0.2, max(0.0, until - time.monotonic())))


def _digest(file: RemoteFile) -> Any:
    """The digest to compute: git puts a small file's kind and size before it."""
    if not file.digest.startswith("git:"):
        return hashlib.sha256()
    return hashlib.sha1(b"blob %d\0" % file.bytes, usedforsecurity=False)
