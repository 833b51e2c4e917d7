"""Cases that a contestant knows from its training data: exactly, nearly, or because they were sent there."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

from qwenlab import files
from qwenlab.conversations.dataset import DataSet
from qwenlab.conversations.overlap import Questions, is_short
from qwenlab.conversations.sample import Sample
from qwenlab.evals import burned
from qwenlab.evals.suite_model import Case, Suite
from qwenlab.evals.words import Language
from qwenlab.workspace import Workspace

LEAKS = "leaks.json"
"""In a result's folder: what each contestant knows from training."""


@dataclass(frozen=True)
class Leak:
    """A case that a contestant knows.

    Attributes:
        case: its id. sample: id of the training sample.
        how: "exact" or "near": its question stands there (see `overlap.Questions`); "burned": it was sent to the
            training data, whatever its question says there now.
    """

    case: str
    sample: str
    how: Literal["exact", "near", "burned"]


def leaked(suite: Suite, training_texts: Iterable[str]) -> set[str]:
    """Ids of the cases whose question also stands in the training data (see `overlap.Questions`).

    Args:
        training_texts: what the model was trained to answer: the user turns of the training samples.
    """
    questions = Questions(_last_questions(suite))
    return {case for text in training_texts for case in questions.inside(text)}


def find(suite: Suite, samples: Iterable[Sample]) -> list[Leak]:
    """The cases whose question stands in training samples, each once, in the order of the suite.

    The last question of a dialogue says little when it is short ("and then?"): there the user's turns are looked for
    together.
    """
    single, whole = Questions(_last_questions(suite)), Questions(_dialogues(suite))
    found: dict[str, Leak] = {}
    for sample in samples:
        asked = [turn.text for turn in sample.turns if turn.role == "user"]
        looks = [(single, text) for text in asked] + ([(whole, "\n".join(asked))] if len(asked) > 1 else [])
        for questions, text in looks:
            exact = set(questions.same(text))
            for case in questions.inside(text):
                if case not in found or (case in exact and found[case].how == "near"):
                    found[case] = Leak(case, sample.id, "exact" if case in exact else "near")
    return [found[case.id] for case in suite.cases if case.id in found]


def of_runs(workspace: Workspace, suite: Suite, runs: Iterable[Path]) -> list[Leak]:
    """What a contestant knows that comes from these runs, from the training data that each of them kept."""
    found: dict[str, Leak] = {}
    for run in runs:
        if not (run / "data.json").exists():
            continue
        samples = DataSet.open(run / "data.json").samples
        sent = burned.in_run(workspace, suite, run, {sample.id for sample in samples})
        for leak in (*find(suite, samples), *(Leak(case, sample, "burned") for case, sample in sent.items())):
            found.setdefault(leak.case, leak)
    return [found[case.id] for case in suite.cases if case.id in found]


def remember(folder: Path, known: Mapping[str, Sequence[Leak]]) -> None:
    """Note in a result's folder what its contestants know; what is noted of others stays."""
    before = files.read_json(folder / LEAKS) if (folder / LEAKS).exists() else {}
    now = {name: [asdict(leak) for leak in leaks] for name, leaks in known.items()}
    if before | now != before or not (folder / LEAKS).exists():
        files.write_json(folder / LEAKS, before | now)


def recall(folder: Path) -> dict[str, list[Leak]]:
    """What the contestants of a result know, by name; empty for results of older versions."""
    if not (folder / LEAKS).exists():
        return {}
    return {name: [Leak(**leak) for leak in leaks] for name, leaks in files.read_json(folder / LEAKS).items()}


_SENTENCE: dict[str, dict[Language, str]] = {
    "exact": {
        "en": "{name} was trained on this very question ({sample}).",
        "zh": "{name} 训练时见过这个问题（{sample}）。",
    },
    "near": {
        "en": "{name} was trained on nearly the same question ({sample}).",
        "zh": "{name} 训练时见过几乎相同的问题（{sample}）。",
    },
    "burned": {
        "en": "This case was sent to the training data of {name} ({sample}).",
        "zh": "此用例已加入 {name} 的训练数据（{sample}）。",
    },
}


def sentence(leak: Leak, name: str, language: Language) -> str:
    """How a contestant knows a case."""
    return _SENTENCE[leak.how][language].format(name=name, sample=leak.sample or "-")


def _last_questions(suite: Suite) -> Iterable[tuple[str, str]]:
    return ((case.id, case.question) for case in suite.cases if not (_asked_before(case) and is_short(case.question)))


def _dialogues(suite: Suite) -> Iterable[tuple[str, str]]:
    return ((case.id, "\n".join([*_asked_before(case), case.question])) for case in suite.cases if _asked_before(case))


def _asked_before(case: Case) -> list[str]:
    return [turn.content for turn in (case.history or [])[:-1] if turn.role == "user"]
