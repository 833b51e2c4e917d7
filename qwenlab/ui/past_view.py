"""A suite over time as a plot, and its parts as a table, as HTML that follows the page's colours and width."""

from __future__ import annotations

import time
from collections.abc import Sequence

from qwenlab.evals import words
from qwenlab.evals.rates import Rate
from qwenlab.evals.result import Result
from qwenlab.evals.slices import sentence
from qwenlab.ui.components import NOTHING, Html, badge, escape, fold, table
from qwenlab.ui.matrix import View
from qwenlab.ui.past import Past, Slice
from qwenlab.ui.suites import Shown
from qwenlab.ui.texts import Translator

MEASURES = ("passed", "usable", "field_accuracy", "document_exact", "strict")
MOST = 24
"""Results in the plot, the newest ones: more would stand too close to be told apart."""
SLICES = {
    "en": "test_language_en",
    "zh": "test_language_zh",
    "short": "test_length_short",
    "middle": "test_length_middle",
    "long": "test_length_long",
}
KINDS = {"language": "test_slice_language", "length": "test_slice_length", "tag": "test_slice_tag"}


def over_time(past: Sequence[Past], result: Result, view: View, t: Translator) -> Html:
    """Every contestant of every result of this suite as a dot with its interval; a click opens the result."""
    past = past[-MOST:]
    if len(past) < 2:
        return NOTHING
    options = "".join(
        f'<option value="{name}"{" selected" if name == view.measure else ""}>'
        f"{escape(words.measure_name(name, t.language))}</option>"
        for name in MEASURES
    )
    about = escape(t("test_past_measure"))
    chosen = f'data-part="measure" data-value="{escape(view.measure)}"'
    select = f'<select data-do="choose" {chosen} aria-label="{about}">{options}</select>'
    wide = 100 / len(past)
    inside = "".join(_result(one, at, wide, result, t) for at, one in enumerate(past))
    changes = "".join(
        f'<i class="changed" style="left:{at * wide:.2f}%" title="{escape(t("test_past_changed"))}"></i>'
        for at in range(1, len(past))
        if past[at].fingerprint != past[at - 1].fingerprint
    )
    grid = "".join(f'<i class="line" style="bottom:{share}%"><span>{share} %</span></i>' for share in (0, 50, 100))
    note = f'<p class="quiet">{escape(t("test_past_about"))}</p>'
    plot = f'<div class="past" role="group" aria-label="{about}">{grid}{changes}{inside}</div>'
    return fold("past", t("test_past", number=len(past)), Html(f"<p>{select}</p>{plot}{note}"))


def _result(one: Past, at: int, wide: float, result: Result, t: Translator) -> str:
    day = time.strftime("%m-%d %H:%M", time.localtime(one.began))
    dots = ""
    for place, (name, found) in enumerate(one.rates.items()):
        left = (at + (place + 1) / (len(one.rates) + 1)) * wide
        dots += _dot(one, name, found, left, place == len(one.rates) - 1, day, t)
    here = ' aria-current="true"' if one.folder == result.folder else ""
    label = f'<span class="day"{here} style="left:{(at + 0.5) * wide:.2f}%">{escape(day)}</span>'
    return dots + label


def _dot(one: Past, name: str, found: Rate, left: float, last: bool, day: str, t: Translator) -> str:
    low, high = 100 * found.low, 100 * found.high
    said = t(
        "test_past_dot",
        name=name,
        value=f"{100 * found.value:.1f}",
        low=f"{low:.0f}",
        high=f"{high:.0f}",
        n=found.n,
        day=day,
    )
    kind = "dot last" if last else "dot"
    return (
        f'<i class="range" style="left:{left:.2f}%;bottom:{low:.1f}%;height:{high - low:.1f}%"></i>'
        f'<button type="button" class="{kind}" data-do="result" data-folder="{escape(one.folder.name)}" '
        f'style="left:{left:.2f}%;bottom:{100 * found.value:.1f}%" title="{escape(said)}" aria-label="{escape(said)}">'
        "</button>"
    )


def slices_table(slices: Sequence[Slice], shown: Shown, t: Translator) -> Html:
    """Pass rates by language, length and tag; a click on a language or a tag narrows the list of cases to it.

    Where somebody is surely worse than on the rest, that is said and seen while the table is folded.
    """
    if not slices:
        return NOTHING
    names = [one.name for one in shown.result.contestants]
    headers = [t("test_slice"), words.measure_name("n", t.language), *names]
    rows: list[list[object]] = [
        [_name(one, t), one.number, *(_rate(one.rates.get(name)) for name in names)] for one in slices
    ]
    listed = table(headers, rows, numeric=range(1, len(headers)))
    said = "".join(f"<div>{badge('warn', sentence(one, t.language))}</div>" for one in shown.worse_parts)
    worse = f'<div class="verdicts">{said}</div>' if said else ""
    return Html(
        worse + fold("slices", t("test_slices"), Html(f'<p class="quiet">{escape(t("test_slices_about"))}</p>{listed}'))
    )


def _name(one: Slice, t: Translator) -> Html:
    label = t(SLICES[one.name]) if one.kind != "tag" and one.name in SLICES else one.name
    kind = f'<span class="quiet">{escape(t(KINDS[one.kind]))}</span>'
    if one.kind == "length":
        return Html(f"{kind} {escape(label)}")
    return Html(
        f'{kind} <button type="button" class="link" data-do="choose" data-part="{one.kind}" '
        f'data-value="{escape(one.name)}">{escape(label)}</button>'
    )


def _rate(found: Rate | None) -> Html:
    if found is None:
        return Html('<span class="quiet">–</span>')
    interval = f"{100 * found.low:.0f}–{100 * found.high:.0f}"
    return Html(f'<span class="rate">{100 * found.value:.0f} % <span class="quiet">{interval}</span></span>')
