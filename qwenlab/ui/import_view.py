"""The HTML of an import's report: what will happen, the first rows and samples, and what is left out."""

from __future__ import annotations

from qwenlab.conversations.preview import Preview
from qwenlab.conversations.sample import Sample
from qwenlab.ui.components import Html, escape, notice, table
from qwenlab.ui.texts import Translator

SHOWN_REFUSALS = 50
SHOWN_CHARACTERS = 160


def preview_html(found: Preview, t: Translator, repeated: int = 0, open_name: str = "") -> Html:
    """What will happen, in words, with the first rows and samples; what is refused is folded.

    Args:
        found: what the file brings.
        t: the page's language.
        repeated: how many of the samples stand in the open data set already.
        open_name: its name.
    """
    number = len(found.samples)
    lines = [found.describe(t.language, most=0)[0], *found.changed(t.language)] if number else []
    if repeated:
        lines.append(t("import_repeated", name=open_name, number=repeated))
    refused = [f"{one.where(t.language)}: {one.why(t.language)}" for one in found.refused[:SHOWN_REFUSALS]]
    if len(found.refused) > SHOWN_REFUSALS:
        refused.append(t("import_more", number=len(found.refused) - SHOWN_REFUSALS))
    head = t("import_ready" if number else "import_none", name=found.name, number=number)
    fold = t("import_refused", number=len(found.refused))
    kind = "bad" if not number else "warn" if refused else "ok"
    if found.needs_columns:  # nothing is wrong with the file yet
        kind, head = "warn", f"{found.name}: {t('import_pick')}"
    said = notice(kind, head, details="\n".join(refused), t=t, fold=fold)
    words = "".join(f'<p class="quiet">{escape(line)}</p>' for line in lines)
    return Html(said + words + _first_rows(found, t) + _first_samples(found.samples, t))


def _first_rows(found: Preview, t: Translator) -> str:
    if found.table is None or not found.table.columns:
        return ""
    head = t("import_first_rows")
    if found.table.sheet:
        head += " · " + t("import_sheet_about", sheet=found.table.sheet)
    rows = [[_short(cell) for cell in row] for row in found.table.first()]
    return f'<p class="quiet">{escape(head)}</p>{table(found.table.columns, rows)}'


def _first_samples(samples: list[Sample], t: Translator) -> str:
    if not samples:
        return ""
    rows = []
    for sample in samples[:3]:
        turns = sample.turns
        asked = next((turn.text for turn in turns if turn.role == "user"), "")
        answered = next((turn.text for turn in reversed(turns) if turn.role == "assistant"), "")
        rows.append([_short(sample.id), len(turns), _short(asked), _short(answered)])
    headers = [t("column_id"), t("import_turns"), t("import_question"), t("import_answer")]
    return f'<p class="quiet">{escape(t("import_first"))}</p>{table(headers, rows, numeric=[1])}'


def _short(text: str) -> str:
    return text if len(text) <= SHOWN_CHARACTERS else text[: SHOWN_CHARACTERS - 1] + "…"
