"""qwenlab prove: an export against what it was made from - next tokens, a test suite, and a gate that decides."""

from __future__ import annotations

import argparse
import json
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from qwenlab import files
from qwenlab.commands import test
from qwenlab.commands.console import BELOW, DONE, Console
from qwenlab.commands.scorecard import scorecard
from qwenlab.commands.stopping import stoppable
from qwenlab.errors import QwenlabError
from qwenlab.evals import selection
from qwenlab.evals.result import ANSWERS, SUITE, Result
from qwenlab.evals.suite import Suite, find_suite, load_suite
from qwenlab.export import card, mending, package
from qwenlab.export.prove_closeness import Row
from qwenlab.jobs import Job
from qwenlab.models import catalogue
from qwenlab.models import folder as model_folder
from qwenlab.models.contestant import Message
from qwenlab.training import material, runs
from qwenlab.training.encoding import IGNORED
from qwenlab.training.token_file import FOLDER, TokenFile
from qwenlab.workspace import Workspace

PROOF = "proof"
"""In an export: the suite, and the export's answers to it, so that the scorecard can be checked anywhere."""
MOST_ROWS = 32
"""Held-out conversations that next tokens are compared on."""
LONGEST = 2048
NAMES = {4: "int4", 5: "int5", 8: "int8", 16: "f16"}
"""What a quantized model is called on the scoreboard, by its bits."""


def add_verbs(verbs: Any) -> None:
    """Add `prove`."""
    proving = verbs.add_parser("prove", help="hold an export against what it was made from; exit 1 when it is worse")
    proving.add_argument("folder", type=Path, metavar="DIR")
    proving.add_argument("--suite", required=True, help="a suite's name, folder or file")
    proving.add_argument("--against", type=Path, help="the merged folder it was made from; default: found beside it")
    proving.add_argument("--data", type=Path, help="held-out train.json for the comparison of next tokens")
    proving.add_argument("--language", action="append", choices=("en", "zh"), help="only cases in this language")
    proving.add_argument("--limit", type=int, help="only the first so many cases")
    proving.add_argument("--short", action="store_true", help="ask only the step before and this one")
    proving.add_argument("--without-cases", action="store_true", help="leave cases and answers out of the export")
    proving.add_argument("--json", action="store_true", help="print JSON")
    proving.set_defaults(run=prove)


def prove(chosen: argparse.Namespace, workspace: Workspace, console: Console) -> int:
    """Measure, test, judge, and write it all into the export."""
    folder = chosen.folder.absolute()
    suite = load_suite(find_suite(workspace, chosen.suite))
    about = package.read_manifest(folder)
    if about["kind"] == "adapter":
        raise QwenlabError(
            f"{folder.name} is an adapter alone, which was proven with its run.",
            "Test it as a contestant: BASE+FOLDER.",
            zh=(f"{folder.name} 是单独的适配器，已随训练一起验证。", "可将“基础模型+文件夹”作为测试对象测试。"),
        )
    way = the_way(workspace, folder, about, chosen.against)
    speaks = chosen.language or catalogue.languages(way[0][1].partition("+")[0])
    suite = suite.only(speaks, None, chosen.limit)
    home = console.job.folder if console.job else files.new_folder(workspace.results, suite.name)
    closeness = None
    if about["kind"] != "merged":
        rows = held_out(workspace, about, suite, Path(way[-2][1]), chosen.data)
        closeness = measure_closeness(Path(way[-2][1]), folder, rows, console)
    way, cases = (way[-2:] if chosen.short else way), not chosen.without_cases
    result = ask(workspace, suite, way, home, console)
    if len(way) > 2 and way[-2][0] == "merged":  # the step before is proven by the same answers
        record(workspace, Path(way[-2][1]), result, way[:-1], None, cases)
    return tell(record(workspace, folder, result, way, closeness, cases), console)


