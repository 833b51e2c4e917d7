"""The Export tab: merge, quantize and prove a run, then hand over the folder."""

from __future__ import annotations

from typing import Any

import gradio as gr

from qwenlab import files
from qwenlab.errors import QwenlabError
from qwenlab.export import mending, place
from qwenlab.export.gptq import gptq_missing
from qwenlab.jobs import Job
from qwenlab.models import adapters
from qwenlab.ui import export_view, ladder, suites
from qwenlab.ui.components import NOTHING, Html, escape, goto, listen, notice, poll
from qwenlab.ui.lab import Lab
from qwenlab.ui.ladder import FORMS, Ladder
from qwenlab.ui.live import LIVE
from qwenlab.ui.texts import Translator

FORM_WORDS = {
    "int4": "export_format_int4",
    "int5": "export_format_int5",
    "int8": "export_format_int8",
    "gptq-int4": "export_format_gptq_int4",
    "gptq-int8": "export_format_gptq_int8",
}

# A step stands beside its buttons, and above them where the screen is narrow.
WIDE: dict[str, Any] = {"scale": 4, "min_width": 320}
NARROW: dict[str, Any] = {"scale": 1, "min_width": 240}


def build(lab: Lab, t: Translator) -> gr.Dropdown:
    """Build the tab inside the open gr.Tab, cleaning up what killed exports left; returns the choice of the run."""
    place.recover(lab.workspace.exports)
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
                form = gr.Radio(label=t("export_format"), choices=forms, value=next(iter(FORMS)))
            with gr.Column(**NARROW):
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
                verify = gr.Button(t("export_verify"), size="sm")
        ready = gr.HTML(**LIVE)
    listed = gr.HTML(**LIVE)
    outputs = [first, second, third, ready, listed, merge, quantize, prove, verify]

    def look(name: str | None, chosen_form: str) -> tuple[Any, ...]:
        every = export_view.exports_table(ladder.exports(lab.workspace), t)
        job = _run(lab, name)
        if job is None:
            return NOTHING, NOTHING, NOTHING, NOTHING, every, *(gr.update(interactive=False),) * 4
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

    def act(
        name: str | None, chosen_form: str, chosen_suite: str, few: float | None, event: gr.EventData
    ) -> tuple[Any, ...]:
        key = str((event._data or {}).get("key", ""))
        if key.startswith("mend "):
            found = ladder.read_ladder(lab.workspace, _needed(lab, name, t), chosen_form)
            chosen_form = mend(lab, found, key.removeprefix("mend "), t, chosen_suite, few)
        else:
            stop_job(lab, key)
        return *look(name, chosen_form), chosen_form

    both = [run, form]
    poll(4, offered, t, [run], [run, empty, whole])
    poll(2, look, t, both, outputs)
    for choice in (run, form):
        listen(choice.input, look, t, both, outputs)
    for button, step in ((merge, "merge"), (quantize, "quantize"), (verify, "verify")):
        listen(button.click, begin(step), t, both, outputs)
    listen(prove.click, begin("prove"), t, [*both, suite, limit], outputs)
    for part in (first, second, third):
        listen(part.submit, act, t, [*both, suite, limit], [*outputs, form])
    return run


def _buttons(found: Ladder, t: Translator) -> tuple[Any, ...]:
    free, proven = found.working() is None, found.last is not None and found.last.passed is not None
    words = {
        "merge": t("export_merge_again" if found.merged else "export_merge_do"),
        "quantize": t("export_quantize_again" if found.small else "export_quantize_do"),
        "prove": t("export_prove_again" if proven else "export_prove_do"),
    }
    able = free and not (FORMS[found.form].form == "gptq" and gptq_missing())
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
            variant="secondary" if proven else "primary",
        ),
        gr.update(interactive=free and found.last is not None),
    )


def start_step(lab: Lab, found: Ladder, step: str, t: Translator, suite: str = "", limit: float | None = 0) -> Job:
    """Start "merge", "quantize", "verify" or "prove" as a job of its own.

    Raises:
        QwenlabError: when a step is in progress, or the one before is missing.
    """
    _require_free(found, t)
    last = found.last
    if step == "merge":
        return _start(lab, ["merge", found.run.id, "-o", str(found.merged_folder)])
    if found.merged is None or last is None:
        raise QwenlabError(t("export_needs_merge"))
    if step == "quantize":
        flags = FORMS[found.form].flags
        return _start(lab, ["quantize", str(found.merged.folder), "-o", str(found.small_folder), *flags])
    if step == "verify":
        return _start(lab, ["verify", str(last.folder), "--json"])
    return suites.start_proof(lab, t, suite, last.folder, _cases(limit, t))


def mend(lab: Lab, found: Ladder, key: str, t: Translator, suite: str, limit: float | None) -> str:
    """Start what a remedy of a failed export says, with its proof; returns the form that it makes.

    Raises:
        QwenlabError: when a step is in progress, or there is no such remedy any more.
    """
    _require_free(found, t)
    known = mending.remedies(found.last.about) if found.last and found.last.passed is False else []
    remedy = next((one for one in known if one.key == key), None)
    if remedy is None or found.merged is None:
        raise QwenlabError(t("export_mend_gone"))
    form = next(name for name, one in FORMS.items() if (one.form, one.bits) == (remedy.form, remedy.bits))
    target = ladder.small_folder(lab.workspace, found.run, form)
    few = _cases(limit, t)
    proof = ["--suite", str(suites.needed_suite(lab, t, suite)), *(["--limit", str(few)] if few else [])]
    _start(lab, ["quantize", str(found.merged.folder), "-o", str(target), *remedy.flags, *proof])
    return form


def _require_free(found: Ladder, t: Translator) -> None:
    if found.working() is not None:
        raise QwenlabError(t("export_busy"), t("export_busy_do"))


def _cases(limit: float | None, t: Translator) -> int | None:
    """How many cases to ask; None for all."""
    if limit is not None and limit < 0:
        raise QwenlabError(t("export_limit_wrong"))
    return int(limit or 0) or None


def _start(lab: Lab, words: list[str]) -> Job:
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
        place.recover(lab.workspace.exports)


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
    missing = gptq_missing(t.language) if FORMS[form].form == "gptq" else ""
    return notice("warn", t("export_gptq_missing"), missing) if missing else NOTHING
