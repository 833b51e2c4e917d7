"""The Data tab's actions as the page sends them, and its HTML: nothing of a file is ever run."""

from __future__ import annotations

import json
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from qwenlab.conversations.dataset import new_data_set
from qwenlab.conversations.sample import Sample
from qwenlab.ui import data_tab, data_view
from qwenlab.ui.editor import EditorState
from qwenlab.ui.lab import Lab
from qwenlab.ui.texts import Translator
from qwenlab.workspace import Workspace

EVIL = "\"'><script>alert(1)</script><img src=x onerror=alert(1)></textarea>\ud800${1+1}{{x}}"
EN = Translator("en")


@pytest.fixture
def lab(tmp_path: Path) -> Lab:
    lab = Lab(Workspace(tmp_path))
    pairs = [Sample.make(f"s{at}", [("user", f"q{at}"), ("assistant", f"a{at}")]) for at in range(3)]
    lab.choose(dataset=str(new_data_set(lab.workspace, "mine", pairs)))
    return lab


@pytest.fixture
def view(lab: Lab) -> EditorState:
    document = lab.document()
    assert document is not None
    view = EditorState(document)
    data_view.conversation(view, EN)
    return view


def do(lab: Lab, view: EditorState, action: str, **data: Any) -> tuple[EditorState, str]:
    view, message = data_tab.perform(lab, view, {"do": action, "at": view.at, "texts": [], **data}, EN)
    data_view.sample_list(view, EN)
    data_view.conversation(view, EN, message)
    return view, message


class Tags(HTMLParser):
    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.attributes: set[str] = set()
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.attributes |= {name for name, _ in attrs}


@pytest.mark.parametrize(
    "raw",
    [
        {"id": EVIL, "conversations": [{"from": "user", "value": EVIL}, {"from": "assistant", "value": EVIL}]},
        {"id": EVIL, "conversations": [{"from": EVIL, "value": {EVIL: EVIL}}]},
        {"id": EVIL, "conversations": EVIL},
        EVIL,
    ],
)
@pytest.mark.parametrize("language", ["en", "zh"])
def test_text_of_a_file_never_becomes_html(lab: Lab, raw: Any, language: Any) -> None:
    path = lab.workspace.data / "evil.train.json"
    path.write_text(json.dumps([raw, raw]))
    document = lab.document(path)
    assert document is not None
    view, t = EditorState(document), Translator(language)
    view.look_for("", "any")
    found = data_view.sample_list(view, t) + data_view.conversation(view, t)
    found.encode("utf-8")
    seen = Tags(found)
    assert not seen.tags & {"script", "img"}
    assert not any(name.startswith("on") for name in seen.attributes)


def test_words_typed_go_along_with_the_next_action(lab: Lab, view: EditorState) -> None:
    view, _ = do(lab, view, "next", texts=[{"turn": 1, "text": "typed"}])
    assert view.at == 1
    assert view.document.samples[0].turns[1].text == "typed"


def test_words_for_another_sample_are_refused(lab: Lab, view: EditorState) -> None:
    view, message = do(lab, view, "text", at=2, texts=[{"turn": 1, "text": "typed"}])
    assert "Another window" in message
    assert not view.document.edited


def test_edit_in_another_window_is_shown_and_not_overwritten(lab: Lab, view: EditorState) -> None:
    other = EditorState(view.document)
    data_view.conversation(other, EN)
    do(lab, view, "text", texts=[{"turn": 0, "text": "first"}])
    other, message = do(lab, other, "text", texts=[{"turn": 0, "text": "second"}])
    assert "Another window" in message
    assert view.document.samples[0].turns[0].text == "first"
    do(lab, other, "text", texts=[{"turn": 0, "text": "third"}])
    assert view.document.samples[0].turns[0].text == "third"


def test_edit_in_another_window_holds_up_nobody_who_only_goes_on(lab: Lab, view: EditorState) -> None:
    EditorState(view.document).set_text(0, "by the other")
    assert view.stale()
    _, message = do(lab, view, "open", index=2)
    assert message == ""
    do(lab, view, "text", texts=[{"turn": 0, "text": "mine"}])
    assert [sample.turns[0].text for sample in view.document.samples] == ["by the other", "q1", "mine"]


def test_words_typed_into_what_another_window_changed_are_shown_and_not_kept(lab: Lab, view: EditorState) -> None:
    EditorState(view.document).set_text(0, "by the other")
    _, message = do(lab, view, "open", index=2, texts=[{"turn": 0, "text": "mine"}])
    assert "mine" in message
    assert view.at == 0


@pytest.mark.parametrize(
    ("action", "data"),
    [("drop", {"turn": 9}), ("role", {"turn": 9, "role": "user"}), ("pretty", {"turn": 0}), ("unknown", {})]
    + [("open", {"index": 99}), ("page_on", {}), ("page_back", {}), ("check", {}), ("redo", {}), ("undo", {})]
    + [("text", {"texts": [{"turn": 9, "text": "x"}]}), ("find", {"search": "x", "wanted": "schema"})],
)
def test_action_that_does_not_fit_changes_nothing(
    lab: Lab, view: EditorState, action: str, data: dict[str, Any]
) -> None:
    do(lab, view, action, **data)
    assert not view.document.edited


def test_save_refused_by_a_change_on_disk_offers_three_ways(lab: Lab, view: EditorState) -> None:
    do(lab, view, "text", texts=[{"turn": 0, "text": "mine"}])
    path = view.document.dataset.path
    path.write_text("[]")
    view, message = do(lab, view, "save")
    assert all(f'data-do="{way}"' in message for way in ("save_copy", "overwrite", "reload"))
    kept, _ = do(lab, view, "save_copy")
    assert kept.document.dataset.path != path
    assert lab.dataset_path() == kept.document.dataset.path
    assert path.read_text() == "[]"


def test_reload_takes_what_stands_on_disk(lab: Lab, view: EditorState) -> None:
    do(lab, view, "delete")
    view, _ = do(lab, view, "reload")
    assert len(view.document.samples) == 3
    assert not view.document.edited


def test_first_save_of_a_shipped_set_goes_on_with_the_copy(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    from qwenlab.conversations import dataset

    shipped = lab.workspace.root / "program"
    (shipped / "data").mkdir(parents=True)
    original = shipped / "data" / "shipped.train.json"
    original.write_text(json.dumps([Sample.make("a", [("user", "q"), ("assistant", "a")]).raw]))
    monkeypatch.setattr(dataset, "SHIPPED", shipped)
    lab.choose(dataset=str(original))
    document = lab.document()
    assert document is not None
    view = EditorState(document)
    data_view.conversation(view, EN)
    before = original.read_bytes()
    do(lab, view, "text", texts=[{"turn": 0, "text": "new"}])
    do(lab, view, "save")
    assert original.read_bytes() == before
    assert lab.dataset_path() == lab.workspace.data / "shipped.train.json"
    assert lab.document() is view.document
    assert original not in lab.data_sets()
