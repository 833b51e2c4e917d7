"""One column of a comparison as HTML: who answers, what it said, and the verdicts below it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from qwenlab.ui import answer_view
from qwenlab.ui.answer_diff import Mark
from qwenlab.ui.components import NOTHING, Html, badge, escape, notice
from qwenlab.ui.judging import Judgement, Wanted
from qwenlab.ui.roster import KINDS, Entrant
from qwenlab.ui.talk import Exchange, Reply
from qwenlab.ui.texts import Translator

ABOUT = {
    "model": "compare_about_model",
    "path": "compare_about_path",
    "adapter": "compare_about_adapter",
    "url": "compare_about_url",
    "weights": "compare_about_weights",
    "adapter_weights": "compare_about_adapter_weights",
    "tokenizer": "compare_about_tokenizer",
    "template": "compare_about_template",
    "dtype": "compare_about_dtype",
    "engine": "compare_about_engine",
}
DIGEST = 8
"""Shown digits of a fingerprint."""
LETTERS = "ABCD"
Pieces = Sequence[tuple[Mark, str]]


@dataclass(frozen=True)
class Frame:
    """How one column is to be drawn.

    Attributes:
        letter: its place, from the left.
        about: whether to say which weights answer.
        reading: whether the message is being read, so that a silent column is no idle one.
        actions: whether the answer may be kept or continued from.
        keeping, taken: whether that is being done with this one.
        pieces: the answer word by word, marked; None: as it is.
    """

    letter: str
    about: bool = False
    reading: bool = False
    actions: bool = False
    keeping: bool = False
    taken: bool = False
    pieces: Pieces | None = None


def column(exchange: Exchange, at: int, frame: Frame, t: Translator) -> Html:
    """The whole column of reply `at`."""
    reply = exchange.replies[at]
    if exchange.hidden:
        head = f'<div class="who"><b>{escape(t("compare_hidden", letter=frame.letter))}</b></div>'
    else:
        letter = f"{frame.letter} · " if exchange.blind else ""
        head = f'<div class="who"><b>{escape(letter + reply.entrant.name)}</b> {kind(reply.entrant, t)}</div>'
        head += _about(reply, t) if frame.about else ""
    chosen = " best" if exchange.voted and exchange.best == at else ""
    body = _answer(reply, exchange, frame, t) + _forced(reply, exchange, t)
    return Html(f'<section class="column{chosen}">{head}{body}{_actions(reply, at, frame, t)}</section>')


def kind(entrant: Entrant, t: Translator) -> Html:
    """What somebody is: base model, adapter, export."""
    return Html(f'<span class="quiet">{escape(t(KINDS[entrant.kind], base=entrant.base))}</span>')


def _about(reply: Reply, t: Translator) -> Html:
    """Which weights answer: fingerprints, and everything else folded."""
    about = reply.about
    if not about:
        return NOTHING
    prints = [about[key] for key in ("weights", "adapter_weights") if about.get(key)]
    short = " + ".join(one[:DIGEST] for one in prints)
    said = t("compare_weights", prints=short) if prints else t("compare_no_weights")
    lines = "".join(
        f"<dt>{escape(t(label))}</dt><dd>{escape(_short(key, about[key]))}</dd>"
        for key, label in ABOUT.items()
        if about.get(key)
    )
    tip = f' title="{escape(" + ".join(prints))}"' if prints else ""
    return Html(f'<details class="about"><summary{tip}>{escape(said)}</summary><dl>{lines}</dl></details>')


def _short(key: str, value: str) -> str:
    if key in ("model", "adapter", "path"):
        parts = Path(value).parts
        return "/".join(parts[-3:] if key == "adapter" else parts[-2:])
    return value


def _answer(reply: Reply, exchange: Exchange, frame: Frame, t: Translator) -> str:
    answer = reply.answer
    if answer is not None and reply.failed:
        return notice("bad", t("compare_failed"), answer.error_in(t.language) or t("compare_no_room"))
    if answer is None and not reply.text:
        waits = t("compare_waits" if frame.reading else "compare_queued")
        return f'<p class="waits">{badge("busy" if frame.reading else "none", waits)}</p>'
    cursor = '<span class="cursor"></span>' if answer is None else ""
    text = _marked(frame.pieces, reply.text) if reply.text else ""
    said = text or Html(f'<span class="quiet">{escape(t("compare_no_words"))}</span>')
    shown = f'<pre class="reply" dir="auto">{said}{cursor}</pre>'
    if answer is None:
        return shown
    numbers = [] if exchange.hidden else _numbers(reply, t)
    chips = [*verdicts(reply, exchange.wanted, t), *_finish(reply, t), *numbers]
    return f'{shown}<div class="chips">{" ".join(chips)}</div>'


def _forced(reply: Reply, exchange: Exchange, t: Translator) -> str:
    if reply.forced is None:
        return ""
    inner = _answer(reply.forced, exchange, Frame("", reading=True), t)
    return f'<div class="forced"><b>{escape(t("compare_forced"))}</b>{inner}</div>'


def _marked(pieces: Pieces | None, text: str) -> Html:
    if pieces is None:
        return escape(text)
    tags = {"differs": "mark", "missing": "del"}
    return Html(
        "".join(
            f"<{tags[mark]}>{escape(piece)}</{tags[mark]}>" if mark in tags and piece.strip() else escape(piece)
            for mark, piece in pieces
        )
    )


def _actions(reply: Reply, at: int, frame: Frame, t: Translator) -> str:
    if not frame.actions or reply.failed:
        return ""
    keep = _button("keep", at, t("compare_keep"), frame.keeping)
    take = _button("take", at, t("compare_take"), frame.taken, t("compare_take_about")) if frame.letter else ""
    return f'<div class="actions">{keep}{take}</div>'


def _button(do: str, at: int, words: str, pressed: bool, tip: str = "") -> str:
    title = f' title="{escape(tip)}"' if tip else ""
    state = "true" if pressed else "false"
    return (
        f'<button type="button" data-do="{do}" data-column="{at}" aria-pressed="{state}"{title}>'
        f"{escape(words)}</button>"
    )


# --- chips -----------------------------------------------------------------------------------------------


def verdicts(reply: Reply, wanted: Wanted, t: Translator) -> list[Html]:
    """How an answer reads and compares; half of one is not judged."""
    found = reply.judgement
    if found is None or reply.halted:
        return []
    json_wanted = found.fields is not None or (wanted.suite is not None and wanted.suite.is_json)
    chips = [answer_view.rung(found.reading.rung, t, json_wanted)]
    if found.violations is not None:
        chips.append(answer_view.schema(found.violations, t))
    if json_wanted and found.reading.flags:
        chips.append(answer_view.flags(found.reading.flags, t))
    return [*chips, *_content(found, t)]


def _content(found: Judgement, t: Translator) -> list[Html]:
    if found.fields is not None:
        return [answer_view.values_right(found.fields, t)]
    if found.text_ok is None:
        return []
    return [badge("ok", t("compare_text_right")) if found.text_ok else badge("bad", t("compare_text_wrong"))]


def _finish(reply: Reply, t: Translator) -> list[Html]:
    if reply.answer is None:
        return []
    level, key = answer_view.FINISHES.get(reply.answer.finish, ("bad", "compare_failed"))
    return [badge(level, t(key))]


def _numbers(reply: Reply, t: Translator) -> list[Html]:
    answer = reply.answer
    if answer is None:
        return []
    chips = []
    if answer.tokens:
        chips.append(badge("none", t("compare_tokens", number=answer.tokens), t("compare_tokens_about")))
        if reply.seconds > 0:
            speed = f"{answer.tokens / reply.seconds:.1f}"
            chips.append(badge("none", t("compare_speed", number=speed), t("compare_speed_about")))
    if reply.spoke is not None:
        chips.append(badge("none", t("compare_first", time=answer_view.seconds(reply.spoke, t))))
    return chips
