"""What went wrong, in a sentence a person can act on."""

from __future__ import annotations

import errno

from qwenlab.errors import QwenlabError


def explain(error: BaseException) -> QwenlabError:
    """Any failure as one that says reason and remedy in a sentence each, in both languages."""
    words = str(error)
    if isinstance(error, QwenlabError):
        return error
    if isinstance(error, MemoryError) or "out of memory" in words.lower() or "can't allocate memory" in words:
        return QwenlabError(
            "The machine ran out of memory.",
            "Close other programs, or choose a smaller micro-batch or model.",
            zh=("内存不足。", "请关闭其他程序，或选择更小的微批大小或模型。"),
        )
    if isinstance(error, OSError) and error.errno == errno.ENOSPC or "No space left" in words:
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
