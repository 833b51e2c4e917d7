"""Who owns loaded models, and when they leave."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from qwenlab.chat.pool import ModelPool
from qwenlab.errors import QwenlabError
from qwenlab.models.resident import Resident


class Weight(Resident):
    """A model of ten bytes."""

    bytes = 10

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self.folder = folder
        self.closed = False

    def close(self) -> None:
        self.closed = True


class Clock:
    """Minutes that pass when told to."""

    def __init__(self) -> None:
        self.minutes = 0.0

    def __call__(self) -> float:
        return self.minutes * 60


@pytest.fixture
def folders(tmp_path: Path) -> list[Path]:
    made = [tmp_path / name for name in ("one", "two")]
    for folder in made:
        folder.mkdir()
        (folder / "config.json").write_text("{}")
    return made


def pool_with(clock: Callable[[], float] = lambda: 0.0, load: Callable[[Path], Any] = Weight) -> ModelPool:
    return ModelPool(idle_minutes=20, clock=clock, load=load)


def test_each_folder_is_loaded_once_whoever_asks(folders: list[Path]) -> None:
    loads: list[Path] = []
    started = threading.Barrier(8)

    def load(folder: Path) -> Weight:
        loads.append(folder)
        return Weight(folder)

    pool = pool_with(load=load)
    found: list[object] = []

    def ask() -> None:
        started.wait()
        found.append(pool.get(folders[0]))

    threads = [threading.Thread(target=ask) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert loads == [folders[0]]
    assert len(found) == 8
    assert len({id(one) for one in found}) == 1


def test_what_is_held_is_said_with_its_bytes(folders: list[Path]) -> None:
    clock = Clock()
    pool = pool_with(clock)
    pool.get(folders[0])
    clock.minutes = 2
    busy = pool.get(folders[1])
    with busy.turn():
        held = pool.held()
    assert [(one.path, one.bytes, one.busy, one.idle_seconds) for one in held] == [
        (folders[0], 10, False, 120.0),
        (folders[1], 10, True, 0.0),
    ]


def test_one_or_all_can_be_unloaded(folders: list[Path]) -> None:
    pool = pool_with()
    first, second = (pool.get(folder) for folder in folders)
    pool.unload(folders[0])
    assert pool.loaded() == [folders[1]]
    assert isinstance(first, Weight)
    assert first.closed
    pool.unload()
    assert pool.loaded() == []
    assert isinstance(second, Weight)
    assert second.closed
    assert pool.get(folders[0]) is not first


def test_idle_models_leave_and_used_ones_stay(folders: list[Path]) -> None:
    clock = Clock()
    pool = pool_with(clock)
    pool.get(folders[0])
    used = pool.get(folders[1])
    clock.minutes = 19
    assert pool.leave_idle() == []
    with used.turn():
        pass  # it answered, though nobody asked the pool for it
    clock.minutes = 20
    assert pool.leave_idle() == [folders[0]]
    clock.minutes = 39
    assert pool.leave_idle() == []
    clock.minutes = 41
    assert pool.leave_idle() == [folders[1]]


def test_busy_model_does_not_leave(folders: list[Path]) -> None:
    clock = Clock()
    pool = pool_with(clock)
    with pool.get(folders[0]).turn():
        clock.minutes = 60
        assert pool.leave_idle() == []
    clock.minutes = 79
    assert pool.leave_idle() == []
    clock.minutes = 80
    assert pool.leave_idle() == [folders[0]]


def test_cancelled_load_is_said_and_let_go(folders: list[Path]) -> None:
    go_on = threading.Event()
    loaded: list[Weight] = []

    def load(folder: Path) -> Weight:
        go_on.wait(10)
        loaded.append(Weight(folder))
        return loaded[-1]

    pool = pool_with(load=load)
    with pytest.raises(QwenlabError, match="Loading one was cancelled") as caught:
        pool.get(folders[0], cancelled=lambda: True)
    assert caught.value.say("zh")[0] == "已取消加载 one。"
    go_on.set()
    assert pool.get(folders[0]) in loaded
    assert pool.loaded() == [folders[0]]


def test_load_goes_on_for_who_still_waits(folders: list[Path]) -> None:
    go_on = threading.Event()
    asked = threading.Event()

    def load(folder: Path) -> Weight:
        asked.set()
        go_on.wait(10)
        return Weight(folder)

    pool = pool_with(load=load)
    patient: list[object] = []
    waiting = threading.Thread(target=lambda: patient.append(pool.get(folders[0])))
    waiting.start()
    asked.wait(10)
    with pytest.raises(QwenlabError, match="cancelled"):
        pool.get(folders[0], cancelled=lambda: True)
    go_on.set()
    waiting.join(10)
    assert patient == [pool.get(folders[0])]


def test_failed_load_is_tried_again(folders: list[Path]) -> None:
    tries: list[Path] = []

    def load(folder: Path) -> Weight:
        tries.append(folder)
        if len(tries) == 1:
            raise QwenlabError("It is broken.", "Mend it.")
        return Weight(folder)

    pool = pool_with(load=load)
    with pytest.raises(QwenlabError, match="It is broken"):
        pool.get(folders[0])
    assert pool.loaded() == []
    pool.get(folders[0])
    assert len(tries) == 2


def test_changed_files_are_loaded_anew(folders: list[Path]) -> None:
    pool = pool_with()
    first = pool.get(folders[0])
    (folders[0] / "config.json").write_text('{"other": 1}')
    assert pool.get(folders[0]) is not first
    assert pool.loaded() == [folders[0]]


def test_who_is_stopped_while_others_compute_goes_at_once(folders: list[Path]) -> None:
    from qwenlab.models.resident import StoppedError

    model = Weight(folders[0])
    with model.turn(), pytest.raises(StoppedError), model.turn(lambda: True):
        pytest.fail("two at once")
    with model.turn(lambda: True):
        assert model.busy
