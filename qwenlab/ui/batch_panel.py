"""The Compare tab's batch: many messages answered by all chosen contestants, in a process of its own."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import gradio as gr

from qwenlab import files
from qwenlab.conversations import messages
from qwenlab.conversations.messages import Question
from qwenlab.errors import QwenlabError
from qwenlab.evals import batch
from qwenlab.evals.batch import Batch, Plan
from qwenlab.jobs import Job
from qwenlab.ui import asking, batch_view, components, roster, suites
from qwenlab.ui.compare_settings import Settings, Values
from qwenlab.ui.components import NOTHING, Html, error_words, listen, notice
from qwenlab.ui.lab import Lab
from qwenlab.ui.texts import Translator
from qwenlab.workspace import Workspace

POLL_SECONDS = 2.0


@dataclass
class BatchPanel:
    """The components, and what happens to them."""

    lab: Lab
    translator: Translator
    lines: Any
    file: Any
    start: Any
    stop: Any
    chosen: Any
    progress: Any
    table: Any
    picked: Any

    def wire(self, who: Any, suite: Any, settings: Settings) -> None:
        """Bind the events; the contestants, the suite's schema and the settings are those of the tab."""
        t = self.translator
        drawn = [self.chosen, self.progress, self.table, self.stop]
        asked = {self.lines, self.picked, who, suite, *settings.inputs}
        listen(self.file.upload, self.look, t, self.file, [self.picked, self.progress])

        def begin(values: Values) -> tuple[Any, ...]:
            found = self._questions(values[self.picked], values[self.lines])
            entrants = roster.pick(self.lab, values[who] or [], t)
            chosen = suites.read_suite(self.lab, values[suite] or "")
            plan = Plan(
                tuple((one.name, one.spec) for one in entrants),
                values[settings.system] or "",
                settings.generation(values),
                asking.schema(self.lab, chosen),
            )
            start(self.lab, plan, found, t)
            return (*self.draw(None), None)

        listen(self.start.click, begin, t, asked, [*drawn, self.picked])
        listen(self.stop.click, self.halt, t, None, [self.progress, self.stop])
        components.poll(POLL_SECONDS, self.draw, t, [self.chosen], drawn)

    def look(self, path: str | None) -> tuple[str | None, Html]:
        """A file was uploaded: say what is in it before anything is asked."""
        if not path:
            return None, NOTHING
        try:
            number = len(messages.read_questions(Path(path)))
        except QwenlabError as error:
            return None, notice("bad", *error_words(error, self.translator))
        return path, notice("ok", self.translator("batch_file", name=Path(path).name, number=number))

    def _questions(self, path: str | None, lines: str | None) -> list[Question]:
        if path:
            return messages.read_questions(Path(path))
        return messages.checked(messages.of_lines(lines or ""))

    def draw(self, chosen: str | None) -> tuple[Any, ...]:
        """The list of batches, how far the newest is, the table of the chosen one, and Stop."""
        t, known = self.translator, batches(self.lab.workspace)
        folder = next((path for path in known if path.name == chosen), known[0] if known else None)
        job = newest(self.lab.workspace)
        running = job is not None and job.state() == "running"
        found, problem = self._read(folder)
        return (
            gr.update(choices=[path.name for path in known], value=folder.name if folder else None),
            batch_view.progress(job, t, found if job is not None and job.folder == folder else None),
            batch_view.answers(folder, found, t) if folder is not None and found is not None else problem,
            gr.update(interactive=running and job is not None and not job.asked_to_stop()),
        )

    def _read(self, folder: Path | None) -> tuple[Batch | None, Html]:
        """The batch, or why it cannot be shown."""
        try:
            return (_batch(folder, batch.changed(folder)) if folder is not None else None), NOTHING
        except QwenlabError as error:
            return None, notice("bad", *error_words(error, self.translator))

    def halt(self) -> tuple[Html, Any]:
        """Stop was pressed."""
        job = newest(self.lab.workspace)
        if job is not None and job.state() == "running":
            job.stop()
        return batch_view.progress(job, self.translator), gr.update(interactive=False)


def build(lab: Lab, t: Translator, part: Mapping[str, Any]) -> BatchPanel:
    """The panel where it is called."""
    with gr.Accordion(t("batch_title"), open=False, elem_classes="files"):
        picked = gr.State(None)
        lines = gr.Textbox(label=t("batch_lines"), info=t("batch_about"), lines=4, max_lines=12)
        with gr.Row(elem_classes="low"):
            types = list(messages.SUFFIXES)
            file = gr.UploadButton(t("batch_choose"), file_types=types, size="sm", min_width=150, scale=0)
            start_button = gr.Button(t("batch_start"), variant="primary", size="sm", min_width=150, scale=0)
            stop = gr.Button(t("compare_stop"), size="sm", interactive=False, min_width=90, scale=0)
            chosen = gr.Dropdown(label=t("batch_which"), choices=[], value=None, filterable=False, min_width=200)
        progress = gr.HTML(elem_id="batch-progress")
        table = gr.HTML(elem_id="batch-table", **part)
    return BatchPanel(lab, t, lines, file, start_button, stop, chosen, progress, table, picked)


@lru_cache(maxsize=4)
def _batch(folder: Path, _changed: object) -> Batch:
    """A batch, read again only when it has grown: every window asks for it every two seconds."""
    return batch.read(folder)


# --- without the page ------------------------------------------------------------------------------------


def start(lab: Lab, plan: Plan, questions: list[Question], t: Translator) -> Job:
    """Start a batch in its own process; returns its job, whose folder is the batch.

    Raises:
        QwenlabError: when there is nothing to ask, or another batch is running.
    """
    running = newest(lab.workspace)
    if running is not None and running.state() == "running":
        raise QwenlabError(t("batch_running"), t("batch_running_remedy"))
    job = Job(files.new_folder(lab.workspace.batches, "batch"))
    batch.prepare(job.folder, plan, questions)
    argv = ["qwenlab", "--workspace", str(lab.workspace.root), "--job", str(job.folder)]
    argv += ["batch", str(job.folder / batch.MESSAGES)]
    for name, spec in plan.contestants:
        argv += ["-c", f"{name}={spec}"]
    job.start("batch", argv)
    return job


def batches(workspace: Workspace) -> list[Path]:
    """Folders of all batches, newest first."""
    found = workspace.batches.glob(f"*/{batch.ABOUT}")
    return [path.parent for path in sorted(found, key=lambda path: -path.stat().st_mtime_ns)]


def newest(workspace: Workspace) -> Job | None:
    """The batch that was started last from a page."""
    found = list(workspace.batches.glob("*/job.json"))
    return Job(max(found, key=lambda path: path.stat().st_mtime_ns).parent) if found else None
