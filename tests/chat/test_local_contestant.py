"""Base and adapter in one batch, on one copy of the weights."""

from __future__ import annotations

import json
import shutil
import threading
from pathlib import Path
from typing import Any

import pytest

from qwenlab.chat import arena, contestants
from qwenlab.chat.local_contestant import LocalContestant
from qwenlab.chat.pool import ModelPool
from qwenlab.errors import QwenlabError
from qwenlab.models import loading
from qwenlab.models.contestant import Generation, Message
from qwenlab.models.rendering import prompt_ids
from qwenlab.workspace import Workspace

pytestmark = pytest.mark.model

SHORT = Generation(max_new_tokens=12)
QUESTIONS = [
    [Message(role="user", content=text)]
    for text in ("Who are you?", "Say a colour.", "What is 2 + 2? Answer with a number only, please.")
]


@pytest.fixture(scope="module")
def pool() -> ModelPool:
    return ModelPool()


def answers(contestant: Any) -> list[str]:
    found = dict(contestant.answer(QUESTIONS, SHORT))
    return [found[index].text for index in range(len(QUESTIONS))]


def test_base_stays_the_untouched_base_after_any_switching(
    smollm2: Path, random_adapter: Path, pool: ModelPool
) -> None:
    untouched = answers(LocalContestant("alone", loading.load_to_answer(smollm2)))
    shared = pool.get(smollm2)
    base, tuned = LocalContestant("base", shared), LocalContestant("tuned", shared, random_adapter)
    first = answers(tuned)
    assert first != untouched, "otherwise this test shows nothing"
    assert answers(base) == untouched
    assert answers(tuned) == first
    assert answers(base) == untouched


def test_batches_say_what_the_model_says_when_asked_one_by_one(smollm2: Path) -> None:
    import torch

    shared = loading.load(smollm2, torch.float32)  # bfloat16 rounds another way in another batch
    system = Message(role="system", content="You are the clerk of a small shop that sells kettles. Use few words.")
    prompts = [[system, *question] for question in QUESTIONS] + QUESTIONS[:1]
    settings = Generation(max_new_tokens=24)
    found = dict(LocalContestant("base", shared).answer(prompts, settings))
    assert len({answer.tokens for answer in found.values()}) > 1, "some end before others and leave the batch"
    for index, messages in enumerate(prompts):
        ids = torch.tensor([prompt_ids(shared.tokenizer, messages)])
        said = shared.model.generate(ids, attention_mask=torch.ones_like(ids), max_new_tokens=24, do_sample=False)
        alone = shared.tokenizer.decode(said[0, ids.shape[1] :], skip_special_tokens=True)
        assert found[index].text == alone


def test_enforced_contestant_shares_the_weights_and_fits_the_schema(
    smollm2: Path, random_adapter: Path, pool: ModelPool
) -> None:
    schema: dict[str, Any] = {"type": "object", "properties": {"a": {"type": "integer"}}, "required": ["a"]}
    schema["additionalProperties"] = False
    free = LocalContestant("tuned", pool.get(smollm2), random_adapter)
    forced = free.enforced(schema)
    assert forced.loaded is free.loaded
    assert (forced.name, forced.describe()["enforced_for"]) == ("tuned (enforced)", "tuned")
    assert {**free.describe(), **forced.describe()} == forced.describe(), "the same weights otherwise"
    for _, answer in forced.answer(QUESTIONS, Generation(max_new_tokens=40)):
        assert answer.finish == "length" or set(json.loads(answer.text)) == {"a"}


def test_an_adapter_scaled_otherwise_is_another_contestant(
    smollm2: Path, random_adapter: Path, pool: ModelPool, tmp_path: Path
) -> None:
    scaled = tmp_path / "scaled"
    shutil.copytree(random_adapter, scaled)
    config = json.loads((scaled / "adapter_config.json").read_text())
    (scaled / "adapter_config.json").write_text(json.dumps(config | {"lora_alpha": 2 * config["lora_alpha"]}))
    shared = pool.get(smollm2)
    before, after = (LocalContestant("tuned", shared, folder).describe() for folder in (random_adapter, scaled))
    assert before["adapter_weights"] == after["adapter_weights"]
    assert before["adapter_config"] != after["adapter_config"]
    assert before["computed"] == shared.computed


def test_batches_are_planned_alike_without_some_of_them(smollm2: Path, pool: ModelPool) -> None:
    contestant = LocalContestant("base", pool.get(smollm2))
    system = [Message(role="system", content="You are a patient clerk of a shop that sells kettles and cups.")]
    prompts = [
        [*(system if number % 3 else []), Message(role="user", content="word " * (number % 17))] for number in range(60)
    ]
    batches = contestant.batches(prompts)
    assert sorted(at for batch in batches for at in batch) == list(range(60))
    for left_out in range(len(batches)):
        rest = [at for number, batch in enumerate(batches) if number != left_out for at in batch]
        again = contestant.batches([prompts[at] for at in rest])
        assert [[rest[at] for at in batch] for batch in again] == [
            batch for number, batch in enumerate(batches) if number != left_out
        ]


