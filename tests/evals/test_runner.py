"""Running a suite: every answer is kept, a killed run goes on where it was."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from xml.etree import ElementTree as Xml

import pytest
from fakes import ScriptedContestant
from small_suites import TICKETS, facts, tickets, without_times

from qwenlab.errors import QwenlabError
from qwenlab.evals import reports
from qwenlab.evals.compare import sentence
from qwenlab.evals.findings import Findings, gather
from qwenlab.evals.result import load_result, rescore
from qwenlab.evals.runner import run
from qwenlab.evals.suite import suite_from
from qwenlab.models.contestant import Answer

EXPECTED = {case["prompt"] if "prompt" in case else case["history"][-1]["content"]: json.dumps(case["expected"])
            for case in TICKETS["cases"]}  # fmt: skip


def right(name="tuned", **options):
    return ScriptedContestant(name, EXPECTED, **options)


def fenced(name="base", **options):
    return ScriptedContestant(name, {q: f"```json\n{a}\n```" for q, a in EXPECTED.items()}, **options)


def test_a_run_writes_answers_scores_and_verdicts(tmp_path):
    seen = []
    result = run(tickets(), [fenced(batch=2), right()], tmp_path, seen.append)
    assert result.complete
    assert [c.summary.value("usable") for c in result.contestants] == [0.0, 1.0]
    assert [verdict.measure for verdict in result.verdicts()] == ["passed", "field_accuracy"]
    assert {path.name for path in (tmp_path / "base").iterdir()} == {
        "contestant.json", "answers.jsonl", "scores.json", "summary.json",
    }  # fmt: skip
    plain = json.loads((tmp_path / "result.json").read_text())
    assert [(c["name"], c["strict"], c["field_accuracy"]) for c in plain["contestants"]] == [
        ("base", 0.0, 1.0), ("tuned", 1.0, 1.0),
    ]  # fmt: skip
    assert [(p.contestant, p.done, p.case) for p in seen] == [
        ("base", 0, None), ("base", 1, "c2"), ("base", 2, "c1"), ("base", 3, "c3"),
        ("tuned", 0, None), ("tuned", 1, "c1"), ("tuned", 2, "c2"), ("tuned", 3, "c3"),
    ]  # fmt: skip
    assert seen[-1].seconds_left == 0
    assert result.contestant("tuned").tokens_per_s > 0


def test_the_contestant_sees_the_suites_messages_and_settings(tmp_path):
    suite = tickets(generation={"max_new_tokens": 9})
    contestant = right()
    run(suite, [contestant], tmp_path)
    assert contestant.asked == [case.messages(suite) for case in suite.cases]
    assert contestant.settings == suite.settings()
    assert not contestant.closed


@pytest.mark.parametrize("crash_after", [0, 1, 2])
@pytest.mark.parametrize("torn", [False, True])
def test_a_crashed_run_goes_on_and_ends_like_one_that_never_crashed(tmp_path, crash_after, torn):
    run(tickets(), [fenced(), right()], tmp_path / "whole")
    broken = tmp_path / "broken"
    with pytest.raises(RuntimeError):
        run(tickets(), [fenced(crash_after=crash_after), right()], broken)
    assert len(load_result(broken).contestant("base").scores) == crash_after
    if torn:
        with (broken / "base" / "answers.jsonl").open("a") as file:
            file.write('{"case": "c3", "text": "```js')
    again = fenced()
    run(tickets(), [again, right()], broken)
    assert len(again.asked) == 3 - crash_after
    assert without_times(broken) == without_times(tmp_path / "whole")


def test_a_stopped_run_keeps_what_it_has_and_goes_on(tmp_path):
    learner = right()
    result = run(tickets(), [learner], tmp_path, should_stop=lambda: len(learner.asked) == 2)
    assert not result.complete
    assert [score.case_id for score in result.contestant("tuned").scores] == ["c1", "c2"]
    assert json.loads((tmp_path / "result.json").read_text())["state"] == "stopped"
    assert result.verdicts() == []
    again = right()
    assert run(tickets(), [again], tmp_path).complete
    assert len(again.asked) == 1


def test_running_a_finished_folder_again_asks_nothing(tmp_path):
    run(tickets(), [right()], tmp_path)
    before = without_times(tmp_path)
    again = right()
    run(tickets(), [again], tmp_path)
    assert again.asked == []
    assert without_times(tmp_path) == before


def test_contestants_may_be_added_and_keep_their_order(tmp_path):
    run(tickets(), [right("z")], tmp_path)
    result = run(tickets(), [fenced("a")], tmp_path)
    assert [contestant.name for contestant in result.contestants] == ["z", "a"]


def test_errors_are_kept_counted_and_tried_again(tmp_path):
    def failing(messages):
        return Answer("", "error", error="The server is away.")

    result = run(tickets(), [ScriptedContestant("tuned", failing)], tmp_path)
    assert result.complete
    assert (result.contestants[0].summary.n, result.contestants[0].summary.errors) == (3, 3)
    assert result.contestants[0].answers["c1"].answer.error == "The server is away."
    result = run(tickets(), [right()], tmp_path)
    assert result.contestants[0].summary.errors == 0


def test_a_contestant_that_gives_fewer_answers_leaves_errors_not_gaps(tmp_path):
    class Silent(ScriptedContestant):
        def answer(self, prompts, settings, should_stop=None):
            yield from super().answer(prompts[:1], settings, should_stop)

    result = run(tickets(), [Silent("tuned", EXPECTED)], tmp_path)
    assert result.complete
    assert result.contestants[0].summary.errors == 2
    lost = result.contestants[0].answers["c2"].answer
    assert (lost.error, lost.error_zh) == ("The contestant gave no answer.", "测试对象没有给出回答。")


REFUSED = [
    (lambda f: run(tickets(system="other"), [right()], f), "another suite"),
    (lambda f: run(tickets(), [right(weights="others")], f), "other weights"),
    (lambda f: run(tickets(), [right("../x")], f), "cannot name a contestant"),
    (lambda f: run(tickets(), [right(".x")], f), "cannot name a contestant"),
    (lambda f: run(tickets(), [right(), right()], f), "Two contestants"),
    (lambda f: load_result(f / "nowhere"), "not a test result"),
    (lambda f: load_result(f).contestant("base"), 'no contestant "base"'),
]


@pytest.mark.parametrize(("action", "words"), REFUSED)
def test_what_would_mix_answers_is_refused(tmp_path, action, words):
    run(tickets(), [right()], tmp_path)
    before = without_times(tmp_path)
    with pytest.raises(QwenlabError, match=words) as caught:
        action(tmp_path)
    assert all(re.search(r"[\u4e00-\u9fff]", said) for said in caught.value.say("zh"))
    assert without_times(tmp_path) == before


def test_leaked_cases_are_remembered_by_the_folder(tmp_path):
    result = run(tickets(), [fenced(), right()], tmp_path, leaked={"c1"})
    assert (result.contestants[0].summary.n, result.contestants[0].summary.leaked) == (2, 1)
    assert load_result(tmp_path).leaked == {"c1"}
    assert all(verdict.n == 2 for verdict in result.verdicts())


def test_answers_are_scored_again_under_new_rules_without_a_model(tmp_path):
    wrong = {question: answer.replace("5", "6") for question, answer in EXPECTED.items()}
    result = run(tickets(), [ScriptedContestant("tuned", wrong)], tmp_path)
    assert result.contestants[0].summary.value("passed") == pytest.approx(2 / 3)
    softer = tickets(fields={"/amount/value": {"rule": "number", "tolerance": 1}})
    result = rescore(tmp_path, softer)
    assert result.contestants[0].summary.value("passed") == 1.0
    assert json.loads((tmp_path / "tuned" / "summary.json").read_text())["passed"] == 1.0
    again = ScriptedContestant("tuned", wrong)
    run(softer, [again], tmp_path)
    assert again.asked == []


def test_scoring_again_drops_cases_and_counts_new_ones_as_not_answered(tmp_path):
    run(tickets(), [right()], tmp_path)
    first, second, _ = TICKETS["cases"]
    new = {**second, "id": "new", "prompt": "再修一个"}
    summary = rescore(tmp_path, tickets(cases=[first, new])).contestants[0].summary
    assert (summary.n, summary.errors, summary.value("passed")) == (2, 1, 0.5)


def test_a_changed_question_cannot_be_scored_again(tmp_path):
    run(tickets(), [right()], tmp_path)
    before = without_times(tmp_path)
    with pytest.raises(QwenlabError, match='question of case "c1" has changed'):
        rescore(tmp_path, tickets(system="Another task."))
    assert without_times(tmp_path) == before


def test_a_text_suite_runs_too(tmp_path):
    result = run(facts(), [ScriptedContestant("base", {"Capital of France?": "Paris"})], tmp_path)
    assert result.contestants[0].summary.value("passed") == pytest.approx(1 / 5)
    assert json.loads((tmp_path / "result.json").read_text())["contestants"][0]["strict"] is None


# --- several answers a case ----------------------------------------------------------------------------------


class Drawn(ScriptedContestant):
    """Answers by the seed: right with an even one, and c1 always right."""

    def answer(self, prompts, settings, should_stop=None):
        for index, answer in super().answer(prompts, settings, should_stop):
            wrong = settings.seed % 2 and "Refund" not in prompts[index][-1]["content"]
            yield index, replace(answer, text="{}") if wrong else answer


def repeated(n, **changes):
    return tickets(generation={"temperature": 0.7, "seed": 4, "repeats": n}, **changes)


def test_every_case_is_answered_n_times_with_seeds_that_count_up(tmp_path):
    contestant, seeds = right(), []

    class Noting(ScriptedContestant):
        def answer(self, prompts, settings, should_stop=None):
            seeds.append(settings.seed)
            yield from contestant.answer(prompts, settings, should_stop)

    result = run(repeated(3), [Noting("tuned", EXPECTED)], tmp_path)
    assert seeds == [4, 5, 6]
    assert len(contestant.asked) == 9
    assert result.complete
    assert [len(scores) for scores in result.contestants[0].rounds] == [3, 3, 3]


def test_repeats_are_summed_up_by_case_not_by_answer(tmp_path):
    found = run(repeated(4), [Drawn("tuned", EXPECTED)], tmp_path).contestants[0]
    repeats = found.repeats
    assert [(case, one.passed, one.agreement) for case, one in repeats.cases.items()] == [
        ("c1", 4, 1.0), ("c2", 2, 0.5), ("c3", 2, 0.5),
    ]  # fmt: skip
    assert repeats.pass_at_1.value == pytest.approx((1 + 0.5 + 0.5) / 3)
    assert repeats.pass_all.value == pytest.approx(1 / 3)
    assert repeats.agreement.value == pytest.approx(2 / 3)
    assert found.summary.value("passed") == pytest.approx(repeats.pass_at_1.value)
    assert found.right == {"c1": True, "c2": False, "c3": False}, "right is what is right every time"
    assert repeats.pass_at_1.n == found.summary.n == 3
    plain = json.loads((tmp_path / "tuned" / "summary.json").read_text())["repeats"]
    assert (plain["n"], plain["errors"], plain["pass_all"]) == (4, 0, pytest.approx(1 / 3))
    cases = json.loads((tmp_path / "tuned" / "scores.json").read_text())["cases"]
    assert cases[1]["repeats"] == {"n": 4, "passed": 2, "agreement": 0.5}


def test_answers_agree_by_value_however_they_are_written(tmp_path):
    written = iter(['{"intent":"repair","amount":null}', 'Sure: {"amount": null, "intent": "repair"}', '{"intent": 1}'])
    suite = tickets(generation={"repeats": 3}, cases=TICKETS["cases"][1:2])
    found = run(suite, [ScriptedContestant("tuned", lambda _: next(written))], tmp_path).contestants[0]
    assert found.repeats.agreement.value == pytest.approx(2 / 3)


def test_two_contestants_with_repeats_are_compared_by_case(tmp_path):
    cases = [{**TICKETS["cases"][1], "id": f"r{n}", "prompt": f"水壶坏了 {n}"} for n in range(8)]
    answers = {case["prompt"]: json.dumps(case["expected"]) for case in cases}
    half = {question: answer for question, answer in answers.items() if int(question[-1]) < 3}
    once, often = (
        run(
            tickets(cases=cases, generation={"repeats": n}),
            [ScriptedContestant("base", half), ScriptedContestant("tuned", answers)],
            tmp_path / str(n),
        ).verdicts()[0]
        for n in (1, 5)
    )
    assert (once.n, often.n) == (8, 8)
    assert (once.difference, once.low, once.high) == (often.difference, often.low, often.high)
    assert (once.p, once.code) == (often.p, often.code), "the same answers five times prove no more"
    assert once.cases_needed == often.cases_needed
    assert "5 fixed, 0 broken of 8 (" in sentence(once, "en")
    assert "5 better, 0 worse of 8, each asked 5 times (" in sentence(often, "en")
    assert "8 例（每例回答 5 次）中变好 5 例，变差 0 例" in sentence(often, "zh")


@pytest.mark.parametrize("crash_after", [1, 4, 8])
def test_a_crashed_run_with_repeats_goes_on(tmp_path, crash_after):
    run(repeated(3), [Drawn("tuned", EXPECTED)], tmp_path / "whole")
    given = 0

    class Crashing(Drawn):
        def answer(self, prompts, settings, should_stop=None):
            nonlocal given
            for item in super().answer(prompts, settings, should_stop):
                if given == crash_after:
                    raise RuntimeError("the contestant crashed")
                given += 1
                yield item

    with pytest.raises(RuntimeError):
        run(repeated(3), [Crashing("tuned", EXPECTED)], tmp_path / "broken")
    run(repeated(3), [Drawn("tuned", EXPECTED)], tmp_path / "broken")
    assert without_times(tmp_path / "broken") == without_times(tmp_path / "whole")


def test_a_suite_without_repeats_is_written_as_before(tmp_path):
    run(tickets(), [right()], tmp_path)
    text = "".join(path.read_text() for path in tmp_path.rglob("*.json*"))
    assert "repeat" not in text
    assert "cached" not in text
    assert tickets().fingerprint() == tickets(generation={"repeats": 1}).fingerprint()


# --- batches, and a judge that fails -------------------------------------------------------------------------


class Rounded(ScriptedContestant):
    """Answers depend on who else is in the batch of two, as rounding can make them."""

    def batches(self, prompts):
        return [list(range(at, min(at + 2, len(prompts)))) for at in range(0, len(prompts), 2)]

    def answer(self, prompts, settings, should_stop=None):
        for batch in self.batches(prompts):
            for index in batch:
                self.asked.append(prompts[index])
                yield index, Answer(f"with {sum(len(prompts[at][-1]['content']) for at in batch)}", "stop")


@pytest.mark.parametrize("written", [0, 1, 2, 3])
def test_half_a_batch_on_disk_ends_as_the_whole_batch_would_have(tmp_path, written):
    run(tickets(), [Rounded("tuned", {})], tmp_path / "whole")
    run(tickets(), [Rounded("tuned", {})], tmp_path / "broken")
    log = tmp_path / "broken" / "tuned" / "answers.jsonl"
    log.write_bytes(b"".join(log.read_bytes().splitlines(keepends=True)[:written]))
    again = Rounded("tuned", {})
    run(tickets(), [again], tmp_path / "broken")
    assert len(again.asked) == {0: 3, 1: 3, 2: 1, 3: 0}[written]
    assert without_times(tmp_path / "broken") == without_times(tmp_path / "whole")


SLOW = "^((a{0,100}){0,100}){0,100}$"
"""A pattern that takes too long on the wrong answer."""


def patterned():
    case = {"id": "c1", "prompt": "Which code?", "expected": {"code": "aa"}}
    return suite_from(
        {
            "name": "codes",
            "schema": {},
            "fields": {"/code": {"rule": "regex", "pattern": SLOW}},
            "cases": [case, {**case, "id": "c2", "prompt": "And this?"}],
        },
        "suite.yaml",
    )


@pytest.fixture(scope="module")
def half_judged(tmp_path_factory):
    """A result of two contestants, of whose answers to c1 one cannot be judged."""
    folder = tmp_path_factory.mktemp("half")
    good, slow = '{"code": "aa"}', json.dumps({"code": "a" * 2000 + "b"})
    contestants = [
        ScriptedContestant("base", {"Which code?": good, "And this?": good}),
        ScriptedContestant("tuned", {"Which code?": slow, "And this?": good}),
    ]
    return run(patterned(), contestants, folder)


def test_a_judge_that_fails_is_no_wrong_answer(half_judged):
    tuned = half_judged.contestant("tuned")
    (score, _) = tuned.scores
    assert (score.errored, score.passed, score.flags) == (False, False, ("grader_failed",))
    assert "takes too long" in score.unjudged.en
    assert "耗时过长" in score.unjudged.zh
    found = tuned.summary
    assert (found.n, found.unjudged, found.errors, found.value("passed")) == (1, 1, 0, 1.0)
    assert found.to_json()["unjudged"] == 1
    assert tuned.right == {"c1": None, "c2": True}
    assert half_judged.verdicts()[0].n == 1


def test_a_judge_that_fails_is_said_to_in_every_report(half_judged):
    for language, words in (("en", "1 answers could not be judged"), ("zh", "1 个回答无法评判")):
        found = Findings(half_judged, language, 0.0)
        assert found.changes == {"c1": "unjudged", "c2": "passed"}
        assert words in reports.render(found, "html").decode()
        assert words in reports.render(found, "markdown").decode()
    suites = Xml.fromstring(reports.render(found, "junit"))
    assert [(one.get("failures"), one.get("errors")) for one in suites] == [("0", "0"), ("0", "1")]
    rows = json.loads(reports.render(found, "json"))["cases"]
    assert [row["unjudged"] for row in rows] == [False, True, False, False]
    assert b"unjudged" in reports.render(found, "csv").splitlines()[0]


# --- the schema enforced as well -----------------------------------------------------------------------------


class Enforced(ScriptedContestant):
    """Answers for "base" with the schema enforced."""

    def describe(self):
        return {**super().describe(), "enforced_for": "base"}


def test_who_answers_under_the_schema_is_no_rival_of_those_who_answer_freely(tmp_path):
    folders = [tmp_path / "results" / day for day in ("first", "second")]
    for folder in folders:
        result = run(tickets(), [fenced(), Enforced("base (enforced)", EXPECTED)], folder)
    (split,) = result.splits
    assert (split.n, split.right, split.format, split.content) == (3, 0, 3, 0)
    assert result.judged.name == "base"
    assert result.verdicts() == []
    assert [verdict.name for verdict in result.verdicts("base")] == ["base (enforced)"] * 2
    found = gather(result, results=tmp_path / "results")
    assert [one.name for one in found.contestants] == ["base"]
    assert set(found.changes.values()) == {"failed"}
    assert {part.contestant for part in found.slices} == {"base"}
    assert [[point.contestant for point in past.points] for past in found.history.results] == [["base"]] * 2
    assert {verdict.measure for verdict in found.since_last} == {"passed", "field_accuracy"}
    assert "3 by their format alone" in reports.render(found, "markdown").decode()


def test_thinking_reaches_the_contestant_and_is_kept_with_the_result(tmp_path):
    contestant = right()
    result = run(tickets().with_thinking(), [contestant], tmp_path)
    assert contestant.settings.thinking
    assert load_result(tmp_path).suite.generation.thinking
    assert "thinking" in reports.render(gather(result), "html").decode()


def test_result_from_before_there_was_a_switch_for_thinking_goes_on(tmp_path):
    run(tickets(), [right()], tmp_path)
    kept = json.loads((tmp_path / "tuned" / "contestant.json").read_text())
    assert "thinking" not in kept["generation"]
    assert run(tickets(), [right()], tmp_path).complete
    other = tickets().with_thinking()
    with pytest.raises(QwenlabError, match="another suite"):
        run(other, [right()], tmp_path)
