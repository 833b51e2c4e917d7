"""qwenlab data: import with a preview, export, split and versions, as machines and people read them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from qwenlab.cli import main
from qwenlab.conversations import attached
from qwenlab.conversations.dataset import DataSet, keep_version, sidecar
from qwenlab.conversations.sample import Sample
from qwenlab.workspace import SHIPPED

SHIPPED_SET = SHIPPED / "data" / "after-sales.train.json"


def run(capsys: pytest.CaptureFixture[str], *arguments: object) -> tuple[int, Any]:
    """Exit code and parsed standard output of `qwenlab data ... --json`."""
    code = main(["data", *map(str, arguments), "--json"])
    return code, json.loads(capsys.readouterr().out)


@pytest.fixture
def table(tmp_path: Path) -> Path:
    path = tmp_path / "in.csv"
    path.write_text("客户说,我们答,日期\n你好,您好,2024\n再见,,2024\n", encoding="gb18030")
    return path


def test_preview_says_what_an_import_would_bring_and_writes_nothing(
    capsys: pytest.CaptureFixture[str], table: Path, tmp_path: Path
) -> None:
    before = sorted(tmp_path.rglob("*"))
    code, value = run(capsys, "import", table, "--preview")
    assert (code, value["samples"]) == (1, 0)
    assert value["table"]["columns"] == ["客户说", "我们答", "日期"]
    code, value = run(
        capsys, "import", table, "--preview", "--column", "prompt=客户说", "--column", "answer=我们答", "-o", "x.json"
    )
    assert (code, value["samples"]) == (0, 1)
    assert value["refused"] == [
        {"place": 3, "unit": "row", "part": "", "code": "row_no_answer", "reason": "the answer is empty"}
    ]
    assert value["changes"] == {"encoding:GBK": 1, "columns:日期": 1, "ids": 1}
    assert sorted(tmp_path.rglob("*")) == before


def test_preview_for_people_names_columns_and_rows(capsys: pytest.CaptureFixture[str], table: Path) -> None:
    assert (
        main(["data", "import", str(table), "--preview", "--column", "prompt=客户说", "--column", "answer=我们答"]) == 0
    )
    said = capsys.readouterr().out
    assert "客户说: prompt, such as '你好'" in said
    assert "日期: stays out" in said
    assert "Row 3 is left out: the answer is empty." in said
    main(["data", "import", str(table), "--preview"])
    assert "--column prompt=NAME" in capsys.readouterr().out


def test_import_takes_the_named_columns(capsys: pytest.CaptureFixture[str], table: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.train.json"
    code, value = run(capsys, "import", table, "-o", out, "--column", "prompt=客户说", "--column", "answer=我们答")
    assert (code, value["samples"]) == (0, 1)
    assert [turn.text for turn in DataSet.open(out).samples[0].turns] == ["你好", "您好"]


def test_import_reads_the_sheet_that_is_named(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    openpyxl = pytest.importorskip("openpyxl")
    book = openpyxl.Workbook()
    for name in ("May", "June"):
        sheet = book.create_sheet(name)
        sheet.append(["prompt", "answer"])
        sheet.append([name, "a"])
    path = tmp_path / "in.xlsx"
    book.save(path)
    _, value = run(capsys, "import", path, "--preview", "--sheet", "June")
    assert value["first"][0]["conversations"][0]["value"] == "June"
    code, value = run(capsys, "import", path, "--preview", "--sheet", "July")
    assert code == 2
    assert "Its sheets are: Sheet, May, June." in value["remedy"]


def test_preview_of_half_a_character_can_be_printed(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    path = tmp_path / "in.jsonl"
    path.write_text('{"messages": [{"role": "user", "content": "\\ud800"}], "x": NaN}\n{"\\ud800": 1}\n')
    code, value = run(capsys, "import", path, "--preview")
    assert (code, value["samples"]) == (0, 1)
    assert main(["data", "import", str(path), "--preview"]) == 0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("import", SHIPPED_SET), "where to write"),
        (("import", SHIPPED_SET, "-o", SHIPPED_SET), "exists already"),
        (("import", SHIPPED_SET, "-o", "new.json", "--column", "promt=x"), 'Did you mean "prompt"'),
        (("import", "/nowhere.csv", "--preview"), "no file /nowhere.csv"),
        (("export", SHIPPED_SET, "-o", "new.pdf"), "no export form"),
        (("split", SHIPPED_SET, "-o", "new", "--validation", "2"), "above 0 and below 1"),
        (("versions", "/nowhere.json"), "no file /nowhere.json"),
    ],
)
def test_what_cannot_run_exits_2(
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    arguments: tuple[object, ...],
    message: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    code, value = run(capsys, *arguments)
    assert code == 2
    assert message in value["error"] + value["remedy"]
    assert [path for path in tmp_path.iterdir() if path.name.startswith("new")] == []


def test_export_writes_labels_only_when_asked(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    path = tmp_path / "mine.train.json"
    DataSet.new(path, [Sample.make("a", [("user", "q"), ("assistant", "a")]), Sample({"id": "odd"})]).save()
    sidecar(path).write_text(json.dumps({"samples": {"a": {"tags": ["urgent"]}}}))
    code, value = run(capsys, "export", path, "-o", tmp_path / "plain.csv")
    assert (code, value["samples"], value["left_out"]) == (0, 1, 1)
    assert "urgent" not in (tmp_path / "plain.csv").read_text("utf-8-sig")
    run(capsys, "export", path, "-o", tmp_path / "labels.csv", "--labels")
    assert "urgent" in (tmp_path / "labels.csv").read_text("utf-8-sig")


def test_split_divides_without_replacing_and_keeps_the_schema(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    code, value = run(capsys, "split", SHIPPED_SET, "--validation", "0.1", "--seed", "7", "-o", tmp_path / "parts")
    assert code == 0
    train, validation = (DataSet.open(Path(value[part]["path"])) for part in ("train", "validation"))
    whole = DataSet.open(SHIPPED_SET)
    assert len(train.samples) + len(validation.samples) == len(whole.samples)
    assert len(validation.samples) == pytest.approx(len(whole.samples) / 10, rel=0.2)
    assert validation.path.name == "after-sales.validation.json"
    assert attached.schema_of(validation.path) == attached.schema_of(whole.path)
    code, value = run(capsys, "split", SHIPPED_SET, "-o", tmp_path / "parts")
    assert code == 2
    assert "exists already" in value["error"]


def test_versions_are_listed_newest_first(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    path = tmp_path / "mine.train.json"
    for content in ("[]", "[ ]"):
        path.write_text(content)
        keep_version(path)
    code, value = run(capsys, "versions", path)
    assert code == 0
    assert [row["bytes"] for row in value["versions"]] == [3, 2]
    main(["data", "versions", str(SHIPPED_SET)])
    assert "No versions" in capsys.readouterr().out
