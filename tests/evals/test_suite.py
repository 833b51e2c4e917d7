"""Reading suites: what is accepted, and what each mistake is answered with."""

from __future__ import annotations

import copy
import json
import re

import pytest
import yaml
from small_suites import FACTS, TICKETS, tickets

from qwenlab.errors import QwenlabError
from qwenlab.evals.suite import Suite, find_suites, load_suite
from qwenlab.evals.yaml_text import parse_yaml

CHINESE = re.compile(r"[\u4e00-\u9fff]")


def written(folder, content, name="suite.yaml"):
    folder.mkdir(exist_ok=True)
    path = folder / name
    text = json.dumps(content) if name.endswith(".json") else yaml.safe_dump(content, allow_unicode=True)
    path.write_text(text, encoding="utf-8")
    return path


@pytest.mark.parametrize("content", [TICKETS, FACTS], ids=["tickets", "facts"])
def test_a_folder_its_file_and_a_json_file_read_the_same(tmp_path, content):
    path = written(tmp_path / "s", content)
    other = written(tmp_path, content, "s.json")
    suites = [load_suite(tmp_path / "s"), load_suite(path), load_suite(other)]
    assert len({suite.fingerprint() for suite in suites}) == 1
    assert [case.id for case in suites[0].cases] == [case["id"] for case in content["cases"]]
    assert find_suites(tmp_path) == [tmp_path / "s", other]


def test_the_smallest_suite_of_the_design_loads(tmp_path):
    (tmp_path / "suite.yaml").write_text(
        """
        schema: {type: object}
        fields: {/amount: {rule: number, tolerance: 0.01, critical: true}}
        cases:
          - {id: c1, prompt: "Five", expected: {amount: 5}, tags: [a], group: template-7}
        """
    )
    suite = load_suite(tmp_path)
    assert suite.name == tmp_path.name
    assert suite.is_json
    assert suite.fields["/amount"].critical


def test_cases_and_schema_may_stand_in_files_beside_the_suite(tmp_path):
    (tmp_path / "schema.json").write_text(json.dumps(TICKETS["schema"]))
    first, second, third = TICKETS["cases"]
    (tmp_path / "a.jsonl").write_text(json.dumps(first) + "\n\n" + json.dumps(second, ensure_ascii=False) + "\n")
    (tmp_path / "b.jsonl").write_text("\ufeff" + json.dumps(third))
    written(tmp_path, {**TICKETS, "schema": "schema.json", "cases": ["a.jsonl", "b.jsonl"]})
    assert load_suite(tmp_path).fingerprint() == tickets().fingerprint()


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "gb18030"])
def test_cases_may_come_from_a_csv_table_as_excel_saves_it(tmp_path, encoding):
    table = 'id,prompt,expected,tags,group\n7,"坏了, 修\n理","{""intent"": ""repair"", ""amount"": null}",a; b，c,\n'
    (tmp_path / "cases.csv").write_bytes(table.encode(encoding))
    written(tmp_path, {**TICKETS, "cases": "cases.csv"})
    (case,) = load_suite(tmp_path).cases
    assert (case.id, case.prompt, case.tags, case.group) == ("7", "坏了, 修\n理", ["a", "b", "c"], "")
    assert case.expected == {"intent": "repair", "amount": None}


def test_a_csv_of_text_cases_takes_expected_as_it_stands(tmp_path):
    (tmp_path / "cases.csv").write_text("id,prompt,expected,rule\nx,Year?,2024,contains\n")
    written(tmp_path, {"name": "n", "cases": "cases.csv"})
    assert load_suite(tmp_path).cases[0].expected == "2024"


def changed(path, value):
    """TICKETS with one place changed; a value of `...` deletes it."""
    content = copy.deepcopy(TICKETS)
    *way, last = path
    place = content
    for key in way:
        place = place[key]
    if value is ...:
        del place[last]
    else:
        place[last] = value
    return content


