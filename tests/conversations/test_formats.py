"""Other forms in and out: nothing good is lost, and what was refused is said."""

from __future__ import annotations

import codecs
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from qwenlab.conversations import formats
from qwenlab.conversations.dataset import DataSet
from qwenlab.conversations.facts import Facts
from qwenlab.conversations.sample import Labels, Sample
from qwenlab.conversations.words import DataError

ASKED = [{"role": "user", "content": "q"}, {"role": "assistant", "content": "a"}]
PAST = [{"role": "user", "content": "p"}, {"role": "assistant", "content": "b"}]
ROW = {"id": "r", "messages": ASKED}


@pytest.mark.parametrize(
    ("row", "form", "messages"),
    [
        ({"conversations": [{"from": "user", "value": "q"}, {"from": "assistant", "value": "a"}]}, "train", ASKED),
        ({"conversations": [{"from": "human", "value": "q"}, {"from": "gpt", "value": "a"}]}, "sharegpt", ASKED),
        ({"messages": ASKED}, "openai", ASKED),
        ({"messages": [{"role": "user", "content": [{"type": "text", "text": "q"}]}, ASKED[1]]}, "openai", ASKED),
        ({"messages": [{"role": "Human", "content": "q"}, {"role": "客服", "content": "a"}]}, "openai", ASKED),
        ({"instruction": "q", "input": "", "output": "a"}, "alpaca", ASKED),
        (
            {"instruction": "q", "output": "a", "system": "s", "history": [["p", "b"]]},
            "alpaca",
            [{"role": "system", "content": "s"}, *PAST, *ASKED],
        ),
        ({"question": "q", "answer": "a"}, "pairs", ASKED),
        (
            {"query": "q", "response": "a", "system": "s", "history": [["p", "b"]]},
            "pairs",
            [{"role": "system", "content": "s"}, *PAST, *ASKED],
        ),
        (
            {"system": "s", "conversations": [{"from": "human", "value": "q"}, {"from": "gpt", "value": "a"}]},
            "sharegpt",
            [{"role": "system", "content": "s"}, *ASKED],
        ),
    ],
)
@pytest.mark.parametrize("suffix", [".json", ".jsonl"])
def test_each_form_is_recognized(
    write: Callable[..., Path], row: dict[str, Any], form: str, messages: list[dict[str, str]], suffix: str
) -> None:
    text = json.dumps([row, row]) if suffix == ".json" else f"{json.dumps(row)}\n\n{json.dumps(row)}\n"
    samples, report = formats.import_file(write(text, "in" + suffix))
    assert [sample.to_messages() for sample in samples] == [messages, messages]
    assert report.forms == {form: 2}
    assert len({sample.id for sample in samples}) == 2


