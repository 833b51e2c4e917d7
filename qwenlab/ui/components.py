"""Pieces that every tab uses: safe HTML, verdicts, bars, tables, and events that never fail silently."""

from __future__ import annotations

import functools
import html
import inspect
import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any
from weakref import WeakKeyDictionary

import gradio as gr
from gradio.context import Context

from qwenlab.errors import QwenlabError
from qwenlab.ui.texts import Translator

LOG = logging.getLogger("qwenlab.ui")

SIGNS = {"ok": "✓", "warn": "!", "bad": "✗", "none": "·", "busy": "…"}
"""Beside every colour stands a sign, so that no verdict rests on colour alone."""


class Html(str):
    """Text that is HTML already and must not be escaped again."""

    __slots__ = ()


NOTHING = Html("")


def escape(text: object) -> Html:
    """Text of a file, a model or a person, made safe to stand in HTML (content and attributes)."""
    if isinstance(text, Html):
        return text
    # Half a surrogate pair cannot be sent to a browser at all.
    clean = str(text).encode("utf-8", "replace").decode("utf-8")
    return Html(html.escape(clean, quote=True))


def badge(kind: str, words: object, title: object = "") -> Html:
    """A verdict: kind is "ok", "warn", "bad", "none" or "busy"; colour, sign and words."""
    tip = f' title="{escape(title)}"' if title else ""
    return Html(f'<span class="badge {kind}"{tip}><i>{SIGNS[kind]}</i> {escape(words)}</span>')


def notice(
    kind: str, what: object, remedy: object = "", details: object = "", t: Translator | None = None, fold: str = ""
) -> Html:
    """A box that says what happened and what to do; long details are folded, under `fold` or "Details"."""
    folded = ""
    if details and t:
        head = escape(fold or t("details"))
        folded = f'<details><summary>{head}</summary><pre tabindex="0">{escape(details)}</pre></details>'
    return Html(
        f'<div class="notice {kind}" role="status"><i>{SIGNS[kind]}</i>'
        f"<div><b>{escape(what)}</b> {escape(remedy)}{folded}</div></div>"
    )


def progress_bar(
    t: Translator, fraction: float | None, doing: object, seconds_left: float | None = None, kind: str = "busy"
) -> Html:
    """A bar: how far (0 to 1; None when unknown), what it is doing, time left."""
    share = 0 if fraction is None else min(max(fraction, 0.0), 1.0) * 100
    left = f"<span>{escape(t('time_left', time=duration(t, seconds_left)))}</span>" if seconds_left is not None else ""
    percent = "" if fraction is None else f"<b>{share:.0f} %</b>"
    moving, now = (" unknown", "") if fraction is None else ("", f' aria-valuenow="{share:.0f}"')
    return Html(
        f'<div class="progress {kind}{moving}" role="progressbar" aria-label="{escape(doing)}"{now}>'
        f'<div class="words"><span>{escape(doing)}</span>{left}{percent}</div>'
        f'<div class="rail"><div style="width:{share:.1f}%"></div></div></div>'
    )


def table(
    headers: Sequence[object],
    rows: Iterable[Sequence[object]],
    numeric: Iterable[int] = (),
    keys: Sequence[object] | None = None,
) -> Html:
    """A plain table; `numeric` columns are right-aligned; `keys` become data-key of the rows."""
    right = set(numeric)

    def cell(at: int, value: object, tag: str) -> str:
        return f"<{tag}{' class=number' if at in right else ''}>{escape(value)}</{tag}>"

    # A column of buttons has no head, and an empty head would puzzle a screen reader.
    head = "".join(cell(at, value, "th" if value else "td") for at, value in enumerate(headers))
    body = ""
    for number, row in enumerate(rows):
        key = f' data-key="{escape(keys[number])}"' if keys else ""
        body += f"<tr{key}>{''.join(cell(at, value, 'td') for at, value in enumerate(row))}</tr>"
    return Html(
        f'<div class="scroll" tabindex="0"><table class="plain"><thead><tr>{head}</tr></thead>'
        f"<tbody>{body}</tbody></table></div>"
    )


def fold(name: str, words: object, inner: object) -> Html:
    """A part that is folded until a person opens it; `name` tells it from others when it is drawn anew."""
    return Html(f'<details data-fold="{escape(name)}"><summary>{escape(words)}</summary>{inner}</details>')


def goto(tab: str, words: object) -> Html:
    """A button that opens another tab."""
    return Html(f'<button type="button" data-goto="{tab}">{escape(words)}</button> ')


