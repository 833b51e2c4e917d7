"""Tokens of the open data set for the chosen model, counted in a thread once for all tabs and windows."""

from __future__ import annotations

import sys
from typing import Any

from qwenlab.conversations.document import Document
from qwenlab.training import preview
from qwenlab.training.estimate import Machine
from qwenlab.training.preview import Lengths
from qwenlab.ui.background import Background, Progress, Task
from qwenlab.workspace import Workspace


class Counted:
    """Counts the data set that is looked at, in all languages and without a limit, and what it would train on."""

    def __init__(self, workspace: Workspace) -> None:
        self.workspace = workspace
        self._loading = Background()
        self._counting = Background()
        self._known: preview.Known = {}
        self._known_for: Any = None
        self._machine: Machine | None = None

    def tokenizer(self, model: str) -> Any:
        """The tokenizer of a model; None while it is being read.

        Raises:
            QwenlabError: when the model is not here or its tokenizer is broken.
        """
        if preview.is_loaded(self.workspace, model):
            return preview.tokenizer_for(self.workspace, model)
        key = preview.tokenizer_key(self.workspace, model)
        task = self._loading.look(key, lambda _: preview.tokenizer_for(self.workspace, model))
        if task.error is not None:
            raise task.error
        return task.result

    def look(self, document: Document, model: str) -> tuple[Lengths, Machine] | Task | None:
        """The lengths of a data set and what would train on them; before that, how far it is; None before it began.

        Raises:
            QwenlabError: as `tokenizer`, or when the samples cannot be counted.
        """
        tokenizer = self.tokenizer(model)
        if tokenizer is None:
            return None
        key = (document.dataset.path, document.revision, id(document), id(tokenizer))
        task = self._counting.look(key, lambda progress: self._count(document, tokenizer, progress))
        if task.error is not None:
            raise task.error
        return task.result if task.finished else task

    def _count(self, document: Document, tokenizer: Any, progress: Progress) -> tuple[Lengths, Machine]:
        with document.lock:
            samples = list(document.samples)
        if self._known_for is not tokenizer:
            self._known, self._known_for = {}, tokenizer
        if self._machine is None:
            self._machine = Machine.measured()
        return preview.lengths(samples, tokenizer, sys.maxsize, progress, known=self._known), self._machine
