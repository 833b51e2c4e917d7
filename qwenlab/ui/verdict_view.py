"""Two contestants compared, and a model's way to int4, as HTML: verdicts in words, and which step broke which case."""

from __future__ import annotations

from collections.abc import Sequence

from qwenlab.evals.compare import Verdict, meaning, sentence
from qwenlab.evals.steps import Step
from qwenlab.ui.components import NOTHING, Html, badge, escape, fold
from qwenlab.ui.matrix import View, pair
from qwenlab.ui.suites import Shown
from qwenlab.ui.texts import Translator

KINDS = {"better": "ok", "worse": "bad", "cannot_tell": "none"}
NAMED = 12
"""Cases that a step names; the others are behind its filter."""
STEPS = {"adapter": "test_step_adapter", "merged": "test_step_merged", "int4": "test_step_int4"}


def verdicts(shown: Shown, view: View, t: Translator) -> Html:
    """Who is compared with whom, the verdict on these two with what it rests on, and the others in short."""
    places = pair(shown.result, view)
    if places is None:
        return NOTHING
    names = [one.name for one in shown.result.contestants]
    reference, judged = (names[at] for at in places)
    choices = Html(
        t(
            "test_compare_two",
            judged=_select("judged", t("test_is_judged"), judged, [name for name in names if name != reference]),
            reference=_select("reference", t("test_is_reference"), reference, names),
        )
    )
    main = [one for one in shown.against(reference) if one.name == judged]
    free = {one.name for one in shown.result.contestants if not one.enforced_for}
    rivals = [one for one in shown.against(reference) if one.name != judged and one.name in free]
    others = [one for one in rivals if one.measure == "passed"]
    lines = "".join(f"<div>{_badge(one, t)}</div>" for one in [*main, *others])
    if not main:
        lines = f'<p class="quiet">{escape(t("test_not_compared"))}</p>' + lines
    return Html(f'<div class="verdicts"><div class="two">{choices}</div>{lines}{_meaning(main, t)}</div>')


def _badge(one: Verdict, t: Translator) -> Html:
    return badge(KINDS[one.code], sentence(one, t.language))


def _select(part: str, label: str, chosen: str, names: Sequence[str]) -> str:
    options = "".join(
        f'<option value="{escape(name)}"{" selected" if name == chosen else ""}>{escape(name)}</option>'
        for name in names
    )
    about = f'data-do="choose" data-part="{part}" data-value="{escape(chosen)}" aria-label="{escape(label)}"'
    return f"<select {about}>{options}</select>"


def _meaning(main: Sequence[Verdict], t: Translator) -> Html:
    """What the verdicts rest on, folded."""
    said = "".join(
        f"<li>{escape(sentence(one, t.language))} {escape(words)}</li>"
        for one in main
        if (words := meaning(one, t.language))
    )
    unsure = any(one.code == "cannot_tell" for one in main)
    key = "test_meaning_unsure" if unsure else "test_meaning_sure"
    return fold("meaning", t(key), Html(f"<ul>{said}</ul>")) if said else NOTHING


# --- step by step ----------------------------------------------------------------------------------------


def way(steps: Sequence[Step], t: Translator) -> Html:
    """From base to int4: how many passed at each stage, and which step broke and fixed which cases."""
    if len(steps) < 2:
        return NOTHING
    first = steps[0]
    stages = [_stage(first.before, first.right_before, first.verdict.n)]
    stages += [_stage(one.after, one.right_after, one.verdict.n) for one in steps]
    lines = "".join(f"<li>{_step(one, t)}</li>" for one in steps)
    return Html(f'<div class="way"><h2>{escape(t("test_way"))}</h2><p>{" → ".join(stages)}</p><ol>{lines}</ol></div>')


def _stage(name: str, right: int, number: int) -> str:
    return f"<span><b>{escape(name)}</b> {right:,}/{number:,}</span>"


def _step(one: Step, t: Translator) -> str:
    """What one step did to the cases that were right before it."""
    what = escape(t(STEPS[one.stage], before=one.before, after=one.after))
    if one.broken:
        key = "test_step_broke_all" if len(one.broken) == one.right_before else "test_step_broke"
        said = escape(t(key, number=one.right_before, broken=len(one.broken)))
        lines = [f"{said} {_cases(one, 'broken', one.broken, t)}"]
    else:
        lines = [escape(t("test_step_held" if one.right_before else "test_step_none_right", number=one.right_before))]
    if one.fixed:
        lines.append(f"{escape(t('test_step_fixed', fixed=len(one.fixed)))} {_cases(one, 'fixed', one.fixed, t)}")
    kind = "bad" if one.verdict.code == "worse" else "warn" if one.broken else "ok"
    return (
        f"<b>{what}</b> {badge(kind, t('test_step_counts', fixed=len(one.fixed), broken=len(one.broken)))}"
        f"{''.join(f'<p>{line}</p>' for line in lines)}"
        f'<p class="quiet">{escape(sentence(one.verdict, t.language))}</p>'
    )


def _cases(one: Step, wanted: str, cases: Sequence[str], t: Translator) -> str:
    """The first of the cases as links, and a button that lists them all."""
    links = [
        f'<button type="button" class="link" data-do="open" data-case="{escape(case)}">{escape(case)}</button>'
        for case in cases[:NAMED]
    ]
    every = (
        f'<button type="button" class="link" data-do="flips" data-wanted="{wanted}" data-judged="{escape(one.after)}" '
        f'data-reference="{escape(one.before)}">{escape(t("test_step_list"))}</button>'
    )
    more = "…" if len(cases) > NAMED else ""
    return f"{', '.join(links)}{more} ({every})"
