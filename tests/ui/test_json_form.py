"""The form of a JSON answer: every value has its field, and what is done there changes that value alone."""

from __future__ import annotations

import json
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qwenlab.conversations import strict_json
from qwenlab.conversations.json_edit import below, keys_of
from qwenlab.conversations.schema_check import SchemaCheck
from qwenlab.conversations.strict_json import NotJsonError
from qwenlab.ui import json_form
from qwenlab.ui.json_form import FormError, apply_form, form, possible, toggle
from qwenlab.ui.json_shape import blank, fold, shape_of
from qwenlab.ui.texts import Translator

EN, ZH = Translator("en"), Translator("zh")
EVIL = "\"'></textarea></select><script>alert(1)</script>{{x}}"
TICKET = SchemaCheck(
    json.loads((Path(__file__).parents[2] / "eval_suites/after-sales-tickets/schema.json").read_text(encoding="utf-8"))
)
ANSWER = (
    '{"intent": "charge", "order_id": "T38024881", "product": {"name": "garden hose", "quantity": null}, '
    '"amount": {"value": 46.50, "currency": "USD"}, "date": "2026-02-25", "urgency": "normal", '
    '"requested_action": "invoice"}'
)


class Controls(HTMLParser):
    """Controls of a form as a browser has them: pointer, kind and the text they show."""

    def __init__(self, html: str | None) -> None:
        super().__init__()
        self.found: list[tuple[str, str, str]] = []
        self.buttons: list[dict[str, str | None]] = []
        self.tags: list[str] = []
        self._open: tuple[str, str] | None = None
        self._text = ""
        assert html is not None
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = dict(attrs)
        self.tags.append(tag)
        if tag == "button":
            self.buttons.append(values)
        if values.get("data-part") == "form":
            place = (values["data-pointer"] or "", values["data-kind"] or "")
            if tag == "input":
                assert values["value"] == values["data-value"]
                self.found.append((*place, values["value"] or ""))
            else:
                self._open, self._text = place, ""
        if tag == "option" and "selected" in values and self._open:
            self.found.append((*self._open, values["value"] or ""))
            self._open = None

    def handle_data(self, data: str) -> None:
        self._text += data

    def handle_endtag(self, tag: str) -> None:
        if tag == "textarea" and self._open:
            self.found.append((*self._open, self._text.removeprefix("\n")))
            self._open = None


def check(**properties: Any) -> SchemaCheck:
    return SchemaCheck({"type": "object", "properties": properties})


def done(answer: str, schema: SchemaCheck, do: str, pointer: str, **more: Any) -> str:
    return apply_form(answer, schema, {"do": do, "pointer": pointer, **more})


def typed(text: str, schema: SchemaCheck, pointer: str, kind: str, words: str) -> str:
    return done(text, schema, "form", pointer, kind=kind, text=words)


# --- every value has its field ---------------------------------------------------------------------------


def test_ticket_is_shown_field_by_field_with_the_schema_s_words() -> None:
    html = form(ANSWER, TICKET, 2, EN)
    found = Controls(html).found
    assert ("/intent", "enum", '"charge"') in found
    assert ("/order_id", "string", "T38024881") in found
    assert ("/product/quantity", "number", "") in found
    assert ("/amount", "branch", "0") in found
    assert ("/amount/value", "number", "46.50") in found
    assert html is not None
    assert "Order number in capitals and digits" in html
    assert "Form of turn 3" in html
    assert 'class="bad"' not in html
    assert "第 3 轮的表单" in (form(ANSWER, TICKET, 2, ZH) or "")


