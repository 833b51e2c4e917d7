"""The memory of a training process: given back to the system now and then, and its peak."""

from __future__ import annotations

import contextlib
import ctypes
import sys
from pathlib import Path

import psutil


def give_back() -> None:
    """Give freed memory back to the system where the C library is glibc.

    Batches of ever new lengths leave holes that glibc keeps.
    """
    library = ctypes.CDLL(None) if sys.platform == "linux" else None
    if library is not None and hasattr(library, "malloc_trim"):
        library.malloc_trim(0)


def peak() -> int:
    """The most memory this process has held so far, in bytes."""
    with contextlib.suppress(OSError):  # Linux; there ru_maxrss begins with what the starting process held
        for line in Path("/proc/self/status").read_text(encoding="ascii").splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    try:
        import resource
    except ImportError:  # Windows
        return int(getattr(psutil.Process().memory_info(), "peak_wset", 0))
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most if sys.platform == "darwin" else most * 1024
