"""The flags of `qwenlab test` that say how it asks: repeats, enforcing, the cache, and the pace of endpoints."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from stub_server import Reply, StubServer, number_of

from qwenlab import files
from qwenlab.cli import main
from qwenlab.workspace import Workspace

SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {"number": {"type": "integer"}},
    "required": ["number"],
    "additionalProperties": False,
}
CASES = [{"id": f"c{n}", "prompt": f"Number {n}", "expected": {"number": n}} for n in range(4)]


def talkative(body: dict[str, Any]) -> str:
    """The right number in words, unless a schema is enforced; of 3 it knows nothing. A seed of 1 is a bad day."""
    number = number_of(body)
    said = json.dumps({"number": number if number < 3 and body["seed"] != 1 else 99})
    return said if "response_format" in body or number == 0 else f"It is {said}"


@pytest.fixture
def server(stub: Callable[[Reply], StubServer]) -> StubServer:
    return stub(talkative)


def outcome(
    capsys: pytest.CaptureFixture[str], folder: Path, server: StubServer, *flags: str, **changes: Any
) -> tuple[int, dict[str, Any], str]:
    """Exit code, JSON and what was said to people."""
    files.write_json(folder / "s.json", {"name": "numbers", "schema": SCHEMA, "cases": CASES, **changes})
    spec = f"far={server.url}#m"
    code = main(["test", str(folder / "s.json"), "-c", spec, "-o", str(folder / "result"), "--json", *flags])
    out, err = capsys.readouterr()
    return code, json.loads(out), err


def test_repeats_of_the_command_line_take_the_place_of_the_suites(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, server: StubServer
) -> None:
    code, found, _ = outcome(capsys, tmp_path, server, "--repeat", "3", "--temperature", "0.5")
    assert code == 0
    assert sorted({body["seed"] for body in server.bodies}) == [0, 1, 2]
    assert {body["temperature"] for body in server.bodies} == {0.5}
    (far,) = found["contestants"]
    assert (far["repeats"]["n"], far["repeats"]["pass_all"]) == (3, 0.0)
    assert far["repeats"]["pass_at_1"] == pytest.approx(2 / 3 / 4), "c0 is right twice of three"


def test_repeats_at_temperature_0_are_said_to_be_all_the_same(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, server: StubServer
) -> None:
    assert "--temperature 0.7 lets it vary" in outcome(capsys, tmp_path, server, "--repeat", "2")[2]


def test_enforcing_tells_format_from_content(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, server: StubServer
) -> None:
    code, found, said = outcome(capsys, tmp_path, server, "--enforce", "--threshold", "passed=0.2")
    assert code == 0, "the threshold is for the contestant as it answers freely"
    assert [one["name"] for one in found["contestants"]] == ["far", "far (enforced)"]
    (split,) = found["format_content"]
    assert {key: split[key] for key in ("n", "right", "format", "content", "lost")} == {
        "n": 4, "right": 1, "format": 2, "content": 1, "lost": 0,
    }  # fmt: skip
    assert split["sentence"].startswith("far: 3 of 4 cases failed, 2 by their format alone")
    assert [gate["contestant"] for gate in found["gates"]] == ["far"]
    assert "Of the schema" not in said


def test_what_cannot_be_enforced_is_said_before_the_first_answer(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, server: StubServer
) -> None:
    schema = {**SCHEMA, "not": {"required": ["other"]}}
    assert "Of the schema: not cannot be enforced." in outcome(capsys, tmp_path, server, "--enforce", schema=schema)[2]


REFUSED = [
    (("--repeat", "0"), {}, "--repeat 0 is out of range"),
    (("--temperature", "9"), {}, "--temperature 9 is out of range"),
    (("--concurrency", "0"), {}, "--concurrency 0 is out of range"),
    (("--requests-per-minute", "0"), {}, "--requests-per-minute 0 is out of range"),
    (("--timeout", "nan"), {}, "--timeout nan is out of range"),
    (
        ("--enforce",),
        {"schema": None, "cases": [{"id": "c", "prompt": "x 1", "expected": "y"}]},
        "no schema to enforce",
    ),
]


@pytest.mark.parametrize(("flags", "changes", "words"), REFUSED, ids=[words for *_, words in REFUSED])
def test_what_makes_no_sense_is_refused_before_anything_is_asked(
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    server: StubServer,
    flags: tuple[str, ...],
    changes: dict[str, Any],
    words: str,
) -> None:
    content = {key: value for key, value in changes.items() if value is not None}
    suite = {"name": "numbers", "schema": SCHEMA, "cases": CASES, **content}
    if "schema" in changes:
        del suite["schema"]
    files.write_json(tmp_path / "s.json", suite)
    spec = f"far={server.url}#m"
    assert main(["test", str(tmp_path / "s.json"), "-c", spec, "-o", str(tmp_path / "r"), *flags]) == 2
    assert words in capsys.readouterr().err
    assert server.bodies == []


@pytest.mark.model
def test_a_real_model_is_not_asked_twice_unless_it_is_wanted(
    capsys: pytest.CaptureFixture[str], with_model: Workspace, tmp_path: Path
) -> None:
    files.write_json(
        tmp_path / "s.json",
        {"name": "numbers", "schema": SCHEMA, "cases": CASES, "generation": {"max_new_tokens": 12}},
    )

    def run(name: str, *flags: str) -> list[dict[str, Any]]:
        command = ["test", str(tmp_path / "s.json"), "-c", f"{name}=smollm2-135m", "-o", str(tmp_path / name), "--json"]
        assert main([*command, *flags]) == 0
        found: list[dict[str, Any]] = json.loads(capsys.readouterr().out)["contestants"]
        return found

    first, first_enforced = run("base", "--enforce")
    second, second_enforced = run("again", "--enforce")
    (third,) = run("fresh", "--fresh")
    assert "cached" not in first
    assert (second["cached"], second_enforced["cached"]) == (4, 4)
    assert "cached" not in third
    texts = [
        [json.loads(line)["text"] for line in (tmp_path / name / name / "answers.jsonl").read_text().splitlines()]
        for name in ("base", "again", "fresh")
    ]
    assert sorted(texts[0]) == sorted(texts[1]) == sorted(texts[2])
    assert first["usable"] == second["usable"]
    assert first_enforced["strict"] is not None
