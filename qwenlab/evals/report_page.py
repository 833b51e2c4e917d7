"""A result as one HTML file that opens offline: no scripts, nothing loaded, everything a model wrote escaped."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterable, Sequence
from functools import cache
from html import escape
from pathlib import Path

from qwenlab.evals import gates, report_cases, slices
from qwenlab.evals.case_words import place
from qwenlab.evals.compare import Verdict, sentence
from qwenlab.evals.findings import Findings, surely_worse
from qwenlab.evals.history import History, changed_words, moment
from qwenlab.evals.json_ladder import RUNGS
from qwenlab.evals.plots import history_legend, history_plot, parts_bar, rate_bar
from qwenlab.evals.rates import Rate
from qwenlab.evals.remarks import remarks
from qwenlab.evals.report_words import counted, say
from qwenlab.evals.result import ContestantResult
from qwenlab.evals.steps import Step
from qwenlab.evals.words import Language, describe_rung, measure_name

MEASURES = ("strict", "usable", "field_accuracy", "document_exact", "passed", "pass_all", "agreement")
HISTORY = ("passed", "field_accuracy")
TILES = ("usable", "field_accuracy", "document_exact", "passed")
MOST_LINKS = 12
"""Cases named where a step broke some; the list of cases has all."""
SIGNS = {"better": "▲", "worse": "▼", "cannot_tell": "≈"}
KINDS = {"better": "ok", "worse": "bad", "cannot_tell": "quiet"}


def to_html(findings: Findings) -> str:
    """The whole page in the findings' language."""
    style = _style()
    digest = base64.b64encode(hashlib.sha256(style.encode("utf-8")).digest()).decode("ascii")
    policy = f"default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'"
    name = findings.result.suite.name
    sections = (
        _scoreboard(findings), _compared(findings), _remarks(findings), _steps(findings), _fields(findings),
        _rungs(findings), _slices(findings), _history(findings), report_cases.section(findings), _method(findings),
    )  # fmt: skip
    return (
        f'<!doctype html>\n<html lang="{findings.language}">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        '<meta name="color-scheme" content="light dark">\n<meta name="robots" content="noindex">\n'
        f"<title>{escape(name)} - {escape(say('report', findings.language))}</title>\n<style>{style}</style>\n</head>\n"
        f"<body>\n<main>\n{_head(findings)}\n" + "\n".join(filter(None, sections)) + "\n</main>\n</body>\n</html>\n"
    )


@cache
def _style() -> str:
    return (Path(__file__).parent / "report_page.css").read_text(encoding="utf-8")


def _section(title: str, about: str, inside: str, kind: str = "") -> str:
    said = f'<p class="about">{escape(about)}</p>' if about else ""
    return f'<section class="{kind}"><h2>{escape(title)}</h2>{said}{inside}</section>'


# --- the first glance ------------------------------------------------------------------------------------


def _head(findings: Findings) -> str:
    language, suite = findings.language, findings.result.suite
    kicker = " · ".join((say("report", language), suite.name, moment(findings.time)))
    verdict = _main_verdict(findings)
    proof = f'<p class="proof">{escape(sentence(verdict, language))}</p>' if verdict else ""
    about = f'<p class="about">{escape(suite.description)}</p>' if suite.description else ""
    return (
        f'<header><p class="kicker">{escape(kicker)}</p><h1>{escape(headline(findings))}</h1>{proof}'
        f"{_gate_state(findings)}{about}<p>{escape(counted(findings))}</p>{_tiles(findings)}</header>"
    )


def _main_verdict(findings: Findings) -> Verdict | None:
    last = findings.contestants[-1].name
    return next((one for one in findings.verdicts if one.name == last and one.measure == "passed"), None)


def headline(findings: Findings) -> str:
    """What a reader in a hurry takes away, in one sentence."""
    language, last = findings.language, findings.contestants[-1]
    verdict, now = _main_verdict(findings), last.summary.rates["passed"]
    if now is None:
        return say("headline_nothing", language)
    if verdict is None:
        return say("headline_alone", language, name=last.name, now=_percent(now))
    before = findings.contestants[0].summary.rates["passed"]
    values = {"name": verdict.name, "base": verdict.base, "now": _percent(now), "before": _percent(before)}
    return say(f"headline_{verdict.code}", language, **values)


