"""In and out of the Data tab: import with a report first, export, split, kept versions, other files."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path
from typing import Any

import gradio as gr

from qwenlab import files
from qwenlab.conversations import formats, split, tables
from qwenlab.conversations.dataset import DataSet, copy_sidecar, new_data_set, sidecar, versions
from qwenlab.conversations.document import Document
from qwenlab.conversations.journal import Change
from qwenlab.conversations.preview import Preview
from qwenlab.errors import QwenlabError
from qwenlab.ui import components, import_view
from qwenlab.ui.components import NOTHING, Html, escape, listen, notice, on_load
from qwenlab.ui.lab import Lab
from qwenlab.ui.texts import Translator

PAIRS = {
    "prompt": "column_prompt",
    "answer": "column_answer",
    "system": "column_system",
    "id": "column_id",
    "history": "column_history",
}
TURNS = {"conversation": "column_conversation", "role": "column_role", "text": "column_text"}
"""The columns to choose where a row is a question with its answer, and where it is one turn: part -> its text."""
ONE_PAIR, ONE_TURN = "rows", "turns"
"""What a row is."""
SPLIT_SEED = 7
RESERVED = re.compile(r"(?i)con|prn|aux|nul|com\d|lpt\d")
"""Names that Windows keeps for devices."""


@dataclass(frozen=True)
class Pending:
    """An uploaded file that waits for the person's decision.

    Attributes:
        path: the uploaded copy.
        columns: which column is which, as chosen; None: as guessed.
        sheet: of an Excel file; None: the likeliest.
        into: path of the data set that was open when the report was shown, or "".
    """

    path: Path
    columns: dict[str, str] | None = None
    sheet: str | None = None
    into: str = ""

    def preview(self) -> Preview:
        """What the file brings.

        Raises:
            QwenlabError: when it cannot be read.
        """
        return formats.preview(self.path, self.columns, self.sheet)


@dataclass
class Panel:
    """The built panel: what the tab needs to go along with it.

    Attributes:
        refresh: gives new values for what depends on the open data set.
        shown: the components that they are for.
        translator: the page's language.
        changes: events after which another data set is open, or the open one has other samples.
    """

    refresh: Callable[[], Any]
    shown: list[Any]
    translator: Translator
    changes: list[Any] = field(default_factory=list)

    def on_change(self, show: Callable[..., Any], outputs: Any, **options: Any) -> None:
        """Call `show` without inputs after each of the `changes`."""
        for event in self.changes:
            listen(event.success, show, self.translator, None, outputs, **options)

    def follow(self, trigger: Callable[..., Any]) -> None:
        """Look anew at the open data set after an event of the tab, such as `chosen.change`."""
        listen(trigger, self.refresh, self.translator, None, self.shown)


def build(lab: Lab, t: Translator) -> Panel:
    """Build the panel where it is called, inside an accordion of the Data tab."""
    pending = gr.State(None)
    with gr.Row():
        upload = gr.UploadButton(
            t("import_file"),
            file_types=[".json", ".jsonl", *tables.SUFFIXES],
            size="sm",
            min_width=120,
        )
        create = gr.Button(t("new_set"), size="sm", min_width=120)
    gr.HTML(Html(f'<p class="quiet">{escape(t("import_hint"))}</p>'))
    box = gr.HTML(elem_id="import-report")
    with gr.Column(visible=False) as columns_box:
        sheet = gr.Dropdown(label=t("import_sheet"), choices=[], filterable=False, elem_id="import-sheet")
        shape = gr.Radio(
            label=t("import_layout"),
            choices=[(t("import_rows"), ONE_PAIR), (t("import_turn_rows"), ONE_TURN)],
            value=ONE_PAIR,
        )
        chosen: dict[str, gr.Dropdown] = {}
        groups = []
        for parts in (PAIRS, TURNS):
            with gr.Row(visible=parts is PAIRS) as group:
                for part, words in parts.items():
                    chosen[part] = gr.Dropdown(
                        label=t(words), choices=[], min_width=110, filterable=False, elem_id=f"column-{part}"
                    )
            groups.append(group)
    with gr.Column(visible=False) as decision:
        skip = gr.Checkbox(label=t("import_skip"), value=True, visible=False)
        with gr.Row():
            take = gr.Button(t("import_new"), variant="primary", size="sm", min_width=120, elem_id="import-new")
            add = gr.Button(t("import_add", name=""), size="sm", min_width=120, elem_id="import-add")
            cancel = gr.Button(t("import_cancel"), size="sm", min_width=80, elem_id="import-cancel")
    gr.HTML(_export_links(t))
    with gr.Row(elem_classes="low"):
        share = gr.Number(label=t("split_share"), info=t("split_about"), value=10, minimum=1, maximum=90, scale=3)
        divide = gr.Button(t("split_do"), size="sm", min_width=120, scale=1, elem_id="split")
    with gr.Row(elem_classes="low"):
        kept = gr.Dropdown(**_versions(lab, t), filterable=False, scale=3, elem_id="versions")
        bring = gr.Button(t("version_open"), size="sm", min_width=120, scale=1, elem_id="version-open")
    said = gr.HTML()
    path = open_path = None
    if not lab.listen:  # whoever reaches the port must not read any file of this computer
        with gr.Row(elem_classes="low"):
            path = gr.Textbox(label=t("open_path"), placeholder=t("open_path_hint"), max_lines=1, scale=4)
            open_path = gr.Button(t("open"), size="sm", scale=0, min_width=80)

    shown = [pending, box, columns_box, sheet, shape, *groups, *chosen.values(), decision, skip, take, add]

    def look(found: Pending | None, message: Html = NOTHING) -> tuple[Any, ...]:
        return _shown(lab, t, found, message)

    def choose_sheet(found: Pending | None, name: str) -> tuple[Any, ...]:
        return look(replace(found, sheet=name, columns=None) if found else None)

    def choose_columns(found: Pending | None, *names: str | None) -> tuple[Any, ...]:
        picked = {part: name for part, name in zip(chosen, names, strict=True) if name}
        return look(replace(found, columns=picked) if found else None)

    def take_add(found: Pending | None, leave_out: bool) -> tuple[Any, ...]:
        document = lab.document()
        if found and document and str(document.dataset.path) != found.into:
            return look(found, notice("warn", t("import_other_open", name=document.dataset.name)))
        return look(None, add_in(lab, t, found, leave_out))

    busy: dict[str, Any] = {"show_progress": "minimal", "show_progress_on": box}
    listen(upload.upload, lambda file: look(Pending(Path(file)) if file else None), t, upload, shown, **busy)
    listen(sheet.input, choose_sheet, t, [pending, sheet], shown, **busy)
    listen(shape.input, lambda found, way: look(shaped(found, way)), t, [pending, shape], shown, **busy)
    for column in chosen.values():
        listen(column.input, choose_columns, t, [pending, *chosen.values()], shown, **busy)
    listen(cancel.click, lambda: look(None), t, None, shown)

    panel = Panel(lambda: gr.update(**_versions(lab, t)), [kept], t)
    panel.changes = [
        listen(take.click, lambda found: look(None, take_in(lab, t, found)), t, pending, shown, **busy),
        listen(add.click, take_add, t, [pending, skip], shown, **busy),
        listen(create.click, lambda: make_empty(lab, t), t, None, said),
        listen(divide.click, lambda percent: split_in_two(lab, t, percent), t, share, said, show_progress="minimal"),
        listen(bring.click, lambda name: open_version(lab, t, name), t, kept, said),
    ]
    if path is not None and open_path is not None:
        panel.changes += [
            listen(trigger, lambda typed: open_file(lab, t, typed), t, path, said)
            for trigger in (open_path.click, path.submit)
        ]
    on_load(panel.refresh, t, None, panel.shown)
    return panel


def _export_links(t: Translator) -> Html:
    forms = (("json", "train.json"), ("jsonl", "OpenAI JSONL"), ("csv", "CSV"), ("xlsx", "Excel"))
    links = " ".join(f'<a href="/download/data/{form}" download>{name}</a>' for form, name in forms)
    about = f'<p class="quiet">{escape(t("export_about"))}</p>'
    return Html(f'<p class="links">{escape(t("export_as"))} {links}</p>{about}')


# --- what the person sees --------------------------------------------------------------------------------


def _shown(lab: Lab, t: Translator, pending: Pending | None, message: Html = NOTHING) -> tuple[Any, ...]:
    """Values for all components: pending, box, columns, sheet, shape, two groups, eight columns, decision, ..."""
    hidden = gr.update(visible=False)
    waiting = len(PAIRS) + len(TURNS)
    nothing = (hidden, hidden, *(gr.skip(),) * (3 + waiting), hidden, gr.skip(), gr.skip(), gr.skip())
    if pending is None:
        return None, message, *nothing
    try:
        found = pending.preview()
        document = lab.document()
    except QwenlabError as error:
        return None, notice("bad", *components.error_words(error, t)), *nothing
    repeated = len(formats.duplicates(found.samples, document.facts)) if document else 0
    name = document.dataset.name if document else ""
    pending = replace(pending, into=str(document.dataset.path) if document else "")
    layout = _layout(found.mapping if pending.columns is None else pending.columns)
    known = found.table or tables.Table((), [])
    names = [(t("column_none"), ""), *((column, column) for column in known.columns)]
    return (
        pending,
        Html(message + import_view.preview_html(found, t, repeated, name)),
        gr.update(visible=found.table is not None),
        gr.update(choices=list(known.sheets), value=known.sheet or None, visible=len(known.sheets) > 1),
        gr.update(value=layout),
        gr.update(visible=layout == ONE_PAIR),
        gr.update(visible=layout == ONE_TURN),
        *(gr.update(choices=names, value=found.mapping.get(part, "")) for part in (*PAIRS, *TURNS)),
        gr.update(visible=True),
        gr.update(visible=repeated > 0),
        gr.update(interactive=bool(found.samples)),
        gr.update(value=t("import_add", name=name), visible=bool(name), interactive=bool(found.samples)),
    )


def _layout(columns: Mapping[str, str]) -> str:
    """What a row is with these columns."""
    return ONE_TURN if columns.keys() & TURNS.keys() else ONE_PAIR


def shaped(pending: Pending | None, layout: str) -> Pending | None:
    """The same file read with other rows: its columns as guessed, or else to be chosen."""
    guessed = replace(pending, columns=None) if pending else None
    if guessed is None or _layout(guessed.preview().mapping) == layout:
        return guessed
    return replace(guessed, columns=dict.fromkeys(TURNS if layout == ONE_TURN else PAIRS, ""))


def _versions(lab: Lab, t: Translator) -> dict[str, Any]:
    """Label, choices and value of the dropdown of kept versions, newest first."""
    path = lab.dataset_path()
    found = []
    for version in versions(path) if path else []:
        known = version.stat()
        when = f"{datetime.fromtimestamp(known.st_mtime):%Y-%m-%d %H:%M:%S}"
        found.append((f"{when} · {known.st_size / 1024:,.0f} KB", version.name))
    value = found[0][1] if found else None
    return {"label": t("versions"), "info": None if found else t("versions_none"), "choices": found, "value": value}


# --- what the buttons do ---------------------------------------------------------------------------------


def take_in(lab: Lab, t: Translator, pending: Pending | None) -> Html:
    """Make a new data set of the file and open it; returns what to say about it.

    Raises:
        QwenlabError: when the file is gone or cannot be read.
    """
    found = _needed(t, pending).preview()
    if not found.samples:
        return notice("bad", t("nothing_imported"))
    made = new_data_set(lab.workspace, safe_name(found.name, t("new_set_name")), found.samples)
    lab.choose(dataset=str(made))
    return notice("ok", t("imported", name=made.name), found.describe(t.language, most=0)[0])


def add_in(lab: Lab, t: Translator, pending: Pending | None, leave_out: bool) -> Html:
    """Add the file's samples to the end of the open data set, as one step that can be undone.

    Args:
        lab: the lab.
        t: the page's language.
        pending: the uploaded file.
        leave_out: whether samples that stand there already are left out.

    Raises:
        QwenlabError: when the file is gone or cannot be read, or the step cannot be put on disk.
    """
    found = _needed(t, pending).preview()
    document = lab.document()
    if document is None:
        return take_in(lab, t, pending)
    with document.lock:
        there = set(formats.duplicates(found.samples, document.facts)) if leave_out else set()
        wanted = [sample for at, sample in enumerate(found.samples) if at not in there]
        if not wanted:
            return notice("warn", t("import_all_there", name=document.dataset.name))
        samples, _ = formats.with_free_ids(wanted, {known.id for known in document.facts})
        before, end = document.dataset.path, len(document.samples)
        document.seal()
        document.change([Change(end + at, None, sample) for at, sample in enumerate(samples)])
        if document.dataset.path != before:  # a shipped set: its first edit made a copy
            lab.saved_as(document)
    skipped = t("import_skipped", number=len(there)) if there else ""
    return notice("ok", t("import_added", name=document.dataset.name, number=len(samples)), skipped)


def _needed(t: Translator, pending: Pending | None) -> Pending:
    if pending is None or not pending.path.exists():
        raise QwenlabError(t("import_gone"), t("import_again"))
    return pending


def make_empty(lab: Lab, t: Translator) -> Html:
    """Make a new empty data set and open it."""
    made = new_data_set(lab.workspace, t("new_set_name"), [])
    lab.choose(dataset=str(made))
    return notice("ok", t("opened_as", name=made.name))


def open_file(lab: Lab, t: Translator, typed: str) -> Html:
    """Open a train.json of this computer where it stands.

    Raises:
        QwenlabError: when it cannot be read, or other machines may reach the page.
    """
    if lab.listen:
        raise QwenlabError(t("path_refused"), t("path_refused_do"))
    named = Path(typed.strip().strip('"')).expanduser()
    lab.document(named)  # a file that cannot be read is refused before it is chosen
    lab.choose(dataset=str(named))
    return notice("ok", t("opened_as", name=named.name))


def open_version(lab: Lab, t: Translator, name: str | None) -> Html:
    """Copy a kept version of the open data set to a new one, byte for byte, and open that.

    Args:
        lab: the lab.
        t: the page's language.
        name: the version's file name, as it stands in the list.

    Raises:
        QwenlabError: when it is not kept, or cannot be read.
    """
    document = _open(lab, t)
    source = document.dataset.path
    version = next((path for path in versions(source) if path.name == name), None)
    if version is None:
        raise QwenlabError(t("version_gone"))
    DataSet.open(version)
    day = f"{datetime.fromtimestamp(version.stat().st_mtime):%Y%m%d-%H%M}"
    made = _free(lab, f"{document.dataset.name}-{day}")
    copy_sidecar(source, made)
    files.write_bytes(made, version.read_bytes())
    lab.choose(dataset=str(made))
    return notice("ok", t("opened_as", name=made.name))


def split_in_two(lab: Lab, t: Translator, percent: float | None) -> Html:
    """Make a training and a validation data set of the open one, and open the first.

    Raises:
        QwenlabError: when there is no data set, or it cannot be divided so.
    """
    document = _open(lab, t)
    with document.lock:
        samples, facts = list(document.samples), list(document.facts)
    parts = split.split(facts, (percent or 0) / 100, SPLIT_SEED)
    made = [_free(lab, f"{document.dataset.name}-{t(part)}") for part in ("split_train", "split_validation")]
    for path, part in zip(made, parts, strict=True):
        split.write_part(document.dataset.path, path, [samples[at] for at in part], [facts[at] for at in part])
    lab.choose(dataset=str(made[0]))
    names = {"train": made[0].name, "validation": made[1].name}
    return notice("ok", t("split_done", **names, train_number=len(parts[0]), validation_number=len(parts[1])))


def _open(lab: Lab, t: Translator) -> Document:
    document = lab.document()
    if document is None:
        raise QwenlabError(t("no_data_set"))
    return document


def _free(lab: Lab, name: str) -> Path:
    """NAME.train.json in the workspace, with a number when it or what is kept beside it is there."""
    paths = (lab.workspace.data / f"{name}{tail}.train.json" for tail in ("", *(f"-{at}" for at in range(2, 10_000))))
    return next(path for path in paths if not path.exists() and not sidecar(path).exists())


def safe_name(file: str, otherwise: str) -> str:
    """A data set's name from that of an uploaded file, which may be anything: letters, digits, - and _ only."""
    name = re.sub(r"[^\w-]+", "-", file.split(".")[0]).strip("-_")[:60].rstrip("-_")
    return f"{name}-data" if RESERVED.fullmatch(name) else name or otherwise
