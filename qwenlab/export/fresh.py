"""`python -m qwenlab.export.fresh MODULE ...`: runs a prover that ends when the process which asked for it does."""

from __future__ import annotations

import os
import runpy
import sys
import threading


def _end_with_parent() -> None:
    sys.stdin.read()  # ends when the other end of the pipe is gone, also by kill -9
    os._exit(1)


if __name__ == "__main__":
    threading.Thread(target=_end_with_parent, daemon=True).start()
    sys.argv = sys.argv[1:]
    runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)
