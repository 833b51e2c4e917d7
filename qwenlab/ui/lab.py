"""What one running lab knows, apart from any page: the workspace, what is chosen, what is open."""

from __future__ import annotations

import json
import threading
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path

from qwenlab import files
from qwenlab.conversations.dataset import data_sets
from qwenlab.conversations.document import Document
from qwenlab.jobs import Job
from qwenlab.models import catalogue
from qwenlab.ui.counted import Counted
from qwenlab.workspace import Workspace


@dataclass(frozen=True)
class Choices:
    """What the person works with; the header shows it, and it is kept across restarts.

    Attributes:
        dataset: path of the data set, or "" for the first there is.
        model: name in the catalogue or path of a model folder.
        suite: path or name of the test suite, or "".
    """

    dataset: str = ""
    model: str = ""
    suite: str = ""


@dataclass
class Lab:
    """Shared by all tabs, both languages and all browser windows; knows no Gradio.

    Attributes:
        workspace: where everything lives.
        model: the model to begin with, from the command line.
        listen: whether other machines may reach the page.
        counted: how long the samples of the open data set are.
    """

    workspace: Workspace
    model: str = ""
    listen: bool = False
    choices: Choices = field(init=False)
    counted: Counted = field(init=False, repr=False)
    _documents: list[Document] = field(default_factory=list, repr=False)
    _lock: threading.RLock = field(default_factory=threading.RLock, repr=False)

    def __post_init__(self) -> None:
        self.choices = self._read_choices()
        self.counted = Counted(self.workspace)
        if self.model:
            self.choices = replace(self.choices, model=self.model)

    def choose(self, **changes: str) -> None:
        """Change what is chosen (dataset, model, suite) and remember it."""
        with self._lock:
            self.choices = replace(self.choices, **changes)
            files.write_json(self._choices_file, asdict(self.choices))

    def model_name(self) -> str:
        """The chosen model, or the catalogue's default."""
        return self.choices.model or catalogue.DEFAULT

    def data_sets(self) -> list[Path]:
        """All data sets that can be opened by name."""
        return data_sets(self.workspace)

    def dataset_path(self) -> Path | None:
        """The chosen data set, or the first there is; None when there is none."""
        chosen = Path(self.choices.dataset) if self.choices.dataset else None
        known = self.data_sets()
        if chosen is not None and chosen.exists():
            # Once a shipped set has an edited copy, the copy is what the person means.
            copy = self.workspace.data / chosen.name
            return copy if copy in known and chosen not in known and copy.exists() else chosen
        return known[0] if known else None

    def document(self, path: Path | None = None) -> Document | None:
        """The open data set, with its unsaved edits and history; read again when another program changed it.

        Raises:
            DataError: when the file cannot be read.
        """
        path = path or self.dataset_path()
        if path is None:
            return None
        with self._lock:
            found = self._open_at(path)
            if found is not None and found.outdated():
                found.close()
                self._documents.remove(found)
                found = None
            if found is None:
                found = Document.open(path, self.workspace)
                self._documents.append(found)
            return found

    def saved_as(self, document: Document) -> None:
        """Choose `document` at the path it moved to, as a shipped set does at its first edit."""
        self.choose(dataset=str(document.dataset.path))

    def forget(self, path: Path) -> None:
        """Drop the unsaved edits of a data set; the next `document` reads the file again."""
        with self._lock:
            found = self._open_at(path)
            if found is not None:
                found.discard()
                self._documents.remove(found)

    def _open_at(self, path: Path) -> Document | None:
        """The open data set whose file this is now; the one that moved there last, when there are two."""
        return next((found for found in reversed(self._documents) if found.dataset.path == path), None)

    def runs(self) -> list[Job]:
        """All training runs, newest first."""
        found = [Job(path.parent) for path in self.workspace.runs.glob("*/job.json")]
        return sorted(found, key=lambda job: (job.folder / "job.json").stat().st_mtime, reverse=True)

    @property
    def _choices_file(self) -> Path:
        return self.workspace.root / "choices.json"

    def _read_choices(self) -> Choices:
        try:
            known = json.loads(self._choices_file.read_text(encoding="utf-8"))
            names = {one.name for one in fields(Choices)}
            return Choices(**{key: str(value) for key, value in known.items() if key in names})
        except (OSError, ValueError, AttributeError):
            return Choices()