def _gate_state(findings: Findings) -> str:
    judged, language = findings.gates, findings.language
    if not judged:
        return ""
    missed = sum(not gate.passed for gate in judged)
    if missed:
        return _pill("bad", "✗", say("gates_missed", language, missed=missed, number=len(judged)))
    key = "gates_passed_one" if len(judged) == 1 else "gates_passed"
    return _pill("ok", "✓", say(key, language, number=len(judged)))


def _pill(kind: str, sign: str, words: str) -> str:
    return f'<p class="pill {kind}"><b aria-hidden="true">{sign}</b> {escape(words)}</p>'


def _tiles(findings: Findings) -> str:
    """The last contestant's rates, large, each with what the first one reached."""
    language, first, last = findings.language, findings.contestants[0], findings.contestants[-1]
    tiles = ""
    for measure in TILES:
        rate = last.summary.rates.get(measure)
        if rate is None:
            continue
        base = ""
        if first is not last:
            reached = say("instead_of", language, name=first.name, rate=_percent(first.summary.rates.get(measure)))
            base = f"<small>{escape(reached)}</small>"
        tiles += (
            f'<div class="tile"><span>{escape(measure_name(measure, language))}</span><b>{_percent(rate)}</b>'
            f"{rate_bar(rate)}<small>{escape(last.name)}: {_interval(rate)}</small>{base}</div>"
        )
    return f'<div class="tiles">{tiles}</div>'


# --- figures ---------------------------------------------------------------------------------------------


def _percent(rate: Rate | None) -> str:
    return "–" if rate is None else f"{100 * rate.value:.1f}\u00a0%"  # no line ends before the sign


def _interval(rate: Rate) -> str:
    return f"{100 * rate.low:.0f}–{100 * rate.high:.0f} %"


def _rate_cell(rate: Rate | None, label: str, note: str = "", mark: str = "") -> str:
    """A cell with value, interval and bar; `label` names its column where the table is folded for a narrow screen."""
    if rate is None:
        return f'<td class="rate" data-label="{escape(label)}"><span class="quiet">–</span></td>'
    said = f'<small class="note">{escape(note)}</small>' if note else ""
    return (
        f'<td class="rate {mark}" data-label="{escape(label)}"><b>{_percent(rate)}</b> '
        f"<small>{_interval(rate)}</small>{rate_bar(rate)}{said}</td>"
    )


def _table(head: Sequence[str], rows: Iterable[str], number: str = "", kind: str = "") -> str:
    """A table of rates; `number` heads a last column of plain numbers."""
    heads = "".join(f'<th scope="col">{escape(one)}</th>' for one in head)
    heads += f'<th scope="col" class="number">{escape(number)}</th>' if number else ""
    return f'<table class="figures {kind}"><thead><tr>{heads}</tr></thead><tbody>{"".join(rows)}</tbody></table>'


def _scoreboard(findings: Findings) -> str:
    language = findings.language
    measures = [one for one in MEASURES if any(who.summary.rates.get(one) for who in findings.contestants)]
    number, rows = measure_name("tokens_per_s", language), []
    for who in findings.contestants:
        cells = "".join(_rate_cell(who.summary.rates.get(one), measure_name(one, language)) for one in measures)
        speed = f"{who.tokens_per_s:.0f}" if who.tokens_per_s is not None else "–"
        last = f'<td data-label="{escape(number)}">{speed}</td>'
        rows.append(f'<tr><th scope="row">{escape(who.name)}</th>{cells}{last}</tr>')
    head = [measure_name(one, language) for one in ("contestant", *measures)]
    return _section(say("scoreboard", language), say("scoreboard_about", language), _table(head, rows, number, "board"))


def _compared(findings: Findings) -> str:
    language, parts = findings.language, ""
    if findings.verdicts:
        items = "".join(
            _said(KINDS[one.code], SIGNS[one.code], say(one.code, language), sentence(one, language))
            for one in findings.verdicts
        )
        parts += _section(say("verdicts", language), "", f'<ul class="said">{items}</ul>')
    if findings.gates:
        items = "".join(
            _said("ok", "✓", say("met", language), gates.sentence(one, language))
            if one.passed
            else _said("bad", "✗", say("missed", language), gates.sentence(one, language))
            for one in findings.gates
        )
        parts += _section(say("gates", language), "", f'<ul class="said">{items}</ul>')
    return parts


