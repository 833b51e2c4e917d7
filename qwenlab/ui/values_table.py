"""Answers side by side as a table, value by value: what was expected, what each one said, and why it is wrong."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from qwenlab.evals import words
from qwenlab.evals.pointer import MISSING
from qwenlab.ui import answer_view
from qwenlab.ui.answer_diff import Row, Value
from qwenlab.ui.components import Html, escape, table
from qwenlab.ui.texts import Translator


def values_table(
    rows: Sequence[Row], names: Sequence[str], t: Translator, expected: bool = True, plain: Collection[str] = ()
) -> Html:
    """One row a value, one column an answer.

    Args:
        names: of the columns. expected: whether to show what was expected.
        plain: reasons that the two values beside each other say; the mouse is told them all the same.
    """
    headers = [t("compare_value"), *([t("compare_wanted")] if expected else []), *names]
    lines = [_line(row, expected, plain, t) for row in rows]
    return Html(f'<div class="differences beside">{table(headers, lines)}</div>')


def _line(row: Row, expected: bool, plain: Collection[str], t: Translator) -> list[Html]:
    scores = [one.score for one in row.values if one is not None and one.score is not None]
    critical = any(score.critical for score in scores)
    mark = Html(f' <small title="{escape(t("compare_critical_about"))}">{escape(t("compare_critical"))}</small>')
    place = Html(f"{escape(answer_view.place_name(row.pointer) or t('compare_whole'))}{mark if critical else ''}")
    return [place, *([_shown(row.expected, t)] if expected else []), *(_cell(one, plain, t) for one in row.values)]


def _cell(one: Value | None, plain: Collection[str], t: Translator) -> Html:
    if one is None:
        return Html(f'<span class="quiet">{escape(t("test_unreadable"))}</span>')
    if one.score is None:
        return _shown(one.value, t)
    if one.score.ok:
        return Html(f'<i class="ok">✓</i> {_shown(one.value, t)}')
    why = words.explain(one.score, t.language)
    said = "" if one.score.code in plain else f"<small>{escape(why)}</small>"
    value = f'<span title="{escape(why)}"><i class="bad">✗</i> <span class="wrong">{_shown(one.value, t)}</span></span>'
    return Html(value + said)


def _shown(value: object, t: Translator) -> Html:
    if value is MISSING:
        return Html('<span class="quiet">–</span>')
    return Html(f"<code>{escape(words.show(value, t.language))}</code>")
