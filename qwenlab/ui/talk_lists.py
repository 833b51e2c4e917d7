"""What stands below a comparison, as HTML: the verdicts so far, earlier conversations, and what is in memory."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from qwenlab.chat.pool import Held
from qwenlab.evals import preferences
from qwenlab.evals.preferences import Pair
from qwenlab.ui.components import Html, badge, duration, escape, notice, table
from qwenlab.ui.kept_talks import Kept
from qwenlab.ui.texts import Translator

MEGA = 1e6
CODES = {
    "sure": ("ok", "votes_sure"),
    "chance": ("warn", "votes_chance"),
    "even": ("none", "votes_even"),
    "few": ("none", "votes_few"),
}


def tally(pairs: Sequence[Pair], votes: int, t: Translator) -> Html:
    """For each pair a sentence, the counts, and how sure it is."""
    if not pairs:
        return Html(f'<p class="quiet">{escape(t("votes_none"))}</p>')
    lines = "".join(f"<li>{_sure(pair, t)} {escape(preferences.sentence(pair, t.language))}</li>" for pair in pairs)
    headers = [
        t("votes_pair"),
        t("votes_wins"),
        t("votes_losses"),
        t("votes_ties"),
        t("votes_share"),
        t("votes_chance"),
    ]
    rows = [_counts(pair, t) for pair in pairs]
    counts = table(headers, rows, numeric=range(1, 6))
    link = f'<a href="/download/votes.csv" download>{escape(t("votes_csv", number=votes))}</a>'
    about = escape(t("votes_about"))
    return Html(
        f'<ul class="tally">{lines}</ul><details><summary>{escape(t("votes_numbers"))}</summary>{counts}'
        f'<p class="quiet">{about}</p></details><p class="links">{link}</p>'
    )


def _sure(pair: Pair, t: Translator) -> Html:
    kind, key = CODES[pair.code]
    return badge(kind, t(key))


def _counts(pair: Pair, t: Translator) -> list[object]:
    names = t("votes_versus", name=pair.name, other=pair.other)
    share = f"{pair.low:.0%} – {pair.high:.0%}" if pair.decided else "–"
    chance = "–" if not pair.decided else f"{pair.p:.1%}" if pair.p >= 0.001 else "< 0.1%"
    return [names, pair.wins, pair.losses, pair.same, share, chance]


def kept(found: Sequence[Kept], number: int, current: str, deleted: str, t: Translator) -> Html:
    """The list to reopen conversations from.

    Args:
        number: how many there are in all. current: the id of the open one.
        deleted: the id of the one that was just deleted; "" for none.
    """
    undo = ""
    if deleted:
        button = (
            f'<button type="button" data-do="restore" data-talk="{escape(deleted)}">{escape(t("talks_undo"))}</button>'
        )
        undo = f'<div class="notice none" role="status"><i>·</i><div>{escape(t("talks_deleted"))} {button}</div></div>'
    if not found:
        return Html(undo + f'<p class="quiet">{escape(t("talks_none"))}</p>')
    rows = "".join(_row(one, one.id == current, t) for one in found)
    more = t("talks_more", shown=len(found), number=number) if number > len(found) else ""
    tail = f'<p class="quiet">{escape(more)}</p>' if more else ""
    return Html(f'{undo}<div class="talks">{rows}</div>{tail}')


def _row(one: Kept, open_now: bool, t: Translator) -> str:
    names = ", ".join(one.names)
    state = ' aria-current="true"' if open_now else ""
    number = t("talks_one") if one.messages == 1 else t("talks_messages", number=one.messages)
    return (
        f'<div class="talk"{state}><time>{escape(_clock(one.changed))}</time>'
        f'<button type="button" class="link" data-do="open" data-talk="{escape(one.id)}">{escape(one.words)}</button>'
        f'<span class="quiet">{escape(names)} · {escape(number)}</span>'
        f'<button type="button" data-do="delete" data-talk="{escape(one.id)}" '
        f'aria-label="{escape(t("talks_delete"))}" title="{escape(t("talks_delete"))}">×</button></div>'
    )


def _clock(changed: str) -> str:
    """The moment in the computer's own time: 2026-03-05 14:07."""
    try:
        return f"{datetime.fromisoformat(changed).astimezone():%Y-%m-%d %H:%M}"
    except ValueError:
        return changed


def memory(held: Sequence[Held], t: Translator) -> Html:
    """What is loaded, the memory it holds, and since when nobody has used it; each can be unloaded."""
    if not held:
        return Html(f'<p class="quiet">{escape(t("compare_memory_empty"))}</p>')
    rows = "".join(
        f'<div class="held"><b>{escape(one.path.name)}</b>'
        f"<span>{escape(t('compare_memory_size', size=f'{one.bytes / MEGA:,.0f}'))}</span>"
        f'<span class="quiet">{escape(_use(one, t))}</span>'
        f'<button type="button" data-do="unload" data-name="{escape(one.path.name)}">'
        f"{escape(t('compare_unload_one'))}</button></div>"
        for one in held
    )
    return Html(f'<div class="memory">{rows}</div>')


def _use(one: Held, t: Translator) -> str:
    return t("compare_memory_busy") if one.busy else t("compare_memory_idle", time=duration(t, one.idle_seconds))


def cost(name: str, needed: int, free: int, t: Translator) -> Html:
    """What loading a model means for the training that runs."""
    words = t("compare_cost", name=name, needed=f"{needed / MEGA:,.0f}", free=f"{free / MEGA:,.0f}")
    return notice("warn", words, t("compare_cost_remedy"))
