"""What the checks found, as HTML: one line per kind of problem, with a way to see those samples and to fix them."""

from __future__ import annotations

from collections import defaultdict
from weakref import WeakKeyDictionary

from qwenlab.conversations import fixes
from qwenlab.conversations.checks import Problem, severity
from qwenlab.conversations.document import Document
from qwenlab.ui.components import NOTHING, SIGNS, Html, badge, escape
from qwenlab.ui.texts import Translator

LOOKED_AT = 50
"""Samples of a kind up to which it is counted how many can be fixed."""

_TRIED: WeakKeyDictionary[Document, tuple[dict[str, int], dict[str, int | None]]] = WeakKeyDictionary()


def summary(document: Document, t: Translator) -> Html:
    """One line per kind of problem, errors first; nothing while nothing is known to be wrong."""
    counts = document.counts()
    kinds = sorted(counts.keys() - {"any"}, key=lambda code: (severity(code), -counts[code], code))
    if not kinds:
        return NOTHING
    able = _fixable(document)
    lines = "".join(_line(code, counts[code], able.get(code, 0), t) for code in kinds)
    worst = "bad" if severity(kinds[0]) == "error" else "warn"
    words = t("check_found", number=f"{len(document.samples):,}", bad=f"{counts['any']:,}")
    head = badge(worst, words)
    return Html(f'<details class="problems" open><summary>{head}</summary><ul class="kinds">{lines}</ul></details>')


def fix_button(code: str, turn: int | None, t: Translator) -> Html:
    """A button that fixes one finding; nothing where only a person can decide.

    Args:
        turn: the turn that the finding is about; None: the sample as a whole.
    """
    where = "" if turn is None else f' data-turn="{turn}"'
    return _fix_button("fix", code, t("fix"), t, where)


def _line(code: str, number: int, able: int | None, t: Translator) -> str:
    """Able: how many can be fixed; None: some, not counted."""
    kind = "bad" if severity(code) == "error" else "warn"
    words = t("kind_" + code)
    about = escape(t("show_kind_about", kind=words))
    fix = NOTHING
    if able != 0:
        fix = _fix_button("fix_all", code, t("fix_all_some") if able is None else t("fix_all", number=able), t)
    return (
        f'<li class="bar"><i class="{kind}">{SIGNS[kind]}</i> {escape(words)} <b>{number:,}</b>'
        f'<span class="push"></span><button type="button" data-do="show_kind" data-kind="{escape(code)}" '
        f'title="{about}" aria-label="{about}">{escape(t("show_kind"))}</button>{fix}</li>'
    )


def _fix_button(do: str, code: str, words: str, t: Translator, where: str = "") -> Html:
    fix = fixes.fix_for(code)
    if fix is None:
        return NOTHING
    about = escape(t("fix_about", fix=fix.say(t.language)))
    return Html(
        f'<button type="button" data-do="{do}" data-kind="{escape(code)}"{where} title="{about}" '
        f'aria-label="{escape(words)}: {about}">{escape(words)}</button>'
    )


def _fixable(document: Document) -> dict[str, int | None]:
    """For each kind how many samples can be fixed; None where some can and there are too many to count.

    Tried out again only when the number of problems of some kind changed: typing seldom does that.
    """
    counts = dict(document.counts())
    known = _TRIED.get(document)
    if known is None or known[0] != counts:
        known = _TRIED[document] = (counts, _try_out(document))
    return known[1]


def _try_out(document: Document) -> dict[str, int | None]:
    found: defaultdict[str, dict[int, list[Problem]]] = defaultdict(dict)
    for index, known in enumerate(document.facts):
        for turn, code, detail in known.problems:
            places = found[code]
            if index in places or len(places) < LOOKED_AT:
                places.setdefault(index, []).append(Problem(index, known.id, turn, code, detail))
    able: dict[str, int | None] = {}
    for code, places in found.items():
        fixed = sum(_any_fixable(document, problems) for problems in places.values())
        able[code] = fixed if document.counts()[code] <= LOOKED_AT or not fixed else None
    return able


def _any_fixable(document: Document, problems: list[Problem]) -> bool:
    sample, schema = document.samples[problems[0].sample_index], document.schema_for(problems[0].sample_id)
    return any(fixes.fixable(sample, problem, schema) for problem in problems)
