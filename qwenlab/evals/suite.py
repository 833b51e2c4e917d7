"""Reading a suite from its folder or file: every mistake is named with its file and case."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from qwenlab.conversations import strict_json
from qwenlab.conversations.strict_json import NotJsonError
from qwenlab.errors import QwenlabError, nearest
from qwenlab.evals import audit, suite_mistakes
from qwenlab.evals.bilingual import ReasonError, Words, line_of, why_not_json
from qwenlab.evals.suite_model import Case, Suite
from qwenlab.evals.yaml_text import parse_yaml
from qwenlab.workspace import SHIPPED, Workspace

__all__ = ["Case", "Suite", "find_suite", "find_suites", "load_suite", "suite_from"]

SUITE_FILES = ("suite.yaml", "suite.yml", "suite.json")
_JSON_COLUMNS = ("history", "accept")


def find_suites(folder: Path) -> list[Path]:
    """Paths under `folder` that `load_suite` takes: sub-folders with a suite file, and single suite files."""
    if not folder.is_dir():
        return []
    found = [path for path in folder.iterdir() if path.is_dir() and _suite_file(path)]
    found += [path for path in folder.iterdir() if path.is_file() and path.suffix in (".yaml", ".yml", ".json")]
    return sorted(found)


def find_suite(workspace: Workspace, named: str) -> Path:
    """A suite by path, or by name in the workspace and among the shipped ones.

    Raises:
        QwenlabError: when there is none.
    """
    if Path(named).exists():
        return Path(named)
    known = {path.stem: path for folder in (SHIPPED / "eval_suites", workspace.suites) for path in find_suites(folder)}
    if named in known:
        return known[named]
    raise QwenlabError(
        f"There is no suite {named}.{nearest(named, known)}",
        f"Known: {', '.join(sorted(known))}.",
        zh=(f"没有测试集 {named}。{nearest(named, known, 'zh')}", f"可用：{'、'.join(sorted(known))}。"),
    )


def load_suite(path: Path) -> Suite:
    """Read, resolve and audit a suite.

    Args:
        path: a folder that holds suite.yaml (or suite.json), or such a file itself.

    Raises:
        QwenlabError: naming the file, the case and what to do, for anything that cannot be read, is not known,
            or does not hold together (see `audit.audit`).
    """
    file = _suite_file(path) if path.is_dir() else path
    if file is None:
        raise QwenlabError(
            f"There is no suite.yaml in {path}.",
            "Name a folder that holds one, or a suite file.",
            zh=(f"{path} 中没有 suite.yaml。", "请指定含有它的文件夹，或直接指定测试集文件。"),
        )
    content = _read_value(file)
    if not isinstance(content, dict):
        raise QwenlabError(
            f"{file} is not a suite: it must be a mapping.",
            'Begin with "name:" and "cases:".',
            zh=(f"{file} 不是测试集：内容必须是“键: 值”的形式。", "请以“name:”和“cases:”开头。"),
        )
    content = dict(content)
    content.setdefault("name", file.parent.name if file.name in SUITE_FILES else file.stem)
    if isinstance(content.get("schema"), str):
        content["schema"] = _read_value(_beside(file, content["schema"]))
    is_json = content.get("schema") is not None
    content["cases"], origin = _cases(file, content.get("cases"), is_json)
    suite = suite_from(content, str(file), origin)
    audit.audit(suite, str(file))
    return suite


def suite_from(content: Mapping[str, Any], file: str, origin: list[Words] | None = None) -> Suite:
    """Build a suite from plain values; `file` and `origin` (one place per case) name the places in errors."""
    try:
        return Suite.model_validate(content)
    except ValidationError as error:
        raise suite_mistakes.first(error, content, file, origin or []) from error


def _suite_file(folder: Path) -> Path | None:
    return next((folder / name for name in SUITE_FILES if (folder / name).is_file()), None)


def _beside(file: Path, name: str) -> Path:
    path = (file.parent / name).resolve()
    if not path.is_relative_to(file.parent.resolve()):
        raise QwenlabError(
            f'{file} names "{name}", which lies outside its folder.',
            "Put the file beside the suite.",
            zh=(f"{file} 指定的“{name}”不在它的文件夹内。", "请把该文件放在测试集旁边。"),
        )
    return path


def _read_text(path: Path) -> str:
    try:
        return path.read_bytes().decode("utf-8-sig")
    except FileNotFoundError as error:
        raise QwenlabError(
            f"There is no file {path}.", "Check the name.", zh=(f"没有文件 {path}。", "请检查文件名。")
        ) from error
    except OSError as error:
        raise QwenlabError(
            f"Cannot read {path}: {error.strerror}.",
            "Check the path.",
            zh=(f"无法读取 {path}：{error.strerror}。", "请检查路径。"),
        ) from error
    except UnicodeDecodeError as error:
        raise QwenlabError(
            f"{path} is not UTF-8 text.",
            "Save it as UTF-8.",
            zh=(f"{path} 不是 UTF-8 文本。", "请另存为 UTF-8 编码。"),
        ) from error


def _read_value(path: Path) -> Any:
    text = _read_text(path)
    try:
        return strict_json.read(text) if path.suffix == ".json" else parse_yaml(text)
    except (NotJsonError, ReasonError) as error:
        reason = why_not_json(error) if isinstance(error, NotJsonError) else error.words
        raise QwenlabError(
            f"{path} cannot be read: {reason.en}.",
            "Correct that place and try again.",
            zh=(f"无法读取 {path}：{reason.zh}。", "请改正该处后重试。"),
        ) from error


# --- cases ------------------------------------------------------------------------------------------------


def _cases(file: Path, named: Any, is_json: bool) -> tuple[list[Any], list[Words]]:
    """The cases, inline or from files, and where each stands."""
    if isinstance(named, str):
        named = [named]
    if not isinstance(named, list) or not named:
        raise QwenlabError(
            f"{file} has no cases.",
            'Give "cases:" a list of cases, or the name of a file.',
            zh=(f"{file} 中没有用例。", "请在“cases:”下写出用例列表，或写一个文件名。"),
        )
    cases: list[Any] = []
    origin: list[Words] = []
    for index, item in enumerate(named):
        if isinstance(item, str):
            path = _beside(file, item)
            for number, case in _case_rows(path, is_json):
                cases.append(case)
                origin.append(line_of(path, number))
        else:
            cases.append(item)
            origin.append(suite_mistakes.case_of(str(file), index))
    return cases, origin


def _case_rows(path: Path, is_json: bool) -> list[tuple[int, dict[str, Any]]]:
    if path.suffix == ".jsonl":
        return _jsonl_rows(path)
    if path.suffix == ".csv":
        rows = list(csv.DictReader(io.StringIO(_read_csv_text(path), newline=""), restkey="(beyond the columns)"))
    elif path.suffix in (".xlsx", ".xls"):
        rows = _excel_rows(path)
    else:
        raise QwenlabError(
            f'Cases in "{path.name}" cannot be read.',
            "Use a .jsonl, .csv or .xlsx file.",
            zh=(f"无法读取“{path.name}”中的用例。", "请使用 .jsonl、.csv 或 .xlsx 文件。"),
        )
    return [(number, _from_cells(row, line_of(path, number), is_json)) for number, row in enumerate(rows, 2)]


def _jsonl_rows(path: Path) -> list[tuple[int, dict[str, Any]]]:
    found = []
    for number, line in enumerate(_read_text(path).split("\n"), 1):
        if not line.strip():
            continue
        place = line_of(path, number)
        try:
            value = strict_json.read(line)
        except NotJsonError as error:
            reason = why_not_json(error, placed=False)
            raise QwenlabError(
                f"{place.en} is not JSON: {reason.en}.",
                "Write one case a line.",
                zh=(f"{place.zh}不是 JSON：{reason.zh}。", "请每行写一个用例。"),
            ) from error
        if not isinstance(value, dict):
            raise QwenlabError(
                f"{place.en} is not a case.",
                'Write {"id": ..., "prompt": ...}.',
                zh=(f"{place.zh}不是用例。", '请写成 {"id": ..., "prompt": ...}。'),
            )
        found.append((number, value))
    return found


def _read_csv_text(path: Path) -> str:
    try:
        return _read_text(path)
    except QwenlabError:  # what Excel saves in China
        try:
            return path.read_bytes().decode("gb18030")
        except (OSError, UnicodeDecodeError):
            pass
        raise


def _excel_rows(path: Path) -> list[dict[str, Any]]:
    try:
        import pandas

        table = pandas.read_excel(path, dtype=str, keep_default_na=False)
    except ImportError as error:
        raise QwenlabError(
            f"Reading {path.name} needs one more package.",
            "Run: pip install openpyxl",
            zh=(f"读取 {path.name} 还需要一个软件包。", "请运行：pip install openpyxl"),
        ) from error
    except (OSError, ValueError) as error:
        raise QwenlabError(
            f"Cannot read {path}: {error}.",
            "Save it as .xlsx again, or as CSV.",
            zh=(f"无法读取 {path}：{error}。", "请重新另存为 .xlsx 或 CSV。"),
        ) from error
    return [{str(key): value for key, value in row.items()} for row in table.to_dict("records")]


def _from_cells(row: Mapping[str, Any], place: Words, is_json: bool) -> dict[str, Any]:
    """A case from one table row: empty cells are absent, JSON columns are parsed, tags are split."""
    case: dict[str, Any] = {}
    for column, cell in row.items():
        if cell is None or cell == "":
            continue
        if column in _JSON_COLUMNS or (column == "expected" and is_json):
            try:
                case[column] = strict_json.read(cell)
            except NotJsonError as error:
                raise QwenlabError(
                    f'{place.en}: "{column}" is not JSON: {cell[:60]}',
                    "Write it as JSON, text in double quotes.",
                    zh=(f"{place.zh}：“{column}”不是 JSON：{cell[:60]}", "请写成 JSON，文本放在双引号中。"),
                ) from error
        elif column == "tags":
            case[column] = [tag.strip() for tag in cell.replace("，", ",").replace(";", ",").split(",") if tag.strip()]
        else:
            case[column] = cell
    return case
