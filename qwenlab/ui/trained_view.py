"""What will be trained, as HTML: the tokens of a sample, and how long the samples of a set are."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

from qwenlab.training.forecast import Forecast
from qwenlab.training.preview import Lengths, SampleLength, TokenPiece, TokenView
from qwenlab.ui.components import NOTHING, Html, duration, escape, notice, progress_bar
from qwenlab.ui.texts import Translator

LISTED_UNUSABLE = 20


def waiting(t: Translator, done: int = 0, all_: int = 0) -> Html:
    """While the vocabulary is read (`all_` 0), or while samples are counted."""
    if not all_:
        return Html(f'<div class="trained">{progress_bar(t, None, t("trained_loading"))}</div>')
    words = t("trained_counting", done=f"{done:,}", all=f"{all_:,}")
    return Html(f'<div class="trained">{progress_bar(t, done / all_, words)}</div>')


# --- one sample ------------------------------------------------------------------------------------------


def tokens(view: TokenView | None, t: Translator, model: str = "") -> Html:
    """The exact token sequence of a sample: trained tokens in colour and underlined, each with its number.

    Args:
        view: None when no sample is open.
        model: its name for people; "" leaves it out.
    """
    if view is None:
        return Html(f'<div class="trained"><p class="quiet">{escape(t("trained_no_sample"))}</p></div>')
    left_out = _left_out(view, t)
    if not view.tokens:
        return Html(f'<div class="trained">{left_out}</div>')
    count = t("trained_count", trained=f"{view.trained:,}", tokens=f"{view.tokens:,}")
    about = f' <span class="quiet">{escape(t("trained_for", model=model))}</span>' if model else ""
    legend = "".join(
        f"<span>{sign} {escape(t(key))}</span>"
        for sign, key in (
            ("<mark><i>abc</i></mark>", "trained_legend_yes"),
            ("<i>abc</i>", "trained_legend_no"),
            ('<i class="special">&lt;|…|&gt;</i>', "trained_legend_special"),
        )
    )
    runs = "".join(
        _run(list(run), trained, t) for trained, run in itertools.groupby(view.pieces, lambda piece: piece.trained)
    )
    beyond = view.tokens - sum(len(piece.ids) for piece in view.pieces)
    more = f'<p class="quiet">{escape(t("trained_more", number=f"{beyond:,}"))}</p>' if beyond else ""
    return Html(
        f'<div class="trained">{left_out}<p><b>{escape(count)}</b>{about}</p>{_added(view, t)}'
        f'<p class="signs">{legend}</p><div class="tokens" tabindex="0">{runs}</div>{more}</div>'
    )


def _added(view: TokenView, t: Translator) -> str:
    """What the chat template writes that does not stand in the sample."""
    added = view.added
    if added is None:
        return ""
    lines = [] if added.own else [t("trained_chatml")]
    if added.system:
        lines.append(t("trained_system_added", words=added.system))
    if added.no_thoughts:
        lines.append(t("trained_no_thoughts"))
    return "".join(f'<p class="quiet">{escape(line)}</p>' for line in lines)


def _run(pieces: Sequence[TokenPiece], trained: bool, t: Translator) -> str:
    inner = "".join(_token(piece, t) for piece in pieces)
    return f"<mark>{inner}</mark>" if trained else inner


def _token(piece: TokenPiece, t: Translator) -> str:
    ids = ", ".join(map(str, piece.ids))
    title = t("trained_token", id=ids) if len(piece.ids) == 1 else t("trained_tokens", ids=ids)
    # A line break that is a token is seen, and still breaks the line.
    words = str(escape(piece.text)).replace("\n", "<s>↵</s>\n") or "<s>∅</s>"
    return f'<i title="{escape(title)}"{" class=special" if piece.special else ""}>{words}</i>'


def _left_out(view: TokenView, t: Translator) -> Html:
    if view.left_out is None:
        return NOTHING
    return notice("warn", t("trained_left_out"), view.left_out[t.language == "zh"])


# --- a whole set -----------------------------------------------------------------------------------------


def lengths(stats: Lengths, t: Translator, expected: Forecast | None = None, epochs: float = 1.0) -> Html:
    """How long the samples are, how much of them is trained, what is left out, and how long training takes.

    Args:
        expected: what training takes, in so many epochs; None leaves it out.
    """
    head = ""
    if not stats.samples:
        head = notice("warn", t("trained_nothing"), t("trained_nothing_do"))
    if stats.estimated:
        words = t("trained_about", measured=f"{stats.measured:,}", all=f"{stats.all:,}")
        head += f'<p class="quiet">{escape(words)}</p>'
    facts = _facts(stats, expected, epochs, t)
    return Html(f'<div class="trained">{head}{facts}{_histogram(stats, t)}{_missing(stats, t)}</div>')


def _facts(stats: Lengths, expected: Forecast | None, epochs: float, t: Translator) -> str:
    if not stats.samples:
        return ""
    about = "≈ " if stats.estimated else ""
    share = f"{stats.trained / stats.tokens:.0%}" if stats.tokens else "0%"
    facts = [
        (f"{about}{stats.samples:,}", t("trained_fact_samples")),
        (f"{about}{stats.tokens:,}", t("trained_fact_tokens")),
        (share, t("trained_fact_share", trained=f"{about}{stats.trained:,}")),
        (f"{stats.longest:,}", t("trained_fact_longest")),
    ]
    note = ""
    if expected is not None:
        facts.append((duration(t, expected.seconds), t("trained_fact_time")))
        said = {"epochs": f"{epochs:g}", "speed": f"{expected.pace.tokens_per_s:,.0f}"}
        run = expected.pace.run
        judged = t("trained_time_run", run=run, **said) if run else t("trained_time_guess", **said)
        note = f'<p class="quiet">{escape(t("trained_fact_time"))}: {escape(judged)}</p>'
    shown = "".join(f"<div><b>{escape(value)}</b> <span>{escape(words)}</span></div>" for value, words in facts)
    return f'<div class="sums">{shown}</div>{note}'


def _histogram(stats: Lengths, t: Translator) -> str:
    """Bars in a square of 1000 by 1000 that is stretched; words stand beside it in HTML and keep their size."""
    bins = stats.bins()
    if not bins:
        return ""
    low, wide = bins[0][0], bins[0][1] - bins[0][0]
    high, most = low + wide * len(bins), max(number for _, _, number in bins)

    def x(tokens: float) -> float:
        return round((tokens - low) / (high - low) * 1000, 1)

    bars = "".join(
        f'<g><rect class="{"over" if first > stats.max_length else "bar"}" x="{x(low + at * wide) + 1}" '
        f'width="{1000 / len(bins) - 2:.1f}" y="{1000 - 960 * number / most:.1f}" height="{960 * number / most:.1f}"/>'
        f'<rect class="spot" x="{x(low + at * wide)}" width="{1000 / len(bins):.1f}" y="0" height="1000">'
        f"<title>{escape(_bin_words(first, end, number, t))}</title></rect></g>"
        for at, (first, end, number) in enumerate(bins)
    )
    limit, within = f"{stats.max_length:,}", stats.max_length <= high
    line = f'<line class="limit" x1="{x(stats.max_length)}" x2="{x(stats.max_length)}" y1="0" y2="1000"/>'
    where = f"{x(stats.max_length) / 10:.1f}%" if within else "100%"
    words = t("trained_limit" if within else "trained_limit_beyond", limit=limit)
    side = "" if within and x(stats.max_length) < 600 else " left"
    beyond = "+" if bins[-1][1] > high else ""
    marks = "".join(
        f'<span class="x" style="left:{at * 100 / len(bins):.1f}%">{low + at * wide:,}'
        f"{beyond if at == len(bins) else ''}</span>"
        for at in sorted({round(len(bins) * part / 4) for part in range(5)})
    )
    middle = max(bins, key=lambda one: one[2])
    about = t(
        "trained_picture",
        low=f"{bins[0][0]:,}",
        high=f"{stats.longest:,}",
        middle=f"{(middle[0] + middle[1]) // 2:,}",
        limit=limit,
    )
    return (
        f'<p class="over-picture">{escape(t("trained_lengths"))}</p>'
        f'<div class="histogram"><svg viewBox="0 0 1000 1000" preserveAspectRatio="none" role="img" '
        f'aria-label="{escape(about)}">{bars}{line if within else ""}</svg>{marks}'
        f'<span class="limit{side}" style="left:{where}">{escape(words)}</span></div>'
    )


def _bin_words(first: int, end: int, number: int, t: Translator) -> str:
    return t("trained_bin", low=f"{first:,}", high=f"{end - 1:,}", number=f"{number:,}")


def _missing(stats: Lengths, t: Translator) -> str:
    """What is left out, and why."""
    lines = []
    if stats.over:
        lines.append(t("trained_over", number=f"{stats.over:,}", limit=f"{stats.max_length:,}"))
    if stats.foreign:
        lines.append(t("trained_other_language", number=f"{stats.foreign:,}"))
    found = "".join(f'<p class="warn">{escape(line)}</p>' for line in lines)
    unusable = stats.unusable
    if unusable:
        listed = "".join(_unusable(one, t) for one in unusable[:LISTED_UNUSABLE])
        found += f'<p class="warn">{escape(t("trained_unusable", number=f"{len(unusable):,}"))}</p><ul>{listed}</ul>'
    return found


def _unusable(one: SampleLength, t: Translator) -> str:
    why = one.left_out[t.language == "zh"] if one.left_out else ""
    button = f'<button type="button" class="link" data-do="open" data-index="{one.index}">{escape(one.name)}</button>'
    return f"<li>{button} {escape(why)}</li>"