def _remarks(findings: Findings) -> str:
    items = "".join(f"<li>{escape(one)}</li>" for one in remarks(findings.result, findings.language))
    return _section(say("remarks", findings.language), "", f"<ul>{items}</ul>") if items else ""


def _said(kind: str, sign: str, word: str, words: str) -> str:
    return (
        f'<li class="{kind}"><b><span aria-hidden="true">{sign}</span> {escape(word)}</b>'
        f"<span>{escape(words)}</span></li>"
    )


def _steps(findings: Findings) -> str:
    if not findings.steps:
        return ""
    language = findings.language
    steps = "".join(_step(step, findings) for step in findings.steps)
    return _section(say("steps", language), say("steps_about", language), f'<ol class="steps">{steps}</ol>')


def _step(step: Step, findings: Findings) -> str:
    language = findings.language
    after = findings.result.contestant(step.after)
    counts = say("step_counts", language, fixed=len(step.fixed), broken=len(step.broken))
    said = counts if step.fixed or step.broken else say("step_same", language)
    links = ", ".join(f'<a href="#{report_cases.anchor(case)}">{escape(case)}</a>' for case in step.broken[:MOST_LINKS])
    broke = ""
    if step.broken:
        more = len(step.broken) - MOST_LINKS
        rest = f", {escape(say('and_more', language, number=more))}" if more > 0 else ""
        broke = f"<p><small>{escape(say('step_broke', language))}: {links}{rest}</small></p>"
    kind = KINDS[step.verdict.code]
    rate = after.summary.rates["passed"]
    return (
        f"<li><b>{escape(step.before)} → {escape(step.after)}</b>"
        f'<p class="{kind}"><b><span aria-hidden="true">{SIGNS[step.verdict.code]}</span> '
        f"{escape(say(step.verdict.code, language))}</b> {escape(said)}</p>{rate_bar(rate) if rate else ''}"
        f"<p><small>{escape(measure_name('passed', language))}: {_percent(rate)}</small></p>{broke}</li>"
    )


def _fields(findings: Findings) -> str:
    language = findings.language
    known = dict.fromkeys(name for who in findings.contestants for name in who.summary.by_field)
    if not known:
        return ""
    rows = [
        f'<tr><th scope="row">{escape(place(name, language))}</th>'
        + "".join(_rate_cell(who.summary.by_field.get(name), who.name) for who in findings.contestants)
        + "</tr>"
        for name in known
    ]
    head = [say("field", language), *(who.name for who in findings.contestants)]
    return _section(say("fields", language), say("fields_about", language), _table(head, rows))


def _rungs(findings: Findings) -> str:
    if not any(who.summary.rungs for who in findings.contestants):
        return ""
    language = findings.language
    rows, seen = "", set[str]()
    for who in findings.contestants:
        found = {**who.summary.rungs, "error": who.summary.errors}
        parts = [(rung, found.get(rung, 0), f"{_rung_name(rung, language)}: {found.get(rung, 0)}") for rung in found]
        seen |= {rung for rung, count, _ in parts if count}
        words = ", ".join(f"{text}" for _, count, text in parts if count)
        rows += f'<div class="who">{escape(who.name)}</div><div>{parts_bar(parts)}<small>{escape(words)}</small></div>'
    legend = "".join(
        f'<span class="key"><svg class="bar parts" viewBox="0 0 10 10" width="10" height="10" aria-hidden="true">'
        f'<rect class="{rung}" width="10" height="10"/></svg> {escape(_rung_name(rung, language))}</span>'
        for rung in (*RUNGS, "error")
        if rung in seen
    )
    inside = f'<div class="rungs">{rows}</div><p class="legend">{legend}</p>'
    return _section(say("rungs", language), say("rungs_about", language), inside)


def _rung_name(rung: str, language: Language) -> str:
    return measure_name("errors", language) if rung == "error" else describe_rung(rung, language)


