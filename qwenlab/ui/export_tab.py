"""The Export tab: merge, quantize and prove a run, then hand over the folder."""

from __future__ import annotations

import shutil
from typing import Any

import gradio as gr

from qwenlab import files
from qwenlab.errors import QwenlabError
from qwenlab.evals import report
from qwenlab.export import package
from qwenlab.export.gptq import gptq_missing
from qwenlab.jobs import Job
from qwenlab.models import adapters, catalogue
from qwenlab.training import runs
from qwenlab.ui import export_view, ladder, suites
from qwenlab.ui.components import NOTHING, Html, escape, goto, listen, notice, poll
from qwenlab.ui.lab import Lab
from qwenlab.ui.ladder import Ladder
from qwenlab.ui.live import LIVE
from qwenlab.ui.roster import Entrant
from qwenlab.ui.texts import Translator

FORMS = ("gguf", "gptq")
FORM_WORDS = {"gguf": "export_format_gguf", "gptq": "export_format_gptq"}

# A step stands beside its buttons, and above them where the screen is narrow.
WIDE: dict[str, Any] = {"scale": 4, "min_width": 320}
NARROW: dict[str, Any] = {"scale": 1, "min_width": 240}


def build(lab: Lab, t: Translator) -> gr.Dropdown:
    """Build the tab inside the open gr.Tab; returns the choice of the run."""
    forms = [(t(FORM_WORDS[name]), name) for name in FORMS]
    run = gr.Dropdown(
        label=t("export_run"),
        info=t("export_run_about"),
        choices=_choices(lab, t),
        value=_newest(lab),
        filterable=False,
        visible=bool(_runs(lab)),
    )
    empty = gr.HTML(**LIVE)
    with gr.Column(visible=bool(_runs(lab))) as whole:
        with gr.Row():
            with gr.Column(**WIDE):
                first = gr.HTML(**LIVE)
            with gr.Column(**NARROW):
                merge = gr.Button(t("export_merge_do"), variant="primary", size="sm")
        with gr.Row():
            with gr.Column(**WIDE):
                second = gr.HTML(**LIVE)
            with gr.Column(**NARROW):
                form = gr.Radio(label=t("export_format"), choices=forms, value=FORMS[0])
                quantize = gr.Button(t("export_quantize_do"), variant="primary", size="sm")
        with gr.Row():
            with gr.Column(**WIDE):
                third = gr.HTML(**LIVE)
            with gr.Column(**NARROW):
                suite = gr.Dropdown(
                    label=t("export_suite"),
                    choices=list(suites.suite_paths(lab)),
                    value=suites.chosen_suite(lab) or None,
                    filterable=False,
                )
                limit = gr.Number(label=t("export_limit"), value=0, precision=0)
                prove = gr.Button(t("export_prove_do"), variant="primary", size="sm")
                card = gr.Button(t("export_card"), size="sm", visible=False)
                verify = gr.Button(t("export_verify"), size="sm")
        ready = gr.HTML(**LIVE)
    listed = gr.HTML(**LIVE)
    outputs = [first, second, third, ready, listed, merge, quantize, prove, verify, card]

    def look(name: str | None, chosen_form: str) -> tuple[Any, ...]:
        every = export_view.exports_table(ladder.exports(lab.workspace), t)
        job = _run(lab, name)
        if job is None:
            return NOTHING, NOTHING, NOTHING, NOTHING, every, *(gr.update(interactive=False),) * 5
        found = ladder.read_ladder(lab.workspace, job, chosen_form)
        return (
            export_view.merge_step(found, t),
            Html(export_view.quantize_step(found, t) + _unable(chosen_form, t)),
            export_view.prove_step(found, t),
            export_view.handover(found, t),
            every,
            *_buttons(found, t),
        )

    def offered(name: str | None) -> tuple[Any, ...]:
        known = [job.id for job in _runs(lab)]
        hint = NOTHING if known else _nothing_yet(t)
        value = name if name in known else _newest(lab)
        return (
            gr.update(choices=_choices(lab, t), value=value, visible=bool(known)),
            hint,
            gr.update(visible=bool(known)),
        )

    def begin(step: str) -> Any:
        def act(name: str | None, chosen_form: str, *rest: Any) -> tuple[Any, ...]:
            found = ladder.read_ladder(lab.workspace, _needed(lab, name, t), chosen_form)
            start_step(lab, found, step, t, *rest)
            return look(name, chosen_form)

        return act

    def act(name: str | None, chosen_form: str, event: gr.EventData) -> tuple[Any, ...]:
        stop_job(lab, str((event._data or {}).get("key", "")))
        return look(name, chosen_form)

    def write_card(name: str | None, chosen_form: str) -> tuple[Any, ...]:
        put_on_card(ladder.read_ladder(lab.workspace, _needed(lab, name, t), chosen_form))
        gr.Info(t("export_carded"))
        return look(name, chosen_form)

    both = [run, form]
    poll(4, offered, t, [run], [run, empty, whole])
    poll(2, look, t, both, outputs)
    for choice in (run, form):
        listen(choice.input, look, t, both, outputs)
    for button, step in ((merge, "merge"), (quantize, "quantize"), (verify, "verify")):
        listen(button.click, begin(step), t, both, outputs)
    listen(prove.click, begin("prove"), t, [*both, suite, limit], outputs)
    listen(card.click, write_card, t, both, outputs)
    for part in (first, second, third):
        listen(part.submit, act, t, both, outputs)
    return run


