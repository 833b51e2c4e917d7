"""What an import will do, said before it is done: forms, changes, and rows that are left out with their reasons."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from qwenlab.conversations import tables
from qwenlab.conversations.sample import Sample
from qwenlab.conversations.tables import Table
from qwenlab.conversations.words import Language, json_reason

REFUSALS = {
    "row_not_object": ("it is not an object", "不是对象"),
    "row_unknown": ("it has none of the known keys; it has: {keys}", "没有可识别的键，现有：{keys}"),
    "row_turn": ("a turn is not an object with role and text", "有一轮不是带角色和文字的对象"),
    "row_empty": ("it has no turns", "没有任何轮次"),
    "row_no_question": ("the question is empty", "问题为空"),
    "row_no_answer": ("the answer is empty", "回答为空"),
    "row_history": ("its history is not a list of question and answer pairs", "历史不是问答对的列表"),
    "row_tool": ('the role "{role}" cannot be trained', "角色“{role}”不能用于训练"),
    "row_role": ('nobody is known as "{role}"', "不认识角色“{role}”"),
    "row_media": ("it holds a picture or sound", "含有图片或声音"),
    "row_cell": ("a cell shows the error {cell}", "单元格显示错误 {cell}"),
    "row_quote": ("a double quote in it is not closed, or not written twice", "其中的双引号没有成对，或没有写成两个"),
    "row_not_json": ("it is not JSON: {why}", "不是 JSON：{why}"),
    "row_rest": ("what stands from line {line} on could not be read", "第 {line} 行之后的内容无法读取"),
}
"""Why a row is left out, in English and Chinese."""

CHANGES = {
    "encoding": (
        "The file is written in {what}; the data set will be in UTF-8.",
        "文件编码为 {what}，数据集将使用 UTF-8。",
    ),
    "damaged": (
        "Characters that are damaged in the file and shown as \ufffd: {number}.",
        "文件中有 {number} 个损坏的字符，显示为 \ufffd。",
    ),
    "comments": ("Comments (//) that are dropped: {number}.", "将去掉 {number} 处 // 注释。"),
    "commas": (
        "Commas missing between samples: {number}; read all the same.",
        "样本之间缺少 {number} 个逗号，已照常读取。",
    ),
    "cut": ("The list has no end: the file may have been cut short.", "列表没有结尾：文件可能不完整。"),
    "columns": ("Columns that stay out: {what}.", "不导入的列：{what}。"),
    "roles": ("Roles that are renamed: {what}.", "将重命名角色：{what}。"),
    "system": (
        "System texts that become the first turn: {number}.",
        "将把 {number} 处系统提示移到最前，作为第一轮。",
    ),
    "serialized": (
        "Values that were objects, lists or numbers and become JSON text: {number}.",
        "{number} 个值是对象、列表或数字，将转为 JSON 文本。",
    ),
    "parts": ("Texts in several parts that are joined: {number}.", "将把 {number} 段分开的文字连接起来。"),
    "unquoted": (
        "Cells that lose the apostrophe that guards a spreadsheet from formulas: {number}.",
        "将去掉 {number} 个单元格开头用于防止公式执行的单引号。",
    ),
    "ids": ("Samples without an id that get one: {number}.", "{number} 个样本没有编号，将自动编号。"),
    "ids_taken": ("Ids that stand there twice and get a number: {number}.", "{number} 个编号重复，将加上数字。"),
}
"""What an import changes, in English and Chinese, in the order in which it is said."""

UNITS = {"sample": ("Sample {number}", "第 {number} 个样本"), "line": ("Line {number}", "第 {number} 行")}
UNITS["row"] = ("Row {number}", "第 {number} 行")
FORM_NAMES = {
    "train": "train.json",
    "openai": "OpenAI messages",
    "sharegpt": "ShareGPT",
    "alpaca": "Alpaca",
    "pairs": "query/response",
    "csv": "CSV",
    "excel": "Excel",
}
Rows = Iterator[tuple["Place", Any]]
"""Where a row stands, and its value, or a `RowError` where it cannot be read."""
Notes = Counter[str]
"""Changes: an entry of `CHANGES`, possibly with ":" and what it names, and how often."""


class RowError(ValueError):
    """One row cannot become a sample."""

    def __init__(self, code: str, **values: Any) -> None:
        super().__init__(code)
        self.code = code
        self.values = values


class Place(NamedTuple):
    """Where a row stands: its number from 1, what is counted (`UNITS`), and the sheet or key it is under."""

    number: int
    unit: str = "sample"
    part: str = ""


class Refusal(NamedTuple):
    """A row that is left out."""

    place: Place
    code: str
    values: dict[str, Any]

    def where(self, language: Language) -> str:
        """Its place in words."""
        part = f" ({self.place.part})" if self.place.part else ""
        return UNITS[self.place.unit][language == "zh"].format(number=self.place.number) + part

    def why(self, language: Language) -> str:
        """The reason, as a part of a sentence."""
        values = dict(self.values)
        if "reason" in values:
            values["why"] = json_reason(values.pop("reason"), language, **values)
        return REFUSALS[self.code][language == "zh"].format_map(values)


@dataclass
class Preview:
    """What an import brings, known before anything is taken in.

    Attributes:
        name: the file's name.
        samples: what can be taken in.
        forms: rows by form, a key of `FORM_NAMES`.
        changes: what is changed on the way.
        refused: rows that are left out.
        table: for CSV and Excel, what stands there.
        mapping: for CSV and Excel, which column plays which part of `tables.COLUMNS`.
    """

    name: str
    samples: list[Sample] = field(default_factory=list)
    forms: Counter[str] = field(default_factory=Counter)
    changes: Notes = field(default_factory=Counter)
    refused: list[Refusal] = field(default_factory=list)
    table: Table | None = None
    mapping: dict[str, str] = field(default_factory=dict)

    @property
    def needs_columns(self) -> bool:
        """Whether it is a table of which nobody knows yet where question and answer stand."""
        return self.table is not None and not tables.complete(self.mapping)

    def changed(self, language: Language = "en") -> list[str]:
        """What is changed on the way, as sentences."""
        lines = []
        for code, words in CHANGES.items():
            found = {key: number for key, number in self.changes.items() if key.partition(":")[0] == code}
            named = [(key.partition(":")[2], number) for key, number in found.items()]
            what = ", ".join(f"{name} ({number})" if number > 1 else name for name, number in named)
            if found:
                lines.append(words[language == "zh"].format(number=sum(found.values()), what=what))
        return lines

    def describe(self, language: Language = "en", most: int = 10) -> list[str]:
        """The report as sentences; at most `most` refused rows are spelled out."""
        zh = language == "zh"
        forms = ", ".join(f"{FORM_NAMES[form]} ({number})" for form, number in self.forms.most_common()) or "-"
        lines = [
            f"可导入的样本：{len(self.samples)}，格式：{forms}。"
            if zh
            else f"Samples: {len(self.samples)}, from {forms}."
        ]
        lines += self.changed(language)
        for one in self.refused[:most]:
            where, why = one.where(language), one.why(language)
            lines.append(f"{where}不导入：{why}。" if zh else f"{where} is left out: {why}.")
        if len(self.refused) > most:
            rest = len(self.refused) - most
            lines.append(f"另有 {rest} 处不导入。" if zh else f"Further ones that are left out: {rest}.")
        return lines
