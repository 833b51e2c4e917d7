"""The Compare tab as HTML: columns of answers side by side. Everything that a model or a file says is escaped."""

from __future__ import annotations

from collections.abc import Sequence

from qwenlab.conversations import strict_json
from qwenlab.evals.pointer import MISSING
from qwenlab.ui import answer_diff, column_view
from qwenlab.ui.column_view import LETTERS, Frame, Pieces
from qwenlab.ui.components import NOTHING, Html, badge, duration, escape, notice, progress_bar
from qwenlab.ui.room import Loading, Step
from qwenlab.ui.roster import Entrant
from qwenlab.ui.talk import Exchange, Talk
from qwenlab.ui.texts import Translator
from qwenlab.ui.values_table import values_table

MEGA = 1e6
SHOWN_ANYWAY = {"differs", "unreadable", "missing", "unexpected", "null", "not_null"}
"""Reasons that the two values beside each other say by themselves."""


def conversation(talk: Talk, t: Translator, step: Step | None = None) -> Html:
    """The whole conversation: each message, and under it every column's answer."""
    last = len(talk.exchanges) - 1
    given = _turns(talk.given, t) if talk.exchanges else NOTHING
    waiting = _attached(talk, t) if talk.attached and not talk.busy else NOTHING
    body = "".join(_exchange(talk, at, t, step if at == last else None) for at in range(last + 1))
    if not talk.exchanges:
        body = f'<p class="quiet">{escape(t("compare_empty"))}</p>'
    return Html(f'<div class="compare" data-busy="{"yes" if talk.busy else "no"}">{given}{body}{waiting}</div>')


def lineup(entrants: Sequence[Entrant], loading: Sequence[Loading | None], t: Translator) -> Html:
    """Who will answer, and what loading each takes, before anything was asked."""
    columns = []
    for one, needs in zip(entrants, loading, strict=True):
        state = badge("ok", t("compare_loaded"))
        if one.kind == "endpoint":
            state = badge("none", t("compare_not_here"))
        elif needs is not None:
            size, seconds = f"{needs.bytes / MEGA:,.0f}", duration(t, needs.seconds)
            state = badge("none", t("compare_to_load", size=size, time=seconds))
        head = f'<div class="who"><b>{escape(one.name)}</b> {column_view.kind(one, t)}</div>'
        columns.append(f'<section class="column">{head}<div class="chips">{state}</div></section>')
    grid = f'<div class="columns" style="--columns:{len(columns)}">{"".join(columns)}</div>' if columns else ""
    words = t("compare_empty" if columns else "compare_none")
    return Html(f'<div class="compare">{grid}<p class="quiet">{escape(words)}</p></div>')


def _turns(turns: Sequence[dict[str, str]] | Sequence[object], t: Translator) -> Html:
    parts = []
    for turn in turns:
        role, content = turn["role"], turn["content"]  # type: ignore[index]
        parts.append(
            f'<div class="asked given {escape(role)}"><b>{escape(t("role_" + role))}</b><p>{escape(content)}</p></div>'
        )
    return Html("".join(parts))


def _attached(talk: Talk, t: Translator) -> Html:
    what = notice("none", t("compare_attached"))
    return Html(f'<div class="attached">{what}{_turns(talk.attached or (), t)}</div>')


def _exchange(talk: Talk, at: int, t: Translator, step: Step | None) -> str:
    exchange, last = talk.exchanges[at], at == len(talk.exchanges) - 1
    idle = not talk.busy
    pieces = _pieces(exchange)
    columns = "".join(
        column_view.column(
            exchange,
            column,
            Frame(
                letter=LETTERS[place] if len(exchange.replies) > 1 else "",
                about=at == 0 or not exchange.hidden and talk.exchanges[at - 1].hidden,
                reading=step is not None and step.doing == "answering",
                actions=last and idle,
                keeping=last and talk.keeping == column,
                taken=exchange.taken == column,
                pieces=pieces[column],
            ),
            t,
        )
        for place, column in enumerate(exchange.order)
    )
    below = _differences(exchange, t) + (_verdict(exchange, last, t) if idle else "")
    return (
        f"{_asked(exchange, at, idle, talk.changing == at, t)}{_progress(step, t) if step else NOTHING}"
        f'<div class="columns" style="--columns:{len(exchange.replies)}">{columns}</div>{below}'
    )


def _asked(exchange: Exchange, at: int, idle: bool, changing: bool, t: Translator) -> str:
    button = ""
    if idle:
        pressed = "true" if changing else "false"
        button = (
            f'<button type="button" class="link" data-do="change" data-exchange="{at}" aria-pressed="{pressed}" '
            f'title="{escape(t("compare_change_about"))}">{escape(t("compare_change"))}</button>'
        )
    return f'<div class="asked"><b>{escape(t("compare_you"))}</b><p>{escape(exchange.message)}</p>{button}</div>'


