"""What the Export tab shows: the ladder merge, quantize, prove of one run, read from jobs and export folders."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from qwenlab.errors import QwenlabError
from qwenlab.evals import report
from qwenlab.evals.compare import Verdict, sentence
from qwenlab.evals.result import RESULT, Result
from qwenlab.evals.words import measure_name
from qwenlab.export import package
from qwenlab.jobs import Job
from qwenlab.models import adapters
from qwenlab.training import runs
from qwenlab.ui import suites
from qwenlab.ui.components import (
    NOTHING,
    Html,
    badge,
    ended_words,
    error_words,
    escape,
    goto,
    notice,
    progress_bar,
    table,
)
from qwenlab.ui.ladder import Export, Ladder, adapter_time, started, verb_of
from qwenlab.ui.texts import Translator
from qwenlab.ui.training_view import KILL_AFTER, log_fold, model_title, stop_waits

KINDS = {"gguf": "GGUF", "gptq": "GPTQ"}
MEASURES = ("strict", "usable", "field_accuracy", "document_exact")


# --- the steps -------------------------------------------------------------------------------------------


def merge_step(ladder: Ladder, t: Translator) -> Html:
    """Step 1 with its state, size and proof."""
    made, old = ladder.merged, False
    body = ""
    if made:
        old = adapter_time(ladder.run) > made.made
        proof = made.about.get("proof") or {}
        body = f"<p><b>{size_words(made.bytes)}</b> <span class='path'>{escape(made.folder)}</span></p>"
        if proof:
            difference = f"{proof.get('max_logit_difference', 0):.1e}"
            values = {"same": proof.get("same_next_token"), "prompts": proof.get("prompts")}
            body += f"<p>{escape(t('export_merge_proof', difference=difference, **values))}</p>"
        if old:
            body += notice("warn", t("export_merge_old"), t("export_merge_old_do"))
    body += _job_part(ladder.merging, made, t, t("export_merging"))
    return _step(t("export_merge"), t("export_merge_about"), ladder.merging, made, old, body, t)


def quantize_step(ladder: Ladder, t: Translator) -> Html:
    """Step 2 with its state and size."""
    made, merged, old = ladder.small, ladder.merged, False
    body = ""
    if made:
        old = merged is not None and made.made < merged.made
        share = ""
        if merged:
            share = ", " + t("export_smaller", percent=f"{100 * made.bytes / max(1, merged.bytes):.0f}")
        body = f"<p><b>{size_words(made.bytes)}</b>{escape(share)} <span class='path'>{escape(made.folder)}</span></p>"
        body += f"<p>{escape(t('export_quantize_proof', format=made.about.get('format', '')))}</p>"
        if old:
            body += notice("warn", t("export_quantize_old"), t("export_quantize_old_do"))
    elif merged is None:
        body = f'<p class="quiet">{escape(t("export_needs_merge"))}</p>'
    body += _job_part(ladder.quantizing, made, t, t("export_quantizing"))
    return _step(t("export_quantize"), t("export_quantize_about"), ladder.quantizing, made, old, body, t)


def prove_step(ladder: Ladder, t: Translator) -> Html:
    """Step 3: the scoreboard, what quantizing changed, and the check of the files."""
    job, body, old, done = ladder.proving, "", False, None
    if job is not None:
        body += _job_part(job, None, t, t("export_proving_load"))
        try:
            shown = suites.read_result(job.folder)
        except QwenlabError as error:
            shown, body = None, body + notice("bad", *error_words(error, t))
        if shown is not None and shown.result.contestants and job.state() != "running":
            old = _outdated(ladder)
            done = ladder.last if shown.result.complete else None
            body += _scores(ladder, shown, old, t)
    elif ladder.merged is None:
        body += f'<p class="quiet">{escape(t("export_needs_merge"))}</p>'
    body += _check_part(ladder, t)
    return _step(t("export_prove"), t("export_prove_about"), job, done, old, body, t)


def _step(title: str, about: str, job: Job | None, made: Export | None, old: bool, body: str, t: Translator) -> Html:
    state = job.state() if job is not None else "new"
    if state == "running":
        kind, words = "busy", t("state_running")
    elif made:
        kind, words = ("warn", t("export_outdated")) if old else ("ok", t("export_done"))
    elif state in ("failed", "stopped", "interrupted"):
        kind, words = "bad" if state == "failed" else "warn", t("state_" + state)
    else:
        kind, words = "none", t("export_not_yet")
    return Html(
        f'<div class="step {kind}"><div class="head"><b>{escape(title)}</b>{badge(kind, words)}</div>'
        f'<p class="quiet">{escape(about)}</p>{body}</div>'
    )


def _job_part(job: Job | None, made: Export | None, t: Translator, doing: str) -> Html:
    """A running job's bar with Stop, or how the last one ended where that still matters."""
    if job is None:
        return NOTHING
    state = job.state()
    if state == "running":
        return running_bar(job, t, doing)
    began = started(job)
    if state == "finished" or (made is not None and made.made > began):
        return NOTHING
    reason, remedy = ended_words(job.outcome() or {}, t)
    if state == "failed":
        words = notice("bad", reason or t("export_failed"), remedy)
    elif state == "stopped":
        words = notice("warn", t("export_ended"))
    else:
        words = notice("warn", t("export_vanished"), t("export_vanished_do"))
    return Html(words + log_fold(job, t))


