"""One list of all models: shipped, of the Qwen family, fetched from a hub, and the person's own folders."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal

from qwenlab import files
from qwenlab.errors import QwenlabError
from qwenlab.models import catalogue, from_hub, older, qwen1
from qwenlab.models import folder as model_folder
from qwenlab.models.entry import Entry
from qwenlab.models.older import Older
from qwenlab.workspace import Workspace

Origin = Literal["shipped", "family", "hub", "folder"]
DEEPEST, MOST_FOLDERS = 4, 5_000
"""How far a search for models goes below the folder that a person names."""


@dataclass(frozen=True)
class Known:
    """One model of the list.

    Attributes:
        model: what names it everywhere: its name, or the path of a person's own folder.
        folder: where it is, or will be.
        bytes: on the disk; of the download where it is not here yet; 0 where that is not known.
        arrived: bytes of a download that was paused or interrupted.
        config: what is known of its config.json; empty before a model nobody knows is here.
        problem: why it cannot be used though it is here.
        older: in which older form it is, to be converted before it can be used.
    """

    model: str
    title: str
    origin: Origin
    folder: Path
    ready: bool
    languages: tuple[str, ...]
    licence: str
    hub: str
    bytes: int
    arrived: int
    config: Mapping[str, Any]
    problem: QwenlabError | None = None
    older: Older | None = None


def everything(workspace: Workspace) -> list[Known]:
    """All models: shipped ones, the family's, then others that were fetched, then the person's folders."""
    found = [_known(workspace, one, "shipped") for one in catalogue.CATALOGUE]
    found += [_known(workspace, one, "family") for one in catalogue.FAMILY]
    names = {one.model for one in found}
    others = sorted(path.parent for path in workspace.models.glob(f"*/{catalogue.COMPLETE}"))
    found += [_fetched(path) for path in others if path.name not in names and not path.name.startswith(".")]
    return [*found, *(_own(path) for path in added(workspace))]


def ready(workspace: Workspace) -> list[str]:
    """Names, or paths, of what is here, in the order of the list; quick, since no weights are looked at."""
    here = {path.parent.name for path in workspace.models.glob(f"*/{catalogue.COMPLETE}")}
    names = [one.name for one in (*catalogue.CATALOGUE, *catalogue.FAMILY) if one.name in here]
    others = sorted(name for name in here.difference(names) if not name.startswith("."))
    own = [path for path in added(workspace) if (path / "config.json").is_file() and older.look(path) is None]
    return [*names, *others, *map(str, own)]


def search(workspace: Workspace, words: str) -> list[Known]:
    """The models whose name, title or repository has all of the words."""
    wanted = words.lower().split()
    return [
        one for one in everything(workspace) if all(w in f"{one.model} {one.title} {one.hub}".lower() for w in wanted)
    ]


# --- the person's own folders -----------------------------------------------------------------------------


def added(workspace: Workspace) -> list[Path]:
    """The person's own model folders, in the order in which they were added."""
    try:
        return _named(workspace)
    except QwenlabError:
        return []


def add(workspace: Workspace, named: Path) -> list[Path]:
    """Add a model folder, or all that lie below a folder; nothing is copied. Returns what is new.

    Folders in an older form come along, to be converted when a person wants it.

    Raises:
        QwenlabError: when there is no usable model.
    """
    folder = named.expanduser().resolve()
    if not folder.is_dir():
        raise QwenlabError(
            f"There is no folder {named}.", "Check the path.", zh=(f"没有文件夹 {named}。", "请检查路径。")
        )
    if (folder / "config.json").is_file():
        _check_useful(folder)  # says what is wrong with the one that was named
        found = [folder]
    else:
        found = [one for one in _below(folder) if _is_useful(one)]
    if not found:
        raise QwenlabError(
            f"There is no usable model in {folder}, nor in the folders below it.",
            "A model folder holds config.json and weight files of a Qwen (1, 2, 2.5 or 3) or a Llama.",
            zh=(
                f"{folder} 及其子文件夹中没有可用的模型。",
                "模型文件夹须含 config.json 和权重文件（Qwen 1、2、2.5、3 或 Llama）。",
            ),
        )
    before = _named(workspace)  # a damaged list is not written over
    new = [one for one in found if one not in before and one.parent != workspace.models.resolve()]
    if new:
        _write(workspace, [*before, *new])
    return new


def _check_useful(folder: Path) -> None:
    """Refuse a folder that neither is a model as it stands nor becomes one."""
    if model_folder.is_qwen1(folder):
        qwen1.sizes(folder)
    elif older.look(folder) is None:
        model_folder.check(folder)


def _is_useful(folder: Path) -> bool:
    try:
        _check_useful(folder)
    except QwenlabError:
        return False
    return True


def forget(workspace: Workspace, folder: Path) -> bool:
    """Take a person's folder off the list; its files stay. Whether it was on it."""
    before, gone = _named(workspace), folder.expanduser().resolve()
    _write(workspace, [one for one in before if one != gone])
    return gone in before


Removed = Literal["deleted", "forgotten"]


