"""Before the start: memory, time and steps beside the button, what would make it fit, and what suits better."""

from __future__ import annotations

import html
import json
import re
import time
from typing import Any

import psutil
import pytest

from qwenlab.conversations.dataset import new_data_set
from qwenlab.conversations.sample import Sample
from qwenlab.errors import QwenlabError
from qwenlab.training import presets
from qwenlab.training import recipe as recipes
from qwenlab.training.estimate import Advice, Estimate, Machine
from qwenlab.training.forecast import Forecast, Pace
from qwenlab.training.presets import Suggestion
from qwenlab.training.recipe import Recipe
from qwenlab.ui import recipe_form, run_details, training_need, training_plan
from qwenlab.ui.components import duration
from qwenlab.ui.lab import Lab
from qwenlab.ui.texts import Translator
from qwenlab.ui.trained import Trained
from qwenlab.ui.training_plan import Plan, Planner
from qwenlab.ui.training_view import Readers
from qwenlab.workspace import Workspace

EN, ZH = Translator("en"), Translator("zh")
GB = 10**9
LARGE = Machine(24 * GB)


def words(found: str) -> str:
    return html.unescape(" ".join(re.sub("<[^>]*>", " ", found).split()))


def keys(found: str) -> list[Any]:
    return [json.loads(html.unescape(key).partition(":")[2]) for key in re.findall(r'data-key="(set:[^"]+)"', found)]


def expecting(needs: float = 2.1, advice: Advice | None = None, run: str = "", machine: Machine = LARGE) -> Forecast:
    fits = needs * GB < 0.92 * machine.memory_bytes
    need = Estimate(int(needs * GB), 800, {"program": int(1.5 * GB), "weights": int((needs - 1.5) * GB)}, fits, advice)
    return Forecast(400, 100, 61_234, 840, Pace(95.0, 0.0, run), need, machine)


def planned(forecast: Forecast | None = None, **more: Any) -> Plan:
    return Plan("mine", 400, 400, ["en"], forecast=forecast, steps=100, **more)


# --- what it needs ---------------------------------------------------------------------------------------


def test_memory_time_steps_and_tokens_stand_beside_the_start() -> None:
    said = words(training_need.need_lines(planned(expecting()), Recipe(batch_size=4), EN))
    for part in ("about 14 min", "100 steps of 4 samples each", "61,000 tokens", "needs about 2.1 of 24.0 GB", "fits"):
        assert part in said
    assert "another computer with 2 cores did about 95" in said
    zh = words(training_need.need_lines(planned(expecting()), Recipe(batch_size=4), ZH))
    for part in ("约 14 分钟", "步，每步 4 个样本", "约需 2.1 GB，共 24.0 GB", "放得下"):
        assert part in zh


def test_time_names_the_run_that_it_is_judged_by() -> None:
    assert "judged by the run run-7 on this computer" in training_need.need_lines(
        planned(expecting(run="run-7")), Recipe(), EN
    )


@pytest.mark.parametrize(("counting", "words_"), [((0, 0), "reading the vocabulary"), ((50, 200), "50 of 200 samples")])
def test_before_the_tokens_are_counted_steps_stand_there_and_how_far_it_is(
    counting: tuple[int, int], words_: str
) -> None:
    said = words(training_need.need_lines(planned(counting=counting), Recipe(), EN))
    assert "100 steps" in said
    assert words_ in said
    assert "GB" not in said


def test_what_cannot_fit_cannot_start_and_offers_the_change_as_one_button() -> None:
    changes = {"micro_batch": 1, "checkpointing": "yes"}
    plan = planned(expecting(40.0, Advice(changes, ("Set.", "设。"))))
    assert not plan.able
    found = training_need.need_lines(plan, Recipe(), EN)
    assert "does not fit" in words(found)
    assert "Set Micro-batch to 1 and Save memory to yes" in words(found)
    assert keys(found) == [changes]
    assert "“微批大小”设为 1，“节省内存”设为 yes" in words(training_need.need_lines(plan, Recipe(), ZH))


def test_what_no_setting_makes_fit_says_to_choose_a_smaller_model() -> None:
    found = training_need.need_lines(planned(expecting(40.0)), Recipe(), EN)
    assert "Choose a smaller model" in words(found)
    assert keys(found) == []