KEYS = st.sampled_from(["a", "b", "a/b", "x~y", "", "名"])
WORDS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\r"), max_size=8) | st.just(EVIL)
SCALARS = st.none() | st.booleans() | st.integers(-99, 99) | st.floats(-9, 9) | WORDS | st.just("2026-02-25")
VALUES = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=3), max_leaves=10
)
SCHEMAS = st.recursive(
    st.sampled_from(
        [
            {},
            True,
            {"type": "string"},
            {"type": ["string", "null"]},
            {"type": "string", "format": "date"},
            {"type": "integer", "minimum": 3},
            {"type": ["number", "null", "boolean"]},
            {"enum": ["x", 1, None, EVIL]},
            {"const": "x"},
            {"type": "null"},
            {"$ref": "#"},
            {"$ref": "#/$defs/loop"},
            {"$ref": "https://example.com/other"},
            {"type": "boolean", "title": EVIL, "description": EVIL},
        ]
    ),
    lambda inner: st.one_of(
        st.builds(lambda items: {"type": "array", "items": items, "maxItems": 2}, inner),
        st.builds(lambda first: {"prefixItems": first}, st.lists(inner, min_size=1, max_size=2)),
        st.builds(lambda some: {"anyOf": some}, st.lists(inner, min_size=1, max_size=3)),
        st.builds(lambda some: {"allOf": some, "title": "T"}, st.lists(inner, min_size=1, max_size=2)),
        st.builds(
            lambda some, extra: {
                "type": "object",
                "properties": some,
                "required": ["a"],
                "additionalProperties": extra,
            },
            st.dictionaries(KEYS, inner, max_size=3),
            st.booleans(),
        ),
    ),
    max_leaves=6,
)


def usable(properties: dict[str, Any]) -> dict[str, Any]:
    return {"type": "object", "properties": properties, "$defs": {"loop": {"anyOf": [{"$ref": "#/$defs/loop"}]}}}


class Unchecked(SchemaCheck):
    """A schema whose verdict is not asked for: loops and far references cannot be compiled."""

    def __init__(self, schema: Any) -> None:
        self.schema = schema

    def why_not(self, value: Any) -> list[dict[str, Any]]:
        return []


def leaves(value: Any, pointer: str = "") -> list[str]:
    if isinstance(value, dict) and value:
        return [one for key, inner in value.items() for one in leaves(inner, below(pointer, key))]
    if isinstance(value, list) and value:
        return [one for at, inner in enumerate(value) for one in leaves(inner, below(pointer, at))]
    return [pointer]


@settings(max_examples=300)
@given(st.dictionaries(KEYS, SCHEMAS, max_size=3), st.dictionaries(KEYS, VALUES, max_size=4), st.booleans())
def test_every_value_has_a_field_and_what_it_shows_is_what_stands_there(
    properties: dict[str, Any], value: dict[str, Any], pretty: bool
) -> None:
    schema = Unchecked(usable(properties))
    text = json.dumps(value, ensure_ascii=False, indent=2 if pretty else None)
    page = Controls(form(text, schema, 0, EN))
    assert "script" not in page.tags
    pointers = {pointer for pointer, _, _ in page.found} | {str(one["data-pointer"]) for one in page.buttons}
    for leaf in leaves(value):
        if at(value, leaf) is not None and at(value, leaf) not in ([], {}):
            assert any(leaf == one or leaf.startswith(one + "/") for one in pointers), leaf
    for pointer, kind, shown in page.found:
        if kind == "branch" or there(value, pointer) in (None, "missing"):
            continue
        if shown == "" and kind == "string":
            continue  # an emptied field may mean null
        assert json.loads(typed(text, schema, pointer, kind, shown)) == value


@settings(max_examples=300)
@given(st.dictionaries(KEYS, SCHEMAS, max_size=3), st.dictionaries(KEYS, VALUES, max_size=4), st.data())
def test_whatever_is_done_the_answer_stays_json_and_other_values_stay(
    properties: dict[str, Any], value: dict[str, Any], data: st.DataObject
) -> None:
    schema = Unchecked(usable(properties))
    text = json.dumps(value)
    page = Controls(form(text, schema, 0, EN))
    sendable = [("form", pointer, kind) for pointer, kind, _ in page.found]
    sendable += [
        (str(one["data-do"]), str(one["data-pointer"]), str(one.get("data-kind") or ""))
        for one in page.buttons
        if "disabled" not in one
    ]
    if not sendable:
        return
    do, pointer, kind = data.draw(st.sampled_from(sendable))
    words = data.draw(st.sampled_from(["", "abc", "12", "１２", "null", "0", '"x"', "[1", EVIL, "1e999"]))
    refused: FormError | None = None
    try:
        after = done(text, schema, do, pointer, kind=kind, text=words, by=1)
    except FormError as error:
        refused = error
    except IndexError:
        assert kind == "branch", do
        return
    if refused is not None:
        assert (refused.pointer, refused.typed) == (pointer, words)
        assert refused.say(EN) != refused.say(ZH)
        return
    found = strict_json.read(after)
    around = pointer.rpartition("/")[0]
    shifting = around + "/" if isinstance(there(value, around), list) else pointer + "/"
    for leaf in leaves(value):
        if not f"{leaf}/".startswith((pointer + "/", shifting)) and not pointer.startswith(leaf + "/"):
            assert at(found, leaf) == at(value, leaf)


