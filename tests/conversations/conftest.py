"""Small data sets for the tests."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from qwenlab.conversations.dataset import DataSet

IDENTITY = {
    "id": "identity_0",
    "conversations": [
        {"from": "user", "value": "你好"},
        {"from": "assistant", "value": "我是一个语言模型，我叫通义千问。"},
    ],
}


@pytest.fixture
def identity() -> dict[str, Any]:
    """The sample of the original Qwen recipe."""
    return json.loads(json.dumps(IDENTITY))


@pytest.fixture
def write(tmp_path: Path) -> Callable[..., Path]:
    """Write samples (or raw text or bytes) as a train.json and return its path."""

    def write_file(content: Any, name: str = "shop.train.json") -> Path:
        path = tmp_path / name
        if isinstance(content, bytes):
            path.write_bytes(content)
        else:
            text = content if isinstance(content, str) else json.dumps(content, ensure_ascii=False)
            path.write_text(text, encoding="utf-8")
        return path

    return write_file


@pytest.fixture
def opened(write: Callable[..., Path]) -> Callable[..., DataSet]:
    """Write and open in one step."""
    return lambda content, name="shop.train.json": DataSet.open(write(content, name))
