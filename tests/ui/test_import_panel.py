"""Import with a report first, adding, splitting and versions, as the page's events call them; no file is ever run."""

from __future__ import annotations

import asyncio
import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import gradio as gr
import pytest
from gradio.context import LocalContext
from gradio.state_holder import SessionState
from gradio.utils import get_upload_folder

from qwenlab.conversations import attached, formats
from qwenlab.conversations.dataset import DataSet, keep_version, new_data_set, sidecar
from qwenlab.conversations.document import Document
from qwenlab.conversations.journal import Change
from qwenlab.conversations.sample import Labels, Sample
from qwenlab.errors import QwenlabError
from qwenlab.ui import import_panel, import_view
from qwenlab.ui.components import escape
from qwenlab.ui.import_panel import Pending
from qwenlab.ui.lab import Lab
from qwenlab.ui.texts import Translator
from qwenlab.workspace import Workspace

EN, ZH = Translator("en"), Translator("zh")
EVIL = "\"'><script>alert(1)</script><img src=x onerror=alert(1)>\ud800"


@pytest.fixture
def lab(tmp_path: Path) -> Lab:
    lab = Lab(Workspace(tmp_path / "home"))
    pairs = [Sample.make(f"s{at}", [("user", f"question {at}"), ("assistant", f"answer {at}")]) for at in range(3)]
    lab.choose(dataset=str(new_data_set(lab.workspace, "mine", pairs)))
    return lab


@pytest.fixture
def upload(tmp_path: Path) -> Callable[..., Pending]:
    def write(content: Any, name: str = "in.json") -> Pending:
        path = tmp_path / name
        text = content if isinstance(content, str) else json.dumps(content)
        path.write_text(text, encoding="utf-8", newline="")
        return Pending(path)

    return write


def opened(lab: Lab) -> Document:
    document = lab.document()
    assert document is not None
    return document


def row(question: str, answer: str = "a", **more: Any) -> dict[str, Any]:
    return {"instruction": question, "output": answer, **more}


# --- the report ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("t", [EN, ZH], ids=["en", "zh"])
def test_report_says_what_will_happen_before_anything_is_taken_in(
    lab: Lab, upload: Callable[..., Pending], t: Translator
) -> None:
    found = upload([row("q", {"a": 1}), row("question 0", "answer 0"), {"bad": 1}]).preview()
    said = import_view.preview_html(found, t, 1, "mine")
    for words in (*found.changed(t.language), t("import_repeated", name="mine", number=1), "{&quot;a&quot;: 1}"):
        assert escape(words) in said or words in said
    assert t("import_refused", number=1) in said
    assert found.refused[0].where(t.language) in said
    assert len(opened(lab).samples) == 3
    assert len(lab.data_sets()) == len(Lab(lab.workspace).data_sets())


@pytest.mark.parametrize("t", [EN, ZH], ids=["en", "zh"])
@pytest.mark.parametrize("suffix", [".json", ".csv"])
def test_text_of_a_file_never_becomes_html(
    upload: Callable[..., Pending], tmp_path: Path, suffix: str, t: Translator
) -> None:
    if suffix == ".json":
        waiting = upload([row(EVIL, EVIL, id=EVIL), {EVIL: EVIL}, {"messages": [{"role": EVIL, "content": ""}]}])
    else:
        cell = EVIL.replace('"', '""').replace("\ud800", "")
        waiting = upload(f'prompt,answer,"{cell}"\n"{cell}","{cell}","{cell}"\n', "in.csv")
    found = waiting.preview()
    found.name = EVIL
    said = import_view.preview_html(found, t, 1, EVIL)
    said.encode("utf-8")
    assert "<script" not in said
    assert "<img" not in said


def test_table_of_unknown_columns_asks_for_them(upload: Callable[..., Pending]) -> None:
    found = upload("Kunde,Wir\nq,a\n", "in.csv").preview()
    said = import_view.preview_html(found, EN)
    assert EN("import_pick") in said
    assert "Kunde" in said


def test_long_cells_and_many_refusals_are_cut(upload: Callable[..., Pending]) -> None:
    found = upload([row("q" * 5000), *[3] * 80]).preview()
    said = import_view.preview_html(found, EN)
    assert "q" * 200 not in said
    assert EN("import_more", number=30) in said


# --- taking in -------------------------------------------------------------------------------------------