def at(value: Any, pointer: str) -> Any:
    for key in keys_of(pointer):
        value = value[int(key)] if isinstance(value, list) else value[key]
    return value


def there(value: Any, pointer: str) -> Any:
    try:
        return at(value, pointer)
    except (KeyError, IndexError):
        return "missing"


# --- what is typed ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("pointer", "kind", "words", "old", "new"),
    [
        ("/order_id", "string", 'A"1', '"T38024881"', '"A\\"1"'),
        ("/order_id", "null", "", '"T38024881"', "null"),
        ("/order_id", "string", "", '"T38024881"', "null"),
        ("/intent", "enum", '"repair"', '"charge"', '"repair"'),
        ("/amount/value", "number", "46.00", "46.50", "46.00"),
        ("/amount/value", "number", " ４６．５ ", "46.50", "46.5"),
        ("/amount/value", "number", "−3", "46.50", "-3"),
        ("/product/quantity", "number", "2", '"quantity": null', '"quantity": 2'),
        ("/amount", "branch", "null", '{"value": 46.50, "currency": "USD"}', "null"),
        ("/date", "string", "2026-03-01", "2026-02-25", "2026-03-01"),
    ],
)
def test_field_changes_its_value_and_no_other_byte(pointer: str, kind: str, words: str, old: str, new: str) -> None:
    assert typed(ANSWER, TICKET, pointer, kind, words) == ANSWER.replace(old, new)


@pytest.mark.parametrize("words", ["abc", "", "1,234", "1.", ".5", "+5", "1e999", "NaN", "12 CNY", "0x1"])
def test_number_that_is_none_is_refused_in_words_and_stays_visible(words: str) -> None:
    with pytest.raises(FormError) as refused:
        typed(ANSWER, TICKET, "/amount/value", "number", words)
    assert words in refused.value.say(EN)
    assert "数字" in refused.value.say(ZH)
    html = form(ANSWER, TICKET, 0, EN, {"/amount/value": refused.value})
    assert ("/amount/value", "number", words) in Controls(html).found
    assert "is not a number" in (html or "")


def test_json_box_that_is_no_json_says_where() -> None:
    schema = check(more={"type": "null"}, odd={"not": {}})
    with pytest.raises(FormError) as refused:
        typed('{"odd": null}', schema, "/odd", "json", '{"a": }')
    assert "column 7" in refused.value.say(EN)
    assert typed('{"odd": null}', schema, "/odd", "json", " [1.50] ") == '{"odd": [1.50]}'


def test_half_a_character_is_refused() -> None:
    with pytest.raises(FormError) as refused:
        typed(ANSWER, TICKET, "/order_id", "string", "\ud83d")
    assert "half of a character" in refused.value.say(EN)


def test_answer_that_became_text_meanwhile_is_not_overwritten() -> None:
    with pytest.raises(NotJsonError):
        typed("Sorry, no.", TICKET, "/order_id", "string", "x")


def test_new_key_goes_where_the_schema_lists_it() -> None:
    schema = check(a={"type": "string"}, b={"type": "string"}, c={"type": "string"})
    assert typed('{"a": "1", "c": "3"}', schema, "/b", "string", "2") == '{"a": "1", "b": "2", "c": "3"}'
    assert typed("{}", schema, "/b", "string", "2") == '{"b": "2"}'
    assert typed('{"z": 0}', schema, "/a", "string", "1") == '{"a": "1", "z": 0}'


