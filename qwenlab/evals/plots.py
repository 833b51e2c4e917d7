"""Plots as SVG text without scripts or styles of their own: a rate with its interval, parts of a whole, a history.

Their classes are drawn by the style sheet around them; every plot says in words what it shows.
"""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from qwenlab.evals.history import History, Past, changed_words, moment
from qwenlab.evals.rates import Rate
from qwenlab.evals.report import percent
from qwenlab.evals.words import Language

LINES = 6
"""Contestants that a history plot can tell apart by shape and colour; more share them."""
LEFT, RIGHT, TOP, BOTTOM = 34, 14, 12, 40
"""Room around the plot for its words, in units of the view box."""


def rate_bar(rate: Rate) -> str:
    """A bar from 0 to 1 as wide as its place, with the interval as a line across its end."""
    value, low, high = (f"{100 * share:.1f}" for share in (rate.value, rate.low, rate.high))
    wide = f"{100 * (rate.high - rate.low):.1f}"
    return (
        f'<svg class="bar" viewBox="0 0 100 10" preserveAspectRatio="none" role="img" '
        f'aria-label="{escape(percent(rate))}"><rect class="rail" width="100" height="10"/>'
        f'<rect class="fill" width="{value}" height="10"/>'
        f'<rect class="range" x="{low}" y="4" width="{wide}" height="2"/>'
        f'<path class="end" d="M{low} 1.5V8.5M{high} 1.5V8.5"/></svg>'
    )


def parts_bar(parts: Sequence[tuple[str, int, str]]) -> str:
    """Parts of a whole side by side, as wide as its place.

    Args:
        parts: class, count and words of each.
    """
    total = sum(count for _, count, _ in parts) or 1
    drawn, x = "", 0.0
    for kind, count, words in parts:
        if count:
            wide = 100 * count / total
            drawn += (
                f'<rect class="{escape(kind)}" x="{x:.2f}" width="{wide:.2f}" height="10">'
                f"<title>{escape(words)}</title></rect>"
            )
            x += wide
    words = ", ".join(words for _, count, words in parts if count)
    return (
        f'<svg class="bar parts" viewBox="0 0 100 10" preserveAspectRatio="none" role="img" '
        f'aria-label="{escape(words)}">{drawn}</svg>'
    )


# --- history ---------------------------------------------------------------------------------------------


def history_plot(history: History, measure: str, language: Language, width: int = 720) -> str:
    """Every result of a suite from left to right, a line per contestant, broken where the suite changed.

    Args:
        measure: one of `history.MEASURES`. width: of the view box; its letters are 11 units high, so it is drawn best
            about as wide as that in pixels.
    """
    plot = _Plot(history, measure, language, width, height=round(180 + width / 10))
    lines = "".join(plot.line(name, at % LINES) for at, name in enumerate(history.contestants))
    return (
        f'<svg class="history" viewBox="0 0 {width} {plot.height}" role="img" aria-label="{escape(plot.words())}">'
        f"{plot.grid()}{plot.changes()}{lines}</svg>"
    )


def history_legend(history: History) -> str:
    """The marks of a history plot and whom they stand for, as HTML."""
    return "".join(
        f'<span class="key"><svg class="history" viewBox="0 0 14 14" width="14" height="14" aria-hidden="true">'
        f"{_mark(at % LINES, 7, 7, '')}</svg> {escape(name)}</span>"
        for at, name in enumerate(history.contestants)
    )