def how_removed(workspace: Workspace, model: str) -> Removed | None:
    """What `remove` would do: a fetched model is deleted, a person's folder is forgotten; None for any other."""
    if catalogue.is_ready(workspace, _name(model)):
        return "deleted"
    return "forgotten" if Path(model).expanduser().resolve() in added(workspace) else None


def remove(workspace: Workspace, model: str) -> Removed:
    """Delete a fetched model, or take a person's folder off the list, whose files stay.

    Raises:
        QwenlabError: when it is neither.
    """
    how = how_removed(workspace, model)
    if how is None:
        raise QwenlabError(
            f"{model} is neither a fetched model nor on the list.",
            "See `qwenlab models list`.",
            zh=(f"{model} 既不是已下载的模型，也不在列表中。", "见 `qwenlab models list`。"),
        )
    if how == "deleted":
        folder = workspace.models / _name(model)
        (folder / catalogue.COMPLETE).unlink()  # from now on it is not here, whatever happens next
        shutil.rmtree(folder)
    else:
        forget(workspace, Path(model))
    return how


def _name(model: str) -> str:
    return catalogue.of_repository(model).name if catalogue.is_repository(model) else model


def _list(workspace: Workspace) -> Path:
    return workspace.root / "model-folders.json"


def _named(workspace: Workspace) -> list[Path]:
    if not _list(workspace).exists():
        return []
    told = files.read_object(_list(workspace), folders=list)
    return [Path(path) for path in told["folders"] if isinstance(path, str)]


def _write(workspace: Workspace, folders: list[Path]) -> None:
    files.write_json(_list(workspace), {"folders": [str(one) for one in folders]})


def _below(folder: Path) -> list[Path]:
    """Folders with a config.json, not too deep, without following links."""
    found = []
    for seen, (place, inside, names) in enumerate(os.walk(folder)):
        here = Path(place)
        deep = len(here.relative_to(folder).parts) >= DEEPEST
        inside[:] = [] if deep or seen > MOST_FOLDERS else sorted(name for name in inside if not name.startswith("."))
        if "config.json" in names:
            found.append(here.resolve())
            inside[:] = []
    return found


# --- one row of the list ----------------------------------------------------------------------------------


def _known(workspace: Workspace, one: Entry, origin: Origin) -> Known:
    folder = workspace.models / one.name
    ready = catalogue.is_ready(workspace, one.name)
    size = model_folder.bytes_on_disk(folder) if ready else one.bytes
    arrived = 0 if ready else from_hub.arrived(workspace, one.name)
    return Known(
        *(one.name, one.title, origin, folder, ready, one.languages, one.licence, one.hub),
        *(size, arrived, one.shape, _problem(folder) if ready else None),
    )


def _fetched(folder: Path) -> Known:
    hub = str(_json(folder / catalogue.COMPLETE).get("hub", ""))
    return _here(folder, folder.name, hub or folder.name, "hub", licence_of(folder), hub)


def _own(folder: Path) -> Known:
    if form := older.look(folder):
        size, config = form.bytes, form.config
        about = (folder, False, catalogue.languages(folder.name), licence_of(folder), "", size, 0, config, None, form)
        return Known(str(folder), folder.name, "folder", *about)
    return _here(folder, str(folder), folder.name, "folder", licence_of(folder), "")


def _here(folder: Path, model: str, title: str, origin: Origin, licence: str, hub: str) -> Known:
    problem = _problem(folder)
    size = model_folder.bytes_on_disk(folder) if problem is None else 0
    config = _json(folder / "config.json") if problem is None else {}
    speaks = catalogue.languages(model)
    return Known(model, title, origin, folder, problem is None, speaks, licence, hub, size, 0, config, problem)


def _problem(folder: Path) -> QwenlabError | None:
    index = folder / model_folder.INDEX
    return _checked(folder, model_folder.version(folder), model_folder.version(index))


@lru_cache(maxsize=256)
def _checked(folder: Path, *versions: model_folder.Version) -> QwenlabError | None:  # looked at again when it changed
    try:
        model_folder.check(folder)
    except QwenlabError as error:
        return error
    return None


def licence_of(folder: Path) -> str:
    """What the hub, a folder's model card, or its licence file calls its licence; "" where none says."""
    told = _json(folder / catalogue.COMPLETE).get("licence")
    if told:
        return str(told)
    card = _head(folder, "README.md")
    for key in ("license_name", "license") if card.startswith("---") else ():  # the first where the second is "other"
        said = re.search(rf"^{key}:\s*['\"]?([\w.+ -]{{1,60}})", card, re.MULTILINE)
        if said:
            return said[1].strip()
    for path in sorted(folder.glob("LICEN[SC]E*")):
        lines = [line.strip() for line in _head(folder, path.name).splitlines() if line.strip()]
        if lines:
            return lines[0][:60]
    return ""


def _head(folder: Path, name: str) -> str:
    try:
        with model_folder.own_file(folder, name).open("rb") as file:
            return file.read(20_000).decode("utf-8", "replace")
    except (OSError, QwenlabError):
        return ""


def _json(path: Path) -> dict[str, Any]:
    try:
        told = files.read_json(path)
    except QwenlabError:
        return {}
    return told if isinstance(told, dict) else {}
