"""From case scores to a summary of one contestant, and to a scoreboard of several."""

from __future__ import annotations

import unicodedata
from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from qwenlab.evals.json_ladder import RUNGS
from qwenlab.evals.pointer import EVERY
from qwenlab.evals.rates import Rate, rate
from qwenlab.evals.scoring import CaseScore
from qwenlab.evals.words import Language, measure_name

MEASURES = (
    "strict", "schema_valid", "usable", "field_accuracy", "field_accuracy_parsed", "document_exact", "passed",
)  # fmt: skip


@dataclass(frozen=True)
class Summary:
    """What one contestant reached on a suite, leaked cases apart.

    Attributes:
        n: cases in the headline: all but the leaked ones. Errors are among them.
        errors: cases without an answer; they count as failed.
        leaked: cases that are also in the training data, or used to choose the checkpoint; they count nowhere else.
        leaked_passed: how many of those passed.
        rates: measure -> share of the n cases (None where it does not apply: JSON measures of a text suite,
            accuracy over parsed answers when none parsed). field_accuracy is the mean over all cases,
            field_accuracy_parsed over those that could be read.
        rungs: rung -> cases, errors left out. by_field: pointer -> share of right values, list items pooled.
        flags: flag -> cases.
        unjudged: cases whose judging failed; they are in none of the n.
    """

    n: int
    errors: int
    leaked: int
    leaked_passed: int
    rates: dict[str, Rate | None]
    rungs: dict[str, int]
    by_field: dict[str, Rate]
    flags: dict[str, int] = field(default_factory=dict)
    unjudged: int = 0

    def value(self, measure: str) -> float | None:
        """The rate of a measure as a fraction of 1."""
        found = self.rates.get(measure)
        return None if found is None else found.value

    def to_json(self) -> dict[str, Any]:
        """Plain values: each measure a fraction of 1 or null, their intervals apart."""
        return {
            "n": self.n,
            "errors": self.errors,
            "leaked": self.leaked,
            "leaked_passed": self.leaked_passed,
            **{measure: self.value(measure) for measure in MEASURES},
            "intervals": {
                measure: None if found is None else [found.low, found.high] for measure, found in self.rates.items()
            },
            "rungs": self.rungs,
            "by_field": {name: {"value": found.value, "n": found.n} for name, found in self.by_field.items()},
            "flags": self.flags,
            **({"unjudged": self.unjudged} if self.unjudged else {}),
        }


def summarize(scores: Iterable[CaseScore], leaked: Collection[str] = ()) -> Summary:
    """Summarize the scores of one contestant; cases in `leaked` are kept out of every rate."""
    everything = list(scores)
    unjudged = [score for score in everything if score.unjudged]
    counted = [score for score in everything if score.case_id not in leaked and not score.unjudged]
    apart = [score for score in everything if score.case_id in leaked]
    is_json = any(score.rung is not None for score in everything)
    rates = {
        "strict": rate(not s.errored and s.rung == "strict" for s in counted if s.rung is not None),
        "schema_valid": rate(bool(s.schema_valid) for s in counted if s.schema_valid is not None),
        "usable": rate(s.usable for s in counted),
        "field_accuracy": rate(s.field_accuracy for s in counted),
        "field_accuracy_parsed": rate(s.field_accuracy for s in counted if s.parsed),
        "document_exact": rate(s.document_exact for s in counted),
        "passed": rate(s.passed for s in counted),
    }
    rungs = Counter(score.rung for score in counted if not score.errored)
    flags = Counter(flag for score in counted for flag in score.flags)
    return Summary(
        n=len(counted),
        errors=sum(score.errored for score in counted),
        leaked=len(apart),
        leaked_passed=sum(score.passed for score in apart),
        rates=rates,
        rungs={rung: rungs[rung] for rung in RUNGS} if is_json else {},
        by_field=_by_field(counted),
        flags=dict(sorted(flags.items())),
        unjudged=len(unjudged),
    )


def _by_field(scores: Iterable[CaseScore]) -> dict[str, Rate]:
    values: dict[str, list[float]] = {}
    for score in scores:
        for item in score.fields:
            if item.code == "unexpected":
                continue  # no field of the suite: it lowers the case's accuracy, not a field's
            keys = [EVERY if key.isdigit() else key for key in item.pointer.split("/")]
            values.setdefault("/".join(keys), []).append(float(item.ok))
    return {name: found for name, right in sorted(values.items()) if (found := rate(right))}


# --- scoreboard -------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Row:
    """One contestant on a scoreboard; tokens_per_s and bytes (size on disk) where known."""

    name: str
    summary: Summary
    tokens_per_s: float | None = None
    bytes: int | None = None


_COLUMNS = ("strict", "usable", "field_accuracy", "document_exact")


def scoreboard(rows: Sequence[Row], language: Language = "en", markdown: bool = False) -> str:
    """Contestants by measures, rates in per cent with their 95 % intervals, as aligned text or as Markdown."""
    table = [_heading(language), *(_cells(row) for row in rows)]
    keep = [column for column in range(len(table[0])) if any(line[column] for line in table[1:])]
    table = [[line[column] for column in keep] for line in table]
    if markdown:
        head, *body = ["| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in table]
        return "\n".join([head, "|---|" + "---:|" * (len(table[0]) - 1), *body]) + "\n"
    return aligned(table)


def aligned(table: Sequence[Sequence[str]]) -> str:
    """Rows of text as columns of one width, the first to the left; a row of one cell stands for itself."""
    full = [line for line in table if len(line) > 1]
    widths = [max(map(_width, column)) for column in zip(*full, strict=True)]
    return "\n".join(_aligned(line, widths) if len(line) > 1 else line[0] for line in table) + "\n"


def _heading(language: Language) -> list[str]:
    names = ("contestant", "n", "errors", *_COLUMNS, "tokens_per_s", "size")
    return [measure_name(name, language) for name in names]


def _cells(row: Row) -> list[str]:
    return [
        row.name,
        str(row.summary.n),
        str(row.summary.errors) if row.summary.errors else "",
        *(percent(row.summary.rates[measure]) for measure in _COLUMNS),
        f"{row.tokens_per_s:.1f}" if row.tokens_per_s is not None else "",
        f"{row.bytes / 1e6:.0f} MB" if row.bytes is not None else "",
    ]


def percent(found: Rate | None) -> str:
    """A rate as "92.5 % (86-96)"; "" for none."""
    if found is None:
        return ""
    return f"{100 * found.value:.1f} % ({100 * found.low:.0f}-{100 * found.high:.0f})"


def _width(text: str) -> int:
    return sum(2 if unicodedata.east_asian_width(sign) in "WF" else 1 for sign in text)


def _aligned(line: Sequence[str], widths: Sequence[int]) -> str:
    first, *others = line
    cells = [first + " " * (widths[0] - _width(first))]
    cells += [" " * (width - _width(cell)) + cell for cell, width in zip(others, widths[1:], strict=True)]
    return "  ".join(cells).rstrip()