class _Plot:
    def __init__(self, history: History, measure: str, language: Language, width: int, height: int) -> None:
        self.history, self.measure, self.language = history, measure, language
        self.width, self.height = width, height

    def x(self, at: int) -> float:
        """Results stand at equal distances: ten of one day and one of a month before are all to be seen."""
        room = self.width - LEFT - RIGHT
        return round(LEFT + room * (at + 0.5) / len(self.history.results), 1)

    def y(self, share: float) -> float:
        return round(TOP + (self.height - TOP - BOTTOM) * (1 - share), 1)

    def grid(self) -> str:
        found = "".join(
            f'<path class="grid" d="M{LEFT} {self.y(share)}H{self.width - RIGHT}"/>'
            f'<text x="{LEFT - 5}" y="{self.y(share) + 4}" text-anchor="end">{share:.0%}</text>'
            for share in (0, 0.25, 0.5, 0.75, 1)
        )
        results = self.history.results
        every = max(1, -(-len(results) * 76 // (self.width - LEFT - RIGHT)))
        for at in range(len(results) - 1, -1, -every):
            day, _, clock = moment(results[at].time).rpartition(" ")
            base = self.height - BOTTOM + 16
            found += f'<text x="{self.x(at)}" y="{base}" text-anchor="middle">{escape(day)}</text>'
            found += f'<text x="{self.x(at)}" y="{base + 14}" text-anchor="middle">{escape(clock)}</text>'
        return found

    def changes(self) -> str:
        return "".join(
            f'<path class="change" d="M{(self.x(at) + self.x(at - 1)) / 2:.1f} {TOP}V{self.height - BOTTOM}">'
            f"<title>{escape(changed_words(past.changed, self.language))}</title></path>"
            for at, past in enumerate(self.history.results)
            if past.changed
        )

    def line(self, name: str, kind: int) -> str:
        """One contestant: a line through comparable results, a whisker and a mark at each."""
        # Side by side, so that contestants of one result do not hide each other.
        names = self.history.contestants
        aside = (names.index(name) - (len(names) - 1) / 2) * min(9, 24 / len(names))
        path, marks, drawing = "", "", False
        for at, past in enumerate(self.history.results):
            drawing = drawing and not past.changed
            point = past.point(name)
            rate = point.rates.get(self.measure) if point else None
            if rate is None:
                continue
            x, y = round(self.x(at) + aside, 1), self.y(rate.value)
            path += f"{'L' if drawing else 'M'}{x} {y}"
            drawing = True
            marks += f'<path class="whisker line-{kind}" d="M{x} {self.y(rate.low)}V{self.y(rate.high)}"/>'
            marks += _mark(kind, x, y, self._spot(name, past, rate))
        return f'<path class="line line-{kind}" d="{path}"/>{marks}' if path else ""

    def _spot(self, name: str, past: Past, rate: Rate) -> str:
        return f"{name}, {moment(past.time)}: {percent(rate)}"

    def words(self) -> str:
        """The plot for those who cannot see it: what each contestant reached first and last."""
        found = []
        for name in self.history.contestants:
            points = [point for past in self.history.results if (point := past.point(name))]
            rates = [rate for point in points if (rate := point.rates.get(self.measure))]
            if rates:
                found.append(f"{name}: {' - '.join(dict.fromkeys((percent(rates[0]), percent(rates[-1]))))}")
        return "; ".join(found)


def _mark(kind: int, x: float, y: float, words: str) -> str:
    """Circle, square, triangle, diamond, ring or cross: told apart without colours."""
    shapes = (
        f"M{x - 4} {y}a4 4 0 1 0 8 0a4 4 0 1 0 -8 0",
        f"M{x - 3.5} {y - 3.5}h7v7h-7z",
        f"M{x} {y - 4.5}l4.5 8h-9z",
        f"M{x} {y - 5}l5 5l-5 5l-5 -5z",
        f"M{x - 4} {y}a4 4 0 1 0 8 0a4 4 0 1 0 -8 0M{x - 2} {y}a2 2 0 1 1 4 0a2 2 0 1 1 -4 0",
        f"M{x - 5} {y - 1.5}h3.5v-3.5h3v3.5h3.5v3h-3.5v3.5h-3v-3.5h-3.5z",
    )
    title = f"<title>{escape(words)}</title>" if words else ""
    return f'<path class="mark line-{kind}" d="{shapes[kind]}">{title}</path>'
