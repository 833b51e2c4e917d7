"""A suite over time as a plot, and its parts as a table, as HTML that follows the page's colours and width."""

from __future__ import annotations

from collections.abc import Sequence

from qwenlab.evals import slices, words
from qwenlab.evals.history import MEASURES, History, Past, changed_words, moment
from qwenlab.evals.rates import Rate
from qwenlab.evals.result import Result
from qwenlab.evals.slices import SliceRate
from qwenlab.ui.components import NOTHING, Html, badge, escape, fold, table
from qwenlab.ui.matrix import View
from qwenlab.ui.texts import Translator

MOST = 24
"""Results in the plot, the newest ones: more would stand too close to be told apart."""
FEWEST = 3
"""A part with fewer cases is not listed: its rate would say nothing."""
KINDS = {"language": "test_slice_language", "length": "test_slice_length", "tag": "test_slice_tag"}


def over_time(history: History, result: Result, view: View, t: Translator) -> Html:
    """Every contestant of every result of this suite as a dot with its interval; a click opens the result."""
    past = [one for one in history.results if any(view.measure in point.rates for point in one.points)][-MOST:]
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
    inside = "".join(_result(one, at, wide, result, view, t) for at, one in enumerate(past))
    changes = "".join(
        f'<i class="changed" style="left:{at * wide:.2f}%" title="{escape(what)}"></i>'
        for at, one in enumerate(past)
        if at and (what := changed_words(one.changed, t.language))
    )
    grid = "".join(f'<i class="line" style="bottom:{share}%"><span>{share} %</span></i>' for share in (0, 50, 100))
    note = f'<p class="quiet">{escape(t("test_past_about"))}</p>'
    plot = f'<div class="past" role="group" aria-label="{about}">{grid}{changes}{inside}</div>'
    return fold("past", t("test_past", number=len(past)), Html(f"<p>{select}</p>{plot}{note}"))


def _result(one: Past, at: int, wide: float, result: Result, view: View, t: Translator) -> str:
    day = moment(one.time).partition("-")[2]
    rates = {point.contestant: point.rates[view.measure] for point in one.points if view.measure in point.rates}
    dots = ""
    for place, (name, found) in enumerate(rates.items()):
        left = (at + (place + 1) / (len(rates) + 1)) * wide
        dots += _dot(one, name, found, left, place == len(rates) - 1, day, t)
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


def slices_table(parts: Sequence[SliceRate], t: Translator) -> Html:
    """Pass rates by language, length and tag; a click on a language or a tag narrows the list of cases to it.

    Where somebody is surely worse than on the rest, that is said and seen while the table is folded.
    """
    listed = [one for one in parts if one.passed.n >= FEWEST]
    if not listed:
        return NOTHING
    names = list(dict.fromkeys(one.contestant for one in listed))
    headers = [t("test_slice"), words.measure_name("n", t.language), *names]
    rows: dict[tuple[str, str], dict[str, SliceRate]] = {}
    for one in listed:
        rows.setdefault((one.slice.kind, one.slice.name), {})[one.contestant] = one
    cells: list[list[object]] = []
    for row in rows.values():
        first = next(iter(row.values()))
        rates = (row[name].passed if name in row else None for name in names)
        cells.append([_name(first.slice, t), first.passed.n, *map(_rate, rates)])
    shown = table(headers, cells, numeric=range(1, len(headers)))
    said = "".join(f"<div>{badge('warn', slices.sentence(one, t.language))}</div>" for one in parts if one.worse)
    worse = f'<div class="verdicts">{said}</div>' if said else ""
    return Html(
        worse + fold("slices", t("test_slices"), Html(f'<p class="quiet">{escape(t("test_slices_about"))}</p>{shown}'))
    )


def _name(one: slices.Slice, t: Translator) -> Html:
    label = slices.label(one, t.language)
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