def test_other_programs_in_the_way_are_said_unless_a_run_will_make_room() -> None:
    tight = expecting(psutil.virtual_memory().total / GB, machine=Machine(4 * psutil.virtual_memory().total))
    assert "Close other programs" in training_need.need_lines(planned(tight), Recipe(), EN)
    assert "Close other programs" not in training_need.need_lines(planned(tight), Recipe(), EN, alone=False)
    card = expecting(psutil.virtual_memory().total / GB, machine=Machine(4 * psutil.virtual_memory().total, "cuda"))
    assert "Close other programs" not in training_need.need_lines(planned(card), Recipe(), EN)
    assert "Memory of the GPU" in training_need.need_lines(planned(card), Recipe(), EN)


def test_model_that_cannot_be_read_is_said_and_nothing_else_is_lost() -> None:
    plan = planned(error=QwenlabError("No <size>.", "Copy it.", zh=("没有大小。", "请复制。")))
    said = training_need.need_lines(plan, Recipe(), EN)
    assert "No &lt;size&gt;." in said
    assert "100" in said
    assert "没有大小。" in training_need.need_lines(plan, Recipe(), ZH)


def test_form_says_how_to_start_the_same_elsewhere_and_saves_its_recipe() -> None:
    recipe = recipes.read({**presets.preset("quick", "smollm2-135m"), "data": "/d/a's <x>.json"})
    found = run_details.of_form(recipe, "quick", EN)
    assert "--preset quick --model smollm2-135m --data" in words(found)
    assert "<x>" not in found
    assert 'download="recipe.json"' in found


# --- presets and suggestions -----------------------------------------------------------------------------


def test_presets_say_how_long_each_takes() -> None:
    titles = [title for title, _ in training_plan.preset_choices(planned(presets={"balanced": 840.0}), EN)]
    assert titles == ["Quick", "Balanced: 14 min", "Thorough", "Qwen original"]
    assert training_plan.preset_choices(None, ZH)[0] == ("快速", "quick")


def fields_and_values(**changed: Any) -> tuple[list[recipe_form.FormField], list[Any]]:
    fields = recipe_form.form_fields("en")
    return fields, [changed.get(field.name, field.default) for field in fields]


def test_suggestions_come_with_reason_one_button_each_and_one_for_all() -> None:
    fields, typed = fields_and_values()
    suggested = {
        "max_length": Suggestion(384, ("The longest <b>.", "最长。")),
        "epochs": Suggestion(6.0, ("Few.", "偏少。")),
    }
    found = training_plan.suggestion_lines(planned(suggested=suggested), fields, typed, EN)
    assert "Longest sample: 384 instead of 1,024. The longest <b>." in words(found)
    assert keys(found) == [{"max_length": 384, "epochs": 6.0}, {"max_length": 384}, {"epochs": 6.0}]
    assert "偏少。" in training_plan.suggestion_lines(planned(suggested=suggested), fields, typed, ZH)
    one = training_plan.suggestion_lines(planned(suggested={"epochs": suggested["epochs"]}), fields, typed, EN)
    assert keys(one) == [{"epochs": 6.0}]
    assert training_plan.suggestion_lines(planned(), fields, typed, EN) == ""


def test_button_puts_its_values_into_the_form_and_nothing_else() -> None:
    fields, typed = fields_and_values()
    names = [field.name for field in fields]
    after = recipe_form.settled(fields, typed, 'set:{"micro_batch": 1, "checkpointing": "yes"}')
    assert {name: value for name, value, before in zip(names, after, typed, strict=True) if value != before} == {
        "micro_batch": 1,
        "checkpointing": "yes",
    }


@pytest.mark.parametrize(
    "key",
    ["", "set:", "set:{oops", 'set:{"rank": 1e9}', 'set:{"schedule": "wild"}', 'set:{"rank": "x"}', "preset:back"],
)
def test_click_that_says_nothing_allowed_changes_nothing(key: str) -> None:
    fields, typed = fields_and_values()
    assert recipe_form.settled(fields, typed, key) == typed


