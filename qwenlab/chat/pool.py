"""The one place that owns loaded models: each base once, whoever asks."""

from __future__ import annotations

import threading
from pathlib import Path

from qwenlab.models import loading
from qwenlab.models.loading import LoadedModel


class ModelPool:
    """Loaded base models by folder. Adapters attach to the base that is already there."""

    def __init__(self) -> None:
        self._loaded: dict[Path, LoadedModel] = {}
        self._lock = threading.Lock()  # two visitors asking for one model load it once

    def get(self, folder: Path) -> LoadedModel:
        """The model of that folder, loaded on first use.

        Raises:
            QwenlabError: when it cannot be loaded.
        """
        folder = folder.resolve()
        with self._lock:
            if folder not in self._loaded:
                self._loaded[folder] = loading.load(folder)
            return self._loaded[folder]

    def loaded(self) -> list[Path]:
        """Folders of the models in memory."""
        return list(self._loaded)

    def unload(self) -> None:
        """Forget all models; memory is returned when no contestant holds one any more."""
        with self._lock:
            self._loaded.clear()
        import gc

        gc.collect()
