"""A Qwen 1 in its original format, from the folder as it was downloaded to a merged and quantized model."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import qwen1_original as original

from qwenlab import cli
from qwenlab.models import adapters
from qwenlab.workspace import Workspace

pytestmark = pytest.mark.model


def test_converted_model_chats_trains_merges_and_becomes_int4(
    workspace: Workspace, tmp_path: Path, tiny_data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def run(*words: str) -> dict[str, Any]:
        assert cli.main([*words, "--json"]) == 0, capsys.readouterr().err[-2000:]
        return json.loads(capsys.readouterr().out.strip().splitlines()[-1])

    old, new = tmp_path / "Qwen-tiny-Chat", workspace.models / "qwen-tiny-chat"
    original.write_checkpoint(old, hidden_size=256, intermediate_size=512, kv_channels=64)
    notes = run("models", "convert", str(old), str(new))["notes"]
    assert "512 tokens" in notes[0]

    said = run("chat", "--model", str(old), "--message", "你好", "--max-new-tokens", "3")
    assert said["finish"] in ("stop", "length"), "the original's name stands for its conversion"

    small = ("--max-steps", "2", "--batch-size", "2")
    trained = run("train", "--model", str(new), "--data", str(tiny_data), *small)
    adapters.check(adapters.find(workspace, trained["id"]), new)
    run("chat", "--adapter", trained["id"], "--message", "Hi", "--max-new-tokens", "3")

    proof = run("merge", trained["id"], "-o", str(tmp_path / "merged"))["proof"]
    assert proof["max_logit_difference"] < 1e-3
    run("quantize", str(tmp_path / "merged"), "--bits", "4", "-o", str(tmp_path / "int4"))
    run("chat", "--model", str(tmp_path / "int4"), "--message", "你好", "--max-new-tokens", "3")
