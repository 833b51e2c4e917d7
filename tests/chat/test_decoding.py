"""Columns on shared weights: none changes what another says, whatever happens beside it."""

from __future__ import annotations

import json
import threading
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from qwenlab.chat import arena
from qwenlab.chat.local_contestant import LocalContestant, stream_batch
from qwenlab.chat.pool import ModelPool
from qwenlab.errors import QwenlabError
from qwenlab.models import loading
from qwenlab.models.contestant import Answer, Contestant, Generation, Message
from qwenlab.models.loading import LoadedModel

pytestmark = pytest.mark.model

SHORT = Generation(max_new_tokens=8)
DRAWN = Generation(max_new_tokens=8, temperature=1.0, top_p=0.9, seed=7, top_k=40, repetition_penalty=1.1)


def ask(text: str) -> list[Message]:
    return [Message(role="user", content=text)]


COLOUR = ask("Say a colour.")
SUM = ask("What is 2 + 2? Please answer with a number only, nothing else at all.")
STORY = ask("Tell me a long story about a kettle that wanted to see the sea.")


@pytest.fixture(scope="module")
def exact(smollm2: Path) -> LoadedModel:
    """In float32: in bfloat16 a batch of two may round another way than one."""
    import torch

    return loading.load(smollm2, torch.float32)


def columns_of(
    contestants: Sequence[Contestant], talks: Sequence[list[Message]], settings: Generation, **options: Any
) -> list[Answer]:
    *_, columns = arena.stream(contestants, talks, settings, threading.Event(), **options)
    return [column.answer for column in columns if column.answer]


def alone(contestant: LocalContestant, talk: list[Message], settings: Generation) -> str:
    ((_, answer),) = contestant.answer([talk], settings)
    return answer.text


def another(adapter: Path, folder: Path, **config: Any) -> Path:
    """A copy of an adapter with another configuration."""
    import shutil

    shutil.copytree(adapter, folder)
    file = folder / "adapter_config.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | config))
    return folder


def with_weights(adapter: Path, folder: Path, change: Any) -> Path:
    """A copy of an adapter whose tensors `change` has gone over."""
    from safetensors.torch import load_file, save_file

    made = another(adapter, folder)
    weights = load_file(made / "adapter_model.safetensors")
    change(weights)
    save_file(weights, made / "adapter_model.safetensors")
    return made