def running_bar(job: Job, t: Translator, doing: str) -> Html:
    """What a running job does, how far it is, the time left, and Stop (later: End at once)."""
    progress = suites.last_progress(job) or {}
    fraction = progress.get("fraction") or None  # zero says only that it began
    left = progress.get("seconds_left")
    if progress.get("contestant"):
        values = {"name": progress["contestant"], "done": progress.get("done", 0), "total": progress.get("total", 0)}
        doing = t("export_proving", **values)
    elif fraction is not None and fraction >= 1:
        doing, fraction = t("export_loading"), None
    elif fraction is not None and fraction > 0.05 and left is None:
        left = (time.time() - started(job)) * (1 - fraction) / fraction
    waits = stop_waits(job)
    if waits is None:
        return Html(progress_bar(t, fraction, doing, left) + _act("stop", job, t("export_stop")))
    bar = progress_bar(t, fraction, t("export_stopping"))
    if waits <= KILL_AFTER:
        return bar
    return Html(bar + notice("warn", t("export_kill_about"), Html(_act("kill", job, t("export_kill")))))


def _act(action: str, job: Job, words: str) -> str:
    return f'<button type="button" data-key="{action} {escape(job.id)}">{escape(words)}</button>'


# --- the proof -------------------------------------------------------------------------------------------


def _outdated(ladder: Ladder) -> bool:
    """Whether something was made anew since the proof began."""
    began = started(ladder.proving) if ladder.proving else 0.0
    return any(made is not None and made.made > began for made in (ladder.merged, ladder.small))


def proven(ladder: Ladder) -> bool | None:
    """Whether the newest proof, of what stands there now, found no loss; None when nothing is proven yet.

    A suite that cannot tell a difference counts as no loss, as the words beside it say.
    """
    job = ladder.proving
    if job is None or job.state() != "finished" or _outdated(ladder):
        return None
    try:
        shown = suites.read_result(job.folder)
    except QwenlabError:
        return None
    if shown is None or not shown.result.complete:
        return None
    return all(one.code != "worse" for one in _quantizing(shown.result))


def _scores(ladder: Ladder, shown: suites.Shown, old: bool, t: Translator) -> str:
    result = shown.result
    words = t("export_cases", suite=result.suite.name, number=f"{len(result.suite.cases):,}")
    body = f'<p class="quiet">{escape(words)}</p>{scoreboard(result, sizes(ladder), t)}'
    if old:
        return notice("warn", t("export_prove_old"), t("export_prove_old_do")) + body
    if not result.complete:
        return notice("warn", t("export_partial")) + body
    quantizing = _quantizing(result)
    lines = [one for one in shown.verdicts if one.name == "adapter"] + quantizing
    body += "".join(f"<p>{escape(sentence(one, t.language))}</p>" for one in lines)
    if any(one.code == "worse" for one in quantizing):
        body += notice("bad", t("export_lost"), t("export_lost_do"))
    elif quantizing:
        body += notice("ok", t("export_held"))
    return body + goto("tab_test", t("export_open_test"))


_verdicts: dict[tuple[Path, int], list[Verdict]] = {}


def _quantizing(result: Result) -> list[Verdict]:
    """The quantized model against the merged one; computed once for each state of the result."""
    written = result.folder / RESULT
    key = (result.folder, written.stat().st_mtime_ns if written.exists() else 0)
    if key not in _verdicts:
        both = {"merged", "int4"} <= {one.name for one in result.contestants}
        _verdicts[key] = [one for one in result.verdicts("merged") if one.name == "int4"] if both else []
    return _verdicts[key]


