"""Files as bad as they come: a whole result or one clear sentence, never another exception, never a changed file."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from document_model import SOURCES, new_sample, open_document, start, write_answer
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from qwenlab.conversations.dataset import DataSet, sidecar
from qwenlab.conversations.document import Document
from qwenlab.conversations.journal import Change
from qwenlab.conversations.sample import DEEPEST, Turn
from qwenlab.conversations.words import DataError
from qwenlab.errors import QwenlabError

SCHEMA = {"type": "object", "properties": {"a": {"type": "integer"}}, "required": ["a"]}
SMALL = (
    '[{"id": "a", "x": [1.5e3, true, null], "conversations": [{"from": "user", "value": "\\u4f60好 \\\\"}, '
    '{"from": "assistant", "value": {"a": "é😀"}}]}, // note\n {}]\n'
)
ANYTHING = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text()
    | st.sampled_from(["user", "assistant", "conversations", "\ud800", "\0", "//", '{"a": 1}', '{"a": 1e999}']),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.sampled_from(["id", "conversations", "from", "value", "\0"]) | st.text(), inner, max_size=4
        )
    ),
    max_leaves=12,
)
TURNS = st.lists(
    st.fixed_dictionaries({"from": st.sampled_from(["user", "gpt", "x", ""]), "value": ANYTHING}) | ANYTHING, max_size=4
)
SAMPLES = st.fixed_dictionaries({"id": ANYTHING, "conversations": TURNS}) | ANYTHING


def whole_or_one_sentence(path: Path, home: Path) -> Document | None:
    """Open a file as the lab does; None when it was refused, in words."""
    before = path.read_bytes()
    try:
        document = open_document(path, home)
    except DataError as error:
        for language in ("en", "zh"):
            what, remedy = error.say(language)
            assert what.strip()
            assert remedy.strip()
            assert "\n" not in what + remedy
            assert len(what) < 400
        document = None
    assert path.read_bytes() == before
    if document is not None:
        assert len(document.facts) == len(document.samples)
        document.problems(), document.find("a 好"), document.deleted(), document.tags(), document.counts()
        assert document.dataset.to_bytes() == before
    return document


def edit_and_save(document: Document) -> None:
    """Whatever could be opened can be edited and saved, and stays what it was beside the edit."""
    before = [json.dumps(sample.raw) for sample in document.samples]
    document.change(Change(0, None, document.samples[-1] if document.samples else new_sample("n", "x")))
    for sample in document.samples[1:]:
        if not sample.broken():
            at = document.samples.index(sample)
            document.change(Change(at, sample, sample.with_turns([*sample.turns, Turn("user", "\ud800 new")])))
            document.undo()
    document.save()
    document.close()
    found = DataSet.open(document.dataset.path)
    assert [json.dumps(sample.raw) for sample in found.samples[1:]] == before


@pytest.fixture
def attempt(tmp_path: Path) -> Callable[[bytes], Document | None]:
    """Open bytes as a train.json with a schema, in a workspace of its own."""
    number = [0]

    def open_bytes(content: bytes) -> Document | None:
        number[0] += 1
        folder = tmp_path / str(number[0])
        folder.mkdir()
        path = folder / "bad.train.json"
        path.write_bytes(content)
        (folder / "schema.json").write_text(json.dumps(SCHEMA))
        sidecar(path).write_text('{"schema": "schema.json"}')
        return whole_or_one_sentence(path, folder / "home")

    return open_bytes


Attempt = Callable[[bytes], Document | None]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "gb18030", "utf-16"])
def test_file_cut_at_any_byte(attempt: Attempt, encoding: str) -> None:
    content = SMALL.encode(encoding)
    whole = attempt(content)
    assert whole is not None
    assert [turn.text for turn in whole.samples[0].turns] == ["你好 \\", '{"a": "é😀"}']
    assert whole.samples[1].broken()
    edit_and_save(whole)
    for end in range(len(content) - 2):
        assert attempt(content[:end]) is None or content[:end].decode(encoding, "replace").rstrip().endswith("]")


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(at=st.integers(0, len(SMALL.encode()) - 1), new=st.binary(max_size=4), removed=st.integers(0, 3))
def test_file_with_any_bytes_in_it(attempt: Attempt, at: int, new: bytes, removed: int) -> None:
    content = SMALL.encode()
    document = attempt(content[:at] + new + content[at + removed :])
    if document is not None:
        edit_and_save(document)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(content=st.binary(max_size=60) | st.text(max_size=60).map(lambda text: text.encode("utf-8", "replace")))
@example(b"\xfe\xff")
@example(b"\xef\xbb\xbf\xef\xbb\xbf[]")
@example(b"[]\x00")
@example(b"[1]//")
@example(b"//\n[]//\n")
@example(b"\x81")
def test_any_bytes_at_all(attempt: Attempt, content: bytes) -> None:
    document = attempt(content)
    if document is not None:
        edit_and_save(document)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(samples=st.lists(SAMPLES, max_size=4), ascii_only=st.booleans())
@example(samples=[{"id": [], "conversations": [{"from": "user", "value": float("nan")}]}], ascii_only=True)
@example(
    samples=[{"conversations": [{"from": "", "value": "\ud800"}, {"from": "gpt", "value": "\udc00"}]}], ascii_only=True
)
def test_samples_of_any_type(attempt: Attempt, samples: list[Any], ascii_only: bool) -> None:
    document = attempt(json.dumps(samples, ensure_ascii=ascii_only).encode("utf-8", "replace"))
    assert document is not None
    assert len(document.samples) == len(samples)
    edit_and_save(document)


def nested(depth: int, opening: str = "[", closing: str = "]") -> bytes:
    return b'[{"id": "deep", "x": ' + (opening * depth + "1" + closing * depth).encode() + b"}]"


@pytest.mark.parametrize("depth", [90, DEEPEST - 1, DEEPEST, 300, 900, 990, 1000, 5000, 100_000])
@pytest.mark.parametrize(("opening", "closing"), [("[", "]"), ('{"a":', "}")])
def test_deep_nesting(attempt: Attempt, depth: int, opening: str, closing: str) -> None:
    document = attempt(nested(depth, opening, closing))
    assert (document is not None) == (depth < DEEPEST)
    if document is not None:
        edit_and_save(document)


def test_brackets_in_words_are_no_nesting(attempt: Attempt) -> None:
    words = '{"conversations": [{"from": "user", "value": "%s"}, {"from": "assistant", "value": "x"}]}' % ("[{" * 5000)
    assert attempt(f"[{words}]".encode()) is not None


@pytest.mark.parametrize(
    "inside",
    [
        "\0",
        "\\u0000",
        "\x1f",
        "\\ud800",
        "\\udc00\\ud800",
        "\u2028",
        "\x85",
        "\ufeff",
        "\\",
        '"',
        "// no comment",
        "\\/",
    ],
)
def test_odd_characters_in_words(attempt: Attempt, inside: str) -> None:
    text = '[{"id": "a", "conversations": [{"from": "user", "value": "%s"}, {"from": "assistant", "value": "b"}]}]'
    document = attempt((text % inside).encode("utf-8"))
    if inside in ("\0", "\x1f", "\\", '"'):
        assert document is None
    else:
        assert document is not None
        assert document.samples[0].turns[0].text == json.loads(f'"{inside}"')
        edit_and_save(document)


@pytest.mark.parametrize(
    "number", ["1" * 4000, "1" * 5000, "1e999", "-0", "0.1" + "0" * 400, "NaN", "-Infinity", "01", "1."]
)
def test_odd_numbers(attempt: Attempt, number: str) -> None:
    document = attempt(f'[{{"n": {number}, "conversations": []}}]'.encode())
    if document is not None:
        edit_and_save(document)


def test_turn_of_ten_megabytes(attempt: Attempt) -> None:
    words = "长 words " * 1_100_000
    raw = {"id": "long", "conversations": [{"from": "user", "value": words}, {"from": "assistant", "value": "ok"}]}
    document = attempt(json.dumps([raw, raw], ensure_ascii=False).encode())
    assert document is not None
    assert len(words.encode()) > 10_000_000
    write_answer(document, 0, words + "!")
    document.undo()
    document.redo()
    document.save()
    assert DataSet.open(document.dataset.path).samples[0].turns[-1].text == words + "!"


def test_key_that_stands_twice_is_kept_while_nobody_edits_it(attempt: Attempt) -> None:
    twice = '{"id": "a", "id": "b", "conversations": [], "conversations": [{"from": "user", "value": "q"}]}'
    document = attempt(f"[{twice}, {SOURCES[1]}]".encode())
    assert document is not None
    assert document.samples[0].id == "b"
    write_answer(document, 1, "new")
    document.save()
    assert twice in document.dataset.path.read_text("utf-8")


@pytest.mark.parametrize("beside", [b"", b"{", b"\xff", b'{"schema": "none.json"}', b'{"schema": 3}'])
def test_bad_settings_beside_the_file(tmp_path: Path, beside: bytes) -> None:
    path = tmp_path / "shop.train.json"
    start(path)
    sidecar(path).write_bytes(beside)
    with pytest.raises(QwenlabError) as error:
        open_document(path, tmp_path / "home")
    assert all(error.value.say("en") + error.value.say("zh"))
    assert sidecar(path).read_bytes() == beside


@pytest.mark.skipif(os.name == "nt", reason="folders and pipes cannot be opened like files there")
def test_path_that_is_no_file(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="cannot be read"):
        open_document(tmp_path, tmp_path / "home")
    with pytest.raises(DataError, match="no file"):
        open_document(tmp_path / "none.json", tmp_path / "home")
