"""Reports that leave the lab: whole, readable by their readers, and safe whatever a model wrote."""

from __future__ import annotations

import base64
import csv
import hashlib
import html
import io
import json
import re
from html.parser import HTMLParser
from pathlib import Path
from xml.etree import ElementTree as Xml

import pytest
from fakes import ScriptedContestant
from hypothesis import example, given
from hypothesis import strategies as st

from qwenlab.errors import QwenlabError
from qwenlab.evals import asked_gates, reports, runner
from qwenlab.evals.answers import Answered
from qwenlab.evals.asked_gates import Asked
from qwenlab.evals.findings import Findings, gather
from qwenlab.evals.report import summarize
from qwenlab.evals.report_words import TEXTS
from qwenlab.evals.result import ContestantResult, Result, load_result
from qwenlab.evals.scoring import score_answer
from qwenlab.evals.suite import suite_from
from qwenlab.models.contestant import Answer

GOOD = '{"a": 1, "b": "x"}'
HOSTILE = "<script>alert(1)</script> =cmd|' /C calc'!A0 ]]> \x00\x1b[31m\ufffe & \"q\" \ud800 | **bold**"
BASE = {"q1": GOOD, "q2": "```json\n" + GOOD + "\n```", "q3": "no", "q4": GOOD, "=q5": "+1"}
TUNED = {
    "q1": HOSTILE,
    "q2": GOOD,
    "q3": '{"a": "1", "b": "y", "c": 0}',
    "q4": Answer("", "error", error="Gone. Try <b>again</b>.", error_zh="断开了。"),
    "=q5": "=1+1",
}


def json_suite(**changes):
    questions = list(BASE)
    return suite_from(
        {
            "name": "tickets <& co>",
            "schema": {"type": "object", "required": ["a", "b"], "additionalProperties": False,
                       "properties": {"a": {"type": "integer"}, "b": {}}},
            "cases": [
                {"id": f"c{n} <i>", "prompt": text, "expected": {"a": 1, "b": "x"}, "tags": ["=tag", "a|b"]}
                for n, text in enumerate(questions, 1)
            ],
            **changes,
        },
        "test",
    )  # fmt: skip


@pytest.fixture
def findings(tmp_path: Path) -> Findings:
    pair = [ScriptedContestant("base", BASE), ScriptedContestant("tuned", TUNED)]
    result = runner.run(json_suite(), pair, tmp_path / "r", leaked={"c5 <i>"})
    asked_gates.remember(result.folder, [Asked("usable", "tuned", 0.5), Asked("usable", "tuned")])
    return gather(result, "en")


# --- JUnit XML -----------------------------------------------------------------------------------------------

SUITE_ATTRIBUTES = {
    "id": r"\d+", "package": r"\S.*", "name": r"\S.*", "hostname": r"\S+", "tests": r"\d+", "failures": r"\d+",
    "errors": r"\d+", "skipped": r"\d+", "time": r"\d+\.\d+", "timestamp": r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d",
}  # fmt: skip
PROBLEMS = {"failure": {"message", "type"}, "error": {"message", "type"}, "skipped": {"message"}}


def check_junit(content: bytes) -> list[Xml.Element]:
    """What Ant's JUnit schema (Windy Road's JUnit.xsd) wants, part by part; xmlschema 4.3.2 agreed on a real report."""
    root = Xml.fromstring(content)
    assert root.tag == "testsuites"
    for at, suite in enumerate(root):
        assert suite.tag == "testsuite"
        assert suite.get("id") == str(at)
        assert set(suite.attrib) == set(SUITE_ATTRIBUTES)
        assert all(re.fullmatch(form, suite.attrib[name]) for name, form in SUITE_ATTRIBUTES.items())
        tags = [child.tag for child in suite]
        assert tags == ["properties", *["testcase"] * (len(tags) - 3), "system-out", "system-err"]
        for case in suite.iter("testcase"):
            assert set(case.attrib) == {"name", "classname", "time"}
            assert all(value == " ".join(value.split()) for value in case.attrib.values()), "tokens"
            assert len(case) <= 1
            assert all(set(problem.attrib) == PROBLEMS[problem.tag] for problem in case)
    return list(root)


def test_junit_keeps_to_the_schema_and_counts_every_case_once(findings):
    base, tuned = check_junit(reports.render(findings, "junit"))
    counts = [tuple(suite.get(name) for name in ("tests", "failures", "errors", "skipped")) for suite in (base, tuned)]
    assert counts == [("5", "2", "0", "1"), ("5", "2", "1", "1")]
    for suite in (base, tuned):
        assert len(list(suite.iter("failure"))) == int(suite.get("failures"))
        assert len(list(suite.iter("error"))) == int(suite.get("errors"))


