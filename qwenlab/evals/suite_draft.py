"""A new suite from a data set: samples held out of training, the schema inferred, a rule proposed for each field."""

from __future__ import annotations

import json
import re
import shutil
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from qwenlab import files
from qwenlab.conversations.document import Document
from qwenlab.conversations.facts import Facts
from qwenlab.conversations.journal import Change
from qwenlab.conversations.sample import Sample
from qwenlab.errors import QwenlabError
from qwenlab.evals import audit, hold_out, rule_proposals
from qwenlab.evals.bilingual import Words
from qwenlab.evals.hold_out import Answered
from qwenlab.evals.rule_proposals import Proposal
from qwenlab.evals.schema_inference import observe, schema_of
from qwenlab.evals.suite import suite_from
from qwenlab.evals.suite_model import Suite
from qwenlab.evals.yaml_text import flow
from qwenlab.models.contestant import Message
from qwenlab.workspace import Workspace

SUITE, CASES, SCHEMA = "suite.yaml", "cases.jsonl", "schema.json"
HELD_OUT = 40
"""Cases to hold out unless a person says otherwise."""
_NAME = re.compile(r"\w[\w.+ -]{0,63}")
_ROOM, _STEP = 1.5, 32


@dataclass(frozen=True)
class Draft:
    """A suite that is not on disk yet.

    Attributes:
        name: of the suite. content: as `suite_from` takes it. held: position and sample that leave the data set.
        proposals: the rules with their reasons; empty for a text suite.
        answers: JSON answers from which schema and rules were told. attached: whether the schema is the data set's own.
        left: samples that stay for training. remarks: what a person should look at.
    """

    name: str
    content: dict[str, Any]
    held: tuple[tuple[int, Sample], ...]
    proposals: tuple[Proposal, ...]
    answers: int
    attached: bool
    left: int
    remarks: tuple[Words, ...] = ()

    @property
    def suite(self) -> Suite:
        """The suite itself."""
        return suite_from(self.content, self.name)


@dataclass(frozen=True)
class Begun:
    """A suite that was written: its folder, and the data set its cases left, as it is now."""

    draft: Draft
    folder: Path
    data: Path
    saved: bool


def draft(
    name: str,
    samples: Sequence[Sample],
    facts: Sequence[Facts],
    count: int = HELD_OUT,
    seed: int = 0,
    schema: Mapping[str, Any] | None = None,
) -> Draft:
    """Make a suite from about `count` samples; the same seed chooses the same ones.

    Args:
        facts: of every sample, in the order of the set.
        schema: what the answers must satisfy; None: it is inferred from all JSON answers of the set.

    Raises:
        QwenlabError: when the name cannot be used, or there are not enough samples.
    """
    if not _NAME.fullmatch(name):
        raise QwenlabError(
            f'"{name}" cannot name a suite.',
            "Use letters, digits, dots, dashes and spaces.",
            zh=(f"测试集不能命名为“{name}”。", "请只用文字、数字、点、短横线和空格。"),
        )
    known = hold_out.answered(samples, facts)
    as_json = hold_out.mostly_json(known)
    able = hold_out.fitting(known, schema if as_json else None)
    values = [one.value for one in able if one.is_json] if as_json else []
    chosen = hold_out.choose(able, samples, facts, count, seed)
    system = Counter(_system(one.messages) for one in chosen).most_common(1)[0][0]
    seen = observe(values)
    proposals = rule_proposals.propose(seen) if as_json else []
    content: dict[str, Any] = {"name": name, "system": system}
    spoken = {facts[one.at].language for one in chosen}
    if len(spoken) == 1:
        content["language"] = spoken.pop()
    if as_json:
        content["schema"] = dict(schema) if schema is not None else schema_of(seen)
        content["fields"] = {one.pointer: one.rule for one in proposals}
    content["generation"] = {"max_new_tokens": _room([one.answer for one in able])}
    content["cases"] = _cases(chosen, samples, system, as_json)
    audit.audit(suite_from(content, name), name)
    remarks = _remarks(chosen, len(known) - len(able), count, as_json)
    held = tuple((one.at, samples[one.at]) for one in chosen)
    left = len(samples) - len(held)
    return Draft(name, content, held, tuple(proposals), len(values), as_json and schema is not None, left, remarks)


