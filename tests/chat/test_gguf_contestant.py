"""The GGUF contestant: same prompt as transformers, same answer twice, counted, stoppable."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from qwenlab.chat.gguf_contestant import GgufContestant
from qwenlab.errors import QwenlabError
from qwenlab.models.contestant import Answer, Generation, Message

ALICE: list[Message] = [{"role": "user", "content": "Extract JSON with keys name, age from: Alice is 30 years old."}]
CHATS: dict[str, list[Message]] = {
    "user": ALICE,
    "system, user": [{"role": "system", "content": "Answer in JSON. 只用JSON。"}, *ALICE],
    "four turns": [
        {"role": "system", "content": "Be brief."},
        *ALICE,
        {"role": "assistant", "content": '{"name": "Alice", "age": 30}'},
        {"role": "user", "content": "Now: 张三 42 岁 😀  \n"},
    ],
}


def test_a_missing_file_is_an_error_at_once(tmp_path: Path) -> None:
    with pytest.raises(QwenlabError, match="no GGUF file"):
        GgufContestant("small", tmp_path / "m.gguf")


def test_a_file_that_is_no_gguf_is_an_error_at_the_first_answer(tmp_path: Path) -> None:
    (tmp_path / "m.gguf").write_bytes(b"not a model")
    contestant = GgufContestant("small", tmp_path / "m.gguf")
    with pytest.raises(QwenlabError, match="no GGUF file"):
        next(contestant.answer([ALICE], Generation(max_new_tokens=4)))


@pytest.fixture(scope="module")
def small(smollm2: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[GgufContestant]:
    from qwenlab.export.gguf_file import write_gguf

    path = tmp_path_factory.mktemp("gguf") / "m.gguf"
    write_gguf(smollm2, path, "Q8_0")
    contestant = GgufContestant("small", path, slots=4)
    yield contestant
    contestant.close()
    path.unlink()


@pytest.mark.model
@pytest.mark.parametrize("chat", CHATS.values(), ids=CHATS.keys())
def test_prompt_equals_that_of_transformers(smollm2: Path, small: GgufContestant, chat: list[Message]) -> None:
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(smollm2)
    text = tokenizer.apply_chat_template(chat, add_generation_prompt=True, tokenize=False)
    assert small.prompt_tokens(chat) == tokenizer(text, add_special_tokens=False)["input_ids"]


@pytest.mark.model
def test_greedy_answers_are_the_same_twice(small: GgufContestant) -> None:
    prompts: list[list[Message]] = [[{"role": "user", "content": f"Say a word with {n} letters."}] for n in range(6)]
    settings = Generation(max_new_tokens=12)
    first, second = dict(small.answer(prompts, settings)), dict(small.answer(prompts, settings))
    assert sorted(first) == list(range(6))
    assert [first[i].text for i in range(6)] == [second[i].text for i in range(6)]


@pytest.mark.model
def test_a_finished_answer_counts_its_tokens_without_the_end(smollm2: Path, small: GgufContestant) -> None:
    from transformers import AutoTokenizer

    ((index, answer),) = small.answer([ALICE], Generation(max_new_tokens=64))
    assert index == 0
    assert "Alice" in answer.text
    assert answer.finish == "stop"
    assert answer.tokens == len(AutoTokenizer.from_pretrained(smollm2)(answer.text)["input_ids"])
    assert answer.prompt_tokens == len(small.prompt_tokens(ALICE))
    assert answer.seconds > 0


@pytest.mark.model
def test_a_cut_answer_says_so(small: GgufContestant) -> None:
    ((_, answer),) = small.answer([ALICE], Generation(max_new_tokens=3))
    assert (answer.finish, answer.tokens) == ("length", 3)


@pytest.mark.model
def test_a_prompt_beyond_the_model_is_an_error_beside_good_answers(small: GgufContestant) -> None:
    endless: list[Message] = [{"role": "user", "content": "word " * 9000}]
    answers = dict(small.answer([endless, ALICE], Generation(max_new_tokens=4)))
    assert answers[0].finish == "context"
    assert "more than the 8192 this model can hold" in answers[0].error
    assert "8192" in answers[0].error_in("zh")
    assert answers[1].finish == "length"


@pytest.mark.model
def test_a_stream_adds_up_to_its_answer(small: GgufContestant) -> None:
    stream = small.stream(ALICE, Generation(max_new_tokens=16))
    pieces: list[str] = []
    while True:
        try:
            pieces.append(next(stream))
        except StopIteration as end:
            answer: Answer = end.value
            break
    assert len(pieces) > 3
    assert "".join(pieces) == answer.text


@pytest.mark.model
def test_a_stream_stops_when_asked(small: GgufContestant) -> None:
    pieces: list[str] = []
    for piece in small.stream(ALICE, Generation(max_new_tokens=400), lambda: len(pieces) >= 2):
        pieces.append(piece)
    assert 2 <= len(pieces) <= 4


@pytest.mark.model
def test_an_abandoned_stream_frees_the_model(small: GgufContestant) -> None:
    stream = small.stream(ALICE, Generation(max_new_tokens=400))
    next(stream)
    stream.close()
    ((_, answer),) = small.answer([ALICE], Generation(max_new_tokens=2))
    assert answer.finish == "length"


@pytest.mark.model
def test_description_carries_fingerprints(small: GgufContestant) -> None:
    about = small.describe()
    assert about["kind"] == "gguf"
    assert len(about["weights"]) == len(about["template"]) == 64


@pytest.mark.model
def test_a_closed_contestant_starts_again(small: GgufContestant) -> None:
    small.close()
    ((_, answer),) = small.answer([ALICE], Generation(max_new_tokens=2))
    assert answer.tokens == 2


SCHEMA = {
    "type": "object",
    "properties": {"name": {"type": "string", "maxLength": 12}, "age": {"type": "integer"}},
    "required": ["name", "age"],
    "additionalProperties": False,
}


@pytest.mark.model
def test_answer_is_forced_into_a_schema(small: GgufContestant) -> None:
    import jsonschema

    story: list[Message] = [{"role": "user", "content": "Tell me a story about Alice, who is 30."}]
    stream = small.stream(story, Generation(max_new_tokens=200), schema=SCHEMA)
    while True:
        try:
            next(stream)
        except StopIteration as end:
            answer: Answer = end.value
            break
    assert answer.finish == "stop"
    jsonschema.validate(json.loads(answer.text), SCHEMA)


@pytest.mark.model
def test_enforced_answers_fit_the_schema_and_what_cannot_be_enforced_is_left_out(small: GgufContestant) -> None:
    import jsonschema

    contestant = small.enforced(SCHEMA | {"not": {"required": ["other"]}})
    assert contestant.name == f"{small.name} (enforced)"
    assert contestant.describe()["enforced_for"] == small.name
    story: list[Message] = [{"role": "user", "content": "Tell me a story about Alice, who is 30."}]
    found = dict(contestant.answer([ALICE, story, story], Generation(max_new_tokens=120)))
    assert [answer.error for answer in found.values()] == [""] * 3
    for answer in found.values():
        jsonschema.validate(json.loads(answer.text), SCHEMA)


@pytest.mark.model
def test_same_seed_same_answer_and_settings_reach_llama_cpp(small: GgufContestant) -> None:
    def said(**settings: Any) -> str:
        ((_, answer),) = small.answer([ALICE], Generation(max_new_tokens=24, **settings))
        return answer.text

    assert said(temperature=1.5, seed=3) == said(temperature=1.5, seed=3)
    assert said(temperature=1.5, seed=3) != said(temperature=1.5, seed=4)
    assert said(temperature=1.5, seed=3, top_k=1) == said()
    assert said(repetition_penalty=2.0) != said()


@pytest.mark.model
def test_stop_does_not_wait_for_a_long_prompt(small: GgufContestant) -> None:
    long: list[Message] = [{"role": "user", "content": "word " * 3000}]
    stream = small.stream(long, Generation(max_new_tokens=8), lambda: True)
    with pytest.raises(StopIteration) as end:
        next(stream)
    assert end.value.value.finish == "stopped"


@pytest.mark.model
def test_memory_is_known_once_it_is_loaded(small: GgufContestant) -> None:
    list(small.answer([ALICE], Generation(max_new_tokens=1)))
    assert small.model.bytes > small.model.path.stat().st_size
    small.close()
    assert small.model.bytes == 0


@pytest.mark.model
def test_model_that_can_think_is_told_not_to_unless_asked(tmp_path: Path) -> None:
    import chat_templates
    import qwen1_original as original

    from qwenlab.export.gguf_file import write_gguf
    from qwenlab.models import qwen1
    from qwenlab.models.loading import load_tokenizer
    from qwenlab.models.rendering import prompt_ids

    original.write_checkpoint(tmp_path / "old", hidden_size=256, intermediate_size=512, kv_channels=64)
    qwen1.convert(tmp_path / "old", tmp_path / "new", lambda *_: None)
    (tmp_path / "new" / "chat_template.jinja").write_text(chat_templates.QWEN3)
    write_gguf(tmp_path / "new", tmp_path / "m.gguf", "Q8_0")
    contestant, tokenizer = GgufContestant("small", tmp_path / "m.gguf", slots=1), load_tokenizer(tmp_path / "new")
    for thinking in (False, True):
        found = contestant.prompt_tokens(ALICE, thinking)
        assert found == prompt_ids(tokenizer, ALICE, thinking)
        assert ("</think>" in tokenizer.decode(found)) is not thinking
    contestant.close()