def test_junit_says_in_words_why_a_case_failed(findings):
    _, tuned = check_junit(reports.render(findings, "junit"))
    found = {case.get("name"): case for case in tuned.iter("testcase")}
    failure = found["c3 <i>"].find("failure")
    assert failure.get("type") == "wrong format and content"
    assert failure.get("message") == (
        'a: The number 1 was written as text, "1": leave out the quotes. b: Expected "x", got "y". '
        "c: This field was not asked for; got 0."
    )
    assert '{"a": "1", "b": "y", "c": 0}' in failure.text
    assert found["c4 <i>"].find("error").get("message") == "Gone. Try <b>again</b>."
    assert "\ufffd" in found["c1 <i>"].find("failure").text, "characters that XML cannot hold are replaced"


# --- CSV ------------------------------------------------------------------------------------------------------


def rows_of(content: bytes) -> list[dict[str, str]]:
    assert content.startswith(b"\xef\xbb\xbf"), "without it Excel takes UTF-8 for something else"
    return list(csv.DictReader(io.StringIO(content.decode("utf-8-sig"), newline="")))


def test_the_csv_has_a_row_per_case_and_contestant(findings):
    rows = rows_of(reports.render(findings, "csv"))
    assert [(row["case"][:2], row["contestant"]) for row in rows] == [
        (f"c{n}", name) for n in range(1, 6) for name in ("base", "tuned")
    ]
    first = rows[0]
    assert (first["passed"], first["rung"], first["answer"], first["leaked"]) == ("true", "strict", GOOD, "false")
    assert rows[7]["error"] == "true"
    assert rows[7]["why"] == "Gone. Try <b>again</b>."
    assert rows[9]["leaked"] == "true"


def test_no_cell_of_the_csv_is_a_formula(findings):
    rows = rows_of(reports.render(findings, "csv"))
    cells = [cell for row in rows for cell in row.values()]
    assert not [cell for cell in cells if re.match(r"[=+\-@\t\r]", cell) and not re.fullmatch(r"-?[\d.]+", cell)]
    assert [row["answer"] for row in rows[8:]] == ["'+1", "'=1+1"]
    assert rows[8]["question"] == "'=q5"
    assert rows[8]["tags"] == "'=tag, a|b"


# --- HTML -----------------------------------------------------------------------------------------------------


class Page(HTMLParser):
    """What a browser would find in a page."""

    VOID = frozenset({"meta", "input", "rect", "path", "br"})

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.style = ""
        self.words: list[str] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))
        if tag not in ("meta", "input"):
            self.open.append(tag)

    def handle_startendtag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))

    def handle_endtag(self, tag):
        assert self.open, f"</{tag}> closes nothing"
        assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open and self.open[-1] == "style":
            self.style += data
        else:
            self.words.append(data)

    def meta(self, name: str) -> str:
        return next(found["content"] or "" for tag, found in self.tags if tag == "meta" and name in found.values())


@pytest.mark.parametrize("language", ["en", "zh"])
def test_the_page_is_whole_loads_nothing_and_runs_nothing(findings, language):
    text = reports.render(Findings(findings.result, language, findings.time), "html").decode("utf-8")
    page = Page(text)
    assert not page.open, "every tag is closed"
    digest = base64.b64encode(hashlib.sha256(page.style.encode()).digest()).decode()
    assert page.meta("Content-Security-Policy") == (
        f"default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'"
    )
    assert not {tag for tag, _ in page.tags} & {"script", "link", "img", "iframe", "object", "form", "base", "i"}
    for _, attributes in page.tags:
        assert not [name for name in attributes if name.startswith("on") or name in ("src", "style", "srcset")]
        assert (attributes.get("href") or "#").startswith("#"), "it leads nowhere but to itself"
    assert "url(" not in page.style
    assert "@import" not in page.style
    assert ("lang", language) in [item for tag, found in page.tags if tag == "html" for item in found.items()]


def test_the_page_shows_what_a_model_wrote_as_text(findings):
    page = Page(reports.render(findings, "html").decode("utf-8"))
    words = " ".join(page.words)
    assert "<script>alert(1)</script> =cmd|" in words
    assert "Gone. Try <b>again</b>." in words
    assert "tickets <& co>" in words


def test_the_page_says_verdict_gates_and_what_was_kept_out(findings):
    words = " ".join(" ".join(Page(reports.render(findings, "html").decode()).words).split())
    for wanted in (
        "Whether tuned is better than base cannot be told from these cases",
        "1 of 2 thresholds missed",
        'tuned misses "at least 50.0 % usable as is": 25.0 %',
        'tuned meets "not worse than base (usable as is)"',
        "4 cases, 2 contestants. Kept out of all figures: 1 cases",
        "tuned: 1 cases without an answer; they count as wrong.",
    ):
        assert wanted in words


