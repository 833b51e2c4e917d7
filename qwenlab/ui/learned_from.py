"""The data that a run learned from: which version it was, and whether the data set has been edited since."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable
from datetime import datetime
from functools import lru_cache
from pathlib import Path

from qwenlab import files
from qwenlab.conversations.dataset import DataSet, shipped, versions
from qwenlab.conversations.sample import Sample
from qwenlab.errors import QwenlabError
from qwenlab.jobs import Job
from qwenlab.training.handover import DATA
from qwenlab.training.recipe import Recipe
from qwenlab.ui.background import Background
from qwenlab.ui.components import NOTHING, Html, escape
from qwenlab.ui.lab import Lab
from qwenlab.ui.texts import Translator

SHOWN_DIGITS = 6


def fingerprint(path: Path) -> str:
    """The SHA-256 of a file in hexadecimal digits, read again only when it was written; "" when it is not there."""
    try:
        return _sha256(path, path.stat().st_mtime_ns)
    except OSError:
        return ""


@lru_cache(maxsize=64)
def _sha256(path: Path, _changed: int) -> str:
    return files.sha256(path)


class LearnedFrom:
    """Compares the copies of data sets that runs keep with the data sets as they are now."""

    def __init__(self, lab: Lab) -> None:
        self.lab = lab
        self._comparing = Background()
        self._known: dict[object, int] = {}

    def line(self, job: Job, recipe: Recipe, t: Translator) -> Html:
        """Name and version of the data, and how many samples differ from them now."""
        digest = fingerprint(job.folder / DATA)
        if not digest:
            return NOTHING
        now = self._now(Path(recipe.data))
        name = now.name.removesuffix(".json").removesuffix(".train")
        version = t("train_version", version=digest[:SHOWN_DIGITS])
        if kept := next((path for path in versions(now) if path.name.endswith(f"-{digest[:12]}.json")), None):
            at = f"{datetime.fromtimestamp(kept.stat().st_mtime):%Y-%m-%d %H:%M}"
            version = t("train_version_kept", version=digest[:SHOWN_DIGITS], at=at)
        since = self._since(job, digest, now, t)
        return Html(f'<p class="quiet">{escape(t("train_learned_from", name=name, version=version, since=since))}</p>')

    def _now(self, path: Path) -> Path:
        """Where the data set is edited now: a shipped one's copy, once there is one."""
        copy = self.lab.workspace.data / path.name
        return copy if shipped(path) and copy.exists() else path

    def _since(self, job: Job, digest: str, now: Path, t: Translator) -> str:
        document = self.lab.document() if self.lab.dataset_path() == now else None
        if not now.exists():
            return t("train_data_gone")
        if fingerprint(now) == digest and not (document and document.edited):
            return t("train_data_same")
        state = (digest, fingerprint(now), document.revision if document else -1)
        if state not in self._known:

            def work(_: object) -> None:
                read = document.samples if document else DataSet.open(now).samples
                self._known[state] = differing(DataSet.open(job.folder / DATA).samples, list(read))

            task = self._comparing.look(state, work)
            if isinstance(task.error, QwenlabError):
                return task.error.say(t.language)[0]
            return t("train_data_edited")
        number = self._known[state]
        return t("train_data_differs", number=f"{number:,}") if number else t("train_data_same_samples")


def differing(before: Iterable[Sample], now: Iterable[Sample]) -> int:
    """How many samples were changed, added or taken out; one that was changed counts once."""
    was, is_ = (Counter(json.dumps(one.raw, sort_keys=True) for one in samples) for samples in (before, now))
    return max((was - is_).total(), (is_ - was).total())
