"""The loss curve of a run, or of several overlaid, and its scores: line plots as SVG, in the page's colours."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from qwenlab.ui.components import NOTHING, Html, escape
from qwenlab.ui.texts import Translator

SMOOTH_FROM = 20
"""A shorter curve is drawn as it is."""
MOST_POINTS = 600
MOST_SPOTS = 160
"""Stretches of a curve that answer the mouse; more would be narrower than a pixel or two."""
Points = Sequence[tuple[float, float]]


def loss_words(value: float) -> str:
    """A loss with the digits that matter."""
    return f"{value:.3f}" if value < 10 else f"{value:.1f}"


def loss_curve(losses: Mapping[int, float], validation: Mapping[int, float], t: Translator) -> Html:
    """A line plot of loss by step that follows the page's colours and width.

    Lines are drawn in a square of 1000 by 1000 that is stretched to the place there is; words stand beside it
    in HTML, so that they keep their size on any screen.
    """
    points, kept_out = _finite(losses), _finite(validation)
    if not points:
        return NOTHING
    plot = _Plot.around(points, kept_out)
    x, y = plot.x, plot.y
    spots, drawn = _stretches(points, MOST_SPOTS), _thinned(points)
    smooth = _smoothed(drawn) if len(points) >= SMOOTH_FROM else []
    lines = f'<path class="each{" pale" if smooth else ""}" d="{_path(drawn, x, y)}"/>'
    if smooth:
        lines += f'<path class="smooth" d="{_path(smooth, x, y)}"/>'
    wide = 1000 / max(1, len(spots))
    hover = "".join(
        f'<rect class="spot" x="{at * wide:.1f}" width="{wide:.1f}" y="0" height="1000">'
        f"<title>{escape(_spot_words(spot, t))}</title></rect>"
        for at, spot in enumerate(spots)
    )
    # A line of no length with round ends is a dot that stays round when the square is stretched.
    dots = "".join(
        f'<path class="kept" d="M{x(step)} {y(loss)}h0.01"><title>'
        f"{escape(t('train_curve_kept_out', step=step, loss=loss_words(loss)))}</title></path>"
        for step, loss in kept_out
    )
    head = f"<b>{escape(t('train_curve'))}</b>{_legend(bool(smooth), bool(kept_out), t)}"
    return plot.drawn(head, lines + hover + dots, t("train_curve"))


@dataclass(frozen=True)
class Spot:
    """One score in a plot: at which step, 0..100, what the mouse is told, and whether it is the best."""

    step: int
    value: float
    words: str
    best: bool = False


def score_curve(spots: Sequence[Spot], steps: tuple[int, int], mark: str, t: Translator) -> Html:
    """A small plot of scores under the loss curve, along the same steps.

    Args:
        steps: the first and the last of the axis.
        mark: what stands beside the best score.
    """
    plot = _Plot(*steps, 100, (0, 50, 100))
    line = _path([(spot.step, spot.value) for spot in spots], plot.x, plot.y)
    inside, words = f'<path class="each pale" d="{line}"/>', ""
    for spot in spots:
        x, y = plot.x(spot.step), plot.y(spot.value)
        kind = "score best" if spot.best else "score"
        inside += f'<path class="{kind}" d="M{x} {y}h0.01"><title>{escape(spot.words)}</title></path>'
        if spot.best:
            side = "right:calc({:.1f}% + 10px)" if x > 500 else "left:calc({:.1f}% + 10px)"
            place = side.format(100 - x / 10 if x > 500 else x / 10)
            words += f'<span class="mark" style="{place};bottom:{100 - y / 10:.1f}%">{escape(mark)}</span>'
    title = f'<b title="{escape(t("looks_score_about"))}">{escape(t("looks_score"))}</b>'
    return plot.drawn(title, inside, t("looks_score"), words, "curve small")


@dataclass(frozen=True)
class Curve:
    """One of several runs in one plot.

    Attributes:
        letter: what it is called in the plot. name: what the legend says beside it.
        losses, validation: loss by step.
        scale: samples of a step, or 1 where the plot counts steps.
    """

    letter: str
    name: str
    losses: Mapping[int, float]
    validation: Mapping[int, float]
    scale: int = 1


LINES = (("", ""), ("#d9730d", "7 4"), ("#2e9e6b", "2 4"), ("#a05bd0", "12 4 2 4"))
"""Colour ("" for the page's own) and dashes of each curve; a letter at its end spares the colour."""
LETTER_HEIGHT, LETTER_WIDTH = 0.07, 0.04
"""Of the plot: letters nearer to each other would overlap."""


def loss_curves(curves: Sequence[Curve], t: Translator) -> Html:
    """Several runs in one plot, smoothed where they are long; at most as many as LINES."""
    seen = [(one, _scaled(one.losses, one.scale), _scaled(one.validation, one.scale)) for one in curves]
    if not any(points for _, points, _ in seen):
        return NOTHING
    plot = _Plot.around(
        [point for _, points, _ in seen for point in points], [point for *_, kept_out in seen for point in kept_out]
    )
    title = t("train_curve" if all(one.scale == 1 for one in curves) else "train_curve_samples")
    inside, legend, marks, ends = "", f"<b>{escape(title)}</b>", "", []
    for (one, points, kept_out), (colour, dashes) in zip(seen, LINES, strict=False):
        style = f"--accent:{_mixed(colour)}" if colour else ""
        drawn = _smoothed(_thinned(points)) if len(points) >= SMOOTH_FROM else points
        if drawn:
            dashed = f"{style};stroke-dasharray:{dashes or 'none'}"
            line = _path(drawn, plot.x, plot.y)
            inside += f'<path class="each" style="{dashed}" d="{line}"><title>{escape(one.name)}</title></path>'
            at, loss = drawn[-1]
            ends.append((plot.x(at), plot.y(loss), one.letter, style))
        for at, loss in kept_out:
            words = t("train_curve_kept_out", step=f"{round(at / one.scale):,}", loss=loss_words(loss))
            place = f"left:{plot.x(at) / 10:.1f}%;bottom:{100 - plot.y(loss) / 10:.1f}%;transform:translate(-50%,50%)"
            marks += _letter(_circled(one.letter), f"{style};{place};font-size:13px", f"{one.letter}: {words}")
        sample = (
            '<svg width="34" height="8" viewBox="0 0 34 8" aria-hidden="true" '
            'style="display:inline-block;vertical-align:middle"><path d="M0 4H34" fill="none" stroke="var(--accent)" '
            f'stroke-width="2" stroke-dasharray="{dashes or "none"}"/></svg>'
        )
        legend += f'<span style="{style}">{sample} <b>{escape(one.letter)}</b> {escape(one.name)}</span>'
    circled = " ".join(_circled(one.letter) for one, _, kept_out in seen if kept_out)
    if circled:
        legend += f"<span>{circled} {escape(t('train_legend_validation'))}</span>"
    return plot.drawn(legend, inside, title, marks + _letters(ends))


def _circled(letter: str) -> str:
    """A to Z in a circle."""
    return chr(ord("Ⓐ") + ord(letter) - ord("A"))


def _letter(letter: str, style: str, tip: str = "") -> str:
    title = f' title="{escape(tip)}"' if tip else ""
    return f'<span{title} style="{style};color:var(--accent);font-weight:700">{escape(letter)}</span>'


def _mixed(colour: str) -> str:
    """Mixed with the colour of the text: dark enough on white, light enough on black."""
    return f"color-mix(in srgb, {colour} 75%, var(--body-text-color))"


def _letters(ends: Iterable[tuple[float, float, str, str]]) -> str:
    """The letters behind the ends of the curves, moved up where they would lie on each other."""
    found, placed = "", list[tuple[float, float]]()
    for x, y, letter, style in sorted(ends, key=lambda end: -end[1]):  # from the bottom up
        near = [bottom for left, bottom in placed if abs(left - x / 1000) < LETTER_WIDTH]
        bottom = max([1 - y / 1000, *(below + LETTER_HEIGHT for below in near)])
        placed.append((x / 1000, bottom))
        place = f"left:{x / 10:.1f}%;bottom:{bottom * 100:.1f}%;margin-left:7px;transform:translateY(50%)"
        found += _letter(letter, f"{style};{place}")
    return found


@dataclass(frozen=True)
class _Plot:
    """The square of 1000 by 1000, and what its edges mean."""

    first: int
    last: int
    top: float
    ticks: Sequence[float]

    @classmethod
    def around(cls, *several: Sequence[tuple[int, float]]) -> _Plot:
        """The plot that all points fit into; along the first curve's steps."""
        steps = [step for step, _ in several[0]]
        top, ticks = _ticks(max(loss for points in several for _, loss in points))
        return cls(min(steps), max(*steps, min(steps) + 1), top, ticks)

    def x(self, step: float) -> float:
        """From the left."""
        return round((step - self.first) / (self.last - self.first) * 1000, 1)

    def y(self, loss: float) -> float:
        """From the top."""
        return round(1000 - min(loss, self.top) / self.top * 1000, 1)

    def drawn(self, legend: str, inside: str, title: str, words: str = "", kind: str = "curve") -> Html:
        """Legend, lines and the words on the axes."""
        y = self.y
        grid = "".join(f'<line class="grid" x1="0" x2="1000" y1="{y(tick)}" y2="{y(tick)}"/>' for tick in self.ticks)
        words += "".join(
            f'<span class="y" style="bottom:{tick / self.top * 100:.1f}%">{tick:g}</span>' for tick in self.ticks
        )
        words += "".join(
            f'<span class="x" style="left:{self.x(step) / 10:.1f}%">{step:,}</span>'
            for step in _marks(self.first, self.last)
        )
        return Html(
            f'<div class="legend">{legend}</div><div class="{kind}"><svg viewBox="0 0 1000 1000" '
            f'preserveAspectRatio="none" role="img" aria-label="{escape(title)}">{grid}{inside}</svg>{words}</div>'
        )


def _finite(losses: Mapping[int, float]) -> list[tuple[int, float]]:
    return [(step, loss) for step, loss in sorted(losses.items()) if math.isfinite(loss)]


def _scaled(losses: Mapping[int, float], scale: int) -> list[tuple[int, float]]:
    return [(step * scale, loss) for step, loss in _finite(losses)]


def _legend(smooth: bool, kept_out: bool, t: Translator) -> str:
    parts = [("pale" if smooth else "", "train_legend_loss")]
    if smooth:
        parts.append(("", "train_legend_smooth"))
    if kept_out:
        parts.append(("dot", "train_legend_validation"))
    if len(parts) == 1:
        return ""
    return "".join(f'<span><i class="{kind}"></i>{escape(t(key))}</span>' for kind, key in parts)


def _ticks(highest: float) -> tuple[float, list[float]]:
    """The top of the axis and its round marks, four to six of them."""
    highest = max(highest, 1e-6)
    unit = 10.0 ** math.floor(math.log10(highest / 4))
    step = next(unit * factor for factor in (1, 2, 5, 10) if highest / (unit * factor) <= 5)
    count = math.ceil(highest / step - 1e-9)
    return step * count, [round(step * at, 10) for at in range(count + 1)]


def _marks(first: int, last: int) -> list[int]:
    return sorted({first, *(round(first + (last - first) * part / 4) for part in range(5)), last})


def _stretches(points: Sequence[tuple[int, float]], most: int) -> list[Sequence[tuple[int, float]]]:
    size = math.ceil(len(points) / most)
    return [points[at : at + size] for at in range(0, len(points), size)]


def _thinned(points: Sequence[tuple[int, float]]) -> list[tuple[float, float]]:
    """At most MOST_POINTS: a long run's neighbours become their mean."""
    if len(points) <= MOST_POINTS:
        return list(points)
    parts = _stretches(points, MOST_POINTS)
    return [(part[0][0], sum(loss for _, loss in part) / len(part)) for part in parts]


def _smoothed(points: Points) -> list[tuple[float, float]]:
    """Exponential mean over about a tenth of the curve, without the pull of its start value."""
    keep = 1 - 1 / max(3.0, len(points) / 10)
    found, mean, weight = [], 0.0, 0.0
    for step, loss in points:
        mean, weight = keep * mean + (1 - keep) * loss, keep * weight + (1 - keep)
        found.append((step, mean / weight))
    return found


def _path(points: Points, x: Callable[[float], float], y: Callable[[float], float]) -> str:
    return "M" + "L".join(f"{x(step)} {y(loss)}" for step, loss in points)


def _spot_words(spot: Sequence[tuple[int, float]], t: Translator) -> str:
    loss = loss_words(sum(value for _, value in spot) / len(spot))
    if len(spot) == 1:
        return t("train_curve_point", step=spot[0][0], loss=loss)
    return t("train_curve_points", first=spot[0][0], last=spot[-1][0], loss=loss)
