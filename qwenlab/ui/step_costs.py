"""How long each step will take on this computer: as it took here before, else as it took on ours."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path

from qwenlab.conversations.document import Document
from qwenlab.errors import QwenlabError
from qwenlab.jobs import Job
from qwenlab.models import catalogue
from qwenlab.models import folder as model_folder
from qwenlab.training import recipe as recipes
from qwenlab.training import rough
from qwenlab.training.estimate import Machine
from qwenlab.training.forecast import Forecast, forecast, pace
from qwenlab.training.runs import Progress
from qwenlab.ui import ladder, room
from qwenlab.ui.lineage import Tested
from qwenlab.workspace import Workspace

ANSWER = 0.75
EXPORT = 83.0
"""Seconds for one answer, and for merging and quantizing, with Qwen2.5-Coder-0.5B: the demo in README, on 2 cores."""
REFERENCE_BYTES = 988e6
"""Weights of that model; the time of others is taken to grow with theirs. smollm2-135m took 0.42 s and 31 s."""


class TrainingCost:
    """What training the open data set would take; counted again only after an edit or a new run."""

    def __init__(self, workspace: Workspace, look: Callable[[Job], Progress]) -> None:
        self.workspace, self.look = workspace, look
        self._known: tuple[object, Forecast] | None = None

    def of(self, document: Document, model: str, newest: str) -> Forecast | None:
        """The forecast of the recommended recipe; None when the model is not here or cannot be judged.

        Args:
            newest: how the newest run stands; its speed is taken where it tells one.
        """
        key = (document.dataset.path, document.revision, model, newest)
        if self._known is None or self._known[0] != key:
            try:
                config = model_folder.read_config(catalogue.locate(self.workspace, model))
                machine = Machine.here()
                speed = pace(self.workspace, model, machine, self.look)
                with document.lock:
                    samples = list(document.samples)
                recipe = recipes.read({"model": model, **recipes.recommended(model)})
                self._known = (key, forecast(recipe, rough.lengths(samples), config, machine, speed))
            except QwenlabError:
                return None
        return self._known[1]


def loading(workspace: Workspace, model: str) -> float:
    """Seconds until base and adapter can answer for the first time."""
    return room.START_SECONDS + _bytes(workspace, model) / room.READ_BYTES_PER_SECOND


def testing(workspace: Workspace, model: str, cases: int, tests: Iterable[Tested]) -> float:
    """Seconds for base and adapter to answer so many cases."""
    for test in tests:
        told = [
            one.seconds / one.cases
            for one in test.asked
            if one.cases and Path(one.about.get("model", "")).name == Path(model).name
        ]
        if told:
            return 2 * cases * sum(told) / len(told)
    return 2 * cases * ANSWER * _bytes(workspace, model) / REFERENCE_BYTES


def exporting(workspace: Workspace, model: str) -> float:
    """Seconds to merge and to quantize."""
    took: dict[str, float] = {}
    for job in ladder.export_jobs(workspace):
        verb, _ = ladder.verb_of(job)
        if verb in ("merge", "quantize") and verb not in took and job.state() == "finished":
            took[verb] = (job.folder / "done.json").stat().st_mtime - ladder.started(job)
    return sum(took.values()) if len(took) == 2 else EXPORT * _bytes(workspace, model) / REFERENCE_BYTES


def _bytes(workspace: Workspace, model: str) -> float:
    try:
        return model_folder.bytes_on_disk(catalogue.locate(workspace, model))
    except QwenlabError:
        return REFERENCE_BYTES