MISTAKES = [
    (("feilds",), {}, 'unknown key "feilds"', 'Did you mean "fields"?'),
    (("cases", 0, "expcted"), 1, 'case 1 ("c1"): unknown key "expcted"', 'Did you mean "expected"?'),
    (("cases", 2, "history", 0, "rol"), "x", 'case 3 ("c3"): unknown key "rol"', 'Did you mean "role"?'),
    (("fields", "/intent", "critcal"), True, 'unknown key "critcal"', 'Did you mean "critical"?'),
    (("generation",), {"max_tokens": 5}, 'unknown key "max_tokens"', 'Did you mean "max_new_tokens"?'),
    (("thresholds",), {"usabel": 0.9}, 'unknown key "usabel"', 'Did you mean "usable"?'),
    (("not_worse",), ["usabel"], "there is no measure usabel", "usable"),
    (("not_worse",), {"usabel": 0.1}, "there is no measure usabel", "usable"),
    (("not_worse",), {"usable": 2}, "not_worse.usable", "must be at most 1."),
    (("not_worse",), {"usable": "little"}, "must be a number", ""),
    (("thresholds",), {"usable": 90}, "thresholds.usable", "must be at most 1."),
    (("cases", 1, "id"), "c1", '"c1" stands twice', "own id"),
    (("cases", 0, "id"), ..., "case 1", '"id": this key is missing'),
    (("cases", 0, "expected"), ..., '("c1")', 'needs "expected"'),
    (("cases", 0, "prompt"), ..., '("c1")', 'either "prompt" or "history"'),
    (("cases", 0, "prompt"), "  ", '("c1")', "question is empty"),
    (("cases", 2, "prompt"), "x", '("c3")', 'either "prompt" or "history"'),
    (("cases", 2, "history", 2), ..., '("c3")', "must end with a user turn"),
    (("cases", 0, "expected", "intent"), "refnd", 'case "c1"', "breaks the schema at /intent"),
    (("cases", 0, "expected", "extra"), 1, 'case "c1"', "at /extra: this field is not allowed"),
    (("cases", 0, "expected", "amount", "value"), "5", 'case "c1"', "at /amount/value"),
    (("cases", 0, "accept"), {"/nope": [1]}, 'case "c1"', '"accept" names /nope'),
    (("cases", 0, "rule"), "contains", 'case "c1"', 'must be text'),
    (("fields", "/amount/valeu"), "number", 'has no "valeu" there', 'Did you mean "value"?'),
    (("fields", "intent"), "exact", '"intent" is not a JSON pointer', '"/amount/value"'),
    (("fields", "/intent"), "fuzzy", "fields./intent.rule", "must be 'exact', "),
    (("fields", "/intent"), "date", 'case "c1": /intent has rule date', "no ISO date"),
    (("fields", "/intent"), {"rule": "regex", "pattern": "[0-9]+"}, "fails its own rules at /intent", "form"),
    (("schema",), {"type": "objekt"}, "JSON Schema is not valid", "Correct the schema"),
    (("schema",), {"$ref": "https://example.com/s.json"}, "JSON Schema is not valid", "must stand in it"),
    (("schema",), "../schema.json", "lies outside its folder", "beside the suite"),
    (("schema",), "missing.json", "There is no file", "Check the name"),
    (("schema",), ..., 'has "fields" but no "schema"', "Add a schema"),
    (("cases",), [], "has no cases", '"cases:"'),
    (("cases",), "cases.docx", '"cases.docx" cannot be read', ".jsonl"),
    (("cases",), [5], "case 1", "must be a mapping"),
    (("generation",), {"max_new_tokens": 1.5}, "generation.max_new_tokens", "must be a whole number"),
    (("cases", 0, "id"), "", "case 1", '"id": must not be empty'),
    (("fields", "/intent"), {"rule": "any_of"}, "fields./intent", 'any_of needs "values"'),
]  # fmt: skip


@pytest.mark.parametrize(("path", "value", "what", "remedy"), MISTAKES)
def test_a_mistake_is_named_with_its_place_and_remedy(tmp_path, path, value, what, remedy):
    file = written(tmp_path, changed(path, value))
    with pytest.raises(QwenlabError) as caught:
        load_suite(tmp_path)
    assert what in str(caught.value)
    assert remedy in str(caught.value)
    assert all(CHINESE.search(words) for words in caught.value.say("zh"))
    assert "nput" not in str(caught.value.say("zh"))  # pydantic's own English
    if path != ("schema",):
        assert str(file) in str(caught.value) or "cases.docx" in str(caught.value)
        assert str(file) in caught.value.say("zh")[0] or "cases.docx" in caught.value.say("zh")[0]


TEXT_MISTAKES = [
    ({"expected": {"a": 1}}, "must be text"),
    ({"expected": ["a", "b"]}, "takes one text"),
    ({"expected": "(", "rule": "regex"}, "no regular expression"),
    ({"expected": []}, "must be text"),
    ({"expected": "a", "accept": {"/a": [1]}}, '"accept" is for JSON cases'),
]


@pytest.mark.parametrize(("case", "words"), TEXT_MISTAKES)
def test_a_text_case_that_makes_no_sense_is_refused(tmp_path, case, words):
    written(tmp_path, {"name": "n", "cases": [{"id": "x", "prompt": "p", **case}]})
    with pytest.raises(QwenlabError, match=words):
        load_suite(tmp_path)


