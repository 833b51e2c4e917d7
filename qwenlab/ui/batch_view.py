"""A batch of messages as HTML: how far it is, and the table of messages and answers."""

from __future__ import annotations

from pathlib import Path

from qwenlab.evals import batch
from qwenlab.evals.batch import Batch, Cell
from qwenlab.jobs import Job
from qwenlab.ui import answer_view, suites
from qwenlab.ui.components import NOTHING, Html, badge, ended_words, escape, notice, progress_bar, table
from qwenlab.ui.texts import Translator

PAGE = 50
"""Messages shown at once; the export has all of them."""
PREVIEW = 240


def progress(job: Job | None, t: Translator, found: Batch | None = None) -> Html:
    """How far the batch is, or why it ended otherwise than well.

    Args:
        found: what stands on disk of it, which may be more than was reported.
    """
    state = job.state() if job is not None else "new"
    if job is None or state in ("new", "finished"):
        return NOTHING
    if state == "running":
        event = suites.last_progress(job)
        if job.asked_to_stop():
            return progress_bar(t, None, t("batch_stopping"))
        if event is None:
            return progress_bar(t, None, t("batch_starting"))
        total = int(event.get("total", 0))
        done = found.done if found is not None else int(event.get("done", 0))
        doing = t("batch_doing", name=event.get("contestant", ""), done=done, total=total)
        left = event.get("seconds_left")
        return progress_bar(t, done / max(1, total), doing, None if left is None else float(left))
    if state == "failed":
        reason, remedy = ended_words(job.outcome() or {}, t)
        return notice("bad", t("batch_failed", reason=reason), remedy, job.log_tail(), t)
    return notice("warn", t("batch_stopped" if state == "stopped" else "batch_interrupted"), t("batch_go_on"))


def answers(folder: Path, found: Batch, t: Translator) -> Html:
    """One row a message, one column a contestant; each answer with its rung and what the schema says."""
    names = list(found.cells)
    known = any(one.expected for one in found.questions)
    headers = [t("batch_message"), *([t("compare_wanted")] if known else []), *names]
    rows = []
    for at, question in enumerate(found.questions[:PAGE]):
        asked = Html(f'<p class="asked">{escape(_short(question.text))}</p>')
        expected = [Html(f"<pre>{escape(_short(question.expected))}</pre>")] if known else []
        rows.append([asked, *expected, *(_cell(found.cells[name][at], found, t) for name in names)])
    more = len(found.questions) - PAGE
    tail = (
        f'<p class="quiet">{escape(t("batch_more", shown=PAGE, number=len(found.questions)))}</p>' if more > 0 else ""
    )
    return Html(f'<div class="batch">{_summary(found, t)}{table(headers, rows)}{tail}{_links(folder, t)}</div>')


def _summary(found: Batch, t: Translator) -> str:
    """Per contestant: how many answers there are, and how many can be used."""
    parts = []
    for name, column in found.cells.items():
        cells = [cell for cell in column if cell is not None]
        strict = sum(cell.reading.rung == "strict" for cell in cells)
        said = t("batch_count", name=name, number=len(cells), strict=strict)
        if found.plan.schema is not None:
            said += t("batch_fits", number=sum(cell.violations == () for cell in cells))
        failed = sum(cell.answer.finish not in ("stop", "length") for cell in cells)
        said += t("batch_errors", number=failed) if failed else ""
        parts.append(f"<li>{escape(said)}</li>")
    return f'<ul class="counts">{"".join(parts)}</ul>'


def _cell(cell: Cell | None, found: Batch, t: Translator) -> Html:
    if cell is None:
        return Html('<span class="quiet">…</span>')
    if cell.answer.finish not in ("stop", "length", "stopped"):
        return Html(f"{badge('bad', t('compare_failed'))} {escape(cell.answer.error_in(t.language))}")
    wanted = found.plan.schema is not None
    chips = [answer_view.rung(cell.reading.rung, t, wanted)]
    if cell.violations is not None:
        chips.append(answer_view.schema(cell.violations, t))
    if cell.answer.finish != "stop":
        kind, key = answer_view.FINISHES[cell.answer.finish]
        chips.append(badge(kind, t(key)))
    text = cell.answer.text
    shown = f"<pre>{escape(_short(text))}</pre>"
    if len(text) > PREVIEW:
        shown = f"<details><summary>{shown}</summary><pre>{escape(text)}</pre></details>"
    return Html(f'{shown}<div class="chips">{" ".join(chips)}</div>')


def _short(text: str) -> str:
    return text if len(text) <= PREVIEW else text[: PREVIEW - 1] + "…"


def _links(folder: Path, t: Translator) -> str:
    names = {"csv": "CSV", "xlsx": "Excel", "jsonl": "JSONL"}
    links = "".join(
        f'<a href="/download/batch/{escape(folder.name)}/{form}" download>{names[form]}</a>' for form in batch.FORMS
    )
    return f'<p class="links">{escape(t("batch_export"))}{links}</p>'