@pytest.fixture(scope="module")
def strong(random_adapter: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An adapter after which hardly a word is left of what the base says."""

    def louder(weights: dict[str, Any]) -> None:
        weights.update({key: value * 4 for key, value in weights.items() if "lora_B" in key})

    return with_weights(random_adapter, tmp_path_factory.mktemp("strong") / "adapter", louder)


@pytest.mark.parametrize("settings", [SHORT, DRAWN], ids=["greedy", "drawn"])
def test_columns_with_their_own_conversations_say_what_each_says_alone(
    exact: LoadedModel, strong: Path, settings: Generation
) -> None:
    base, tuned = LocalContestant("base", exact), LocalContestant("tuned", exact, strong)
    together = columns_of([base, tuned, base], [COLOUR, STORY, STORY], settings)
    assert [answer.text for answer in together] == [
        alone(base, COLOUR, settings),
        alone(tuned, STORY, settings),
        alone(base, STORY, settings),
    ]


def test_another_seed_draws_another_answer(exact: LoadedModel) -> None:
    base = LocalContestant("base", exact)
    hot = [Generation(max_new_tokens=8, temperature=2.0, seed=seed) for seed in (1, 2, 1)]
    first, second, again = (alone(base, STORY, settings) for settings in hot)
    assert first == again
    assert first != second


def test_base_is_untouched_after_everything_that_happens_to_its_adapters(
    smollm2: Path, strong: Path, tmp_path: Path
) -> None:
    untouched = alone(LocalContestant("alone", loading.load(smollm2)), STORY, SHORT)
    shared = loading.load(smollm2)
    base = LocalContestant("base", shared)
    nothing = with_weights(strong, tmp_path / "torn", lambda weights: weights.pop(next(iter(weights))))
    with pytest.raises(QwenlabError, match="one has parts that the other lacks"):
        shared.attach(nothing)
    assert alone(base, STORY, SHORT) == untouched, "after a first adapter that failed half-way"
    first = LocalContestant("first", shared, strong)
    spoken = alone(first, STORY, SHORT)
    assert spoken != untouched, "otherwise this test shows nothing"
    with pytest.raises(QwenlabError, match="one has parts that the other lacks"):
        shared.attach(nothing)
    checkpoint = with_weights(strong, tmp_path / "checkpoint-2", lambda weights: weights.update(
        {key: -value for key, value in weights.items() if "lora_B" in key}))  # fmt: skip
    second = LocalContestant("second", shared, checkpoint)
    assert alone(second, STORY, SHORT) not in (untouched, spoken)
    stop = threading.Event()
    for _ in arena.stream([base, first, second], [STORY] * 3, Generation(200), stop):
        stop.set()
    assert alone(base, STORY, SHORT) == untouched, "after a mixed batch that was stopped in the middle"
    assert alone(first, STORY, SHORT) == spoken
    assert alone(base, STORY, SHORT) == untouched


def test_run_that_went_on_answers_with_its_new_weights(smollm2: Path, strong: Path, tmp_path: Path) -> None:
    from safetensors.torch import load_file, save_file

    shared, run = loading.load(smollm2), another(strong, tmp_path / "run")
    before = alone(LocalContestant("run", shared, run), STORY, SHORT)
    weights = load_file(run / "adapter_model.safetensors")
    save_file({key: value * 0 for key, value in weights.items()}, run / "adapter_model.safetensors")
    after = alone(LocalContestant("run", shared, run), STORY, SHORT)
    assert after != before
    assert after == alone(LocalContestant("base", shared), STORY, SHORT)


def test_broken_adapters_are_refused_and_the_base_goes_on(
    smollm2: Path, strong: Path, tmp_path: Path, exact: LoadedModel
) -> None:
    import torch

    def spoil(weights: dict[str, Any]) -> None:
        weights[next(iter(weights))].fill_(float("nan"))

    def widen(weights: dict[str, Any]) -> None:
        key = next(key for key in weights if "lora_A" in key)
        weights[key] = torch.zeros(4, 7)

    cut = another(strong, tmp_path / "cut")
    whole = (cut / "adapter_model.safetensors").read_bytes()
    (cut / "adapter_model.safetensors").write_bytes(whole[: len(whole) // 2])
    embeddings = with_weights(
        strong,
        tmp_path / "embeddings",
        lambda w: w.update({"base_model.model.lm_head.weight": torch.zeros(2, 2)}),
    )
    broken = {
        "cut is damaged": cut,
        "nan is damaged": with_weights(strong, tmp_path / "nan", spoil),
        "another size": with_weights(strong, tmp_path / "wide", widen),
        "changes weights of the base": embeddings,
        "which others share": another(strong, tmp_path / "bias", bias="all"),
        "of the kind 'IA3'": another(strong, tmp_path / "ia3", peft_type="IA3"),
        "does not fit": another(strong, tmp_path / "elsewhere", target_modules=["c_attn"]),
        "not supported": another(strong, tmp_path / "norms", target_modules=["q_proj", "input_layernorm"]),
    }
    base = LocalContestant("base", exact)
    untouched = alone(base, STORY, SHORT)
    fresh = loading.load(smollm2, torch.float32)
    for words, folder in broken.items():
        for loaded in (fresh, exact):
            with pytest.raises(QwenlabError, match=words) as caught:
                LocalContestant("x", loaded, folder)
            assert caught.value.say("zh") != caught.value.say("en")
    assert not fresh.has_adapters
    assert alone(LocalContestant("base", fresh), STORY, SHORT) == untouched
    assert alone(LocalContestant("first", fresh, strong), STORY, SHORT) == alone(
        LocalContestant("first", exact, strong), STORY, SHORT
    )
    assert alone(base, STORY, SHORT) == untouched


def test_adapter_that_cannot_be_mixed_answers_beside_the_others(
    exact: LoadedModel, strong: Path, tmp_path: Path
) -> None:
    import torch
    from peft import LoraConfig, get_peft_model
    from transformers import AutoModelForCausalLM

    torch.manual_seed(1)
    lora = LoraConfig(r=2, target_modules=["q_proj"], use_dora=True, task_type="CAUSAL_LM")
    model = get_peft_model(AutoModelForCausalLM.from_pretrained(exact.folder), lora)
    for name, weight in model.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(weight, std=2.0)
    model.save_pretrained(tmp_path)
    three = [
        LocalContestant("base", exact),
        LocalContestant("dora", exact, tmp_path),
        LocalContestant("tuned", exact, strong),
    ]
    together = columns_of(three, [STORY] * 3, SHORT)
    assert [answer.text for answer in together] == [alone(one, STORY, SHORT) for one in three]
    assert len({answer.text for answer in together}) == 3


def test_conversation_that_is_too_long_is_said_and_the_other_column_goes_on(exact: LoadedModel) -> None:
    base = LocalContestant("base", exact)
    endless, fine = columns_of([base, base], [ask("word " * 9000), COLOUR], SHORT)
    assert endless.finish == "context"
    assert f"The conversation has {endless.prompt_tokens} tokens; with 8 for the answer" in endless.error
    assert "超过了该模型能容纳的 8192 个" in endless.error_in("zh")
    assert fine.text == alone(base, COLOUR, SHORT)


def test_conversation_that_the_template_refuses_ends_its_own_column(exact: LoadedModel) -> None:
    base = LocalContestant("base", exact)
    refused: list[Message] = [{"role": "user", "content": None}]  # type: ignore[typeddict-item]
    broken, fine = columns_of([base, base], [refused, COLOUR], SHORT)
    assert broken.finish == "error"
    assert fine.text == alone(base, COLOUR, SHORT)


def test_column_ends_when_its_own_answer_does(exact: LoadedModel, strong: Path) -> None:
    base, tuned = LocalContestant("base", exact), LocalContestant("tuned", exact, strong)
    early = False
    for step in stream_batch([base, tuned], [SUM, STORY], Generation(24), threading.Event()):
        early = early or isinstance(step[0], Answer) and not isinstance(step[1], Answer)
    first, second = step
    assert isinstance(first, Answer)
    assert isinstance(second, Answer)
    assert first.finish == "stop", "otherwise this test shows nothing"
    assert early
    assert first.seconds < second.seconds


def test_stop_leaves_a_long_prompt_before_its_first_word(smollm2: Path) -> None:
    shared, stop = loading.load(smollm2), threading.Event()
    reached: list[int] = []

    def count(*_: object) -> None:
        reached.append(1)
        if len(reached) == 3:
            stop.set()

    for layer in shared.plain.get_decoder().layers:
        layer.input_layernorm.register_forward_hook(count)
    *_, columns = arena.stream([LocalContestant("base", shared)], [ask("word " * 2000)], SHORT, stop)
    assert columns[0].answer is not None
    assert (columns[0].answer.finish, columns[0].answer.tokens) == ("stopped", 0)
    assert len(reached) == 3


def test_ten_chats_at_once_get_each_its_own_answer(smollm2: Path, strong: Path) -> None:
    pool = ModelPool()
    talks = [ask(f"Say the number {number}.") for number in range(10)]
    adapter = [None, strong]
    settings = Generation(max_new_tokens=5)
    expected = [
        alone(LocalContestant("x", pool.get(smollm2), adapter[at % 2]), talk, settings) for at, talk in enumerate(talks)
    ]
    pool.unload()
    found: dict[int, list[str]] = {}

    def chat(at: int) -> None:
        mine = LocalContestant(f"chat {at}", pool.get(smollm2), adapter[at % 2])
        found[at] = [columns_of([mine], [talks[at]], settings)[0].text for _ in range(2)]

    threads = [threading.Thread(target=chat, args=(at,)) for at in range(10)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [found[at] for at in range(10)] == [[text] * 2 for text in expected]
    assert pool.loaded() == [smollm2.resolve()]


def test_unloading_gives_the_memory_back(smollm2: Path) -> None:
    import psutil

    pool, process = ModelPool(), psutil.Process()
    list(LocalContestant("base", pool.get(smollm2)).answer([COLOUR], SHORT))
    (held,) = pool.held()
    loaded = process.memory_info().rss
    assert held.bytes > 200e6
    pool.unload(smollm2)
    assert loaded - process.memory_info().rss > 0.8 * held.bytes


# --- drawing -------------------------------------------------------------------------------------------------


def drawn(settings: Generation, scores: list[float], prompt: Sequence[int] = (0,), times: int = 4000) -> Counter[int]:
    import torch

    from qwenlab.chat.sampling import Chooser

    chooser = Chooser([list(prompt)], settings)
    said, values = list(prompt), torch.tensor([scores])
    found: Counter[int] = Counter()
    for _ in range(times):
        found[int(chooser(values, [0], [said]).argmax())] += 1
        said.append(prompt[0])
    return found


def test_drawing_follows_the_probabilities() -> None:
    found = drawn(Generation(temperature=2.0), [2.0, 0.0, -2.0])
    weights = [2.718, 1.0, 0.368]
    for token, weight in enumerate(weights):
        assert found[token] / 4000 == pytest.approx(weight / sum(weights), abs=0.04)


def test_top_k_and_top_p_leave_out_the_tail() -> None:
    scores = [1.0, 0.9, 0.8, -1.0]
    assert set(drawn(Generation(temperature=1.0, top_k=2), scores)) == {0, 1}
    assert set(drawn(Generation(temperature=1.0, top_p=0.5), scores)) == {0, 1}
    assert set(drawn(Generation(temperature=1.0, top_p=0.01), scores)) == {0}


def test_repetition_penalty_sees_the_prompt_but_no_padding() -> None:
    import torch

    from qwenlab.chat.sampling import Chooser

    chooser = Chooser([[1], [2, 2, 2]], Generation(repetition_penalty=2.0))
    scores = chooser(torch.tensor([[4.0, 3.0, -1.0], [4.0, 3.0, -1.0]]), [0, 1], [[1], [2, 2, 2]])
    assert scores.tolist() == [[4.0, 1.5, -1.0], [4.0, 3.0, -2.0]]