@pytest.mark.parametrize(
    ("name", "text", "words"),
    [
        ("suite.yaml", "name: a\nname: b\n", 'line 2: the key "name" stands twice'),
        ("suite.yaml", "cases: [", "line 1"),
        ("suite.yaml", "- 1", "must be a mapping"),
        ("suite.json", '{"name": "a", "name": "b"}', 'the key "name" stands there twice'),
        (
            "suite.json",
            '{"name": "a",\n "cases": [1, 2}',
            r"a comma or a closing bracket is missing \(line 2, column 16",
        ),
        ("suite.yaml", b"name: \xff", "not UTF-8"),
        ("other.txt", "", "no suite.yaml"),
    ],
)
def test_a_file_that_is_no_suite_is_refused(tmp_path, name, text, words):
    (tmp_path / name).write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(QwenlabError, match=words) as caught:
        load_suite(tmp_path)
    assert all(CHINESE.search(words) for words in caught.value.say("zh"))


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("{", "line 2 is not JSON: a key in double quotes is missing."),
        ('{"id": "a", "id": "b"}', r'line 2 is not JSON: the key "id" stands there twice\.'),
        ("[1]", "line 2 is not a case"),
        ('{"id": "z", "promt": "x"}', r'line 2 \("z"\): unknown key "promt". Did you mean "prompt"'),
    ],
)
def test_a_bad_line_of_cases_is_named(tmp_path, line, words):
    (tmp_path / "cases.jsonl").write_text(json.dumps(TICKETS["cases"][0]) + "\n" + line + "\n")
    written(tmp_path, {**TICKETS, "cases": "cases.jsonl"})
    with pytest.raises(QwenlabError, match=words) as caught:
        load_suite(tmp_path)
    assert "cases.jsonl 第 2 行" in caught.value.say("zh")[0]


def test_a_csv_cell_that_is_no_json_is_named(tmp_path):
    (tmp_path / "cases.csv").write_text("id,prompt,expected\na,b,{oops}\n")
    written(tmp_path, {**TICKETS, "cases": "cases.csv"})
    with pytest.raises(QwenlabError, match='cases.csv, line 2: "expected" is not JSON'):
        load_suite(tmp_path)


def test_an_open_schema_does_not_refuse_pointers_it_does_not_list(tmp_path):
    content = {
        "name": "n",
        "schema": {},
        "fields": {"/a": "text"},
        "cases": [{"id": "x", "prompt": "p", "expected": 1}],
    }
    written(tmp_path, content)
    assert load_suite(tmp_path).cases[0].expected == 1


def test_pointers_are_followed_through_references_and_lists(tmp_path):
    schema = {
        "properties": {"items": {"type": "array", "items": {"$ref": "#/$defs/item"}}},
        "$defs": {"item": {"properties": {"price": {"type": "number"}}}},
    }
    case = {"id": "x", "prompt": "p", "expected": {"items": []}}
    written(tmp_path, {"name": "n", "schema": schema, "fields": {"/items/*/price": "number"}, "cases": [case]})
    load_suite(tmp_path)
    written(tmp_path, {"name": "n", "schema": schema, "fields": {"/items/*/prize": "number"}, "cases": [case]})
    with pytest.raises(QwenlabError, match='Did you mean "price"'):
        load_suite(tmp_path)


def test_messages_carry_the_system_prompt_of_suite_or_case():
    suite = tickets()
    first, _, third = suite.cases
    assert first.messages(suite) == [
        {"role": "system", "content": "Answer with one ticket in JSON."},
        {"role": "user", "content": "Refund 5 yuan!"},
    ]
    assert [turn["role"] for turn in third.messages(suite)] == ["user", "assistant", "user"]


def test_only_narrows_by_language_tag_and_limit_and_keeps_its_index_in_step():
    suite = tickets()
    assert set(suite.by_id) == {"c1", "c2", "c3"}
    assert set(suite.only(languages=["zh"]).by_id) == {"c2"}
    assert [case.id for case in suite.only(languages=["en"], limit=1).cases] == ["c1"]
    assert [case.id for case in suite.only(tags=["money"]).cases] == ["c1"]
    with pytest.raises(QwenlabError, match="No case"):
        suite.only(tags=["nothing"])


def test_the_fingerprint_survives_saving_and_tells_every_change():
    suite = tickets()
    again = Suite.model_validate(json.loads(json.dumps(suite.to_json())))
    assert again.fingerprint() == suite.fingerprint()
    others = [tickets(system="x"), tickets(generation={"seed": 1}), tickets(schema={}), suite.only(limit=2)]
    assert len({suite.fingerprint(), *(other.fingerprint() for other in others)}) == 5


def test_generation_settings_reach_the_contestant():
    assert tickets(generation={"max_new_tokens": 7, "seed": 3}).settings().max_new_tokens == 7


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("2024-03-17", "2024-03-17"), ("no", "no"), ("0123", "0123"), ("12:30", "12:30"), (".nan", ".nan"),
        ("true", True), ("~", None), ("", None), ("-3", -3), ("1.5", 1.5), ("1e3", 1000.0), ("1_000", "1_000"),
        ("12345678901234567890", 12345678901234567890),
    ],
)  # fmt: skip
def test_yaml_is_read_as_the_json_it_looks_like(text, value):
    assert parse_yaml(f"a: {text}") == {"a": value}
