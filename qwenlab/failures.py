"""What went wrong, in a sentence a person can act on."""

from __future__ import annotations

import errno
from collections.abc import Iterator

from qwenlab.errors import QwenlabError

FULL = {errno.ENOSPC, errno.EDQUOT} if hasattr(errno, "EDQUOT") else {errno.ENOSPC}
NO_ROOM = ("No space left", "Disk quota exceeded", "PytorchStreamWriter failed", "inline_container.cc")
"""What safetensors and torch say of a full disk; torch forgets the reason why it could not write."""
NO_MEMORY = (
    *("out of memory", "can't allocate memory", "cannot allocate memory", "bad_alloc", "not enough memory"),
    *("failed to map segment", "_alloc_failed", "unable to allocate", "memory allocation of"),
)
"""What torch, C++, the loader of libraries, CUDA's libraries, numpy and Rust say, in small letters."""


def explain(error: BaseException) -> QwenlabError:
    """Any failure as one that says reason and remedy in a sentence each, in both languages."""
    words = str(error)
    if isinstance(error, QwenlabError):
        return error
    if is_out_of_memory(error):
        return QwenlabError(
            "The machine ran out of memory.",
            "Close other programs, or choose a smaller micro-batch or model.",
            zh=("内存不足。", "请关闭其他程序，或选择更小的微批大小或模型。"),
        )
    if is_disk_full(error):
        return QwenlabError(
            "The disk is full.",
            "Free some space, then run or resume it again.",
            zh=("磁盘已满。", "请释放一些空间，然后重新运行或继续。"),
        )
    first = words.strip().splitlines()[0] if words.strip() else "no details"
    return QwenlabError(
        f"{type(error).__name__}: {first}.",
        "The log has the details (QWENLAB_DEBUG=1 prints them).",
        zh=(f"意外错误 {type(error).__name__}：{first}。", "详情见日志（设置 QWENLAB_DEBUG=1 可直接显示）。"),
    )


def blame_no_file(error: BaseException) -> None:
    """Raise a want of memory or disk as what it is, before the file that was being read is called broken.

    Raises:
        QwenlabError: when it was that.
    """
    if is_out_of_memory(error) or is_disk_full(error):
        raise explain(error) from error


def is_out_of_memory(error: BaseException) -> bool:
    """Whether memory was lacking: the machine's or a GPU's."""
    return any(
        isinstance(one, MemoryError)
        or (isinstance(one, OSError) and one.errno == errno.ENOMEM)
        or any(words in str(one).lower() for words in NO_MEMORY)
        for one in _causes(error)
    )


def is_disk_full(error: BaseException) -> bool:
    """Whether the disk, or a person's share of it, was full."""
    return any(
        (isinstance(one, OSError) and one.errno in FULL) or any(words in str(one) for words in NO_ROOM)
        for one in _causes(error)
    )


def _causes(error: BaseException) -> Iterator[BaseException]:
    """The error and what it was raised from, without our own sentences: those may speak of memory and disks."""
    one: BaseException | None = error
    while one is not None:
        if not isinstance(one, QwenlabError):
            yield one
        one = one.__cause__
