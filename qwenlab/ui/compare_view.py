"""The Compare tab as HTML: columns of answers side by side. Everything that a model or a file says is escaped."""

from __future__ import annotations

from pathlib import Path

from qwenlab.ui import answer_view
from qwenlab.ui.comparison import Exchange, Judgement, Reply, Step, Talk
from qwenlab.ui.components import NOTHING, Html, badge, duration, escape, notice, progress_bar
from qwenlab.ui.roster import KINDS, Entrant
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
DIGEST = 12
"""Shown digits of a fingerprint."""


def conversation(talk: Talk, t: Translator, step: Step | None = None) -> Html:
    """The whole conversation: each message, and under it every column's answer."""
    if not talk.exchanges:
        return Html(f'<div class="compare"><p class="quiet">{escape(t("compare_empty"))}</p></div>')
    last = len(talk.exchanges) - 1
    body = "".join(
        _exchange(one, talk, t, first=at == 0, last=at == last, step=step) for at, one in enumerate(talk.exchanges)
    )
    return Html(f'<div class="compare" data-busy="{"yes" if talk.busy else "no"}">{body}</div>')


def _exchange(exchange: Exchange, talk: Talk, t: Translator, first: bool, last: bool, step: Step | None) -> str:
    progress = _progress(step, t) if last and step is not None else NOTHING
    reading = step is not None and step.doing == "answering"
    columns = "".join(
        _column(reply, exchange, t, first, f"{at}" if last and not talk.busy else "", talk.keeping == at, reading)
        for at, reply in enumerate(exchange.replies)
    )
    return (
        f'<div class="asked"><b>{escape(t("compare_you"))}</b><p>{escape(exchange.message)}</p></div>{progress}'
        f'<div class="columns" style="--columns:{len(exchange.replies)}">{columns}</div>'
    )


def _progress(step: Step, t: Translator) -> Html:
    if step.doing == "waiting":
        return notice("busy", t("compare_waiting", number=int(step.number)), t("compare_waiting_remedy"))
    if step.doing == "loading":
        return progress_bar(t, None, t("compare_loading", name=step.name, time=duration(t, step.number)))
    return NOTHING


def _column(
    reply: Reply, exchange: Exchange, t: Translator, first: bool, keep: str, chosen: bool, reading: bool
) -> str:
    head = f'<div class="who"><b>{escape(reply.entrant.name)}</b> {_kind(reply.entrant, t)}</div>'
    about = _about(reply, t) if first else NOTHING
    return f'<section class="column">{head}{about}{_said(reply, exchange, t, keep, chosen, reading)}</section>'


def _kind(entrant: Entrant, t: Translator) -> Html:
    return Html(f'<span class="quiet">{escape(t(KINDS[entrant.kind], base=entrant.base))}</span>')


def _about(reply: Reply, t: Translator) -> Html:
    """Which weights answer: fingerprints, and everything else folded."""
    about = reply.about
    if not about:
        return NOTHING
    prints = [about[key][:DIGEST] for key in ("weights", "adapter_weights") if about.get(key)]
    said = t("compare_weights", prints=" + ".join(prints)) if prints else t("compare_no_weights")
    lines = "".join(
        f"<dt>{escape(t(label))}</dt><dd>{escape(_short(key, about[key]))}</dd>"
        for key, label in ABOUT.items()
        if about.get(key)
    )
    return Html(f'<details class="about"><summary>{escape(said)}</summary><dl>{lines}</dl></details>')


def _short(key: str, value: str) -> str:
    if key in ("model", "adapter", "path"):
        parts = Path(value).parts
        return "/".join(parts[-3:] if key == "adapter" else parts[-2:])
    return value


def _said(reply: Reply, exchange: Exchange, t: Translator, keep: str, chosen: bool, reading: bool) -> str:
    answer = reply.answer
    if answer is not None and answer.error:
        return notice("bad", t("compare_failed"), answer.error_in(t.language))
    if answer is None and not reply.text:
        waits = t("compare_waits" if reading else "compare_queued")
        return f'<p class="waits">{badge("busy" if reading else "none", waits)}</p>'
    cursor = '<span class="cursor"></span>' if answer is None else ""
    said = escape(reply.text) if reply.text else Html(f'<span class="quiet">{escape(t("compare_no_words"))}</span>')
    text = f'<pre class="reply" dir="auto">{said}{cursor}</pre>'
    if answer is None:
        return text
    chips = " ".join([*_verdicts(reply, exchange, t), *_numbers(reply, t)])
    whole = reply.judgement is not None and answer.finish != "stopped"
    below = answer_view.differences(reply.judgement.fields or (), t) if whole and reply.judgement else NOTHING
    button = ""
    if keep:
        pressed = "true" if chosen else "false"
        button = (
            f'<button type="button" data-do="keep" data-column="{keep}" aria-pressed="{pressed}">'
            f"{escape(t('compare_keep'))}</button>"
        )
    return f'{text}<div class="chips">{chips}</div>{below}{button}'


def _verdicts(reply: Reply, exchange: Exchange, t: Translator) -> list[Html]:
    found = reply.judgement
    if found is None or (reply.answer is not None and reply.answer.finish == "stopped"):
        return []  # half an answer is not judged
    json_wanted = found.fields is not None or (exchange.wanted.suite is not None and exchange.wanted.suite.is_json)
    chips = [answer_view.rung(found.reading.rung, t, json_wanted)]
    if found.violations is not None:
        chips.append(answer_view.schema(found.violations, t))
    if json_wanted:
        chips.append(answer_view.flags(found.reading.flags, t))
    return [*chips, *_content(found, t)]


def _content(found: Judgement, t: Translator) -> list[Html]:
    if found.fields is not None:
        return [answer_view.values_right(found.fields, t)]
    if found.text_ok is None:
        return []
    return [badge("ok", t("compare_text_right")) if found.text_ok else badge("bad", t("compare_text_wrong"))]


def _numbers(reply: Reply, t: Translator) -> list[Html]:
    answer = reply.answer
    if answer is None:
        return []
    kind, key = answer_view.FINISHES[answer.finish]
    chips = [badge(kind, t(key))]
    if answer.tokens:
        chips.append(badge("none", t("compare_tokens", number=answer.tokens), t("compare_tokens_about")))
        if reply.seconds > 0:
            speed = f"{answer.tokens / reply.seconds:.1f}"
            chips.append(badge("none", t("compare_speed", number=speed), t("compare_speed_about")))
    if reply.spoke is not None:
        chips.append(badge("none", t("compare_first", time=answer_view.seconds(reply.spoke, t))))
    return chips
