"""Recipes: declared once, checked everywhere."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from qwenlab.errors import QwenlabError
from qwenlab.training import recipe as recipes
from qwenlab.training.recipe import Recipe


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"learning_rat": 1e-4}, 'Did you mean "learning_rate"'),
        ({"zzz": 1}, "has no setting 'zzz'"),
        ({"learning_rate": 1}, "learning_rate is 1: input should be less than or equal to 0.01"),
        ({"epochs": "many"}, "epochs is 'many'"),
        ({"epochs": 0}, "epochs is 0"),
        ({"method": "magic"}, "method is 'magic'"),
        ({"languages": ["fr"]}, "languages is 'fr'"),
    ],
)
def test_wrong_setting_is_named_with_what_to_do(values: dict[str, Any], message: str) -> None:
    with pytest.raises(QwenlabError, match=message):
        recipes.read(values)


@pytest.mark.parametrize(("name", "setting"), list(Recipe.model_fields.items()))
def test_every_setting_has_title_and_help_in_both_languages(name: str, setting: Any) -> None:
    assert setting.title
    assert setting.description
    extra = setting.json_schema_extra
    assert extra["title_zh"]
    assert any("\u4e00" <= character <= "\u9fff" for character in extra["help_zh"]), name


def test_numbers_written_as_text_are_numbers() -> None:
    assert recipes.read({"epochs": "2", "learning_rate": "1e-4"}).learning_rate == 1e-4


def test_resolved_recipe_reads_back_as_itself() -> None:
    recipe = recipes.read({"epochs": 3})
    assert recipes.read(recipe.model_dump()) == recipe


@pytest.mark.parametrize("content", ["- a\n- b\n", "epochs: [", "just words"])
def test_file_without_settings_is_refused(tmp_path: Path, content: str) -> None:
    path = tmp_path / "recipe.yaml"
    path.write_text(content)
    with pytest.raises(QwenlabError, match=r"recipe\.yaml"):
        recipes.read_file(path)


def test_yaml_file_is_read(tmp_path: Path) -> None:
    path = tmp_path / "recipe.yaml"
    path.write_text("epochs: 3\nmodel: smollm2-135m\n")
    assert recipes.read(recipes.read_file(path)).epochs == 3
