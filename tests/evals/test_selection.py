"""A suite that chooses: which cases are asked, what answers are worth, and that those who chose are kept apart."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from small_suites import facts, tickets

from qwenlab import files
from qwenlab.errors import QwenlabError
from qwenlab.evals import selection
from qwenlab.evals.scoring import CaseScore, score_answer
from qwenlab.evals.suite import Suite, suite_from
from qwenlab.workspace import SHIPPED, Workspace

SHOP = SHIPPED / "eval_suites" / "after-sales-tickets"


def numbered(count: int, **changes: object) -> Suite:
    cases = [{"id": f"c{number}", "prompt": f"Question {number}?", "expected": "yes"} for number in range(count)]
    return suite_from({"name": "numbered", "cases": cases, **changes}, "suite.yaml")


@pytest.mark.parametrize(
    ("most", "chosen"),
    [(3, ["c0", "c3", "c6"]), (4, ["c0", "c2", "c5", "c7"]), (0, [f"c{at}" for at in range(10)]), (99, 10)],
)
def test_cases_are_spread_evenly_over_the_suite(most: int, chosen: list[str] | int) -> None:
    found = [case.id for case in selection.part(numbered(10), ["en"], most).cases]
    assert (found if isinstance(chosen, list) else len(found)) == chosen


def test_only_languages_that_are_trained_are_asked() -> None:
    assert [case.id for case in selection.part(tickets(), ["zh"], 24).cases] == ["c2"]
    with pytest.raises(QwenlabError, match="No case"):
        selection.part(numbered(3), ["zh"], 24)


def test_same_weights_get_the_same_score_since_decoding_is_greedy() -> None:
    suite = numbered(3, generation={"temperature": 0.8, "max_new_tokens": 9})
    settings = selection.part(suite, ["en"], 2).settings()
    assert (settings.temperature, settings.max_new_tokens) == (0.0, 9)


def scored(suite: Suite, *answers: str) -> list[CaseScore]:
    return [score_answer(suite, case, answer) for case, answer in zip(suite.cases, answers, strict=True)]


def test_worth_of_json_is_the_share_of_right_fields_and_none_where_a_person_must_help() -> None:
    suite = tickets()
    right, half = '{"intent": "refund", "amount": {"value": 5, "currency": "CNY"}}', '{"intent": "repair"}'
    fenced = '```json\n{"intent": "other", "amount": null, "date": "2024-03-17"}\n```'
    all_right, lacks_a_field, not_as_it_is = scored(suite, right, half, fenced)
    assert not_as_it_is.field_accuracy == 1.0
    assert selection.worth([all_right, lacks_a_field, not_as_it_is]) == pytest.approx(1 / 3)
    wrong_value = scored(suite, right.replace("CNY", "USD"), half, fenced)
    assert selection.worth(wrong_value) == pytest.approx(0.75 / 3), "one weight of four is wrong"
    assert selection.worth([]) == 0.0


def test_worth_of_text_is_the_share_of_cases_passed() -> None:
    scores = scored(facts(), "Paris", "red and blue", "You idiot", "in 2024", "不")
    assert selection.worth(scores) == pytest.approx(sum(score.passed for score in scores) / 5) == 3 / 5


def test_deciding_suite_is_found_and_checked_before_a_run_is_made(workspace: Workspace, tmp_path: Path) -> None:
    assert selection.deciding(workspace, "", ["en"]) is None
    found = selection.deciding(workspace, "after-sales-tickets", ["en"])
    assert found
    assert len(found.cases) == 120
    with pytest.raises(QwenlabError, match=r"no suite after-sale\."):
        selection.deciding(workspace, "after-sale", ["en"])
    path = tmp_path / "only-english.json"
    path.write_text(json.dumps(numbered(2).to_json()))
    with pytest.raises(QwenlabError, match="No case"):
        selection.deciding(workspace, str(path), ["zh"])


def a_run(folder: Path, suite: Suite, most: int = 2) -> Path:
    files.write_json(folder / selection.SUITE, suite.to_json())
    selection.remember(folder, suite, selection.part(suite, ["en"], most))
    return folder


def test_cases_that_chose_are_known_again_by_id_and_by_question(tmp_path: Path) -> None:
    run = a_run(tmp_path / "run", numbered(4))
    about = files.read_json(run / selection.CHOSEN_BY)
    assert about == {"suite": "numbered", "fingerprint": numbered(4).fingerprint(), "cases": ["c0", "c2"]}
    assert selection.used(numbered(4), [run]) == {"c0", "c2"}
    reworded = suite_from(
        {"name": "numbered", "cases": [{"id": "c0", "prompt": "Another wording?", "expected": "yes"}]}, "suite.yaml"
    )
    assert selection.used(reworded, [run]) == {"c0"}
    copied = suite_from(
        {
            "name": "a copy",
            "cases": [
                {"id": "x", "prompt": "Question 2?", "expected": "yes"},
                {"id": "c0", "prompt": "Question 1?", "expected": "yes"},
            ],
        },
        "suite.yaml",
    )
    assert selection.used(copied, [run]) == {"x"}


def test_run_without_looks_has_used_no_case(tmp_path: Path) -> None:
    assert selection.used(numbered(4), [tmp_path]) == set()
