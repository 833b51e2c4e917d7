"""Sending the wrong cases of a list to the data set: the button, what it would do, and what it did, as HTML."""

from __future__ import annotations

from collections.abc import Sequence

from qwenlab.errors import QwenlabError
from qwenlab.evals.suite import Case
from qwenlab.ui import keep_many
from qwenlab.ui.components import NOTHING, Html, error_words, escape, notice
from qwenlab.ui.keep_many import Lot
from qwenlab.ui.lab import Lab
from qwenlab.ui.matrix import Matrix, View, mark_of
from qwenlab.ui.suites import Shown
from qwenlab.ui.texts import Translator

NAMED = 8
"""Cases that a sentence names."""
FEWEST = 2
"""One case is sent from where it is shown."""


def sending(lab: Lab, shown: Shown | None, view: View, t: Translator) -> Html:
    """The button below the list; once it is pressed, what sending would do, and the button that does it."""
    cases = wrong_cases(shown, view)
    if shown is None or len(cases) < FEWEST:
        return NOTHING
    words = t("test_send", number=f"{len(cases):,}")
    if not view.sending:
        return Html(f'<div class="suite-part"><button type="button" data-do="send">{escape(words)}</button></div>')
    try:
        document = lab.document()
        lot = keep_many.look(document, shown.result.suite, cases)
    except QwenlabError as error:
        return notice("bad", *error_words(error, t))
    data = document.dataset.name if document is not None else t("test_send_new")
    cancel = f'<button type="button" data-do="send">{escape(t("compare_keep_cancel"))}</button>'
    if not lot.fresh:
        return notice("none", t("test_send_nothing"), Html(f"{_left_out(lot, t)} {cancel}"))
    now = t("test_send_now", number=f"{len(lot.fresh):,}")
    buttons = f'<p><button type="button" data-do="send-now">{escape(now)}</button> {cancel}</p>'
    remedy = Html(f"{escape(t('test_send_burns'))} {_left_out(lot, t)}{buttons}")
    return notice("warn", t("test_send_confirm", number=f"{len(lot.fresh):,}", data=data), remedy)


def sent(lot: Lot, data: str, saved: bool, t: Translator) -> Html:
    """What was done."""
    remedy = escape(t("test_sent_train") if saved else t("compare_keep_unsaved"))
    said = t("test_sent", number=f"{len(lot.fresh):,}", data=data)
    return notice("ok" if saved else "warn", said, Html(f"{remedy} {_left_out(lot, t)}"))


def wrong_cases(shown: Shown | None, view: View) -> list[Case]:
    """The listed cases that the judged contestant answered and did not pass, once at least."""
    if shown is None or not shown.result.contestants:
        return []
    found = Matrix(shown.result, view)
    right = shown.result.contestants[found.judged].right
    return [
        case
        for case in found.listed
        if right.get(case.id) is False and mark_of(found.score(found.judged, case.id)) != "error"
    ]


def _left_out(lot: Lot, t: Translator) -> Html:
    parts = [
        (lot.there, "test_send_there"),
        (lot.contradicted, "test_send_contradicted"),
        (lot.refused, "test_send_refused"),
    ]
    return escape(" ".join(t(key, cases=_named(cases, t)) for cases, key in parts if cases))


def _named(cases: Sequence[str], t: Translator) -> str:
    named = ("、" if t.language == "zh" else ", ").join(cases[:NAMED])
    more = len(cases) - NAMED
    return t("test_send_and_more", cases=named, number=more) if more > 0 else named
