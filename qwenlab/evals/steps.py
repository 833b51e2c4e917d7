"""The way of a model from base to adapter, merged and int4: what each step fixed, and what it broke."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from qwenlab.evals.compare import Verdict
from qwenlab.evals.result import ContestantResult, Result

STAGES = ("base", "adapter", "merged", "int4")
_EXPORTED = {"-merged": "merged", "-int4": "int4", "-gptq-int4": "int4"}
"""How the folders of exports end; a run that trained all weights has no adapter, its folder says whose it is."""


@dataclass(frozen=True)
class Step:
    """From one artefact to the next.

    Attributes:
        before, after: names of the two contestants. stage: what `after` is, one of STAGES.
        right_before, right_after: cases that passed, with every answer to them, of `verdict.n`.
        broken, fixed: ids of the cases of which that changed, in the order of the suite.
        verdict: the paired verdict on passing.
    """

    before: str
    after: str
    stage: str
    right_before: int
    right_after: int
    broken: tuple[str, ...]
    fixed: tuple[str, ...]
    verdict: Verdict


def steps(result: Result) -> list[Step]:
    """The steps between the artefacts of one model, leaked cases left out; none where they are not of one model.

    Only complete contestants that answer freely count. Two of the same stage, such as two adapters, are rivals and no
    steps.
    """
    free = [one for one in result.contestants if one.complete and not one.enforced_for]
    found = [(stage(one.describe, one.name), one) for one in free]
    named = sorted(((STAGES.index(name), one) for name, one in found if name), key=lambda item: item[0])
    order = [place for place, _ in named]
    if len(set(order)) != len(order) or not _of_one_model([one for _, one in named]):
        return []
    return [
        _step(result, before, after, STAGES[place])
        for (_, before), (place, after) in zip(named, named[1:], strict=False)
    ]


def stage(describe: Mapping[str, str], name: str = "") -> str:
    """What a contestant is, one of STAGES; "" for an endpoint and for what is not known.

    Args:
        describe: as its result says it. name: a name of STAGES decides where the description does not.
    """
    kind = describe.get("kind", "")
    if kind == "adapter":
        return "adapter"
    if kind in ("gguf", "gptq"):
        return "int4"
    ending = _ending(describe)
    if ending:
        return _EXPORTED[ending]
    if name in STAGES:
        return name
    if kind == "model":
        return "adapter" if _run(describe) else "base"
    return ""


def _step(result: Result, before: ContestantResult, after: ContestantResult, reached: str) -> Step:
    left, right = (
        {case: passed for case, passed in one.right.items() if case not in result.leaked} for one in (before, after)
    )
    return Step(
        before=before.name,
        after=after.name,
        stage=reached,
        right_before=sum(passed is True for passed in left.values()),
        right_after=sum(passed is True for passed in right.values()),
        broken=tuple(case for case, passed in left.items() if passed and right[case] is False),
        fixed=tuple(case for case, passed in left.items() if passed is False and right[case]),
        verdict=result.verdict(before, after),
    )


def _of_one_model(contestants: list[ContestantResult]) -> bool:
    """Whether nothing says that they are of different models: base weights and run, where they are known."""
    bases = {
        one.describe["weights"]
        for one in contestants
        if stage(one.describe, one.name) in ("base", "adapter")
        and "weights" in one.describe
        and ("adapter" in one.describe or not _run(one.describe))  # a run that trained all weights has its own
    }
    made_by = {run for one in contestants if (run := _run(one.describe))}
    return len(bases) <= 1 and len(made_by) <= 1


def _run(describe: Mapping[str, str]) -> str:
    """The run that an adapter or an export is of; "" where its folder does not say."""
    path = Path(describe.get("adapter") or describe.get("path") or describe.get("model", ""))
    near = path.parts[-4:]  # runs/RUN/adapter, runs/RUN/checkpoints/checkpoint-20
    if "runs" in near[:-1]:
        return near[near.index("runs") + 1]
    ending = _ending(describe)
    return _folder(path).removesuffix(ending) if ending else ""


def _ending(describe: Mapping[str, str]) -> str:
    folder = _folder(Path(describe.get("path") or describe.get("model", "")))
    return max((end for end in _EXPORTED if folder.endswith(end)), key=len, default="")


def _folder(path: Path) -> str:
    return path.parent.name if path.suffix == ".gguf" else path.name
