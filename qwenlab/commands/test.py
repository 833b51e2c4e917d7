"""qwenlab test and qwenlab score: run a suite on contestants, or score answers that are there already."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Collection, Sequence
from pathlib import Path
from typing import Any

from qwenlab import files
from qwenlab.commands import test_running
from qwenlab.commands.console import BELOW, DONE, FAILED, Console
from qwenlab.commands.models import ensure
from qwenlab.conversations.dataset import DataSet
from qwenlab.errors import QwenlabError
from qwenlab.evals import answers, asked_gates, cost, gates, leaks, report, reports, runner, selection
from qwenlab.evals.compare import sentence
from qwenlab.evals.findings import Findings, gather
from qwenlab.evals.remarks import remarks
from qwenlab.evals.result import ContestantResult, Result
from qwenlab.evals.scoring import CaseScore
from qwenlab.evals.suite import Suite, find_suite, load_suite
from qwenlab.models import catalogue
from qwenlab.models import folder as model_folder
from qwenlab.workspace import Workspace


def add_verbs(verbs: Any) -> None:
    """Add `test` and `score`."""
    testing = verbs.add_parser("test", help="run a suite on contestants; exit 1 when a threshold is missed")
    testing.add_argument("suite", help="a suite's name, folder or file")
    testing.add_argument(
        *("-c", "--contestant"),
        dest="contestants",
        action="append",
        required=True,
        metavar="NAME=SPEC",
        help="base=MODEL, tuned=MODEL+RUN, small=model.gguf or cluster=http://host/v1; several times",
    )
    testing.add_argument("--language", action="append", choices=("en", "zh"), help="only cases in this language")
    testing.add_argument("--tag", action="append", help="only cases with this tag")
    testing.add_argument("--limit", type=int, help="only the first so many cases")
    testing.add_argument(
        "--thinking", action="store_true", help="let models think first whose chat template knows that (Qwen3)"
    )
    testing.add_argument("--trained-on", action="append", type=Path, default=[], help="data set to look for leaks in")
    testing.add_argument(
        "--threshold",
        action="append",
        default=[],
        metavar="MEASURE=RATE",
        help="usable=0.9 for the last contestant, tuned:usable=0.9 for that one; several times",
    )
    testing.add_argument(
        "--not-worse",
        action="append",
        default=[],
        metavar="MEASURES",
        help="exit 1 when surely worse than the first contestant: field_accuracy,usable for the last, tuned:usable for "
        "that one; usable=0.02 wants a loss of more than 2 points excluded",
    )
    testing.add_argument(
        "--report",
        dest="reports",
        metavar="FILE",
        action="append",
        type=Path,
        default=[],
        help="also write a report, by its ending: .html, .md, .csv, .xml (JUnit) or .json; several times",
    )
    testing.add_argument("-o", "--output", type=Path, help="result folder; naming an old one goes on with it")
    test_running.add_flags(testing)
    testing.set_defaults(run=test)
    scoring = verbs.add_parser("score", help="score saved answers without a model")
    scoring.add_argument("suite", help="a suite's name, folder or file")
    scoring.add_argument("--answers", type=Path, required=True, help='JSONL lines {"case": id, "answer": text}')
    scoring.set_defaults(run=score)
    for one in (testing, scoring):
        one.add_argument("--json", action="store_true", help="print JSON")


def test(chosen: argparse.Namespace, workspace: Workspace, console: Console) -> int:
    """Ask every contestant every case, print the scoreboard and the verdicts."""
    suite = load_suite(find_suite(workspace, chosen.suite)).only(chosen.language, chosen.tag, chosen.limit)
    suite = suite.with_thinking() if chosen.thinking else suite
    suite = test_running.repeated(suite, chosen)
    specs = parse_specs(chosen.contestants)
    asked = _gates(chosen, [name for name, _ in specs])
    for path in chosen.reports:
        reports.form_of(path)  # known before hours of answering
    for _, spec in specs:
        if catalogue.entry(spec.partition("+")[0]):
            ensure(workspace, spec.partition("+")[0], console)
    folder = chosen.output or (console.job.folder if console.job else files.new_folder(workspace.results, suite.name))
    trained = [*chosen.trained_on, *training_data(workspace, [spec for _, spec in specs])]
    deciding = selection.used(suite, runs_of(workspace, [spec for _, spec in specs]))
    running = test_running.Running.of(chosen, workspace)
    running.preflight(suite, console)
    found = run_contestants(workspace, suite, specs, folder, trained, console, deciding, running)
    rows = [one.row(_size(workspace, dict(specs), one)) for one in found.contestants]
    lines = [report.scoreboard(rows), *(sentence(verdict, "en") for verdict in found.verdicts())]
    if found.leaked:
        lines.append(
            f"Kept out of these figures: {len(found.leaked)} cases that are also in the training data, or used to "
            "choose the checkpoint."
        )
    lines += remarks(found, "en")
    if any(one.cached for one in found.contestants):
        lines.append("--fresh asks every case anew.")
    asked_gates.remember(folder, asked)
    findings = gather(found, results=workspace.results)
    lines += [gates.sentence(gate, "en") for gate in findings.gates]
    for path in chosen.reports:
        reports.write(findings, path)
        lines.append(f"Report: {path}")
    lines.append(f"Every answer is in {folder}")
    judged = [gate.to_json() for gate in findings.gates]
    console.result({**found.to_json(), "gates": judged, "folder": str(folder)}, "\n".join(lines))
    return _exit_code(findings, {name for name, _ in specs}, console)


def _gates(chosen: argparse.Namespace, names: Sequence[str]) -> list[asked_gates.Asked]:
    """The gates of the command line."""
    written = [asked_gates.threshold(one) for one in chosen.threshold]
    written += [asked for one in chosen.not_worse for asked in asked_gates.not_worse(one)]
    return asked_gates.resolve(written, names)


def _exit_code(findings: Findings, asked: Collection[str], console: Console) -> int:
    """Could not run when a contestant was not asked every case, gave no answer at all, or none that could be judged;
    else what the gates say."""
    contestants = [one for one in findings.result.contestants if one.name in asked]
    silent = [one for one in contestants if one.complete and one.summary.n and one.summary.errors == one.summary.n]
    for one in silent:
        console.say(f"Error: {one.name} gave no answer to any case. {first_error(one)}")
    mute = [one for one in contestants if one.complete and one.summary.unjudged and not one.summary.n]
    for one in mute:
        console.say(f"Error: no answer of {one.name} could be judged. {' '.join(remarks(findings.result, 'en'))}")
    if silent or mute or len(contestants) < len(asked) or not all(one.complete for one in contestants):
        return FAILED
    missed = [gate for gate in findings.gates if not gate.passed]
    if console.machine:
        for gate in missed:
            console.say(gates.sentence(gate, "en"))
    return BELOW if missed else DONE


def first_error(contestant: ContestantResult) -> str:
    """What the first failed answer of a contestant says; "" where none says anything."""
    return next((item.answer.error for item in contestant.answers.values() if item.answer.error), "")


def parse_specs(written: Sequence[str]) -> list[tuple[str, str]]:
    """(name, spec) of every contestant named."""
    from qwenlab.chat import contestants

    return [contestants.parse(one) for one in written]


def run_contestants(
    workspace: Workspace,
    suite: Suite,
    specs: Sequence[tuple[str, str]],
    folder: Path,
    trained_on: Sequence[Path],
    console: Console,
    deciding: Collection[str] = (),
    running: test_running.Running = test_running.PLAIN,
) -> Result:
    """Run each contestant in turn into one result folder; a base stays loaded while its adapters answer.

    Args:
        trained_on: data sets to look for the cases in.
        deciding: ids of cases that chose a contestant's checkpoint; like those they are kept out of the headline.
        running: how endpoints are asked, where known answers are, and whether the schema is enforced as well.

    Raises:
        QwenlabError: when a contestant cannot be loaded.
    """
    from qwenlab.chat import contestants
    from qwenlab.chat.pool import ModelPool

    folder.mkdir(parents=True, exist_ok=True)
    known = {name: leaks.of_runs(workspace, suite, runs_of(workspace, [spec])) for name, spec in specs}
    leaks.remember(folder, known)
    leaked = leaks.leaked(suite, _questions(trained_on)) | set(deciding)
    leaked |= {leak.case for found in known.values() for leak in found}
    pool, last_base = ModelPool(), ""

    stop = console.job.asked_to_stop if console.job else lambda: False
    result: Result | None = None
    for at, (name, spec) in enumerate(specs):
        base = spec.partition("+")[0]
        if base != last_base:
            pool.unload()  # one base in memory at a time
        last_base = base
        contestant = contestants.make(workspace, pool, name, spec, pace=running.pace)
        asked = running.ways(suite, contestant)
        try:
            result = runner.run(suite, asked, folder, _shown(console, at, len(specs)), stop, leaked, running.cache)
        finally:
            for one in asked:
                one.close()
        del contestant, asked, one  # its base must be free before the next one loads
        if stop():
            break
    pool.unload()
    if result is None:
        raise QwenlabError(
            "No contestant was named.",
            "Add --contestant NAME=MODEL.",
            zh=("没有指定测试对象。", "请添加 --contestant 名称=模型。"),
        )
    return result


def _shown(console: Console, at: int, contestants: int) -> Callable[[runner.Progress], None]:
    """Shows the progress of the contestant at place `at` as part of the whole."""

    def show(progress: runner.Progress) -> None:
        console.progress(
            f"testing {progress.contestant}",
            (at + (progress.index + progress.done / max(1, progress.total)) / progress.contestants) / contestants,
            seconds_left=progress.seconds_left,
            contestant=progress.contestant,
            done=progress.done,
            total=progress.total,
            cached=progress.cached,
        )

    return show


def _questions(trained_on: Sequence[Path]) -> list[str]:
    """The user turns of data sets, to look for test cases in."""
    return [
        turn.text
        for path in trained_on
        for sample in DataSet.open(path).samples
        if not sample.broken()
        for turn in sample.turns
        if turn.role == "user"
    ]


def training_data(workspace: Workspace, specs: Sequence[str]) -> list[Path]:
    """The kept training data of every run that a spec names (see `runs_of`)."""
    return [data for run in runs_of(workspace, specs) if (data := run / "data.json").exists()]


def runs_of(workspace: Workspace, specs: Sequence[str]) -> list[Path]:
    """The folder of every run that a spec names: by id or path; an export names its run in its manifest."""
    found = []
    for spec in specs:
        model, _, adapter = spec.partition("+")
        run = _run_holding(workspace, Path(adapter or model)) or adapter.partition("/")[0]
        manifest = Path(model) / "qwenlab-export.json"
        if not run and manifest.exists():
            run = str(files.read_json(manifest).get("run", ""))
        if run and (workspace.runs / run).is_dir():
            found.append(workspace.runs / run)
    return list(dict.fromkeys(found))


def _run_holding(workspace: Workspace, path: Path) -> str:
    """The run whose folder holds the path, as a checkpoint's or that of a fully trained model; "" for none."""
    home, there = workspace.runs.resolve(), path.expanduser().resolve()
    return there.relative_to(home).parts[0] if home in there.parents else ""