def test_cases_stand_in_the_page_broken_first_each_folded_and_linked(findings):
    page = Page(reports.render(findings, "html").decode())
    kinds = [found["class"] for tag, found in page.tags if tag == "details" and "case" in (found["class"] or "")]
    assert kinds == ["case broken", "case broken", "case fixed", "case failed", "case leaked"]
    ids = [found["id"] for _, found in page.tags if "id" in found]
    assert len(ids) == len(set(ids))


def test_a_text_suite_and_a_single_contestant_have_a_page_too(tmp_path):
    suite = suite_from(
        {"name": "facts", "language": "zh", "cases": [{"id": "t1", "prompt": "法国首都？", "expected": "巴黎"}]}, "test"
    )
    result = runner.run(suite, [ScriptedContestant("base", {"法国首都？": "里昂"})], tmp_path)
    found = gather(result)
    assert found.language == "zh"
    words = " ".join(Page(reports.render(found, "html").decode()).words)
    assert "base 通过了 0.0\u00a0% 的用例。" in words
    assert "不是期望的回答。" in words
    assert "JSON 的形式" not in words
    for form in reports.FORMS:
        assert reports.render(found, form)


def test_a_weak_kind_of_question_is_said_and_of_few_cases_nothing_is(tmp_path):
    cases = [{"id": f"c{n}", "prompt": f"q{n}", "expected": {"a": 1}, "tags": ["typos"] * (n < 10)} for n in range(40)]
    suite = suite_from({"name": "s", "schema": {}, "cases": cases}, "test")
    script = {case.question: "no" if case.tags else '{"a": 1}' for case in suite.cases}
    result = runner.run(suite, [ScriptedContestant("base", script)], tmp_path / "many")
    for form in ("html", "markdown"):
        said = html.unescape(reports.render(gather(result, "en"), form).decode())
        assert 'base is surely worse on questions tagged "typos": 0.0 % (0-28) of 10 pass' in said.replace("\\", "")
    few = runner.run(suite.only(limit=4), [ScriptedContestant("base", script)], tmp_path / "few")
    assert "surely worse" not in reports.render(gather(few, "en"), "html").decode()


def test_a_page_of_leaked_cases_only_says_so(tmp_path):
    result = runner.run(
        json_suite(), [ScriptedContestant("base", BASE)], tmp_path, leaked={f"c{n} <i>" for n in range(1, 6)}
    )
    words = " ".join(Page(reports.render(gather(result, "en"), "html").decode()).words)
    assert "No case counts: all of them are in the training data." in words
    for form in reports.FORMS:
        assert reports.render(gather(result, "zh"), form)


def test_steps_from_base_to_int4_name_the_cases_that_each_broke(tmp_path):
    answers = {
        "base": dict.fromkeys(BASE, "no"),
        "adapter": dict.fromkeys(BASE, GOOD),
        "merged": dict.fromkeys(BASE, GOOD),
        "int4": {**dict.fromkeys(BASE, GOOD), "q2": "no"},
    }
    result = runner.run(json_suite(), [ScriptedContestant(*item) for item in answers.items()], tmp_path)
    steps = gather(result, "en").steps
    assert [(step.before, step.after, len(step.fixed), step.broken) for step in steps] == [
        ("base", "adapter", 5, ()),
        ("adapter", "merged", 0, ()),
        ("merged", "int4", 0, ("c2 <i>",)),
    ]
    words = " ".join(" ".join(Page(reports.render(gather(result, "en"), "html").decode()).words).split())
    assert "merged → int4" in words


def test_a_contestant_that_was_not_asked_everything_is_left_out_and_named(tmp_path):
    suite = json_suite()
    runner.run(suite, [ScriptedContestant("base", BASE)], tmp_path)
    broken = ScriptedContestant("tuned", TUNED, crash_after=2)
    with pytest.raises(RuntimeError):
        runner.run(suite, [broken], tmp_path)
    found = gather(load_result(tmp_path), "en")
    assert [one.name for one in found.contestants] == ["base"]
    assert "Left out, because not asked every case yet: tuned." in reports.render(found, "html").decode()


def test_nobody_who_was_asked_everything_is_no_report(tmp_path):
    with pytest.raises(RuntimeError):
        runner.run(json_suite(), [ScriptedContestant("base", BASE, crash_after=1)], tmp_path)
    with pytest.raises(QwenlabError, match="no contestant that was asked every case"):
        reports.render(gather(load_result(tmp_path)), "markdown")


# --- Markdown, JSON, and files -------------------------------------------------------------------------------