def _slices(findings: Findings) -> str:
    if not findings.slices:
        return ""
    language = findings.language
    found = {(one.slice.kind, one.slice.name): one.slice for one in findings.slices}
    rated = {(one.slice.kind, one.slice.name, one.contestant): one for one in findings.slices}
    rows, kinds = list[str](), set[str]()
    for key, part in found.items():
        cells = ""
        for who in findings.contestants:
            one = rated.get((*key, who.name))
            note = say("few_cases", language) if one and one.p is None else ""
            if one and one.worse:
                note = f"▼ {say('worse', language)}"
            cells += _rate_cell(one.passed if one else None, who.name, note, "bad" if one and one.worse else "")
        number = max(one.passed.n for one in rated.values() if one.slice is part)
        if part.kind not in kinds:
            kinds.add(part.kind)
            title = escape(say(f"slice_{part.kind}", language))
            rows.append(f'<tr class="kind"><th colspan="{len(findings.contestants) + 1}">{title}</th></tr>')
        name = slices.label(part, language)
        rows.append(f'<tr><th scope="row">{escape(name)} <small>{number}</small></th>{cells}</tr>')
    weak = surely_worse(findings.slices, language)
    said = "".join(_said("bad", "▼", say("worse", language), one) for one in weak)
    nothing = "slices_none" if any(one.p is not None for one in findings.slices) else "slices_few"
    lead = f'<ul class="said">{said}</ul>' if weak else f"<p>{escape(say(nothing, language))}</p>"
    table = _table([say("slice", language), *(who.name for who in findings.contestants)], rows)
    return _section(say("slices", language), say("slices_about", language), lead + table)


def _history(findings: Findings) -> str:
    past, language = findings.history, findings.language
    if past is None:
        return ""
    parts = list(dict.fromkeys(part for one in past.results for part in one.changed))
    changed = changed_words(parts, language)
    about = say("history_changed", language, changed=changed) if parts else say("history_about", language)
    plots = "".join(
        _history_plots(past, one, language) for one in (HISTORY if findings.result.suite.is_json else HISTORY[:1])
    )
    items = "".join(
        _said(KINDS[one.code], SIGNS[one.code], say(one.code, language), sentence(one, language))
        for one in findings.since_last
    )
    said = f'<ul class="said">{items}</ul>' if items else ""
    return _section(say("history", language), about, f'{plots}<p class="legend">{history_legend(past)}</p>{said}')


def _history_plots(past: History, measure: str, language: Language) -> str:
    """The same plot twice, for a wide and for a narrow screen: its letters keep their size on both."""
    plots = "".join(
        f'<div class="{kind}">{history_plot(past, measure, language, width)}</div>'
        for kind, width in (("wide", 920), ("narrow", 340))
    )
    return f"<h3>{escape(measure_name(measure, language))}</h3>{plots}"


# --- how it was measured -----------------------------------------------------------------------------------


def _method(findings: Findings) -> str:
    language, suite = findings.language, findings.result.suite
    means = "".join(
        f"<dt>{escape(measure_name(one, language))}</dt><dd>{escape(say(f'about_{one}', language))}</dd>"
        for one in MEASURES
        if any(who.summary.rates.get(one) for who in findings.contestants)
    )
    numbers = suite.generation.model_dump(exclude={"thinking"}).items()
    settings = ", ".join([f"{name} {value:g}" for name, value in numbers] + ["thinking"] * suite.generation.thinking)
    about = [
        suite.name,
        say("fingerprint", language, digest=suite.fingerprint()[:16]),
        say("settings", language, settings=settings),
    ]
    made = "".join(f"<dt>{escape(who.name)}</dt><dd>{escape(_made_from(who))}</dd>" for who in findings.contestants)
    instructions = ""
    if suite.system:
        title = escape(say("said_system", language))
        instructions = f'<details><summary>{title}</summary><pre dir="auto">{escape(suite.system)}</pre></details>'
    inside = (
        f"<h3>{escape(say('means', language))}</h3><dl>{means}</dl><p>{escape(say('about_sure', language))}</p>"
        f"<h3>{escape(say('made_from', language))}</h3><dl>{made}</dl>"
        f"<h3>{escape(say('suite', language))}</h3><p>{escape(' · '.join(about))}</p>{instructions}"
    )
    return _section(say("method", language), "", inside, "method")


def _made_from(who: ContestantResult) -> str:
    """Model, precision and fingerprints; of a path only its last name, of an address nothing: reports are handed on."""
    found = []
    for key, value in who.describe.items():
        if key in ("url", "path"):
            continue
        short = Path(value).name if key in ("model", "adapter") and ("/" in value or "\\" in value) else value
        long_digest = len(short) >= 16 and all(sign in "0123456789abcdef" for sign in short)
        found.append(f"{key.replace('_', ' ')} {short[:16] if long_digest else short}")
    return ", ".join(found)