def _size(workspace: Workspace, specs: dict[str, str], one: ContestantResult) -> int | None:
    """What a contestant of a result takes on disk; None where this call does not name it."""
    spec = specs.get(one.enforced_for or one.name)
    return None if spec is None else size_of(workspace, spec)


def size_of(workspace: Workspace, spec: str) -> int | None:
    """What a contestant takes on disk, in bytes; None for an endpoint."""
    from qwenlab.models import adapters

    if spec.startswith(("http://", "https://")):
        return None
    model, _, adapter = spec.partition("+")
    named = catalogue.entry(model) or catalogue.is_ready(workspace, model) or catalogue.is_repository(model)
    base = catalogue.locate(workspace, model) if named else Path(model)
    weights = list(base.glob("*.safetensors")) + list(base.glob("*.gguf")) if base.is_dir() else [base]
    size = sum(model_folder.bytes_on_disk(path) for path in weights)
    if adapter:
        size += (adapters.find(workspace, adapter) / "adapter_model.safetensors").stat().st_size
    return size


def score(chosen: argparse.Namespace, workspace: Workspace, console: Console) -> int:
    """Score answers that any system gave."""
    suite = load_suite(find_suite(workspace, chosen.suite))
    scores = answers.score_answers_file(suite, chosen.answers)
    summary = report.summarize(scores)
    cases = [one.to_json() for one in scores]
    lines = [f"{one.case_id}: {_state(one)}" for one in scores]
    lines += ["", report.scoreboard([report.Row(chosen.answers.stem, summary)])]
    lines.append(cost.sentence(chosen.answers.stem, cost.costs(scores), "en"))
    judged = gates.gates(summary, suite, chosen.answers.stem)
    lines += [gates.sentence(gate, "en") for gate in judged]
    value = {"suite": suite.name, "summary": summary.to_json(), "gates": [gate.to_json() for gate in judged]}
    console.result({**value, "cases": cases}, "\n".join(lines))
    if summary.unjudged and not summary.n:
        return FAILED
    return DONE if all(gate.passed for gate in judged) else BELOW


def _state(score: CaseScore) -> str:
    if score.unjudged:
        return f"could not be judged: {score.unjudged.en}"
    return f"{'passed' if score.passed else 'failed'} ({score.rung or 'text'})"
