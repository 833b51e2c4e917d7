"""A recipe to hand on: its file, and the commands that train the same on another computer or on several."""

from __future__ import annotations

import json
import shlex
from pathlib import Path

from qwenlab.training import launch, presets
from qwenlab.training import recipe as recipes
from qwenlab.training.recipe import Recipe

RECIPE = "recipe.json"
DATA = "data.json"
SUITE = "suite.json"
"""A run's own copies of what it learned from, and of the test that decided."""


def recipe_text(recipe: Recipe) -> str:
    """The content of a recipe file that `qwenlab train FILE` reads."""
    return json.dumps(recipe.model_dump(), ensure_ascii=False, indent=2) + "\n"


def flags_command(recipe: Recipe, preset: str) -> str:
    """One line for a shell that trains this recipe: the preset, and a flag for each setting that differs from it."""
    usual = recipes.read(presets.preset(preset, recipe.model)).model_dump()
    words = ["qwenlab", "train", "--preset", preset, "--model", recipe.model, "--data", recipe.data]
    for name, value in recipe.model_dump(exclude={"model", "data"}).items():
        if value != usual[name]:
            words += [f"--{name.replace('_', '-')}", *map(str, value if isinstance(value, list) else [value])]
    return shlex.join(words)


def files_command(recipe: Recipe) -> str:
    """One line for a shell that trains a run's recipe again, beside copies of the files it keeps.

    These are `RECIPE`, `DATA` and, where a test decided, `SUITE`. A model that is a folder is named by what the folder
    is called: it lies elsewhere on another computer.
    """
    model = Path(recipe.model).name
    where = ["--model", model] if model != recipe.model else []
    test = ["--suite", SUITE] if recipe.suite else []
    return shlex.join(["qwenlab", "train", RECIPE, "--data", DATA, *test, *where])


def process_commands(recipe: Recipe, run_folder: Path) -> list[str]:
    """What starts the processes of a run, one line for each of its machines; none where a plain start is enough."""
    if recipe.processes * recipe.machines == 1:
        return []
    address = launch.own_address() if recipe.machines > 1 else "127.0.0.1"
    return [launch.words(recipe, run_folder, rank, address) for rank in range(recipe.machines)]