def the_way(
    workspace: Workspace, folder: Path, about: Mapping[str, Any], against: Path | None = None
) -> list[tuple[str, str]]:
    """(name, spec) of base, adapter, merged and quantized model as far as they are still there; `folder` is the last.

    Raises:
        QwenlabError: when what it was made from is gone.
    """
    found: list[tuple[str, str]] = []
    adapter = str(about.get("trained") or about.get("run") or "")
    run = adapter.partition("/")[0]
    if run and (workspace.runs / run / "recipe.json").exists():
        model = runs.recipe_of(Job(workspace.runs / run)).model
        found = [("base", model), ("adapter", f"{model}+{adapter}")]
    if about["kind"] == "merged":
        found.append(("merged", str(folder)))
    else:
        merged = _merged(workspace, folder, about, against)
        found += [("merged", str(merged))] if merged else []
        found.append((NAMES.get(int(about.get("bits") or 0), "small"), str(folder)))
    if len(found) < 2 or (about["kind"] != "merged" and found[-2][0] != "merged"):
        made_from = str(about.get("made_from") or adapter)
        raise QwenlabError(
            f"What {folder.name} was made from ({made_from}) is not here, so there is nothing to hold it against.",
            "Name the merged folder with --against, or make the export again.",
            zh=(
                f"找不到生成 {folder.name} 所用的 {made_from}，无法比较。",
                "请用 --against 指定合并后的文件夹，或重新导出。",
            ),
        )
    return found


def _merged(workspace: Workspace, folder: Path, about: Mapping[str, Any], against: Path | None) -> Path | None:
    """The model folder with exactly the weights that an export was quantized from."""
    name = str(about.get("made_from", ""))
    for path in [against] if against else [folder.with_name(name), workspace.exports / name]:
        if not (path / "config.json").exists():
            continue
        if model_folder.fingerprints(path)["weights"] == about.get("made_from_weights"):
            return path.absolute()
        if against:
            raise QwenlabError(
                f"{folder.name} was not made from {against}: the weights are others.",
                "Name the folder it was made from, or quantize again.",
                zh=(f"{folder.name} 不是由 {against} 生成的：权重不同。", "请指定它的来源文件夹，或重新量化。"),
            )
    return None


# --- how near the next token is --------------------------------------------------------------------------


def held_out(
    workspace: Workspace, about: Mapping[str, Any], suite: Suite, merged: Path, data: Path | None
) -> list[Row]:
    """Conversations that training has not seen: given ones, else the run's validation samples, else the suite's cases
    with the answers that are wanted."""
    run = workspace.runs / str(about.get("run") or "-")
    found: list[Row] = []
    if not data and (tokens := TokenFile.find(run / FOLDER)):
        kept = material.divide(len(tokens), runs.recipe_of(Job(run)))[1][:MOST_ROWS]
        found = [Row.of(tokens[at].ids, [label != IGNORED for label in tokens[at].labels]) for at in kept]
    if not found:
        found = _rendered(merged, _conversations(suite, data))
    return [row for row in found if row.at and len(row.ids) <= LONGEST]