def scoreboard(result: Result, bytes_of: dict[str, int], t: Translator) -> Html:
    """Contestants by measures."""
    columns = [name for name in MEASURES if any(one.summary.rates.get(name) for one in result.contestants)]
    heads = [measure_name(name, t.language) for name in ("contestant", *columns, "tokens_per_s", "size")]
    rows = [
        [
            one.name,
            *(report.percent(one.summary.rates[name]) for name in columns),
            f"{one.tokens_per_s:.1f}" if one.tokens_per_s is not None else "",
            size_words(bytes_of[one.name]) if one.name in bytes_of else "",
        ]
        for one in result.contestants
    ]
    return table(heads, rows, range(1, len(heads)))


def sizes(ladder: Ladder) -> dict[str, int]:
    """Bytes on disk of each contestant's weights."""
    found = {}
    try:
        base = _weights(runs.base_of(ladder.run))
        found = {"base": base, "adapter": base + _weights(adapters.of_run(ladder.run.folder))}
    except QwenlabError:
        pass  # the base model was moved: its size is not known
    if ladder.merged:
        found["merged"] = _weights(ladder.merged.folder)
    if ladder.small:
        found["int4"] = _weights(ladder.small.folder)
    return found


def _weights(folder: Path) -> int:
    return sum(path.stat().st_size for form in ("safetensors", "gguf") for path in folder.glob(f"*.{form}"))


def _check_part(ladder: Ladder, t: Translator) -> Html:
    job = ladder.checking
    if job is None:
        return NOTHING
    made = [one.made for one in (ladder.merged, ladder.small) if one]
    if job.state() != "finished":
        return _job_part(job, None, t, t("export_verifying"))
    if not made or max(made) > started(job):
        return NOTHING  # what was checked has been made anew
    found, name = last_json(job), Path(verb_of(job)[1][0]).name
    if found.get("ok"):
        return notice("ok", t("export_verified", name=name))
    wrong = ", ".join(str(one) for one in found.get("wrong", []))
    return notice("bad", t("export_damaged", name=name, wrong=wrong), t("export_damaged_do"))


def last_json(job: Job) -> dict[str, Any]:
    """What a verb with --json printed last; {} when it printed none."""
    for line in reversed(job.log_tail().splitlines()):
        try:
            found = json.loads(line)
        except ValueError:
            continue
        if isinstance(found, dict):
            return found
    return {}


# --- what is handed over ---------------------------------------------------------------------------------


def handover(ladder: Ladder, t: Translator) -> Html:
    """The folder and the commands that serve it."""
    made = ladder.last
    if made is None:
        return Html(f'<div class="run"><p class="quiet">{escape(t("export_ready_none"))}</p></div>')
    kind, found = str(made.about.get("kind", "")), proven(ladder)
    verdict = {
        None: badge("none", t("export_unproven")),
        True: badge("ok", t("export_proven")),
        False: badge("bad", t("export_lost")),
    }[found]
    there = "\n".join(line.strip() for line in package.SERVING.get(kind, "").splitlines())
    here = f'qwenlab serve "{made.folder}"'
    return Html(
        f'<div class="run"><div class="head"><b>{escape(t("export_ready"))}</b>'
        f"<span>{escape(made.folder.name)}</span><span>{size_words(made.bytes)}</span>{verdict}</div>"
        f'<p class="path">{escape(made.folder)}</p>'
        f'<p>{escape(t("export_serve"))}</p><pre class="command">{escape(there)}</pre>'
        f'<p>{escape(t("export_serve_here"))}</p><pre class="command">{escape(here)}</pre></div>'
    )


def exports_table(found: Sequence[Export], t: Translator) -> Html:
    """All exports, newest first."""
    if not found:
        return NOTHING
    heads = ("export_col_name", "export_col_kind", "export_col_base", "export_col_size", "export_col_made")
    rows = []
    for one in found:
        kind = str(one.about.get("kind", ""))
        form = t("export_kind_merged") if kind == "merged" else one.about.get("format") or KINDS.get(kind, kind)
        made = time.strftime("%Y-%m-%d %H:%M", time.localtime(one.made))
        rows.append([one.folder.name, form, model_title(str(one.about.get("base", ""))), size_words(one.bytes), made])
    listed = table([t(key) for key in heads], rows, (3,))
    return Html(f'<div class="run"><div class="head"><b>{escape(t("export_all"))}</b></div>{listed}</div>')


def size_words(size: int) -> str:
    """Bytes as people say them."""
    return f"{size / 1e9:.2f} GB" if size >= 1e9 else f"{size / 1e6:.0f} MB"