def begin(workspace: Workspace, document: Document, made: Draft) -> Begun:
    """Write the suite, and take its samples out of the data set in one step that can be undone.

    The data set is saved as a new version (the old one is kept), unless it had unsaved edits before: those are saved by
    whoever made them.

    Raises:
        QwenlabError: when there is a suite of that name, the data set was changed since the draft, or something cannot
            be written. There is no suite then, and the data set is as it was.
    """
    with document.lock:
        folder = workspace.suites / made.name
        if folder.exists() or any(path.stem == made.name for path in workspace.suites.glob(f"{made.name}.*")):
            raise QwenlabError(
                f"There is a suite named {made.name} already.",
                "Choose another name.",
                zh=(f"已有名为 {made.name} 的测试集。", "请换一个名称。"),
            )
        now, edited = document.samples, document.edited
        if any(at >= len(now) or now[at] != sample for at, sample in made.held):
            raise QwenlabError(
                "The data set was changed meanwhile.",
                "Begin the suite again.",
                zh=("数据集在此期间被修改过。", "请重新开始创建测试集。"),
            )
        making = workspace.suites / f".{made.name}.making"
        shutil.rmtree(making, ignore_errors=True)
        for file, text in written(made, document.dataset.path.name).items():
            files.write_text(making / file, text)
        making.rename(folder)
        try:
            document.change([Change(at, now[at], None) for at, _ in sorted(made.held, key=lambda one: -one[0])])
        except BaseException:
            shutil.rmtree(folder)
            raise
        document.seal()
        if not edited:
            document.save()
        every = made.answers == made.left + len(made.held)
        if "schema" in made.content and every and document.schema is None:
            document.satisfy(folder / SUITE)  # one schema from the editor to the score
    return Begun(made, folder, document.dataset.path, not edited)


def written(made: Draft, source: str) -> dict[str, str]:
    """File name -> text of a new suite; `source` names the data set it came from."""
    content = made.content
    lines = [
        f"# {len(content['cases'])} cases that were held out of {source}. Change anything; the page keeps comments.",
        f"name: {flow(made.name)}",
    ]
    if "language" in content:
        lines.append(f"language: {content['language']}")
    if content["system"]:
        lines.append(f"system: {flow(content['system'])}")
    found = {}
    if "schema" in content:
        lines += [f"schema: {SCHEMA}", "fields:"]
        for one in made.proposals:
            lines += [f"  # {one.evidence.en}; {one.reason.en}", f"  {flow(one.pointer)}: {flow(one.rule)}"]
        found[SCHEMA] = json.dumps(content["schema"], ensure_ascii=False, indent=2) + "\n"
    lines += [f"generation: {flow(content['generation'])}", f"cases: {CASES}"]
    found[CASES] = "".join(json.dumps(case, ensure_ascii=False) + "\n" for case in content["cases"])
    return {**found, SUITE: "\n".join(lines) + "\n"}


def _cases(chosen: Sequence[Answered], samples: Sequence[Sample], system: str, as_json: bool) -> list[dict[str, Any]]:
    names: set[str] = set()
    sizes = Counter(one.group for one in chosen)
    found = []
    for number, one in enumerate(chosen, 1):
        sample = samples[one.at]
        name = sample.id.strip()
        name = name if name and name not in names else f"case-{number:04}"
        names.add(name)
        turns = [turn for turn in one.messages if turn["role"] != "system"]
        case: dict[str, Any] = {"id": name}
        case |= {"prompt": turns[0]["content"]} if len(turns) == 1 else {"history": [dict(turn) for turn in turns]}
        if _system(one.messages) != system:
            case["system"] = _system(one.messages)
        is_json = as_json and one.is_json
        case["expected"] = one.value if is_json else one.answer
        if as_json and not is_json:
            case["rule"] = "equals"
        if sample.labels.tags:
            case["tags"] = list(sample.labels.tags)
        if sizes[one.group] > 1:
            case["group"] = f"alike-{one.group}"
        found.append(case)
    return found


def _system(messages: Sequence[Message]) -> str:
    return messages[0]["content"] if messages[0]["role"] == "system" else ""


def _room(answers: Sequence[str]) -> int:
    """Tokens for the longest answer and half as much again; a Chinese character is taken for one, others for a half."""
    longest = max(sum(1.0 if ord(sign) > 0x2E80 else 0.5 for sign in answer) for answer in answers)
    return min(32768, max(64, _STEP * -(-int(longest * _ROOM) // _STEP)))


def _remarks(chosen: Sequence[Answered], misfits: int, count: int, as_json: bool) -> tuple[Words, ...]:
    found = []
    if len(chosen) != count:
        found.append(
            Words(
                f"{len(chosen)} samples were held out instead of {count}: nearly equal ones stay on one side.",
                f"留出了 {len(chosen)} 个样本而不是 {count} 个：几乎相同的样本必须在同一边。",
            )
        )
    if misfits:
        found.append(
            Words(
                f"{misfits} samples break the schema of the data set, or are alike to one that does; they stay there.",
                f"有 {misfits} 个样本不符合数据集的 Schema（或与这样的样本几乎相同），仍留在数据集中。",
            )
        )
    texts = [one for one in chosen if not (as_json and one.is_json)]
    long = sum(len(one.answer) > rule_proposals.LONG_TEXT for one in texts)
    if long:
        found.append(
            Words(
                f"{long} cases expect a long text word for word, which a right answer rarely is: name what it must "
                "contain instead (rule contains).",
                f"有 {long} 个用例要求长文本一字不差，正确的回答也很难做到：请改写必须包含的内容（规则 contains）。",
            )
        )
    return tuple(found)