def _conversations(suite: Suite, data: Path | None) -> list[list[Message]]:
    if data:
        from qwenlab.conversations.dataset import DataSet

        samples = [one for one in DataSet.open(data).samples if not one.broken() and one.turns]
        return [one.to_messages() for one in samples[:: max(1, len(samples) // MOST_ROWS)][:MOST_ROWS]]
    found = []
    for case in suite.cases[:: max(1, len(suite.cases) // MOST_ROWS)][:MOST_ROWS]:
        wanted = case.expected if isinstance(case.expected, str) else json.dumps(case.expected, ensure_ascii=False)
        found.append([*case.messages(suite), Message(role="assistant", content=wanted)])
    return found


def _rendered(merged: Path, conversations: Sequence[list[Message]]) -> list[Row]:
    from qwenlab.models import loading, rendering

    tokenizer, found = loading.load_tokenizer(merged), []
    for messages in conversations:
        parts = rendering.pieces(tokenizer, messages)
        ids = [token for part in parts for token in part.ids]
        found.append(Row.of(ids, [part.answer for part in parts for _ in part.ids]))
    return found


def measure_closeness(merged: Path, folder: Path, rows: Sequence[Row], console: Console) -> dict[str, Any] | None:
    """See `export.prove_closeness`; None without rows."""
    if not rows:
        return None
    with tempfile.TemporaryDirectory() as scratch, stoppable(console.job):
        path = Path(scratch) / "rows.json"
        files.write_json(path, [vars(row) for row in rows])

        def show(done: float) -> None:
            console.progress("comparing next tokens", done)

        return package.run_fresh("qwenlab.export.prove_closeness", str(merged), str(folder), str(path), progress=show)


# --- the suite, and what it decides ----------------------------------------------------------------------


def ask(workspace: Workspace, suite: Suite, way: Sequence[tuple[str, str]], home: Path, console: Console) -> Result:
    """Let everyone on the way answer the suite.

    Raises:
        QwenlabError: when it was stopped before all had answered.
    """
    specs = [spec for _, spec in way]
    trained = test.training_data(workspace, specs)
    deciding = selection.used(suite, test.runs_of(workspace, specs))
    found = test.run_contestants(workspace, suite, way, home, trained, console, deciding)
    if not found.complete or len(found.contestants) < len(way):
        raise QwenlabError(
            "The proof was stopped before everyone had answered.",
            "The export is as it was; prove it again.",
            zh=("验证在全部作答之前被停止。", "导出没有变化；请重新验证。"),
        )
    return found


def record(
    workspace: Workspace,
    folder: Path,
    result: Result,
    way: Sequence[tuple[str, str]],
    closeness: Mapping[str, Any] | None,
    cases: bool = True,
) -> dict[str, Any]:
    """Write what was found into the export, and let its name say whether it failed.

    Args:
        way: (name, spec) of who was asked; the last is the export, and the one before what it was made from.
        cases: whether suite, answers and client go with the export.

    Returns:
        The scorecard, with "path" and "remedies" added.
    """
    before, after = way[-2][0], way[-1][0]
    sizes = {name: test.size_of(workspace, spec) for name, spec in way}
    found = scorecard(result, before, after, sizes, closeness)

    def write(export: Path) -> None:
        for name in (card.CLIENT, card.CASE):
            (export / name).unlink(missing_ok=True)
        shutil.rmtree(export / PROOF, ignore_errors=True)
        files.write_json(export / card.SCORECARD, found)
        if not cases:
            return
        (export / PROOF).mkdir()
        for path in (result.folder / SUITE, result.folder / after / ANSWERS):
            shutil.copyfile(path, export / PROOF / path.name)
        files.write_json(export / PROOF / "leaked.json", sorted(result.leaked))
        card.write_client(export, _client_case(result, after))

    plain = folder.name.removesuffix(package.FAILED)
    name = plain if found["passed"] else plain + package.FAILED
    if found["passed"] and name != folder.name and folder.with_name(name).exists():
        name = folder.name  # another export has that place by now
    path = package.revise(folder, write, name)
    remedies = [] if found["passed"] else mending.remedies(package.read_manifest(path))
    return {**found, "path": str(path), "remedies": [vars(one) for one in remedies]}


def _client_case(result: Result, name: str) -> dict[str, Any]:
    """A case that the export answers rightly, with its answer; or else the first, with the one that is wanted."""
    suite, found = result.suite, result.contestant(name)
    right = {one.case_id for one in found.scores if one.passed}
    case = next((one for one in suite.cases if one.id in right), suite.cases[0])
    answer = found.answers[case.id].answer.text.strip()
    value = json.loads(answer) if case.id in right and suite.as_json(case) else answer
    most = suite.settings().max_new_tokens
    return {
        "request": {"messages": case.messages(suite), "temperature": 0, "max_tokens": most},
        "json": suite.as_json(case),
        "expected": value if case.id in right else case.expected,
    }


def tell(found: Mapping[str, Any], console: Console) -> int:
    """Print a proof; returns the exit code."""
    lines = [found["sentence"]["en"], *found["details"]["en"]]
    if not found["passed"]:
        lines.append(f"It is kept as {found['path']}.")
        lines += [f"Try: {one['words'][0]}." for one in found["remedies"]]
    console.result(dict(found), "\n".join(lines))
    return DONE if found["passed"] else BELOW