def duration(t: Translator, seconds: float) -> str:
    """Seconds as a person says them: 12 s, 3 min, 2 h 5 min."""
    whole = max(0, round(seconds))
    if whole < 90:
        return t("seconds", number=whole)
    minutes = round(whole / 60)
    if minutes < 90:
        return t("minutes", number=minutes)
    return t("hours", hours=minutes // 60, minutes=minutes % 60)


# --- errors and events -----------------------------------------------------------------------------------


def error_words(error: QwenlabError, t: Translator) -> tuple[str, str]:
    """What happened and what to do, in the page's language."""
    return error.say(t.language)


def ended_words(outcome: Mapping[str, Any], t: Translator) -> tuple[str, str]:
    """Reason and remedy of a job that failed, in the page's language; empty where nothing was said.

    Args:
        outcome: what `Job.outcome` read; jobs of older versions said it in English only.
    """
    tongue = "_zh" if t.language == "zh" and outcome.get("reason_zh") else ""
    return outcome.get("reason" + tongue) or "", outcome.get("remedy" + tongue) or ""


def guarded(fn: Callable[..., Any], t: Translator) -> Callable[..., Any]:
    """`fn`, with every error shown on the page in one sentence; unexpected ones also go to the log."""

    def shown(error: Exception) -> gr.Error:
        if isinstance(error, gr.Error):
            return error
        if isinstance(error, QwenlabError):
            what, remedy = error_words(error, t)
            words = f"<b>{escape(what)}</b> {escape(remedy)}"
        else:
            LOG.exception("unexpected error in %s", fn.__qualname__)
            words = escape(t("error_unexpected", kind=type(error).__name__))
        return gr.Error(words, duration=None, title=t("error_title"), print_exception=False)

    if inspect.isgeneratorfunction(fn):

        @functools.wraps(fn)
        def stream(*args: Any, **kwargs: Any) -> Any:
            try:
                yield from fn(*args, **kwargs)
            except Exception as error:
                raise shown(error) from error

        return stream

    @functools.wraps(fn)
    def once(*args: Any, **kwargs: Any) -> Any:
        try:
            return fn(*args, **kwargs)
        except Exception as error:
            raise shown(error) from error

    return once


def listen(
    trigger: Callable[..., Any],
    fn: Callable[..., Any],
    t: Translator,
    inputs: Any = None,
    outputs: Any = None,
    **options: Any,
) -> Any:
    """Bind an event, such as `button.click`: private, quiet, and guarded.

    `options` go to Gradio (concurrency_id, trigger_mode, js, show_progress, ...).
    """
    settings = {"api_visibility": "private", "show_progress": "hidden", **options}
    return trigger(guarded(fn, t), inputs=inputs, outputs=outputs, **settings)


def on_load(fn: Callable[..., Any], t: Translator, inputs: Any = None, outputs: Any = None, **options: Any) -> Any:
    """Bind to the page being opened or reloaded."""
    page = Context.root_block
    if page is None:
        raise RuntimeError("on_load is called while a page is built")
    return listen(page.load, fn, t, inputs, outputs, **options)


def poll(
    seconds: float, fn: Callable[..., Any], t: Translator, inputs: Sequence[Any] = (), outputs: Sequence[Any] = ()
) -> gr.Timer:
    """Call `fn` when the page or its tab opens and every few seconds while it is open.

    Nothing is sent while its result stays the same. `fn` returns one value per output (a tuple when there are several)
    and must be quick: it reads files, it never waits.
    """
    last, look = _news(fn, t, outputs)
    tab = _tab()
    timer = gr.Timer(seconds)
    options = {"trigger_mode": "once", "concurrency_limit": None}
    if tab is not None:
        _POLLS.setdefault(tab, []).append(timer)
        listen(tab.select, look, t, [last, *inputs], [last, *outputs], **options)
    listen(timer.tick, look, t, [last, *inputs], [last, *outputs], **options)
    # A reload begins a new session whose `last` is empty, so that everything is sent once.
    on_load(look, t, [last, *inputs], [last, *outputs], concurrency_limit=None)
    return timer


def follow(part: gr.HTML, fn: Callable[[], Any], t: Translator) -> None:
    """Draw `part` when the page opens and whenever its own script asks for it by "submit"."""
    last, look = _news(fn, t, [part])
    options = {"trigger_mode": "once", "concurrency_limit": None}
    listen(part.submit, look, t, [last], [last, part], **options)
    on_load(look, t, [last], [last, part], concurrency_limit=None)


def _news(fn: Callable[..., Any], t: Translator, outputs: Sequence[Any]) -> tuple[gr.State, Callable[..., Any]]:
    """What was sent last, and a look that sends nothing while that stays the same."""
    last = gr.State(None)

    def look(before: str | None, *values: Any) -> Any:
        found = guarded(fn, t)(*values)
        now = repr(found)
        if now == before:
            return (gr.skip(),) * (len(outputs) + 1) if outputs else gr.skip()
        return (now, *(found if isinstance(found, tuple) else (found,)))

    return last, look


def rest(tabs: Sequence[gr.Tab], t: Translator) -> None:
    """Let only the open tab ask for news; call it once all are built. The first one is open at the beginning."""
    timers = [(tab, timer) for tab in tabs for timer in _POLLS.get(tab, ())]
    for tab, timer in timers:
        timer.active = tab is tabs[0]
    for opened in tabs:
        listen(
            opened.select,
            lambda opened=opened: [gr.Timer(active=tab is opened) for tab, _ in timers],
            t,
            None,
            [timer for _, timer in timers],
            concurrency_id="tabs",  # one after the other, so that the last tab opened has the last word
            concurrency_limit=1,
            trigger_mode="multiple",
        )


_POLLS: WeakKeyDictionary[gr.Tab, list[gr.Timer]] = WeakKeyDictionary()


def _tab() -> gr.Tab | None:
    """The tab of the page that is being built; None above the tabs."""
    found, block = None, Context.block
    while block is not None:
        found, block = block if isinstance(block, gr.Tab) else found, block.parent
    return found
