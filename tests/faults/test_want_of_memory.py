"""Want of memory while a model is loaded: one sentence and no trace of the inside."""

from __future__ import annotations

import subprocess
import sys

import pytest

from qwenlab.workspace import Workspace

pytestmark = pytest.mark.model


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="only Linux limits a process's memory this way")
@pytest.mark.parametrize("kilobytes", [700_000, 900_000])
def test_want_of_memory_while_loading_is_told(kilobytes: int, with_model: Workspace) -> None:
    limited = f'ulimit -v {kilobytes}; exec "$0" -m qwenlab chat --model smollm2-135m --message hello'
    ended = subprocess.run(["bash", "-c", limited, sys.executable], capture_output=True, text=True, check=False)
    assert ended.returncode == 2, ended.stderr
    assert "ran out of memory" in ended.stderr
    assert "Traceback" not in ended.stderr