def _buttons(found: Ladder, t: Translator) -> tuple[Any, ...]:
    free = found.working() is None
    words = {
        "merge": t("export_merge_again" if found.merged else "export_merge_do"),
        "quantize": t("export_quantize_again" if found.small else "export_quantize_do"),
        "prove": t("export_prove_again" if found.proving else "export_prove_do"),
    }
    able = free and not (found.form == "gptq" and gptq_missing())
    proven = found.proving is not None and found.proving.state() == "finished"
    return (
        gr.update(value=words["merge"], interactive=free, variant="secondary" if found.merged else "primary"),
        gr.update(
            value=words["quantize"],
            interactive=able and found.merged is not None,
            variant="secondary" if found.small else "primary",
        ),
        gr.update(
            value=words["prove"],
            interactive=free and found.merged is not None,
            variant="secondary" if found.proving else "primary",
        ),
        gr.update(interactive=free and found.last is not None),
        gr.update(visible=proven, interactive=free),
    )


def start_step(lab: Lab, found: Ladder, step: str, t: Translator, suite: str = "", limit: float | None = 0) -> Job:
    """Start "merge", "quantize", "verify" or "prove" as a job of its own.

    Raises:
        QwenlabError: when a step is in progress, or the one before is missing.
    """
    if found.working() is not None:
        raise QwenlabError(t("export_busy"), t("export_busy_do"))
    if step != "merge" and found.merged is None:
        raise QwenlabError(t("export_needs_merge"))
    if step == "prove":
        if limit is not None and limit < 0:
            raise QwenlabError(t("export_limit_wrong"))
        speaks = catalogue.languages(runs.recipe_of(found.run).model)
        asked = [Entrant(spec, name, "model", languages=speaks) for name, spec in found.contestants()]
        return suites.start_test(lab, t, suite, asked, speaks, int(limit or 0) or None)
    last = found.last
    words = {
        "merge": ["merge", found.run.id, "-o", str(found.merged_folder)],
        "quantize": [
            *("quantize", str(found.merged_folder), "-o", str(found.small_folder)),
            *("--format", found.form, "--bits", "4"),
        ],
        "verify": ["verify", str(last.folder) if last else "", "--json"],
    }[step]
    job = Job(files.new_folder(lab.workspace.jobs, "export"))
    job.start("export", ["qwenlab", "--workspace", str(lab.workspace.root), "--job", str(job.folder), *words])
    return job


def stop_job(lab: Lab, key: str) -> None:
    """Do what a Stop or End-at-once button in a step says: "stop NAME" or "kill NAME"."""
    action, _, name = key.partition(" ")
    known = ladder.export_jobs(lab.workspace)
    known += [Job(path.parent) for path in lab.workspace.results.glob("*/job.json")]
    job = next((one for one in known if one.id == name), None)
    if job is None or job.state() != "running":
        return  # it ended in the meantime
    if action == "stop":
        job.stop()
    elif action == "kill":
        job.kill()
        job.finish("stopped")  # the worker is gone: nobody else writes here
        for staging in lab.workspace.exports.glob(".*.part"):
            shutil.rmtree(staging, ignore_errors=True)


def put_on_card(found: Ladder) -> None:
    """Write the proof's scoreboard on the model card of what was tested, and renew its checksums.

    Raises:
        QwenlabError: when the result cannot be read.
    """
    shown = suites.read_result(found.proving.folder) if found.proving else None
    if shown is None:
        return
    bytes_of = export_view.sizes(found)
    rows = [one.row(bytes_of.get(one.name)) for one in shown.result.contestants]
    board = report.scoreboard(rows, markdown=True)
    for one in (found.merged, found.small):
        if one is not None:
            package.add_scorecard(one.folder, shown.result.suite.name, board)


# --- which run -------------------------------------------------------------------------------------------


def _runs(lab: Lab) -> list[Job]:
    """Runs that have saved an adapter, newest first."""
    return [job for job in lab.runs() if _has_adapter(job)]


def _has_adapter(job: Job) -> bool:
    return adapters.is_adapter(job.folder / adapters.FINISHED) or adapters.last_checkpoint(job.folder) is not None


def _run(lab: Lab, name: str | None) -> Job | None:
    return next((job for job in _runs(lab) if job.id == name), None)


def _needed(lab: Lab, name: str | None, t: Translator) -> Job:
    job = _run(lab, name)
    if job is None:
        raise QwenlabError(t("export_no_run"), t("export_no_run_do"))
    return job


def _newest(lab: Lab) -> str | None:
    known = _runs(lab)
    done = [job for job in known if job.state() == "finished"]
    return (done or known)[0].id if known else None


def _choices(lab: Lab, t: Translator) -> list[tuple[str, str]]:
    return [(f"{job.id} ({t('state_' + job.state())})", job.id) for job in _runs(lab)]


def _nothing_yet(t: Translator) -> Html:
    button = Html(f"{escape(t('export_no_run_do'))} {goto('tab_train', t('export_go_train'))}")
    return Html(f'<div class="run">{notice("none", t("export_no_run"), button)}</div>')


def _unable(form: str, t: Translator) -> Html:
    missing = gptq_missing(t.language) if form == "gptq" else ""
    return notice("warn", t("export_gptq_missing"), missing) if missing else NOTHING
