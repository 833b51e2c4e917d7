"""The loss curve of a run: a line plot as SVG, in the page's colours, light and dark."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence

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
    points = [(step, loss) for step, loss in sorted(losses.items()) if math.isfinite(loss)]
    kept_out = [(step, loss) for step, loss in sorted(validation.items()) if math.isfinite(loss)]
    if not points:
        return NOTHING
    first, last = points[0][0], max(points[-1][0], points[0][0] + 1)
    top, ticks = _ticks(max(loss for _, loss in [*points, *kept_out]))

    def x(step: float) -> float:
        return round((step - first) / (last - first) * 1000, 1)

    def y(loss: float) -> float:
        return round(1000 - min(loss, top) / top * 1000, 1)

    spots, drawn = _stretches(points, MOST_SPOTS), _thinned(points)
    smooth = _smoothed(drawn) if len(points) >= SMOOTH_FROM else []
    grid = "".join(f'<line class="grid" x1="0" x2="1000" y1="{y(tick)}" y2="{y(tick)}"/>' for tick in ticks)
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
    words = "".join(f'<span class="y" style="bottom:{tick / top * 100:.1f}%">{tick:g}</span>' for tick in ticks)
    words += "".join(
        f'<span class="x" style="left:{x(step) / 10:.1f}%">{step:,}</span>' for step in _marks(first, last)
    )
    return Html(
        f'<div class="legend"><b>{escape(t("train_curve"))}</b>{_legend(bool(smooth), bool(kept_out), t)}</div>'
        f'<div class="curve"><svg viewBox="0 0 1000 1000" preserveAspectRatio="none" role="img" '
        f'aria-label="{escape(t("train_curve"))}">{grid}{lines}{hover}{dots}</svg>{words}</div>'
    )


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
