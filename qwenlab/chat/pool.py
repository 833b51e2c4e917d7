"""The one place that owns loaded models: each file or folder once, whoever asks, until nobody uses it."""

from __future__ import annotations

import gc
import threading
import time
import weakref
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path
from typing import cast

from qwenlab.chat.gguf_model import GgufModel
from qwenlab.errors import QwenlabError
from qwenlab.models import folder as model_folder
from qwenlab.models import loading
from qwenlab.models.folder import Version
from qwenlab.models.loading import LoadedModel
from qwenlab.models.resident import LOOK_SECONDS, Resident

IDLE_MINUTES = 20.0
"""A model that nobody has asked for so long leaves."""
ROUND_SECONDS = 20.0
"""Between two looks for idle models."""


@dataclass(frozen=True)
class Held:
    """A model in memory.

    Attributes:
        path: its folder or file.
        bytes: the memory it holds.
        busy: whether it is answering.
        idle_seconds: since anybody used it.
    """

    path: Path
    bytes: int
    busy: bool
    idle_seconds: float


class _Place:
    """Where a model is, or is on its way to."""

    def __init__(self, version: Version, now: float) -> None:
        self.version = version
        self.coming: Future[Resident] = Future()
        self.used = now
        self.served = 0
        self.waiting = 0

    @property
    def model(self) -> Resident | None:
        """The model, once it is here."""
        return self.coming.result() if self.coming.done() and not self.coming.exception() else None

    def last_used(self, now: float) -> float:
        """When it was last asked for or computing, in the pool's clock."""
        model = self.model
        if model is None or model.busy or model.served != self.served:
            self.used, self.served = now, model.served if model else 0
        return self.used


class ModelPool:
    """Loaded models by folder or GGUF file. Adapters attach to the base that is already there.

    Args:
        idle_minutes: a model unused for so long leaves.
        clock: seconds, as time.monotonic.
        load: what makes a model of a folder.
    """

    def __init__(
        self,
        idle_minutes: float = IDLE_MINUTES,
        clock: Callable[[], float] = time.monotonic,
        load: Callable[[Path], Resident] = loading.load_to_answer,
    ) -> None:
        self._places: dict[Path, _Place] = {}
        self._lock = threading.Lock()  # two visitors asking for one model load it once
        self._idle_seconds = idle_minutes * 60
        self._clock = clock
        self._load = load
        self._watched = False

    def get(self, folder: Path, cancelled: Callable[[], bool] = lambda: False) -> LoadedModel:
        """The model of that folder, loaded on first use, and again when its files have changed.

        Args:
            cancelled: asked while it loads; True ends the wait, and what was loaded is let go.

        Raises:
            QwenlabError: when it cannot be loaded, or loading was cancelled.
        """
        folder = folder.resolve()
        return cast(LoadedModel, self._get(folder, lambda: self._load(folder), cancelled))

    def gguf(self, path: Path) -> GgufModel:
        """The GGUF file in llama.cpp, which starts at the first answer.

        Raises:
            QwenlabError: when there is no such file.
        """
        path = path.resolve()
        return cast(GgufModel, self._get(path, lambda: GgufModel(path), lambda: False))

    def held(self) -> list[Held]:
        """What is in memory, in the order it came."""
        now = self._clock()
        with self._lock:
            places = list(self._places.items())
        models = [(path, place, place.model) for path, place in places]
        return [
            Held(path, model.bytes, model.busy, now - place.last_used(now))
            for path, place, model in models
            if model is not None and model.bytes
        ]

    def loaded(self) -> list[Path]:
        """Folders and files of the models in memory."""
        return [one.path for one in self.held()]

    def unload(self, path: Path | None = None) -> None:
        """Forget one model, or all; memory is returned when no contestant holds it any more."""
        with self._lock:
            leaving = [path.resolve()] if path is not None else list(self._places)
            gone = [self._places.pop(one) for one in leaving if one in self._places]
        _let_go(gone)

    def leave_idle(self) -> list[Path]:
        """Let those go that nobody has used for long; returns them."""
        now = self._clock()
        with self._lock:
            idle = [one for one, place in self._places.items() if now - place.last_used(now) >= self._idle_seconds]
            gone = [self._places.pop(one) for one in idle]
        _let_go(gone)
        return idle

    def _get(self, path: Path, load: Callable[[], Resident], cancelled: Callable[[], bool]) -> Resident:
        version = model_folder.version(path)
        with self._lock:
            place = self._places.get(path)
            if place is None or place.version != version:
                place = self._places[path] = _Place(version, self._clock())
                threading.Thread(target=_fill, args=(place.coming, load), daemon=True).start()
            place.waiting += 1
            self._watch()
        try:
            return self._await(path, place, cancelled)
        finally:
            with self._lock:
                place.waiting -= 1
                unwanted = place.waiting == 0 and place.model is None
                if unwanted and self._places.get(path) is place:  # it failed, or all who waited have gone
                    del self._places[path]

    def _await(self, path: Path, place: _Place, cancelled: Callable[[], bool]) -> Resident:
        while not place.coming.done():
            if cancelled():
                raise QwenlabError(
                    f"Loading {path.name} was cancelled.",
                    "Ask again to load it.",
                    zh=(f"已取消加载 {path.name}。", "再次提问即可加载。"),
                )
            try:
                place.coming.exception(timeout=LOOK_SECONDS)
            except TimeoutError:
                continue
        place.used = self._clock()
        return place.coming.result()

    def _watch(self) -> None:
        """Begin to look for idle models; ends by itself when nobody holds this pool any more."""
        if not self._watched:
            self._watched = True
            threading.Thread(target=_rounds, args=(weakref.ref(self),), daemon=True).start()


def _fill(coming: Future[Resident], load: Callable[[], Resident]) -> None:
    try:
        coming.set_result(load())
    except BaseException as error:  # raised again where it is waited for
        coming.set_exception(error)


def _let_go(places: list[_Place]) -> None:
    """Close and forget; the list is emptied, so that the collector finds nobody holding the weights."""
    if not places:
        return
    while places:
        model = places.pop().model
        if model is not None:
            model.close()
    model = None
    gc.collect()


def _rounds(pool: weakref.ref[ModelPool]) -> None:
    while (alive := pool()) is not None:
        alive.leave_idle()
        del alive
        time.sleep(ROUND_SECONDS)