def test_optional_key_can_be_taken_out_and_a_required_one_cannot() -> None:
    schema = SchemaCheck({"type": "object", "required": ["a"], "properties": {"a": {}, "b": {}}})
    page = Controls(form('{"a": 1, "b": 2, "z": 3}', schema, 0, EN))
    assert [one["data-pointer"] for one in page.buttons if one["data-do"] == "form_drop"] == ["/b", "/z"]
    assert done('{"a": 1, "b": 2, "z": 3}', schema, "form_drop", "/b") == '{"a": 1, "z": 3}'


# --- lists, alternatives, references ---------------------------------------------------------------------


def test_list_grows_shrinks_and_is_put_in_order() -> None:
    row = {"type": "object", "required": ["n"], "properties": {"n": {"type": "integer"}, "o": {}}}
    schema = check(rows={"type": "array", "items": row})
    assert done("{}", schema, "form_add", "/rows") == '{"rows": []}'
    text = done('{"rows": []}', schema, "form_add", "/rows")
    assert text == '{"rows": [{"n": null}]}'
    text = done(typed(text, schema, "/rows/0/n", "number", "1"), schema, "form_add", "/rows")
    assert done(text, schema, "form_move", "/rows/0", by=1) == '{"rows": [{"n": null}, {"n": 1}]}'
    assert done(text, schema, "form_drop", "/rows/1") == '{"rows": [{"n": 1}]}'
    page = Controls(form(text, schema, 0, EN))
    moves = [one for one in page.buttons if one["data-do"] == "form_move" and "disabled" not in one]
    assert [(one["data-pointer"], one["data-by"]) for one in moves] == [("/rows/0", "1"), ("/rows/1", "-1")]


def test_group_that_is_there_is_never_emptied_by_a_second_click() -> None:
    with pytest.raises(IndexError):
        done(ANSWER, TICKET, "form_add", "/product")


def test_alternatives_can_be_chosen_and_begin_with_what_must_be_there() -> None:
    card = {"title": "Card", "type": "object", "required": ["kind"], "properties": {"kind": {"const": "card"}}}
    cash = {"title": "Cash", "type": "object", "required": ["kind"], "properties": {"kind": {"const": "cash"}}}
    schema = check(pay={"oneOf": [card, cash, {"type": "string"}]})
    html = form('{"pay": {"kind": "cash"}}', schema, 0, EN) or ""
    assert "Card</option>" in html
    assert ("/pay", "branch", "1") in Controls(html).found
    assert typed('{"pay": "x"}', schema, "/pay", "branch", "0") == '{"pay": {"kind": "card"}}'


def test_conditions_are_no_alternatives() -> None:
    either = {"type": "object", "properties": {"a": {}, "b": {}}, "anyOf": [{"required": ["a"]}, {"required": ["b"]}]}
    assert len(shape_of(either, either, {}).others) == 1


def test_nothing_is_invented_for_what_a_person_must_say() -> None:
    made = json.loads(done("", TICKET, "form_add", ""))
    assert made["product"] == {"name": None, "quantity": None}
    assert made["intent"] is None
    wrong = {one["pointer"] for one in TICKET.why_not(made)}
    assert wrong == {"/intent", "/urgency", "/requested_action"}
    assert "form_add" in toggle("", TICKET, True, EN)


def test_schema_that_contains_itself_ends() -> None:
    tree = {
        "type": "object",
        "required": ["v", "left"],
        "properties": {
            "v": {"type": "integer"},
            "left": {"$ref": "#"},
            "right": {"anyOf": [{"$ref": "#"}, {"type": "null"}]},
        },
    }
    assert blank(tree, tree)["left"]["left"]["v"] is None
    loop = {"$ref": "#/$defs/a", "$defs": {"a": {"allOf": [{"$ref": "#/$defs/a"}], "title": "A"}}}
    assert fold(loop, loop)["title"] == "A"
    text = '{"v": 1, "left": {"v": 2, "left": null}, "right": {"v": 3}}'
    found = Controls(form(text, SchemaCheck(tree), 0, EN)).found
    assert ("/left/v", "number", "2") in found
    assert ("/right/v", "number", "3") in found