def test_new_data_set_holds_what_was_shown_and_is_open(lab: Lab, upload: Callable[..., Pending]) -> None:
    said = import_panel.take_in(lab, EN, upload([row("q"), {"bad": 1}], "客服 2024.v2.json"))
    document = opened(lab)
    assert document.dataset.path.name == "客服-2024.train.json"
    assert document.dataset.path.name in said
    assert [turn.text for turn in document.samples[0].turns] == ["q", "a"]
    assert DataSet.open(document.dataset.path).samples[0].id == document.samples[0].id


def test_file_with_nothing_in_it_makes_no_data_set(lab: Lab, upload: Callable[..., Pending]) -> None:
    before = lab.data_sets()
    assert EN("nothing_imported") in import_panel.take_in(lab, EN, upload([{"bad": 1}]))
    assert lab.data_sets() == before


def test_adding_is_one_step_that_one_undo_takes_back(lab: Lab, upload: Callable[..., Pending]) -> None:
    document = opened(lab)
    rows = [row("new", id="s1"), row("question 0", "answer 0"), row("other", id="s1")]
    said = import_panel.add_in(lab, EN, upload(rows), leave_out=True)
    assert "mine: 2." in said
    assert EN("import_skipped", number=1) in said
    assert [sample.id for sample in document.samples] == ["s0", "s1", "s2", "s1-3", "s1-2"]
    document.undo()
    assert [sample.id for sample in document.samples] == ["s0", "s1", "s2"]
    assert not document.can_undo
    document.redo()
    assert len(document.samples) == 5


def test_adding_is_kept_after_a_crash(lab: Lab, upload: Callable[..., Pending]) -> None:
    import_panel.add_in(lab, EN, upload([row("new")]), leave_out=False)
    document = opened(lab)
    document.close()
    again = Document.open(document.dataset.path, lab.workspace)
    assert again.samples[-1].turns[0].text == "new"
    assert again.edited


def test_adding_what_stands_there_already_can_be_wanted(lab: Lab, upload: Callable[..., Pending]) -> None:
    waiting = upload([row("question 0", "answer 0")])
    assert EN("import_all_there", name="mine") in import_panel.add_in(lab, EN, waiting, leave_out=True)
    assert not opened(lab).can_undo
    import_panel.add_in(lab, EN, waiting, leave_out=False)
    assert len(opened(lab).samples) == 4