def test_markdown_has_scoreboard_verdicts_gates_and_flips_and_no_markup_of_a_model(findings):
    text = reports.render(findings, "markdown").decode("utf-8")
    assert text.startswith("# tickets \\<\\& co\\>\n")
    assert "| contestant | cases | errors | strict JSON |" in text
    assert "## Thresholds" in text
    assert '✗ tuned misses "at least 50.0 % usable as is"' in text
    assert "## Broken: right with base, wrong with tuned (2)" in text
    assert "## Fixed: wrong with base, right with tuned (1)" in text
    assert not re.search(r"(?<!\\)<", text)
    flips = [line for line in text.splitlines() if re.match(r"\| c\d", line)]
    assert all(len(re.findall(r"(?<!\\)\|", line)) == 4 for line in flips), "no cell breaks out of the table"


def test_json_holds_gates_slices_steps_and_every_case(findings):
    value = json.loads(reports.render(findings, "json"))
    assert [gate["passed"] for gate in value["gates"]] == [False, True]
    assert len(value["cases"]) == 10
    assert value["cases"][7]["why"] == ["Gone. Try <b>again</b>."]
    assert {"suite", "suite_fingerprint", "state", "contestants", "verdicts", "slices", "history"} <= value.keys()


@pytest.mark.parametrize(
    ("name", "form"),
    [("a.html", "html"), ("a.MD", "markdown"), ("a.csv", "csv"), ("junit.xml", "junit"), ("a.json", "json")],
)
def test_the_ending_of_a_file_names_its_form(name, form):
    assert reports.form_of(Path(name)) == form


def test_an_unknown_ending_is_refused_in_both_languages():
    with pytest.raises(QwenlabError, match=r"cannot be written as report\.pdf") as caught:
        reports.form_of(Path("report.pdf"))
    assert "无法把报告写成" in caught.value.say("zh")[0]


def test_a_report_is_written_whole(findings, tmp_path):
    reports.write(findings, tmp_path / "new" / "report.html")
    assert (tmp_path / "new" / "report.html").read_bytes().endswith(b"</html>\n")


def test_reports_in_chinese_explain_in_chinese(findings):
    _, tuned = check_junit(reports.render(Findings(findings.result, "zh", findings.time), "junit"))
    messages = {case.get("name"): problem.get("message") for case in tuned.iter("testcase") for problem in case}
    assert "应去掉引号" in messages["c3 <i>"]
    assert messages["c4 <i>"] == "断开了。"


@pytest.mark.parametrize("key", TEXTS)
def test_every_text_of_the_reports_names_the_same_values_in_both_languages(key):
    english, chinese = (set(re.findall(r"{(\w+)}", text)) for text in TEXTS[key])
    assert english == chinese
    assert re.search(r"[\u4e00-\u9fff]", TEXTS[key].zh) or key in ("instead_of",)


def test_a_report_names_no_folder_of_this_computer(tmp_path):
    class Local(ScriptedContestant):
        def describe(self):
            return {
                "kind": "adapter",
                "model": "/home/me/models/qwen",
                "url": "http://me:pw@host/v1",
                "weights": "0" * 64,
            }

    result = runner.run(json_suite(), [Local("base", BASE)], tmp_path)
    text = reports.render(gather(result), "html").decode()
    assert "model qwen" in text
    assert "/home/me" not in text
    assert "pw@" not in text


@given(
    st.text(st.characters(), max_size=40), st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=20)
)
@example("=HYPERLINK(1)\x00\ud800]]>", "\u202e<b>\x1f|`")
@example("```json\n" + GOOD + "\n```", "</details>")
def test_whatever_is_answered_and_asked_every_report_can_be_read(answer, question):
    suite = suite_from(
        {
            "name": question.strip() or "s",
            "schema": {},
            "cases": [{"id": question, "prompt": question + "?", "expected": answer}],
        },
        "test",
    )
    scores = [score_answer(suite, suite.cases[0], answer)]
    answers = {question: Answered(question, Answer(answer, "stop"))}
    one = ContestantResult("base", {}, answers, scores, summarize(scores), True, None, 0.0, (scores,))
    found = Findings(Result(Path("nowhere"), suite, frozenset(), [one]), "en", 0.0)
    check_junit(reports.render(found, "junit"))
    assert not Page(reports.render(found, "html").decode("utf-8")).open
    (row,) = rows_of(reports.render(found, "csv"))
    assert row["contestant"] == "base"
    assert not any(cell[:1] in ("=", "+", "@", "\t", "\r") for cell in row.values())
    json.loads(reports.render(found, "json"))
    assert not re.search(r"(?<!\\)<", reports.render(found, "markdown").decode("utf-8"))
