"""What a verb says while it works."""

from __future__ import annotations

import json
from pathlib import Path

from qwenlab.commands.console import Console
from qwenlab.jobs import Job


def reported(folder: Path, number: int) -> list[int]:
    console = Console(job=Job(folder))
    for done in range(number):
        console.progress("testing", done / (2 * number), done=done)
    return [json.loads(line)["done"] for line in (folder / "events.jsonl").read_text().splitlines()]


def test_the_last_answer_of_a_batch_is_told_too(tmp_path: Path) -> None:
    assert reported(tmp_path, 24)[-1] == 23


def test_a_quick_server_does_not_fill_the_disk_with_progress(tmp_path: Path) -> None:
    assert len(reported(tmp_path, 20_000)) < 2_000