@pytest.mark.parametrize(
    ("recipe", "lengths", "found", "differing"),
    [
        ({"max_length": 1024}, [100, 356], {"max_length": 384}, []),
        ({"max_length": 256}, [100, 356], {"max_length": 384}, ["max_length"]),
        ({"max_length": 1024}, [100, 1000], {"max_length": 256}, ["max_length"]),
        ({"batch_size": 2, "micro_batch": 8}, [100], {"micro_batch": 2}, []),
        ({"batch_size": 8, "micro_batch": 4}, [100], {"micro_batch": 2}, ["micro_batch"]),
        ({"max_length": 256, "micro_batch": 1}, [356], {"max_length": 384, "micro_batch": 4}, ["max_length"]),
        ({"epochs": 2}, [100], {"epochs": 2.0}, []),
        ({"epochs": 2}, [100], {"epochs": 4.0}, ["epochs"]),
    ],
)
def test_only_what_would_change_something_is_suggested(
    recipe: dict[str, Any], lengths: list[int], found: dict[str, float], differing: list[str]
) -> None:
    suggestions = {name: Suggestion(value, ("", "")) for name, value in found.items()}
    assert list(presets.differing(Recipe(**recipe), suggestions, lengths)) == differing


@pytest.mark.parametrize("name", list(presets.PRESETS))
def test_preset_on_some_hundred_samples_needs_no_other_number_of_epochs(name: str) -> None:
    settings = recipe_form.preset_values(name, "smollm2-135m")
    found = presets.suggested(Recipe(**settings), CONFIG, [100], LARGE, 400, settings["epochs"])
    assert "epochs" not in presets.differing(Recipe(**settings), found, [100])


CONFIG = {
    "hidden_size": 576,
    "intermediate_size": 1536,
    "num_attention_heads": 9,
    "num_hidden_layers": 30,
    "vocab_size": 49152,
}


# --- the plan itself -------------------------------------------------------------------------------------


def opened(workspace: Workspace, *samples: Sample) -> Lab:
    lab = Lab(workspace, model="smollm2-135m")
    lab.choose(dataset=str(new_data_set(workspace, "mine", list(samples))))
    return lab


def exchange(name: str, question: str = "Hi", answer: str = "Hello") -> Sample:
    return Sample.make(name, [("user", question), ("assistant", answer)])


def test_without_leave_to_count_only_steps_are_told(workspace: Workspace) -> None:
    lab = opened(workspace, *(exchange(str(at)) for at in range(20)))
    plan = Planner(lab, Readers().look).plan(Recipe(model="smollm2-135m", epochs=2, batch_size=8), {}, False)
    assert plan is not None
    assert (plan.samples, plan.steps, plan.forecast, plan.counting, plan.able) == (20, 5, None, None, True)


def test_model_that_is_not_here_is_told_as_the_plan_s_error(workspace: Workspace) -> None:
    lab = opened(workspace, exchange("a"))
    plan = Planner(lab, Readers().look).plan(Recipe(model="smollm2-135m"), {"epochs": 3}, True)
    assert plan is not None
    assert plan.error is not None
    assert "not here yet" in plan.error.what


@pytest.mark.model
def test_real_model_s_tokens_are_counted_and_data_and_train_say_the_same(with_model: Workspace) -> None:
    rows = [exchange(str(at), "Hi " * at) for at in range(1, 60)]
    lab = opened(with_model, *rows, exchange("zh", "你好"), exchange("long", "Hi " * 1200), Sample.make("no", []))
    usual = recipe_form.preset_values("balanced", "smollm2-135m")
    planner, recipe = Planner(lab, Readers().look), Recipe(**usual)
    end, plan = time.monotonic() + 120, planner.plan(recipe, usual, True)
    while plan is not None and plan.forecast is None and time.monotonic() < end:
        time.sleep(0.1)
        plan = planner.plan(recipe, usual, True)
    assert plan is not None
    assert plan.forecast is not None
    assert (plan.forecast.samples, plan.too_long, plan.unusable) == (59, 1, 1)
    assert plan.able
    assert set(plan.presets) == set(presets.PRESETS)
    assert "epochs" in plan.suggested, "so few samples must be seen more often"
    document = lab.document()
    assert document is not None
    assert plan.presets["balanced"] == plan.forecast.seconds
    assert f"{duration(EN, plan.forecast.seconds)} expected here" in words(Trained(lab).lengths(document, EN))
