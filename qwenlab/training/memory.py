"""The memory of a training process: kept between steps, given back now and then, and its peak."""

from __future__ import annotations

import ctypes
import sys
from typing import Any

import psutil

TRIM_THRESHOLD, TOP_PAD, MMAP_MAX = -1, -2, -4
"""Names of glibc's mallopt(3)."""
NEVER, AT_ONCE = 2**31 - 1, 64 * 2**20


def _glibc() -> Any:
    """The C library where it is glibc; None elsewhere."""
    library = ctypes.CDLL(None) if sys.platform == "linux" else None
    return library if library is not None and hasattr(library, "malloc_trim") else None


def keep_freed() -> None:
    """Let freed memory be used again instead of being given back to the system at once.

    A step frees and takes hundreds of blocks of megabytes; by default each is mapped anew, and the processor spends a
    fifth of the step on page faults. `give_back` bounds what is kept.
    """
    library = _glibc()
    if library:
        library.mallopt(MMAP_MAX, 0)
        library.mallopt(TRIM_THRESHOLD, NEVER)
        library.mallopt(TOP_PAD, AT_ONCE)


def give_back() -> None:
    """Give freed memory back to the system.

    Batches of ever new lengths leave holes that glibc keeps: without this a run of 75 steps grew by two thirds.
    """
    library = _glibc()
    if library:
        library.malloc_trim(0)


def peak() -> int:
    """The most memory this process has held so far, in bytes."""
    try:
        import resource
    except ImportError:  # Windows
        return int(getattr(psutil.Process().memory_info(), "peak_wset", 0))
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most if sys.platform == "darwin" else most * 1024
