"""How to decode, and what a model itself says about that."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from qwenlab.errors import QwenlabError
from qwenlab.models.contestant import Answer, Generation


@pytest.mark.parametrize(
    ("own", "expected"),
    [
        (
            {"do_sample": True, "temperature": 0.7, "top_p": 0.8, "top_k": 20, "repetition_penalty": 1.1},
            Generation(temperature=0.7, top_p=0.8, top_k=20, repetition_penalty=1.1),
        ),
        ({"do_sample": True}, Generation(temperature=1.0, top_k=50)),
        ({"do_sample": True, "top_k": 0}, Generation(temperature=1.0)),
        ({"temperature": 0.7, "top_p": 0.8}, Generation()),
        ({"repetition_penalty": 1.05}, Generation(repetition_penalty=1.05)),
        ({}, Generation()),
        (None, Generation()),
    ],
)
def test_model_names_its_own_defaults(tmp_path: Path, own: dict[str, Any] | None, expected: Generation) -> None:
    if own is not None:
        (tmp_path / "generation_config.json").write_text(json.dumps(own))
    assert Generation.of_model(tmp_path) == expected


def test_broken_generation_config_is_named(tmp_path: Path) -> None:
    (tmp_path / "generation_config.json").write_text("{")
    with pytest.raises(QwenlabError, match="generation_config"):
        Generation.of_model(tmp_path)


def test_prompt_and_answer_must_fit_together() -> None:
    assert Answer.without_room(90, Generation(10), 100) is None
    answer = Answer.without_room(91, Generation(10), 100)
    assert answer is not None
    assert (answer.finish, answer.prompt_tokens, answer.text) == ("context", 91, "")
    assert "more than the 100 this model can hold" in answer.error
    assert "请缩短对话" in answer.error_in("zh")
