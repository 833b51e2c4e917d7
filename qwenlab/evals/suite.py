"""Reading a suite from its folder or file: every mistake is named with its file and case."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError

from qwenlab.errors import QwenlabError, nearest
from qwenlab.evals import audit
from qwenlab.evals.rules import Rule
from qwenlab.evals.strict_json import NotStrict, parse_strict
from qwenlab.evals.suite_model import Case, GenerationSettings, Suite, Thresholds, Turn
from qwenlab.evals.yaml_text import parse_yaml

__all__ = ["Case", "Suite", "find_suites", "load_suite", "suite_from"]

SUITE_FILES = ("suite.yaml", "suite.yml", "suite.json")
_JSON_COLUMNS = ("history", "accept")


def find_suites(folder: Path) -> list[Path]:
    """Paths under `folder` that `load_suite` takes: sub-folders with a suite file, and single suite files."""
    if not folder.is_dir():
        return []
    found = [path for path in folder.iterdir() if path.is_dir() and _suite_file(path)]
    found += [path for path in folder.iterdir() if path.is_file() and path.suffix in (".yaml", ".yml", ".json")]
    return sorted(found)


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
        raise QwenlabError(f"There is no suite.yaml in {path}.", "Name a folder that holds one, or a suite file.")
    content = _read_value(file)
    if not isinstance(content, dict):
        raise QwenlabError(f"{file} is not a suite: it must be a mapping.", 'Begin with "name:" and "cases:".')
    content = dict(content)
    content.setdefault("name", file.parent.name if file.name in SUITE_FILES else file.stem)
    if isinstance(content.get("schema"), str):
        content["schema"] = _read_value(_beside(file, content["schema"]))
    is_json = content.get("schema") is not None
    content["cases"], origin = _cases(file, content.get("cases"), is_json)
    suite = suite_from(content, str(file), origin)
    audit.audit(suite, str(file))
    return suite


def suite_from(content: Mapping[str, Any], file: str, origin: list[str] | None = None) -> Suite:
    """Build a suite from plain values; `file` and `origin` (one text per case) name the places in errors."""
    try:
        return Suite.model_validate(content)
    except ValidationError as error:
        raise _friendly(error, content, file, origin or []) from error


def _suite_file(folder: Path) -> Path | None:
    return next((folder / name for name in SUITE_FILES if (folder / name).is_file()), None)


def _beside(file: Path, name: str) -> Path:
    path = (file.parent / name).resolve()
    if not path.is_relative_to(file.parent.resolve()):
        raise QwenlabError(f'{file} names "{name}", which lies outside its folder.', "Put the file beside the suite.")
    return path


def _read_text(path: Path) -> str:
    try:
        return path.read_bytes().decode("utf-8-sig")
    except FileNotFoundError as error:
        raise QwenlabError(f"There is no file {path}.", "Check the name.") from error
    except OSError as error:
        raise QwenlabError(f"Cannot read {path}: {error.strerror}.", "Check the path.") from error
    except UnicodeDecodeError as error:
        raise QwenlabError(f"{path} is not UTF-8 text.", "Save it as UTF-8.") from error


def _read_value(path: Path) -> Any:
    text = _read_text(path)
    try:
        return json.loads(text) if path.suffix == ".json" and _is_strict(text) else parse_yaml(text)
    except ValueError as error:
        raise QwenlabError(f"{path} cannot be read: {error}.", "Correct that place and try again.") from error


def _is_strict(text: str) -> bool:
    try:
        parse_strict(text)
    except NotStrict:
        return False
    return True


# --- cases ------------------------------------------------------------------------------------------------


def _cases(file: Path, named: Any, is_json: bool) -> tuple[list[Any], list[str]]:
    """The cases, inline or from files, and where each stands."""
    if isinstance(named, str):
        named = [named]
    if not isinstance(named, list) or not named:
        raise QwenlabError(f"{file} has no cases.", 'Give "cases:" a list of cases, or the name of a file.')
    cases: list[Any] = []
    origin: list[str] = []
    for index, item in enumerate(named):
        if isinstance(item, str):
            path = _beside(file, item)
            for number, case in _case_rows(path, is_json):
                cases.append(case)
                origin.append(f"{path}, line {number}")
        else:
            cases.append(item)
            origin.append(f"{file}, case {index + 1}")
    return cases, origin


def _case_rows(path: Path, is_json: bool) -> list[tuple[int, dict[str, Any]]]:
    if path.suffix == ".jsonl":
        return _jsonl_rows(path)
    if path.suffix == ".csv":
        rows = list(csv.DictReader(io.StringIO(_read_csv_text(path), newline=""), restkey="(beyond the columns)"))
    elif path.suffix in (".xlsx", ".xls"):
        rows = _excel_rows(path)
    else:
        raise QwenlabError(f'Cases in "{path.name}" cannot be read.', "Use a .jsonl, .csv or .xlsx file.")
    return [(number, _from_cells(row, f"{path}, line {number}", is_json)) for number, row in enumerate(rows, 2)]


def _jsonl_rows(path: Path) -> list[tuple[int, dict[str, Any]]]:
    found = []
    for number, line in enumerate(_read_text(path).split("\n"), 1):
        if not line.strip():
            continue
        try:
            value = parse_strict(line)
        except NotStrict as error:
            reason = f" ({error.flag.replace('_', ' ')})" if error.flag else ""
            raise QwenlabError(f"{path}, line {number} is not JSON{reason}.", "Write one case a line.") from error
        if not isinstance(value, dict):
            raise QwenlabError(f"{path}, line {number} is not a case.", 'Write {"id": ..., "prompt": ...}.')
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
        raise QwenlabError(f"Reading {path.name} needs one more package.", "Run: pip install openpyxl") from error
    except (OSError, ValueError) as error:
        raise QwenlabError(f"Cannot read {path}: {error}.", "Save it as .xlsx again, or as CSV.") from error
    return [{str(key): value for key, value in row.items()} for row in table.to_dict("records")]


def _from_cells(row: Mapping[str, Any], where: str, is_json: bool) -> dict[str, Any]:
    """A case from one table row: empty cells are absent, JSON columns are parsed, tags are split."""
    case: dict[str, Any] = {}
    for column, cell in row.items():
        if cell is None or cell == "":
            continue
        if column in _JSON_COLUMNS or (column == "expected" and is_json):
            try:
                case[column] = parse_strict(cell)
            except NotStrict as error:
                raise QwenlabError(
                    f'{where}: "{column}" is not JSON: {cell[:60]}', "Write it as JSON, text in double quotes."
                ) from error
        elif column == "tags":
            case[column] = [tag.strip() for tag in cell.replace("，", ",").replace(";", ",").split(",") if tag.strip()]
        else:
            case[column] = cell
    return case


# --- errors -----------------------------------------------------------------------------------------------


def _friendly(error: ValidationError, content: Mapping[str, Any], file: str, origin: list[str]) -> QwenlabError:
    """The first mistake as one sentence naming file, case and key, with the nearest known key."""
    problem = error.errors(include_url=False)[0]
    location = list(problem["loc"])
    place = file
    if location[:1] == ["cases"] and len(location) > 1 and isinstance(location[1], int):
        place = _case_place(content, file, origin, location[1])
        inner = location[2:]
    else:
        inner = location
    if problem["type"] == "extra_forbidden":
        known = _known_keys(location)
        hint = nearest(str(inner[-1]), known)
        remedy = hint.strip() or f"Known keys: {', '.join(known)}."
        return QwenlabError(f'{place}: unknown key "{inner[-1]}".', remedy)
    name = ".".join(str(part) for part in inner)
    reason = problem["msg"].removeprefix("Value error, ")
    reason = reason if name == "" else f'"{name}": {reason}'
    return QwenlabError(f"{place}: {reason}.", "Correct it and try again.")


def _case_place(content: Mapping[str, Any], file: str, origin: list[str], index: int) -> str:
    case = content["cases"][index]
    place = origin[index] if index < len(origin) else f"{file}, case {index + 1}"
    identity = case.get("id") if isinstance(case, Mapping) else None
    return f'{place} ("{identity}")' if identity is not None else place


def _known_keys(location: list[Any]) -> list[str]:
    models: dict[Any, type[BaseModel]] = {"fields": Rule, "generation": GenerationSettings, "thresholds": Thresholds}
    model: type[BaseModel] = Suite
    if len(location) > 1:
        model = models.get(location[0], Case)
        if "history" in location[:-1]:
            model = Turn
    return [field.alias or name for name, field in model.model_fields.items()]
