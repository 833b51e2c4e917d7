"""What went wrong, in a sentence a person can act on."""

from __future__ import annotations

import errno

from qwenlab.errors import QwenlabError


def explain(error: BaseException) -> tuple[str, str]:
    """Reason and remedy of any failure, in one sentence each."""
    words = str(error)
    if isinstance(error, QwenlabError):
        return error.what, error.remedy
    if isinstance(error, MemoryError) or "out of memory" in words.lower() or "can't allocate memory" in words:
        return "The machine ran out of memory.", "Close other programs, or choose a smaller micro-batch or model."
    if isinstance(error, OSError) and error.errno == errno.ENOSPC or "No space left" in words:
        return "The disk is full.", "Free some space, then run or resume it again."
    first = words.strip().splitlines()[0] if words.strip() else "no details"
    return f"{type(error).__name__}: {first}.", "The log has the details (QWENLAB_DEBUG=1 prints them)."
