"""The files of a suite as a person wrote them: its own file, its schema, and its cases with where each stands."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from qwenlab import files
from qwenlab.conversations import strict_json
from qwenlab.conversations.strict_json import NotJsonError
from qwenlab.errors import QwenlabError
from qwenlab.evals import suite_mistakes, suite_tables
from qwenlab.evals.bilingual import ReasonError, Words, line_of, why_not_json
from qwenlab.evals.yaml_text import parse_yaml

SUITE_FILES = ("suite.yaml", "suite.yml", "suite.json")
LISTS = (".jsonl", ".yaml", ".yml", ".json")
"""Case files that are written back as they are; tables are not."""


@dataclass(frozen=True)
class Placed:
    """One case as it was written.

    Attributes:
        raw: its keys and values. home: the file beside the suite that holds it; "" for the suite's own file.
        place: where it stands, for errors. source: its own line in a JSONL file; "" elsewhere and once edited.
    """

    raw: Any
    home: str = ""
    place: Words | None = None
    source: str = ""


@dataclass(frozen=True)
class Written:
    """A suite as its files say it, not yet examined.

    Attributes:
        file: the suite's own file. head: what it holds apart from schema and cases.
        schema: the JSON Schema; None for a text suite. schema_home: the file it stands in; "" for the suite's own.
        cases: in order.
        stamp: digest of all its files; another one means that somebody changed them.
    """

    file: Path
    head: Mapping[str, Any]
    schema: Any
    schema_home: str
    cases: tuple[Placed, ...]
    stamp: str = field(default="", compare=False)

    @property
    def name(self) -> str:
        """The suite's name; by default that of its folder or file."""
        default = self.file.parent.name if self.file.name in SUITE_FILES else self.file.stem
        return str(self.head.get("name") or default)

    @property
    def files(self) -> list[str]:
        """Names of all its files, its own first."""
        named = [self.file.name, self.schema_home, *(case.home for case in self.cases)]
        return [name for name in dict.fromkeys(named) if name]

    def content(self) -> dict[str, Any]:
        """Everything inline, as `suite.suite_from` takes it."""
        found = {"name": self.name, **self.head, "cases": [case.raw for case in self.cases]}
        return found if self.schema is None else {**found, "schema": self.schema}

    def places(self) -> list[Words]:
        """Where each case stands."""
        name = str(self.file)
        return [case.place or suite_mistakes.case_of(name, at) for at, case in enumerate(self.cases)]


def suite_file(folder: Path) -> Path | None:
    """The suite's own file in a folder; None when there is none."""
    return next((folder / name for name in SUITE_FILES if (folder / name).is_file()), None)


def read_written(path: Path) -> Written:
    """Read a suite's files.

    Args:
        path: a folder that holds suite.yaml (or suite.json), or such a file itself.

    Raises:
        QwenlabError: naming the file and line, for anything that cannot be read.
    """
    file = suite_file(path) if path.is_dir() else path
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
    head = {key: value for key, value in content.items() if key not in ("schema", "cases")}
    schema, schema_home = content.get("schema"), ""
    if isinstance(schema, str):
        schema, schema_home = _read_value(_beside(file, schema)), schema
    found = Written(file, head, schema, schema_home, tuple(_cases(file, content.get("cases"), schema)))
    return Written(file, head, schema, schema_home, found.cases, stamp(file.parent, found.files))


def stamp(folder: Path, names: list[str]) -> str:
    """A digest of files; those that are not there count as empty."""
    digest = hashlib.sha256()
    for name in names:
        path = folder / name
        digest.update(path.read_bytes() if path.is_file() else b"")
        digest.update(b"\0")
    return digest.hexdigest()


def _beside(file: Path, name: str) -> Path:
    try:
        path = (file.parent / name).resolve()
    except (OSError, ValueError):  # a NUL, or longer than a name can be
        path = Path("/")
    if not path.is_relative_to(file.parent.resolve()):
        raise QwenlabError(
            f'{file} names "{name}", which lies outside its folder.',
            "Put the file beside the suite.",
            zh=(f"{file} 指定的“{name}”不在它的文件夹内。", "请把该文件放在测试集旁边。"),
        )
    return path


def _read_value(path: Path) -> Any:
    text = files.read_text(path)
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


def _cases(file: Path, named: Any, schema: Any) -> list[Placed]:
    """The cases, inline or from files."""
    if isinstance(named, str):
        named = [named]
    if not isinstance(named, list) or not named:
        raise QwenlabError(
            f"{file} has no cases.",
            'Give "cases:" a list of cases, or the name of a file.',
            zh=(f"{file} 中没有用例。", "请在“cases:”下写出用例列表，或写一个文件名。"),
        )
    cases: list[Placed] = []
    for index, item in enumerate(named):
        if isinstance(item, str):
            cases += _cases_of(_beside(file, item), item, schema)
        else:
            cases.append(Placed(item, place=suite_mistakes.case_of(str(file), index)))
    return cases


def _cases_of(path: Path, home: str, schema: Any) -> list[Placed]:
    if path.suffix == ".jsonl":
        return list(_lines(path, home))
    if path.suffix in LISTS:
        return _listed(path, home)
    if path.suffix in suite_tables.SUFFIXES:
        text = None if path.suffix == ".xlsx" else _table_text(path)
        if text is None and not path.is_file():
            files.read_text(path)  # says that there is none
        return [Placed(case, home, place) for place, case in suite_tables.read_cases(path, text, schema)]
    raise QwenlabError(
        f'Cases in "{path.name}" cannot be read.',
        "Use a .jsonl, .yaml, .json, .csv or .xlsx file.",
        zh=(f"无法读取“{path.name}”中的用例。", "请使用 .jsonl、.yaml、.json、.csv 或 .xlsx 文件。"),
    )


def _lines(path: Path, home: str) -> list[Placed]:
    found = []
    for number, line in enumerate(files.read_text(path).split("\n"), 1):
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
        found.append(Placed(value, home, place, line.rstrip("\r")))
    return found


def _listed(path: Path, home: str) -> list[Placed]:
    value = _read_value(path)
    if not isinstance(value, list) or not value:
        raise QwenlabError(
            f"{path} is not a list of cases.",
            'Begin each case with "- id:".',
            zh=(f"{path} 不是用例列表。", "请让每个用例以“- id:”开头。"),
        )
    return [Placed(case, home, suite_mistakes.case_of(str(path), at)) for at, case in enumerate(value)]


def _table_text(path: Path) -> str:
    try:
        return files.read_text(path)
    except QwenlabError:  # what Excel saves in China
        try:
            return path.read_bytes().decode("gb18030")
        except (OSError, UnicodeDecodeError):
            pass
        raise
