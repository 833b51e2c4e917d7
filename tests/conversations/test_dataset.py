"""A data set on disk: byte-faithful, never half written, never silently overwritten."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from qwenlab.conversations import attached
from qwenlab.conversations import dataset as datasets
from qwenlab.conversations.dataset import DataSet
from qwenlab.conversations.sample import Sample
from qwenlab.conversations.words import ERRORS, DataError
from qwenlab.workspace import Workspace

Opened = Callable[..., DataSet]

ONE = '{"id": "a", "conversations": [{"from": "user", "value": "x"}]}'
TWO = '{"id": "b",  "conversations": [ ], "n": 1.0}'
STYLES = [
    f"[{ONE}, {TWO}]",
    f"[\n  {ONE},\n  {TWO}\n]\n",
    f"[\r\n{ONE} ,\r\n\r\n{TWO}\r\n]",
    json.dumps([json.loads(ONE), json.loads(TWO)], indent=4),
    json.dumps([json.loads(ONE), json.loads(TWO)], indent="\t"),
    json.dumps([json.loads(ONE), json.loads(TWO)], separators=(",", ":")),
]


@pytest.mark.parametrize("text", STYLES)
def test_unedited_set_gives_the_very_bytes(opened: Opened, text: str) -> None:
    found = opened(text)
    assert not found.edited
    assert found.to_bytes() == text.encode()


@pytest.mark.parametrize("text", STYLES)
def test_editing_one_sample_leaves_the_text_of_the_other(opened: Opened, text: str) -> None:
    found = opened(text)
    other = found.samples[1].source
    found.samples[0] = found.samples[0].with_id("changed")
    written = found.to_bytes().decode()
    assert other is not None
    assert other in written
    assert json.loads(written)[0]["id"] == "changed"


def test_new_sample_is_written_in_the_style_of_the_file(opened: Opened, identity: dict[str, Any]) -> None:
    text = json.dumps([identity, identity], ensure_ascii=False, indent=4)
    found = opened(text)
    found.samples.append(Sample(identity))
    assert found.to_bytes().decode() == json.dumps([identity] * 3, ensure_ascii=False, indent=4)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    values=st.lists(json_values, max_size=5),
    indent=st.sampled_from([None, 1, 2, "\t"]),
    ascii_only=st.booleans(),
    data=st.data(),
)
def test_any_list_survives_open_edit_save_open(
    tmp_path: Path, values: list[Any], indent: Any, ascii_only: bool, data: st.DataObject
) -> None:
    path = tmp_path / "any.train.json"
    text = json.dumps(values, indent=indent, ensure_ascii=ascii_only)
    path.write_bytes(text.encode())
    found = DataSet.open(path)
    assert found.to_bytes() == text.encode()
    extra = data.draw(json_values)
    at = data.draw(st.integers(0, len(values)))
    found.samples.insert(at, Sample(extra))
    found.save()
    assert [sample.raw for sample in DataSet.open(path).samples] == [*values[:at], extra, *values[at:]]


@pytest.mark.parametrize(
    ("content", "edit"),
    [
        (b"\xef\xbb\xbf" + ONE.join("[]").encode(), "x"),
        ('[{"id": "你好", "conversations": []}]'.encode("gb18030"), "你好"),
        ('[{"id": "你好", "conversations": []}]'.encode("utf-16"), "你好"),
        (f'// mine\n[{ONE}, // "first"\n{TWO}]'.encode(), "x"),
        (b'[{"id": "http://shop", "conversations": [] // note\n}]', "http://shop"),
    ],
)
def test_what_people_paste_is_accepted(opened: Opened, content: bytes, edit: str) -> None:
    found = opened(content)
    assert edit in json.dumps([sample.raw for sample in found.samples], ensure_ascii=False)
    assert found.to_bytes() == content
    found.samples.append(Sample({"id": "new", "conversations": []}))
    assert json.loads(found.to_bytes())[-1]["id"] == "new"


@pytest.mark.parametrize(
    ("content", "code", "named"),
    [
        (b"", "file_empty", ""),
        (b"  \n", "file_empty", ""),
        (b"hello", "file_not_json", ""),
        (b'{"id": "a"}', "file_object", ""),
        (b'{"a": 1}\n{"a": 2}\n', "file_jsonl", ""),
        (f"[{ONE},\n{ONE[:30]}".encode(), "file_broken", "Sample 2 (a)"),
        (f"[{ONE}\n{TWO}]".encode(), "file_broken", "Sample 1"),
        (f"[{ONE},]".encode(), "file_broken", "Sample 2"),
        (f"[{ONE}]\n]".encode(), "file_rest", "line 2"),
        (b"[" * 100_000, "file_broken", "nested"),
        (b'["a\x00b"]', "file_broken", "control character"),
        (b"\xff\xff\x80", "file_encoding", ""),
        (b"[" + b"9" * 5000 + b"]", "file_broken", "number"),
    ],
)
def test_unreadable_file_names_the_place_in_both_languages(
    opened: Opened, content: bytes, code: str, named: str
) -> None:
    with pytest.raises(DataError) as error:
        opened(content)
    assert error.value.code == code
    assert named in error.value.what
    assert all("{" not in part and part for part in error.value.say("zh"))


def test_missing_file_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"There is no file .*\. Check the path\."):
        DataSet.open(tmp_path / "none.json")


def test_every_error_has_both_languages() -> None:
    assert all(len(entry) == 4 and all(entry) for entry in ERRORS.values())


def test_lone_surrogate_can_be_saved(opened: Opened) -> None:
    found = opened(r'[{"id": "\ud800", "conversations": []}]')
    found.samples[0] = found.samples[0].with_turns([])
    found.save()
    assert json.loads(found.path.read_text())[0]["id"] == "\ud800"


def test_save_refuses_when_another_program_changed_the_file(opened: Opened) -> None:
    found = opened(STYLES[0])
    found.samples.pop()
    theirs = b"[]"
    found.path.write_bytes(theirs)
    with pytest.raises(DataError, match="changed by another program"):
        found.save()
    assert found.path.read_bytes() == theirs
    found.save(overwrite=True)
    assert len(DataSet.open(found.path).samples) == 1
    kept = list((found.path.parent / ".versions" / "shop.train").glob("*.json"))
    assert theirs in [path.read_bytes() for path in kept]


def test_second_window_on_the_same_file_does_not_overwrite_the_first(opened: Opened) -> None:
    first = opened(STYLES[0])
    second = DataSet.open(first.path)
    first.samples.pop()
    second.samples.reverse()
    first.save()
    with pytest.raises(DataError):
        second.save()


def test_file_removed_by_someone_is_written_again(opened: Opened) -> None:
    found = opened(STYLES[0])
    found.samples.pop()
    found.path.unlink()
    found.save()
    assert len(DataSet.open(found.path).samples) == 1


def test_new_set_refuses_to_replace_a_file(opened: Opened) -> None:
    existing = opened(STYLES[0])
    with pytest.raises(DataError, match="already exists"):
        DataSet.new(existing.path).save()
    with pytest.raises(DataError, match="already exists"):
        existing.save_as(existing.path)


def test_save_without_an_edit_touches_nothing(opened: Opened) -> None:
    found = opened(STYLES[0])
    before = found.path.stat().st_mtime_ns
    found.save()
    assert found.path.stat().st_mtime_ns == before
    assert not (found.path.parent / ".versions").exists()


def test_only_the_last_versions_are_kept(opened: Opened, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(datasets, "KEPT_VERSIONS", 3)
    found = opened(STYLES[0])
    for number in range(6):
        found.samples[0] = found.samples[0].with_id(str(number))
        found.save()
    kept = sorted((found.path.parent / ".versions" / "shop.train").glob("*.json"))
    assert [json.loads(path.read_text())[0]["id"] for path in kept] == ["2", "3", "4"]


@pytest.mark.skipif(os.name == "nt" or os.geteuid() == 0, reason="root may write anywhere")
def test_read_only_folder_is_one_clear_error(opened: Opened) -> None:
    found = opened(STYLES[0])
    found.samples.pop()
    found.path.parent.chmod(0o500)
    with pytest.raises(Exception, match="Cannot write"):
        found.save()
    found.path.parent.chmod(0o700)


def attach(path: Path, schema: Any, name: str = "ticket.schema.json") -> None:
    (path.parent / name).write_text(json.dumps(schema))
    datasets.sidecar(path).write_text(json.dumps({"schema": name}))


def test_schema_is_found_through_the_sidecar(opened: Opened) -> None:
    found = opened(STYLES[0])
    assert attached.schema_of(found.path) is None
    attach(found.path, {"type": "object"})
    assert attached.schema_of(found.path) == {"type": "object"}


@pytest.mark.parametrize("content", ["{", "[]"])
def test_unusable_schema_names_its_file(opened: Opened, content: str) -> None:
    found = opened(STYLES[0])
    attach(found.path, {})
    (found.path.parent / "ticket.schema.json").write_text(content)
    with pytest.raises(DataError, match="ticket.schema.json cannot be used"):
        attached.schema_of(found.path)


def test_shipped_set_is_copied_before_it_changes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shipped = tmp_path / "program"
    (shipped / "data").mkdir(parents=True)
    original = shipped / "data" / "shop.train.json"
    original.write_text(STYLES[0])
    (shipped / "ticket.schema.json").write_text('{"type": "object"}')
    datasets.sidecar(original).write_text('{"schema": "../ticket.schema.json", "plain_text": ["identity_*"]}')
    monkeypatch.setattr(datasets, "SHIPPED", shipped)
    workspace = Workspace(tmp_path / "home")
    assert datasets.data_sets(workspace) == [original]

    copy = datasets.editable(workspace, original)
    found = DataSet.open(copy)
    assert attached.schema_of(found.path) == {"type": "object"}
    assert found.settings()["plain_text"] == ["identity_*"]
    found.samples.pop()
    found.save()
    assert original.read_text() == STYLES[0]
    assert datasets.data_sets(workspace) == [copy]
    assert datasets.editable(workspace, original) == copy
    assert datasets.editable(workspace, copy) == copy
    assert len(DataSet.open(copy).samples) == 1