def test_columns_stream_together_and_say_what_each_says_alone(smollm2: Path, random_adapter: Path) -> None:
    import torch

    shared = loading.load(smollm2, torch.float32)  # in bfloat16 a batch of two may round another way than one
    both = [LocalContestant("base", shared), LocalContestant("tuned", shared, random_adapter)]
    alone = [next(iter(one.answer(QUESTIONS[:1], SHORT)))[1].text for one in both]
    growing: list[tuple[int, int]] = []
    for columns in arena.stream(both, [QUESTIONS[0]] * 2, SHORT, threading.Event()):
        growing.append((len(columns[0].text), len(columns[1].text)))
    assert [column.text for column in columns] == alone
    assert any(0 < left < len(alone[0]) and right > 0 for left, right in growing), "both grow before the first ends"
    assert all(column.answer and column.answer.finish in ("stop", "length") for column in columns)
    assert columns[0].about["weights"] == columns[1].about["weights"]
    assert "adapter_weights" in columns[1].about


def test_stop_ends_within_a_token(smollm2: Path, pool: ModelPool) -> None:
    stop = threading.Event()
    columns: list[arena.Column] = []
    for now in arena.stream([LocalContestant("base", pool.get(smollm2))], QUESTIONS[:1], Generation(400), stop):
        stop.set()
        columns = now
    assert columns[0].answer is not None
    assert columns[0].answer.finish == "stopped"
    assert columns[0].answer.tokens <= 3


def test_a_stop_ends_the_batch_under_way_within_a_token(smollm2: Path, pool: ModelPool) -> None:
    contestant, asked = LocalContestant("base", pool.get(smollm2)), 0
    layers = contestant.loaded.model.config.num_hidden_layers

    def stop() -> bool:
        nonlocal asked
        asked += 1
        return asked > 2 * layers + 5  # once a layer of what is read first, then once a token

    prompts = [QUESTIONS[0]] * 30  # more than one batch
    found = dict(contestant.answer(prompts, Generation(max_new_tokens=200), stop))
    assert len(found) == 24, "no further batch is begun"
    assert {answer.finish for answer in found.values()} == {"stopped"}
    assert all(answer.tokens <= layers + 5 for answer in found.values())


def test_failing_contestant_leaves_the_other_column_alone(smollm2: Path, pool: ModelPool) -> None:
    class Broken:
        name = "broken"

        def describe(self) -> dict[str, str]:
            return {"kind": "broken"}

        def answer(self, prompts: Any, settings: Any) -> Any:
            raise QwenlabError("It is broken.", "Mend it.")

        def close(self) -> None:
            pass

    both = [LocalContestant("base", pool.get(smollm2)), Broken()]
    *_, columns = arena.stream(both, [QUESTIONS[0]] * 2, SHORT, threading.Event())
    assert columns[0].answer is not None
    assert columns[0].answer.finish in ("stop", "length")
    assert columns[1].answer is not None
    assert columns[1].answer.error == "It is broken. Mend it."


def test_adapter_of_another_base_is_refused_by_name(
    smollm2: Path, random_adapter: Path, pool: ModelPool, tmp_path: Path
) -> None:
    import json
    import shutil

    stranger = tmp_path / "stranger"
    shutil.copytree(random_adapter, stranger)
    (stranger / "qwenlab-adapter.json").write_text(json.dumps({"base": "another-model", "weights": "0" * 16}))
    with pytest.raises(QwenlabError, match="trained on another-model"):
        LocalContestant("x", pool.get(smollm2), stranger)


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("smollm2-135m+nope", "no adapter nope"),
        ("no-such-model", "no model no-such-model"),
        ("base=", "names no model"),
    ],
)
def test_spec_that_names_nothing_is_explained(with_model: Workspace, pool: ModelPool, spec: str, message: str) -> None:
    with pytest.raises(QwenlabError, match=message):
        contestants.make(with_model, pool, *contestants.parse(f"x={spec}" if spec != "base=" else spec))


@pytest.mark.parametrize(
    ("written", "name", "spec"),
    [
        ("base=smollm2-135m", "base", "smollm2-135m"),
        ("tuned=m+run-1", "tuned", "m+run-1"),
        ("/models/a=b", "a=b", "/models/a=b"),
        ("http://127.0.0.1:8000/v1?x=1", "v1?x=1", "http://127.0.0.1:8000/v1?x=1"),
    ],
)
def test_parse(written: str, name: str, spec: str) -> None:
    assert contestants.parse(written) == (name, spec)