def _progress(step: Step, t: Translator) -> Html:
    if step.doing == "waiting":
        return notice("busy", t("compare_waiting", number=int(step.number)), t("compare_waiting_remedy"))
    if step.doing == "loading":
        return progress_bar(t, None, t("compare_loading", name=step.name, time=duration(t, step.number)))
    return progress_bar(t, None, t("compare_forcing")) if step.doing == "forcing" else NOTHING


# --- the verdict -----------------------------------------------------------------------------------------


def _verdict(exchange: Exchange, last: bool, t: Translator) -> str:
    """The buttons of the last answers, or what was said of earlier ones."""
    parts = []
    if last:
        parts.append(_vote_buttons(exchange, t) if len(exchange.candidates) > 1 else "")
        parts.append(f'<button type="button" data-do="again">{escape(t("compare_again"))}</button>')
    elif exchange.voted:
        parts.append(badge("none", _verdict_words(exchange, t)))
    if not last and exchange.taken is not None:
        parts.append(badge("none", t("compare_taken", name=exchange.replies[exchange.taken].entrant.name)))
    inner = "".join(parts)
    return f'<div class="verdict">{inner}</div>' if inner else ""


def _vote_buttons(exchange: Exchange, t: Translator) -> str:
    two = len(exchange.replies) == 2
    choices: list[tuple[str, str]] = []
    for column in exchange.candidates:
        place = exchange.order.index(column)
        name = LETTERS[place] if exchange.hidden else exchange.replies[column].entrant.name
        side = t("compare_left_better" if place == 0 else "compare_right_better")
        choices.append((str(column), side if two else name))
    choices.insert(1 if two else len(choices), ("same", t("compare_same")))
    now = "same" if exchange.best is None else str(exchange.best)
    buttons = "".join(
        f'<button type="button" data-do="vote" data-best="{value}" '
        f'aria-pressed="{"true" if exchange.voted and value == now else "false"}">{escape(words)}</button>'
        for value, words in choices
    )
    label = t("compare_which" if two else "compare_best")
    return f'<span class="vote" role="group" aria-label="{escape(label)}"><b>{escape(label)}</b>{buttons}</span>'


def _verdict_words(exchange: Exchange, t: Translator) -> str:
    if exchange.best is None:
        return t("compare_voted_same")
    return t("compare_voted", name=exchange.replies[exchange.best].entrant.name)


# --- differences -----------------------------------------------------------------------------------------


def _by_value(exchange: Exchange) -> bool:
    """Whether the answers are compared as JSON values and not as text."""
    found = [reply.judgement for reply in exchange.replies if reply.judgement is not None]
    if any(one.fields is not None for one in found):
        return True
    return not exchange.wanted.expected.strip() and sum(one.reading.parsed for one in found) > 1


def _pieces(exchange: Exchange) -> list[Pieces | None]:
    """Each answer word by word: against the expected text, or else against the other columns."""
    found: list[Pieces | None] = [None] * len(exchange.replies)
    wanted, expected = exchange.wanted, exchange.wanted.expected.strip()
    as_json = _is_json(expected) if expected else wanted.suite is not None and wanted.suite.is_json
    if as_json or _by_value(exchange) or any(reply.answer is None for reply in exchange.replies):
        return found
    whole = [
        at for at, one in enumerate(exchange.replies) if one.said and one.answer and one.answer.finish != "stopped"
    ]
    texts = [exchange.replies[at].text for at in whole]
    if expected:
        marked = [answer_diff.against(expected, text) for text in texts]
    else:
        marked = answer_diff.among(texts) if len(texts) > 1 else []
    for at, pieces in zip(whole, marked, strict=False):
        found[at] = pieces
    return found


def _is_json(text: str) -> bool:
    try:
        strict_json.read(text)
    except strict_json.NotJsonError:
        return False
    return True


def _differences(exchange: Exchange, t: Translator) -> str:
    """One table of the values that are wrong or differ between the columns."""
    if any(reply.answer is None for reply in exchange.replies) or not _by_value(exchange):
        return ""
    places = [
        (place, at)
        for place, at in enumerate(exchange.order)
        if (found := exchange.replies[at].judgement) is not None and found.reading.parsed
    ]
    rows = answer_diff.rows([exchange.replies[at].judgement for _, at in places])
    if not rows:
        return f'<p class="quiet">{escape(t("compare_all_same"))}</p>' if len(places) > 1 else ""
    known = any(row.expected is not MISSING for row in rows)
    names = [
        t("compare_hidden", letter=LETTERS[place]) if exchange.hidden else exchange.replies[at].entrant.name
        for place, at in places
    ]
    return values_table(rows, names, t, known, SHOWN_ANYWAY)