def test_adding_to_a_shipped_set_goes_on_with_its_copy(
    lab: Lab, upload: Callable[..., Pending], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from qwenlab.conversations import dataset

    (tmp_path / "program" / "data").mkdir(parents=True)
    shipped = tmp_path / "program" / "data" / "shop.train.json"
    shipped.write_text("[]")
    monkeypatch.setattr(dataset, "SHIPPED", tmp_path / "program")
    lab.choose(dataset=str(shipped))
    import_panel.add_in(lab, EN, upload([row("new")]), leave_out=True)
    assert shipped.read_text() == "[]"
    assert lab.dataset_path() == lab.workspace.data / "shop.train.json"
    assert len(opened(lab).samples) == 1


def test_upload_that_is_gone_is_one_sentence(lab: Lab, tmp_path: Path) -> None:
    for waiting in (None, Pending(tmp_path / "gone.json")):
        with pytest.raises(QwenlabError, match="Choose it again"):
            import_panel.take_in(lab, EN, waiting)
        with pytest.raises(QwenlabError, match="Choose it again"):
            import_panel.add_in(lab, EN, waiting, leave_out=True)


@pytest.mark.parametrize(
    ("file", "name"),
    [
        ("客服.json", "客服"),
        ("my data (1).tar.json", "my-data-1"),
        ("../../etc/passwd", "fallback"),
        ("..\\..\\x.json", "fallback"),
        (".hidden.json", "fallback"),
        ("CON.json", "CON-data"),
        ("a\x00b\nc.json", "a-b-c"),
        ("\ud800.json", "fallback"),
        ("x" * 300 + ".json", "x" * 60),
        ("<script>.json", "script"),
    ],
)
def test_name_of_an_uploaded_file_is_made_harmless(file: str, name: str) -> None:
    assert import_panel.safe_name(file, "fallback") == name


def test_row_can_be_read_as_a_turn_or_as_a_pair(upload: Callable[..., Pending]) -> None:
    waiting = upload("prompt,answer,who\nq,a,user\n", "in.csv")
    as_turns = import_panel.shaped(waiting, "turns")
    assert as_turns is not None
    assert as_turns.preview().needs_columns
    again = import_panel.shaped(as_turns, "rows")
    assert again is not None
    assert len(again.preview().samples) == 1
    assert import_panel.shaped(None, "rows") is None


# --- split, versions, files ------------------------------------------------------------------------------


def test_split_makes_two_data_sets_with_their_labels_and_schema(lab: Lab) -> None:
    texts = [
        f"{word} {other} arrived with a {word} scratch" for word in ("red", "teal", "pink") for other in "abcdefgh"
    ]
    samples = [
        Sample.make(f"s{at}", [("user", text * at), ("assistant", "ok")]).with_labels(Labels(tags=(f"t{at}",)))
        for at, text in enumerate(texts, 1)
    ]
    path = new_data_set(lab.workspace, "shop", [])
    schema = lab.workspace.data / "schema.txt"
    schema.write_text("{}")
    sidecar(path).write_text(json.dumps({"schema": "schema.txt", "plain_text": ["*"]}))
    lab.choose(dataset=str(path))
    document = opened(lab)
    document.change([Change(at, None, sample) for at, sample in enumerate(samples)])
    import_panel.split_in_two(lab, EN, 25)
    train, validation = (
        Document.open(lab.workspace.data / f"shop-{part}.train.json", lab.workspace) for part in ("train", "validation")
    )
    assert lab.dataset_path() == train.dataset.path
    assert sorted(sample.id for one in (train, validation) for sample in one.samples) == sorted(s.id for s in samples)
    assert validation.facts[0].labels.tags == (f"t{validation.samples[0].id[1:]}",)
    assert attached.schema_of(validation.dataset.path) == {}
    import_panel.split_in_two(lab, EN, 25)
    assert (lab.workspace.data / "shop-train-train.train.json").exists()


@pytest.mark.parametrize("percent", [None, 0, 100, -1])
def test_share_that_is_none_is_refused(lab: Lab, percent: float | None) -> None:
    before = lab.data_sets()
    with pytest.raises(QwenlabError, match="above 0"):
        import_panel.split_in_two(lab, EN, percent)
    assert lab.data_sets() == before


def test_kept_version_opens_as_a_new_data_set_byte_for_byte(lab: Lab) -> None:
    document = opened(lab)
    path = document.dataset.path
    content = path.read_bytes()
    version = keep_version(path)
    assert version is not None
    path.write_text("[]")
    assert [name for _, name in import_panel._versions(lab, EN)["choices"]] == [version.name]
    import_panel.open_version(lab, EN, version.name)
    made = lab.dataset_path()
    assert made is not None
    assert made != path
    assert made.read_bytes() == content
    assert path.read_text() == "[]"


@pytest.mark.parametrize("name", [None, "", "../../mine.train.json", "/etc/passwd", "none.json"])
def test_only_a_version_of_this_data_set_can_be_opened(lab: Lab, name: str | None) -> None:
    keep_version(opened(lab).dataset.path)
    with pytest.raises(QwenlabError, match="not kept"):
        import_panel.open_version(lab, EN, name)


def test_file_of_this_computer_is_opened_where_it_stands(lab: Lab, tmp_path: Path) -> None:
    path = tmp_path / "elsewhere.json"
    path.write_text("[]")
    import_panel.open_file(lab, EN, f' "{path}" ')
    assert lab.dataset_path() == path
    with pytest.raises(QwenlabError, match="no file"):
        import_panel.open_file(lab, EN, str(tmp_path / "none.json"))
    assert lab.dataset_path() == path


# --- the events, as the page sends them ------------------------------------------------------------------


class Page:
    """The panel on a page of its own, with one visitor."""

    def __init__(self, lab: Lab, language: Literal["en", "zh"] = "en") -> None:
        self.loads = 0
        with gr.Blocks() as self.blocks:
            panel = import_panel.build(lab, Translator(language))
            count = gr.Number()
            panel.on_change(self.load, count)
            panel.follow(count.change)
        self.session = SessionState(self.blocks)
        self.blocks.allowed_paths, self.blocks.blocked_paths = [], []

    def load(self) -> int:
        self.loads += 1
        return self.loads

    def find(self, elem_id: str = "", kind: type = object) -> Any:
        return next(
            one
            for one in self.blocks.blocks.values()
            if isinstance(one, kind) and (not elem_id or getattr(one, "elem_id", None) == elem_id)
        )

    def send(self, component: Any, event: str, *inputs: Any) -> dict[str, Any]:
        """What the browser gets, by elem_id or class name, when `event` happens on `component`."""
        found = next(fn for fn in self.blocks.fns.values() if (component._id, event) in fn.targets)
        LocalContext.blocks.set(self.blocks)
        answer = asyncio.run(self.blocks.process_api(found, list(inputs), state=self.session))
        named = [getattr(one, "elem_id", None) or type(one).__name__ for one in found.outputs]
        return dict(zip(named, answer["data"], strict=True))

    def upload(self, path: Path) -> dict[str, Any]:
        folder = Path(get_upload_folder()) / "test"
        folder.mkdir(parents=True, exist_ok=True)
        path = Path(shutil.copy(path, folder / path.name))
        payload = {"path": str(path), "orig_name": path.name, "meta": {"_type": "gradio.FileData"}}
        return self.send(self.find(kind=gr.UploadButton), "upload", payload)


def test_visitor_imports_a_table_step_by_step(lab: Lab, upload: Callable[..., Pending]) -> None:
    page = Page(lab)
    path = upload("Kunde,Wir,Datum\nq,a,2024\nr,,2024\n", "in.csv").path
    got = page.upload(path)
    assert EN("import_pick") in got["import-report"]
    assert got["import-new"]["interactive"] is False
    assert [value for _, value in got["column-prompt"]["choices"]] == ["", "Kunde", "Wir", "Datum"]
    names = dict.fromkeys(("prompt", "answer", "system", "id", "history", "conversation", "role", "text"), "")
    column = page.find("column-answer")
    got = page.send(column, "input", None, *(names | {"prompt": "Kunde", "answer": "Wir"}).values())
    assert got["import-new"]["interactive"] is True
    assert got["import-add"]["value"] == "Add to mine"
    page.send(page.find("import-new"), "click", None)
    assert [sample.turns[0].text for sample in opened(lab).samples] == ["q"]


def test_visitor_adds_to_the_open_set_and_not_to_another_opened_meanwhile(
    lab: Lab, upload: Callable[..., Pending]
) -> None:
    page = Page(lab)
    first = lab.dataset_path()
    page.upload(upload([row("new")]).path)
    other = new_data_set(lab.workspace, "other", [])
    lab.choose(dataset=str(other))
    got = page.send(page.find("import-add"), "click", None, True)
    assert got["import-add"]["value"] == "Add to other"
    assert opened(lab).samples == []
    page.send(page.find("import-add"), "click", None, True)
    assert len(opened(lab).samples) == 1
    assert first is not None
    assert len(DataSet.open(first).samples) == 3


@pytest.mark.parametrize("language", ["en", "zh"])
def test_cancel_and_unreadable_files_leave_no_trace(
    lab: Lab, upload: Callable[..., Pending], language: Literal["en", "zh"]
) -> None:
    page = Page(lab, language)
    before = lab.data_sets()
    page.upload(upload("no JSON at all").path)
    page.upload(upload([row("q")]).path)
    page.send(page.find("import-cancel"), "click")
    assert lab.data_sets() == before
    with pytest.raises(gr.Error):
        page.send(page.find("import-new"), "click", None)


def test_every_change_lets_the_tab_look_again(lab: Lab) -> None:
    page = Page(lab)
    after = [fn for fn in page.blocks.fns.values() if fn.name == "load"]
    assert len(after) == 7, "new set, added, empty set, split, version, and two ways to open a path"
    lab.listen = True
    assert len([fn for fn in Page(lab).blocks.fns.values() if fn.name == "load"]) == 5


def test_no_path_can_be_typed_where_others_reach_the_page(lab: Lab, tmp_path: Path) -> None:
    path = tmp_path / "secret.json"
    path.write_text("[]")
    lab.listen = True
    page = Page(lab)
    assert not [one for one in page.blocks.blocks.values() if isinstance(one, gr.Textbox)]
    with pytest.raises(QwenlabError, match="Upload the file instead"):
        import_panel.open_file(lab, EN, str(path))
    assert lab.dataset_path() != path


def test_links_lead_to_forms_that_exist(lab: Lab, tmp_path: Path) -> None:
    for form in re.findall(r"/download/data/(\w+)", import_panel._export_links(EN)):
        assert formats.export_file(opened(lab).samples, tmp_path / f"out.{form}") == 3
