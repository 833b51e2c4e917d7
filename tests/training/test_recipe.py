"""Recipes: declared once, checked everywhere."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qwenlab.errors import QwenlabError
from qwenlab.training import presets
from qwenlab.training import recipe as recipes
from qwenlab.training.estimate import Machine
from qwenlab.training.recipe import Recipe, recommended


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


@pytest.mark.parametrize(("written", "meant"), [("yes", "yes"), ("no", "no"), ("true", "yes"), ('"yes"', "yes")])
def test_yes_and_no_of_yaml_are_yes_and_no(tmp_path: Path, written: str, meant: str) -> None:
    path = tmp_path / "recipe.yaml"
    path.write_text(f"checkpointing: {written}\n")
    assert recipes.read(recipes.read_file(path)).checkpointing == meant


@pytest.mark.parametrize(
    ("values", "message", "remedy"),
    [
        ({"batch_size": 8, "processes": 3}, "shared evenly by 3 processes", "a multiple of 3"),
        ({"batch_size": 2, "processes": 2, "machines": 2}, "shared evenly by 4 processes", "a multiple of 4"),
        ({"method": "qlora", "sharding": "zero3", "processes": 2}, "qlora cannot be used with zero3", "zero2 or none"),
    ],
)
def test_settings_that_cannot_go_together_are_refused(values: dict[str, Any], message: str, remedy: str) -> None:
    with pytest.raises(QwenlabError) as caught:
        recipes.read(values)
    assert message in caught.value.what
    assert remedy in caught.value.remedy
    assert all(any("\u4e00" <= one <= "\u9fff" for one in text) for text in caught.value.say("zh"))
    recipes.read(values | {"batch_size": 12, "sharding": "zero2"})


@given(st.integers(1, 64), st.integers(1, 64), st.integers(1, 4), st.integers(1, 4))
def test_samples_at_once_divide_each_process_s_share(batch: int, micro: int, processes: int, machines: int) -> None:
    batch *= processes * machines
    recipe = recipes.read({"batch_size": batch, "micro_batch": micro, "processes": processes, "machines": machines})
    assert recipe.share * processes * machines == batch
    assert recipe.share % recipe.at_once == 0
    larger = range(recipe.at_once + 1, min(micro, recipe.share) + 1)
    assert 1 <= recipe.at_once <= micro
    assert not any(recipe.share % size == 0 for size in larger)


# --- presets, suggestions, warnings ----------------------------------------------------------------------


@pytest.mark.parametrize("model", ["qwen2.5-coder-0.5b", "smollm2-135m", "somewhere/else"])
@pytest.mark.parametrize("name", list(presets.PRESETS))
def test_preset_is_a_recipe_without_a_warning(name: str, model: str) -> None:
    recipe = recipes.read(presets.preset(name, model))
    assert recipe.model == model
    assert presets.warnings(recipe, 200) == []
    assert set(presets.ABOUT) == set(presets.PRESETS)


def test_balanced_is_what_is_recommended() -> None:
    assert presets.preset("balanced", "smollm2-135m") == {"model": "smollm2-135m", **recommended("smollm2-135m")}


def test_qwen_original_has_the_script_s_settings() -> None:
    recipe = recipes.read(presets.preset("qwen-original", "qwen2.5-coder-0.5b"))
    assert (recipe.epochs, recipe.learning_rate, recipe.schedule, recipe.warmup) == (5, 3e-4, "cosine", 0.01)
    assert (recipe.rank, recipe.alpha, recipe.dropout, recipe.weight_decay) == (64, 16, 0.05, 0.1)
    assert (recipe.batch_size, recipe.at_once, recipe.max_length) == (16, 2, 512)
    assert (recipe.labels, recipe.checkpointing, recipe.target) == ("qwen-original", "yes", "all")


@pytest.mark.parametrize(
    ("values", "samples", "words"),
    [
        ({"learning_rate": 2e-3}, None, "above 1e-3"),
        ({"learning_rate": 1e-5}, None, "below 2e-5"),
        ({"method": "full", "learning_rate": 1e-4}, None, "above 5e-5"),
        ({"method": "full", "learning_rate": 1e-5, "rank": 64, "dropout": 0.1}, None, "rank, dropout"),
        ({"rank": 256}, None, "rank of 256"),
        ({"rank": 8, "alpha": 64}, None, "four times"),
        ({"epochs": 20}, None, "by heart"),
        ({"sharding": "zero2"}, None, "a single one"),
        ({"epochs": 1}, 49, "only 49 samples"),
        ({"epochs": 1, "batch_size": 64}, 100, "only 2 optimizer steps"),
        ({"max_steps": 10}, 1000, "10 steps read 80 of 1,000"),
        ({"dropout": 0.1}, 5000, "dropout only slows"),
        ({"validation": 0.5}, 90, "45 are kept out"),
    ],
)
def test_choice_that_hurts_is_said_in_both_languages(values: dict[str, Any], samples: int | None, words: str) -> None:
    ((en, zh),) = presets.warnings(recipes.read(values), samples)
    assert words in en
    assert any("\u4e00" <= one <= "\u9fff" for one in zh)


def test_defaults_need_no_warning() -> None:
    assert presets.warnings(Recipe(), 400) == []
    assert presets.warnings(recipes.read({"method": "full", "learning_rate": 1e-5, "rank": 16}), 400) == []


CONFIG = {
    "hidden_size": 896,
    "intermediate_size": 4864,
    "max_position_embeddings": 4096,
    "num_attention_heads": 14,
    "num_hidden_layers": 24,
    "num_key_value_heads": 2,
    "tie_word_embeddings": True,
    "vocab_size": 151936,
}


def suggest(lengths: list[int], gigabytes: float = 100, samples: int = 400, **values: Any) -> dict[str, Any]:
    machine = Machine(int(gigabytes * 1e9))
    found = presets.suggested(recipes.read(values), CONFIG, lengths, machine, samples)
    assert all(any("\u4e00" <= one <= "\u9fff" for one in each.why[1]) for each in found.values())
    return {name: each.value for name, each in found.items()}


@pytest.mark.parametrize(
    ("lengths", "value"),
    [
        ([200] * 99 + [356], 384),
        ([384], 384),
        ([5], 64),
        ([200] * 999 + [30_000], 256),
        ([3000] * 10 + [5000], 4096),
    ],
    ids=["longest", "a-round-one", "tiny", "one-far-longer-is-left-out", "no-more-than-the-model-reads"],
)
def test_length_comes_from_the_data(lengths: list[int], value: int) -> None:
    assert suggest(lengths)["max_length"] == value


@pytest.mark.parametrize(("gigabytes", "value"), [(24, 4), (7, 2), (5, 1), (1, 1)])
def test_micro_batch_comes_from_memory(gigabytes: float, value: int) -> None:
    assert suggest([356] * 10, gigabytes)["micro_batch"] == value


def test_micro_batch_divides_the_batch() -> None:
    assert suggest([10], batch_size=6)["micro_batch"] == 2


@pytest.mark.parametrize(("samples", "value"), [(10, 9), (100, 6), (400, 3), (5000, 1.5)])
def test_epochs_come_from_size(samples: int, value: float) -> None:
    assert suggest([100], samples=samples, model="smollm2-135m")["epochs"] == value
    assert suggest([100], samples=samples, model="qwen2.5-coder-0.5b")["epochs"] >= 1


def test_empty_set_suggests_nothing() -> None:
    assert suggest([]) == {}


@given(st.lists(st.integers(1, 40_000), min_size=1, max_size=30), st.integers(1, 10**6), st.integers(1, 64))
def test_suggestions_are_allowed(lengths: list[int], samples: int, batch: int) -> None:
    values = {"batch_size": batch}
    recipes.read(values | suggest(lengths, samples=samples, **values))
