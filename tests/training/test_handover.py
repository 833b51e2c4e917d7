"""A recipe that is handed on: read back by the command line, it is the same recipe."""

from __future__ import annotations

import argparse
import shlex
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qwenlab.cli import parser
from qwenlab.commands.train import recipe_from
from qwenlab.training import handover, presets
from qwenlab.training.recipe import Recipe, read


def typed(command: str) -> argparse.Namespace:
    program, *arguments = shlex.split(command)
    assert program == "qwenlab"
    return parser().parse_args(arguments)


@given(
    st.sampled_from(list(presets.PRESETS)),
    st.sampled_from(["qwen2.5-coder-0.5b", "smollm2-135m", "/my models/it's one"]),
    st.fixed_dictionaries(
        {},
        optional={
            "data": st.just("/a folder/my data.train.json"),
            "languages": st.sampled_from([["en"], ["en", "zh"]]),
            "learning_rate": st.floats(1e-6, 1e-2),
            "epochs": st.floats(0.1, 100),
            "batch_size": st.integers(1, 64),
            "method": st.sampled_from(["lora", "full"]),
            "checkpointing": st.sampled_from(["yes", "no"]),
            "validation": st.floats(0, 0.5),
        },
    ),
)
def test_flags_and_file_give_back_the_recipe(preset: str, model: str, changed: dict[str, Any]) -> None:
    recipe = read({**presets.preset(preset, model), **changed})
    assert recipe_from(typed(handover.flags_command(recipe, preset))) == recipe


def test_recipe_file_is_read_by_train(tmp_path: Path) -> None:
    recipe = read({**presets.preset("thorough", "smollm2-135m"), "learning_rate": 1e-5, "languages": ["zh"]})
    file = tmp_path / handover.RECIPE
    file.write_text(handover.recipe_text(recipe), encoding="utf-8")
    assert recipe_from(typed(shlex.join(["qwenlab", "train", str(file)]))) == recipe


def test_run_is_trained_again_from_its_own_files() -> None:
    assert handover.files_command(Recipe()) == "qwenlab train recipe.json --data data.json"
    decided = handover.files_command(Recipe(suite="tickets"))
    assert decided == "qwenlab train recipe.json --data data.json --suite suite.json"
    own = handover.files_command(Recipe(model="/models/mine"))
    assert own == "qwenlab train recipe.json --data data.json --model mine"


@pytest.mark.parametrize(("settings", "lines"), [({}, 0), ({"processes": 2}, 1), ({"machines": 3, "batch_size": 6}, 3)])
def test_each_machine_has_its_own_line(settings: dict[str, Any], lines: int) -> None:
    found = handover.process_commands(read(settings), Path("/runs/one"))
    assert len(found) == len(set(found)) == lines
    assert all("torch.distributed.run" in line and "/runs/one" in line for line in found)
    if lines == 3:
        assert ["--node_rank 2" in line for line in found] == [False, False, True]
