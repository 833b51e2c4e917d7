"""What the Export tab shows: the ladder merge, quantize, prove of one run, read from jobs and export folders."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote

from qwenlab.evals.words import measure_name
from qwenlab.export import card, mending
from qwenlab.jobs import Job
from qwenlab.ui import suites
from qwenlab.ui.components import (
    NOTHING,
    Html,
    badge,
    ended_words,
    escape,
    fold,
    goto,
    notice,
    progress_bar,
    table,
)
from qwenlab.ui.ladder import Export, Ladder, adapter_time, started, verb_of
from qwenlab.ui.texts import Translator
from qwenlab.ui.training_view import KILL_AFTER, log_fold, model_title, stop_waits

COMPARING = "comparing next tokens"
"""What a proof says that it does before it asks the suite."""
KINDS = {"gguf": "GGUF", "gptq": "GPTQ"}
MEASURES = ("strict", "usable", "field_accuracy", "document_exact", "passed")


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
    """Step 3: what the proof says in one sentence, what it rests on, and what mends a failure."""
    job, made, body = ladder.proving, ladder.last, ""
    if job is not None:
        body += _job_part(job, made, t, t("export_proving_load"))
    if made is not None and made.proof:
        body += proof_part(made, t)
    elif made is None:
        body += f'<p class="quiet">{escape(t("export_needs_merge"))}</p>'
    body += _check_part(ladder, t)
    proven = made if made is not None and made.proof else None
    return _step(t("export_prove"), t("export_prove_about"), job, proven, ladder.outdated, body, t)


def _step(title: str, about: str, job: Job | None, made: Export | None, old: bool, body: str, t: Translator) -> Html:
    state = job.state() if job is not None else "new"
    if state == "running":
        kind, words = "busy", t("state_running")
    elif made and not old and made.passed is False:
        kind, words = "bad", t("export_failed_check")
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
    elif progress.get("what") == COMPARING:
        doing = t("export_comparing")
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


def proof_part(made: Export, t: Translator) -> Html:
    """A scorecard: the verdict in a sentence, the scoreboard, and more for whoever wants it."""
    proof = made.proof or {}
    words = t("export_cases", suite=proof.get("suite", ""), number=f"{proof.get('cases', 0):,}")
    said, details = (proof.get(key) or {} for key in ("sentence", "details"))
    body: str = notice("ok" if made.passed else "bad", said.get(t.language, ""))
    if not made.passed:
        body += _mending(made, t)
    body += f'<p class="quiet">{escape(words)}</p>{scoreboard(proof.get("rows") or [], t)}'
    body += f'<p class="quiet">{escape(t("export_who"))}</p>'
    lines = "".join(f"<li>{escape(line)}</li>" for line in details.get(t.language) or [])
    body += fold(f"proof-{made.folder.name}", t("export_details"), f"<ul>{lines}</ul>")
    return Html(body + goto("tab_test", t("export_open_test")))


def _mending(made: Export, t: Translator) -> str:
    """A button for each thing that usually helps."""
    found = mending.remedies(made.about)
    if not found:
        return notice("none", t("export_mend_none"))
    buttons = "".join(
        f'<p><button type="button" data-key="mend {escape(one.key)}">{escape(t("export_mend_do"))}</button> '
        f"{escape(one.words[t.language == 'zh'])}</p>"
        for one in found
    )
    return f"<p><b>{escape(t('export_mend'))}</b></p>{buttons}"


def scoreboard(rows: Sequence[Mapping[str, Any]], t: Translator) -> Html:
    """Contestants by measures, of a scorecard."""
    columns = [name for name in MEASURES if any(row.get(name) is not None for row in rows)]
    heads = [measure_name(name, t.language) for name in ("contestant", *columns, "tokens_per_s", "size")]
    cells = [
        [
            row.get("name", ""),
            *(f"{100 * row[name]:.1f} %" if row.get(name) is not None else "" for name in columns),
            f"{row['tokens_per_s']:.1f}" if row.get("tokens_per_s") is not None else "",
            size_words(row["bytes"]) if row.get("bytes") is not None else "",
        ]
        for row in rows
    ]
    return table(heads, cells, range(1, len(heads)))


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
    scores = found.get("scorecard") or {}
    if found.get("ok"):
        asked = t("export_asked_again", same=scores["same"], asked=scores["asked"]) if scores.get("asked") else ""
        return notice("ok", t("export_verified", name=name), asked)
    if not found.get("wrong") and found.get("passed") is False and scores.get("matches", True):
        return notice("bad", t("export_whole_but_failed", name=name), t("export_next_mend"))
    if not found.get("wrong"):
        words = "export_answers_worse" if scores.get("matches") else "export_scores_wrong"
        return notice("bad", t(words, name=name), t("export_scores_do"))
    wrong = ", ".join(str(one) for one in found["wrong"])
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
    """What to do next, and at the end the folder, the commands that serve it, and Download."""
    made = ladder.last
    if made is None:
        return Html(f'<div class="run"><p>{escape(t(_next(ladder)))}</p></div>')
    passed = None if ladder.outdated else made.passed
    kind, words = {
        None: ("none", "export_unproven"),
        True: ("ok", "export_proven"),
        False: ("bad", "export_failed_check"),
    }[passed]
    head = (
        f'<div class="run"><div class="head"><b>{escape(t("export_ready"))}</b>'
        f"<span>{escape(made.folder.name)}</span><span>{size_words(made.bytes)}</span>{badge(kind, t(words))}</div>"
        f"<p><b>{escape(t(_next(ladder)))}</b>{escape(_how_good(made, t) if passed else '')}</p>"
    )
    if passed is False:
        return Html(head + "</div>")
    there = "\n".join(card.SERVING.get(str(made.about.get("kind", "")), ()))
    here = f'qwenlab serve "{made.folder}"'
    link = download(made, t("export_download", size=size_words(made.bytes)))
    return Html(
        f'{head}<p>{escape(t("export_folder"))} <span class="path">{escape(made.folder)}</span></p><p>{link}</p>'
        f'<p>{escape(t("export_serve"))}</p><pre class="command">{escape(there)}</pre>'
        f'<p>{escape(t("export_serve_here"))}</p><pre class="command">{escape(here)}</pre></div>'
    )


def _next(ladder: Ladder) -> str:
    """The text that says what to do now."""
    if ladder.working() is not None:
        return "export_next_wait"
    if ladder.last is None:
        return "export_next_merge"
    if ladder.outdated:
        return "export_next_outdated"
    if ladder.last.passed is None:
        return "export_next_prove" if ladder.small else "export_next_quantize"
    return "export_next_ready" if ladder.last.passed else "export_next_mend"


def _how_good(made: Export, t: Translator) -> str:
    """The share of its answers that are good, beside that of whom the scoreboard begins with."""
    rows = (made.proof or {}).get("rows") or []
    measure = next((name for name in ("passed", "usable") if rows and rows[-1].get(name) is not None), None)
    if measure is None or rows[0].get(measure) is None:
        return ""
    before, after = (f"{100 * row[measure]:.1f} %" for row in (rows[0], rows[-1]))
    values = {"measure": measure_name(measure, t.language), "first": rows[0].get("name", "")}
    return " " + t("export_how_good", before=before, after=after, **values)


def download(made: Export, words: str) -> Html:
    """A link to the export as one ZIP file."""
    return Html(f'<a class="button" href="/download/export/{quote(made.folder.name)}.zip" download>{escape(words)}</a>')


def exports_table(found: Sequence[Export], t: Translator) -> Html:
    """All exports, newest first."""
    if not found:
        return NOTHING
    heads = ("export_col_name", "export_col_kind", "export_col_base", "export_col_size", "export_col_made")
    checks = {None: "export_unproven", True: "export_proven", False: "export_failed_check"}
    rows = []
    for one in found:
        kind = str(one.about.get("kind", ""))
        form = t("export_kind_merged") if kind == "merged" else one.about.get("format") or KINDS.get(kind, kind)
        made = time.strftime("%Y-%m-%d %H:%M", time.localtime(one.made))
        size, base = size_words(one.bytes), model_title(str(one.about.get("base", "")))
        link = NOTHING if one.passed is False else download(one, t("export_zip"))
        rows.append([one.folder.name, form, base, size, made, t(checks[one.passed]), link])
    listed = table([*(t(key) for key in (*heads, "export_col_check")), ""], rows, (3,))
    return Html(f'<div class="run"><div class="head"><b>{escape(t("export_all"))}</b></div>{listed}</div>')


def size_words(size: int) -> str:
    """Bytes as people say them."""
    return f"{size / 1e9:.2f} GB" if size >= 1e9 else f"{size / 1e6:.0f} MB"