# --- what is wrong ---------------------------------------------------------------------------------------


def test_what_is_wrong_stands_beside_its_field() -> None:
    schema = SchemaCheck(
        {
            "type": "object",
            "required": ["a", "b"],
            "additionalProperties": False,
            "properties": {"a": {"type": "integer", "minimum": 3}, "b": {"type": "string"}, "c": {"not": {}}},
        }
    )
    html = form('{"a": 1, "z": 1}', schema, 0, EN) or ""
    fields = html.split('class="field"')
    assert "1 is less than 3" in fields[1]
    assert "b is missing" in fields[2]
    assert html.count("is missing") == 1
    assert "z is not allowed" in fields[0]
    assert 'aria-invalid="true"' in fields[1]
    assert "小于 3" in (form('{"a": 1, "z": 1}', schema, 0, ZH) or "")


@pytest.mark.parametrize(
    ("wanted", "stands", "kind", "words", "mended"),
    [
        ("number", '"46"', "number", "46", "46"),
        ("integer", '"x"', None, None, None),
        ("string", "1.50", "string", "1.50", '"1.50"'),
    ],
)
def test_wrong_type_is_shown_as_it_stands_and_mended_where_safe(
    wanted: str, stands: str, kind: str | None, words: str | None, mended: str | None
) -> None:
    schema, text = check(a={"type": wanted}), f'{{"a": {stands}}}'
    page = Controls(form(text, schema, 0, EN))
    assert ("/a", "json", stands) in page.found
    offered = [(one["data-kind"], one["data-text"]) for one in page.buttons if one["data-do"] == "form"]
    assert offered == ([(kind, words)] if kind else [])
    if kind and words:
        assert typed(text, schema, "/a", kind, words) == f'{{"a": {mended}}}'


def test_day_is_a_date_field_only_when_it_is_a_day() -> None:
    schema = check(d={"type": "string", "format": "date"})
    assert 'type="date"' in (form('{"d": "2026-02-28"}', schema, 0, EN) or "")
    assert 'type="date"' in (form("{}", schema, 0, EN) or "")
    for odd in ("2026-02-30", "28.2.2026", "２０２６-02-28"):
        html = form(json.dumps({"d": odd}), schema, 0, EN)
        assert 'type="date"' not in (html or "")
        assert ("/d", "string", odd) in Controls(html).found


def test_value_outside_the_list_is_kept_as_an_option() -> None:
    html = form('{"a": "old"}', check(a={"enum": ["new", None]}), 0, EN)
    assert ("/a", "enum", '"old"') in Controls(html).found
    assert "not said (null)" in (html or "")


# --- when there is no form -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "schema", "kind"),
    [
        (ANSWER, TICKET, "form"),
        (ANSWER, None, "none"),
        ("Hello", TICKET, "none"),
        ("[]", TICKET, "none"),
        ("{}", SchemaCheck({"type": "array"}), "none"),
        ("{}", SchemaCheck({}), "form"),
        (" ", TICKET, "start"),
        (json.dumps({str(key): 1 for key in range(300)}), TICKET, "huge"),
        ('{"a":' * 30 + "1" + "}" * 30, TICKET, "huge"),
    ],
)
def test_text_is_shown_where_a_form_makes_no_sense(text: str, schema: SchemaCheck | None, kind: str) -> None:
    assert possible(text, schema) == kind
    assert (form(text, schema, 0, EN) is None) == (kind != "form")
    words = {"form": 'data-role="text"', "none": "", "start": "Fill in a form", "huge": "too large for a form"}
    assert words[kind] in toggle(text, schema, True, EN)


def test_toggle_leads_to_the_other_way() -> None:
    assert 'data-role="form"' in toggle(ANSWER, TICKET, False, EN)
    assert "文本" in toggle(ANSWER, TICKET, True, ZH)


def test_script_sends_every_action_that_is_understood() -> None:
    script = Path(json_form.__file__).with_suffix(".js").read_text(encoding="utf-8")
    assert 'send("form"' in script
    assert '[data-do^="form"]' in script
    assert all(action.startswith("form") for action in json_form.ACTIONS)