@pytest.mark.parametrize(
    ("bad", "code"),
    [
        ("text", "row_not_object"),
        ({"foo": 1}, "row_unknown"),
        ({"messages": "x"}, "row_turn"),
        ({"messages": []}, "row_empty"),
        ({"messages": [{"role": "user"}]}, "row_turn"),
        ({"messages": [{"role": "tool", "content": "x"}]}, "row_tool"),
        ({"messages": [{"role": "assistant", "content": None, "tool_calls": [{}]}]}, "row_tool"),
        ({"messages": [{"role": "somebody", "content": "x"}]}, "row_role"),
        ({"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {}}]}]}, "row_media"),
        ({"instruction": "", "output": "a"}, "row_no_question"),
        ({"question": "q", "answer": None}, "row_no_answer"),
        ({"question": "q", "answer": "#N/A"}, "row_cell"),
        ({"instruction": "q", "output": "a", "history": [["x"]]}, "row_history"),
        ({"question": "q", "answer": "a", "history": "[torn"}, "row_history"),
        ({"messages": ASKED, "extra": json.loads("[" * 300 + "]" * 300)}, "row_not_json"),
    ],
)
def test_bad_row_is_named_and_discards_no_good_one(write: Callable[..., Path], bad: Any, code: str) -> None:
    samples, report = formats.import_file(write([{"messages": ASKED}, bad, {"messages": ASKED}]))
    assert len(samples) == 2
    assert [(one.place.number, one.code) for one in report.refused] == [(2, code)]
    assert "Sample 2 is left out: " in report.describe("en")[-1]
    assert "第 2 个样本不导入：" in report.describe("zh")[-1]


@pytest.mark.parametrize(
    ("text", "refused", "taken"),
    [
        ('[{r}, {"messages": [{"role": "user" "content": "x"}]}, {r}]', [2], 2),
        ('[{r},\n{"messages": [{"role": "user", "content": "never closed}]},\n{r}\n]', [2], 2),
        ('[{r},\n{"messages": [{"role": "user", "conte', [2], 1),
        ('{"data": [{r}, {"messages": oops}, {r}]}', [2], 2),
        ("[{r} {r}]", [], 2),
        ("[{r}, {r},]", [], 2),
        ("[{r}][{r}]", [2], 1),
        ("[" * 100_000, [1], 0),
        ('[{r}, {"a":' + '{"a":' * 100_000 + ", {r}]", [2], 2),
        ('[{r}, {"messages": ' + "9" * 5000 + "}, {r}]", [2], 2),
    ],
)
def test_broken_list_gives_what_can_still_be_read(
    write: Callable[..., Path], text: str, refused: list[int], taken: int
) -> None:
    samples, report = formats.import_file(write(text.replace("{r}", json.dumps(ROW)), "in.json"))
    assert [one.place.number for one in report.refused] == refused
    assert [sample.to_messages() for sample in samples] == [ASKED] * taken
    report.describe("en")
    report.describe("zh")


def test_list_that_was_cut_short_is_said_to_be(write: Callable[..., Path]) -> None:
    _, report = formats.import_file(write(f"[{json.dumps(ROW)},", "in.json"))
    assert any("cut short" in line for line in report.changed("en"))
    _, report = formats.import_file(write(f"[{json.dumps(ROW)} {json.dumps(ROW)}]", "in.json"))
    assert report.changed("en")[0] == "Commas missing between samples: 1; read all the same."


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_any_damage_leaves_a_report_or_one_sentence(tmp_path: Path, data: st.DataObject) -> None:
    path = tmp_path / ("in" + data.draw(st.sampled_from([".json", ".jsonl", ".csv", ".tsv"])))
    rows = [ROW, {"instruction": "q", "output": {"a": [1, "//"]}}, {"conversations": [{"from": "user", "value": "é"}]}]
    whole = json.dumps(rows, indent=data.draw(st.sampled_from([None, 1]))).encode()
    cut = data.draw(st.integers(0, len(whole)))
    path.write_bytes(whole[:cut] + data.draw(st.binary(max_size=4)) + whole[cut + data.draw(st.integers(0, 9)) :])
    said: list[str] = []
    try:
        _, report = formats.import_file(path)
        said = [*report.describe("en"), *report.describe("zh")]
    except DataError as error:
        said = [*error.say("en"), *error.say("zh")]
    assert said
    assert all(said)


def test_torn_line_of_jsonl_is_named_and_the_others_are_taken(write: Callable[..., Path]) -> None:
    line = json.dumps({"messages": ASKED})
    samples, report = formats.import_file(write(f"{line}\n\n{line[:20]}\n{line}", "in.jsonl"))
    assert len(samples) == 2
    assert [one.where("en") for one in report.refused] == ["Line 3"]


@pytest.mark.parametrize("text", ["// by Li\n{r}\n  // more\n{r} // last", "[ // by Li\n{r},\n{r} // http://x\n]"])
def test_comments_are_dropped_and_counted(write: Callable[..., Path], text: str) -> None:
    row = json.dumps({"messages": [{"role": "user", "content": "see http://x"}, ASKED[1]]})
    samples, report = formats.import_file(write(text.replace("{r}", row), "in.json"))
    assert [sample.turns[0].text for sample in samples] == ["see http://x"] * 2
    assert report.changes["comments"] == text.count("// ")
    assert not report.refused


@pytest.mark.parametrize("whole", [ROW, {"data": [ROW]}, {"version": 1, "rows": [ROW]}, {"id": "r", "messages": ASKED}])
def test_object_around_the_samples_is_opened(write: Callable[..., Path], whole: Any) -> None:
    samples, _ = formats.import_file(write(whole, "in.json"))
    assert [(sample.id, sample.to_messages()) for sample in samples] == [("r", ASKED)]


def test_lists_under_several_keys_are_all_read_and_a_refusal_names_its_key(write: Callable[..., Path]) -> None:
    samples, report = formats.import_file(write({"train": [ROW], "test": [{**ROW, "id": "t"}, 3]}, "in.json"))
    assert [sample.id for sample in samples] == ["r", "t"]
    assert report.refused[0].where("en") == "Sample 2 (test)"


@pytest.mark.parametrize(
    ("encoding", "before", "said"),
    [
        ("utf-8", b"", None),
        ("utf-8", codecs.BOM_UTF8, None),
        ("utf-16-le", codecs.BOM_UTF16_LE, "UTF-16"),
        ("utf-16-be", codecs.BOM_UTF16_BE, "UTF-16"),
        ("gb18030", b"", "GBK"),
    ],
)
@pytest.mark.parametrize("suffix", [".json", ".jsonl", ".csv"])
def test_every_encoding_is_read_and_named(
    write: Callable[..., Path], encoding: str, before: bytes, said: str | None, suffix: str
) -> None:
    row = {"问题": "退货怎么办？", "回答": "请在七天内申请。"}
    text = "问题,回答\n退货怎么办？,请在七天内申请。\n" if suffix == ".csv" else json.dumps([row], ensure_ascii=False)
    text = json.dumps(row, ensure_ascii=False) if suffix == ".jsonl" else text
    samples, report = formats.import_file(write(before + text.encode(encoding), "in" + suffix))
    assert [turn.text for turn in samples[0].turns] == list(row.values())
    assert [key for key in report.changes if key.startswith("encoding")] == ([f"encoding:{said}"] if said else [])


def test_few_damaged_bytes_do_not_turn_the_file_into_gibberish(write: Callable[..., Path]) -> None:
    rows = [{"问题": "退货怎么办？" * 5, "回答": "请在七天内申请。"}] * 3
    content = json.dumps(rows, ensure_ascii=False).encode().replace("退货".encode(), b"\xff", 1)
    samples, report = formats.import_file(write(content, "in.json"))
    assert samples[1].turns[0].text == "退货怎么办？" * 5
    assert any("damaged" in line for line in report.changed("en"))


def test_object_answer_becomes_json_text_and_is_counted(write: Callable[..., Path]) -> None:
    row = {"messages": [ASKED[0], {"role": "assistant", "content": {"金额": 1.5}}]}
    listed = {"instruction": "q", "output": [{"type": "refund", "amount": 2}]}
    refused = {"messages": [{"role": "user", "content": {"a": 1}}, {"role": "x", "content": ""}]}
    samples, report = formats.import_file(write([row, listed, refused]))
    assert [sample.turns[1].text for sample in samples] == ['{"金额": 1.5}', '[{"type": "refund", "amount": 2}]']
    assert report.changes["serialized"] == 2, "a row that is left out changes nothing"
    assert any("become JSON text: 2" in line for line in report.describe("en"))


def test_what_will_be_changed_is_said_in_both_languages(write: Callable[..., Path]) -> None:
    turns = [{"from": "human", "value": "q"}, {"from": "gpt", "value": "a"}]
    parts = [{"type": "text", "text": "q"}, {"type": "text", "text": "r"}]
    rows = [
        {"id": "a", "system": "s", "conversations": turns},
        {"id": "a", "conversations": [*turns, *turns]},
        {"messages": [{"role": "user", "content": parts}, ASKED[1]]},
    ]
    _, report = formats.import_file(write(rows, "in.json"))
    assert report.changed("en") == [
        "Roles that are renamed: human → user (3), gpt → assistant (3).",
        "System texts that become the first turn: 1.",
        "Texts in several parts that are joined: 2.",
        "Samples without an id that get one: 1.",
        "Ids that stand there twice and get a number: 1.",
    ]
    assert len(report.changed("zh")) == 5


def test_ids_stay_unless_they_are_taken() -> None:
    samples = [Sample.make(name, []) for name in ("a", "a", "a-2", "b", "c")]
    found, changed = formats.with_free_ids(samples, {"b"})
    assert [sample.id for sample in found] == ["a", "a-3", "a-2", "b-2", "c"]
    assert changed == 2


def test_keys_that_mean_nothing_here_are_kept(write: Callable[..., Path]) -> None:
    rows = [{"instruction": "q", "output": "a", "category": 3}, {"query": "q", "response": "a", "source": {"x": 1}}]
    samples, _ = formats.import_file(write([*rows, {**ROW, "messages": [{**ASKED[0], "weight": 0}, ASKED[1]]}]))
    assert samples[0].raw["category"] == 3
    assert samples[1].raw["source"] == {"x": 1}
    assert samples[2].raw["conversations"][0] == {"from": "user", "value": "q", "weight": 0}


def test_duplicates_of_what_is_there_are_found() -> None:
    here = [Facts(Sample.make("x", [("user", "q"), ("assistant", "a")]))]
    samples = [Sample.make("y", [("user", " q"), ("assistant", "a")]), Sample.make("z", [("user", "q")])]
    assert formats.duplicates(samples, here) == [0]


@pytest.mark.parametrize("content", ["hello", "[]", "", "3", b"\x00\xff\xfe\x81", b"\xff\xfe"])
def test_file_of_no_known_form_is_refused(write: Callable[..., Path], content: Any) -> None:
    with pytest.raises(DataError):
        formats.import_file(write(content, "in.json"))


@pytest.mark.parametrize(
    ("content", "why"), [("{}", "it has: -"), ('{"messages": [{"role":', "it is not JSON"), ('{\n"id"\n"b"}', "colon")]
)
def test_one_sample_that_cannot_be_read_is_named(write: Callable[..., Path], content: str, why: str) -> None:
    samples, report = formats.import_file(write(content, "in.json"))
    assert samples == []
    assert [one.place.number for one in report.refused] == [1]
    assert why in report.describe("en")[1]


def test_missing_file_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="There is no file"):
        formats.import_file(tmp_path / "none.json")


def test_large_file_of_lines_is_read_in_seconds(write: Callable[..., Path]) -> None:
    line = json.dumps(
        {"messages": [{"role": "user", "content": "q" * 200}, {"role": "assistant", "content": "a" * 200}]}
    )
    path = write(f"{line}\n" * 20_000, "in.jsonl")
    began = time.perf_counter()
    samples, _ = formats.import_file(path)
    assert len(samples) == 20_000
    assert time.perf_counter() - began < 5


# --- out, and in again -----------------------------------------------------------------------------------

texts = st.text(st.characters(), max_size=30) | st.sampled_from(
    [
        "=1+1",
        "'=1",
        "''-x",
        "@SUM(A1)",
        "+86",
        "\t=1",
        "\r",
        "a\r\nb\rc\nd",
        "_x000D_",
        "_x005F_x000D_",
        " ",
        "\ud800",
        "\x00",
        "",
    ]
)


@st.composite
def conversations(draw: st.DrawFn) -> list[tuple[str, str]]:
    """Mostly question and answer in turn, now and then anything at all."""
    if draw(st.integers(0, 3)) == 0:
        return draw(
            st.lists(st.tuples(st.sampled_from(["system", "user", "assistant"]), texts), min_size=1, max_size=4)
        )
    turns = [("system", draw(texts))] if draw(st.booleans()) else []
    for _ in range(draw(st.integers(1, 3))):
        turns += [("user", draw(texts)), ("assistant", draw(texts))]
    return turns


@pytest.mark.parametrize("labels", [False, True])
@pytest.mark.parametrize("suffix", [".json", ".jsonl", ".csv", ".tsv", ".xlsx"])
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(talks=st.lists(conversations(), min_size=1, max_size=4))
def test_every_form_gives_back_what_it_was_given(
    tmp_path: Path, suffix: str, labels: bool, talks: list[list[tuple[str, str]]]
) -> None:
    tagged = Labels(tags=("urgent",), note="=1")
    samples = [Sample.make(f"s{number}", turns).with_labels(tagged) for number, turns in enumerate(talks)]
    path = tmp_path / f"out{suffix}"
    assert formats.export_file(samples, path, labels) == len(samples)
    found, report = formats.import_file(path)
    assert [sample.to_messages() for sample in found] == [sample.to_messages() for sample in samples]
    assert [sample.id for sample in found] == [sample.id for sample in samples]
    assert report.refused == []


@pytest.mark.parametrize("suffix", [".json", ".jsonl", ".csv"])
def test_labels_stand_in_the_file_only_when_asked_for(tmp_path: Path, suffix: str) -> None:
    sample = Sample.make("a", [("user", "q"), ("assistant", "a")]).with_labels(Labels(tags=("urgent",), note="ask Li"))
    path = tmp_path / f"out{suffix}"
    formats.export_file([sample], path)
    assert "urgent" not in path.read_text("utf-8-sig")
    formats.export_file([sample], path, labels=True)
    assert "urgent" in path.read_text("utf-8-sig")
    assert "ask Li" in path.read_text("utf-8-sig")


def test_sample_that_cannot_be_read_stands_in_train_json_alone(tmp_path: Path) -> None:
    samples = [Sample({"id": "odd"}), Sample.make("a", [("user", "q"), ("assistant", "a")])]
    assert formats.export_file(samples, tmp_path / "out.json") == 2
    assert formats.export_file(samples, tmp_path / "out.csv") == 1


def test_unknown_ending_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"Use \.json"):
        formats.export_file([], tmp_path / "out.pdf")


def test_exported_train_json_opens_as_a_data_set(tmp_path: Path) -> None:
    path = tmp_path / "out.train.json"
    formats.export_file([Sample.make("a", [("user", "q"), ("assistant", "a")])], path)
    assert DataSet.open(path).samples[0].to_messages() == ASKED
