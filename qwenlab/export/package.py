"""An export folder: made under a hidden name, complete, summed, and put in its place only when it is proven to load."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from qwenlab import failures, files
from qwenlab.errors import QwenlabError
from qwenlab.export import card, place

MANIFEST = "qwenlab-export.json"
SUMS = "SHA256SUMS"
UNSUMMED = {SUMS}
FAILED = "-failed-check"
"""How the name of an export ends that failed its gate."""
REQUIRED = {
    "merged": ("config.json", "generation_config.json", "tokenizer.json", "tokenizer_config.json"),
    "gptq": ("config.json", "generation_config.json", "tokenizer.json", "tokenizer_config.json"),
    "gguf": ("model.gguf",),
    "adapter": ("adapter_config.json", "tokenizer.json", "tokenizer_config.json"),
}
"""What a loader needs beside the weights, by kind of export."""
CARRIED = (
    *("tokenizer.json", "tokenizer_config.json", "chat_template.jinja", "special_tokens_map.json"),
    *("vocab.json", "merges.txt", "added_tokens.json"),
)


def build(
    target: Path,
    kind: str,
    about: dict[str, Any],
    make: Callable[[Path], None],
    prove: Callable[[Path], dict[str, Any]] | None = None,
    needs: int = 0,
) -> dict[str, Any]:
    """Make an export folder whole or not at all.

    Args:
        target: the folder to appear; an existing export there is replaced, any other folder is not.
        kind: "merged", "gptq" or "gguf".
        about: where it comes from; stands in the manifest and on the model card.
        make: fills the folder it is given with weights and tokenizer.
        prove: loads what was made in a fresh process; by default `prove_loading`.
        needs: bytes it will take, about.

    Returns:
        What the proof found; it also stands in the manifest.

    Raises:
        QwenlabError: when the target is somebody else's folder, the disk is full, or what was made does not load.
    """
    if target.is_file() or (target.exists() and not (target / MANIFEST).exists() and any(target.iterdir())):
        raise QwenlabError(
            f"{target} holds other files.",
            "Name a new folder for the export.",
            zh=(f"{target} 中有其他文件。", "请为导出指定一个新文件夹。"),
        )
    try:
        with place.staged(target, needs) as staging:
            make(staging)
            _require(staging, kind)
            proof = (prove or prove_loading)(staging)
            files.write_json(staging / MANIFEST, {"kind": kind, **about, "proof": proof})
            if kind == "gguf":
                files.write_text(staging / card.MODELFILE, card.modelfile(_template(staging / "model.gguf")))
            _seal(staging)
    except Exception as error:
        if not isinstance(error, OSError) and not failures.is_disk_full(error):
            raise
        reason = (error.strerror if isinstance(error, OSError) else None) or str(error)
        raise QwenlabError(
            f"The export to {target} could not be written: {reason}.",
            "Free some disk space or name another folder; what stood there before is unchanged.",
            zh=(
                f"无法写入导出 {target}：{reason}。",
                "请释放磁盘空间或指定其他文件夹；原有内容没有改动。",
            ),
        ) from error
    return proof


def revise(folder: Path, change: Callable[[Path], None], name: str | None = None) -> Path:
    """Add to an export, whole or not at all: card and sums are made anew, the weights stay where they lie.

    Args:
        change: writes into the folder it is given, with the functions of `files`; nothing else may be changed there.
        name: what the folder is called from then on.

    Returns:
        The folder.
    """
    target = folder.with_name(name or folder.name)
    with place.staged(target) as staging:
        place.link_tree(folder, staging)
        change(staging)
        _seal(staging)
    if target != folder:
        place.discard(folder)
    return target


def _seal(folder: Path) -> None:
    card.write_card(folder, read_manifest(folder))
    write_sums(folder)


def _template(path: Path) -> str:
    import libgguf

    entry = libgguf.read_gguf_header(path, max_array_values=0).metadata.get("tokenizer.chat_template")
    return str(entry.value) if entry else ""


def require(folder: Path, kind: str) -> list[str]:
    """Names of what a loader needs and the folder lacks."""
    missing = [name for name in REQUIRED[kind] if not (folder / name).exists()]
    if kind != "gguf" and not list(folder.glob("*.safetensors")):
        missing.append("*.safetensors")
    return missing


def _require(folder: Path, kind: str) -> None:
    missing = require(folder, kind)
    if missing:
        raise QwenlabError(
            f"The export lacks {', '.join(missing)}.",
            "Check the base model's folder with `qwenlab verify`.",
            zh=(f"导出缺少 {'、'.join(missing)}。", "请用 `qwenlab verify` 检查基础模型的文件夹。"),
        )


def carry_tokenizer(source: Path, target: Path) -> None:
    """Copy the tokenizer and chat template as they are, so that nothing is re-written on the way."""
    for name in CARRIED:
        if (source / name).exists():
            shutil.copyfile(source / name, target / name)


def read_manifest(folder: Path) -> dict[str, Any]:
    """What the folder says it is.

    Raises:
        QwenlabError: when it is no export of ours.
    """
    if not (folder / MANIFEST).exists():
        raise QwenlabError(
            f"{folder} is not an export (it has no {MANIFEST}).",
            "Name a folder made by merge or quantize.",
            zh=(f"{folder} 不是导出结果（没有 {MANIFEST}）。", "请指定由合并或量化生成的文件夹。"),
        )
    about = files.read_json(folder / MANIFEST)
    if not isinstance(about, dict) or about.get("kind") not in REQUIRED:
        raise QwenlabError(
            f"{folder / MANIFEST} does not say what kind of export it is.",
            "Export the model again, or use the Qwenlab that made it.",
            zh=(f"{folder / MANIFEST} 没有说明导出的类型。", "请重新导出，或使用生成它的 Qwenlab 版本。"),
        )
    return about


def write_sums(folder: Path) -> None:
    """SHA256SUMS over every file, in the form that `sha256sum -c` reads."""
    paths = sorted(path for path in folder.rglob("*") if path.is_file() and path.name not in UNSUMMED)
    lines = [f"{files.sha256(path)}  {path.relative_to(folder).as_posix()}" for path in paths]
    files.write_text(folder / SUMS, "\n".join(lines) + "\n")


def check_sums(folder: Path) -> list[str]:
    """Names of files that are missing or differ from SHA256SUMS.

    Raises:
        QwenlabError: when the sums are missing or unreadable.
    """
    try:
        lines = (folder / SUMS).read_text(encoding="utf-8").splitlines()
        wanted = [(digest, folder / name) for digest, name in (line.split("  ", 1) for line in lines)]
    except (OSError, ValueError) as error:
        raise QwenlabError(
            f"{folder} has no readable {SUMS}.",
            "Copy or export it again.",
            zh=(f"{folder} 中没有可读的 {SUMS}。", "请重新复制或导出。"),
        ) from error
    inside = folder.resolve()
    outside = [path.name for _, path in wanted if not path.resolve().is_relative_to(inside)]
    if outside:
        raise QwenlabError(
            f"{SUMS} names files outside the folder ({outside[0]}).",
            "Do not use this export.",
            zh=(f"{SUMS} 指向文件夹之外的文件（{outside[0]}）。", "请不要使用这个导出。"),
        )
    return [path.name for digest, path in wanted if not path.is_file() or files.sha256(path) != digest]


def prove_loading(folder: Path) -> dict[str, Any]:
    """Load the export in a fresh process and let it say one sentence.

    Returns:
        The prover's findings: {"answer": ..., "seconds": ...}.

    Raises:
        QwenlabError: with the prover's reason.
    """
    return run_fresh("qwenlab.export.prove_loading", str(folder))


def run_fresh(module: str, *arguments: str, progress: Callable[[float], None] = lambda _: None) -> dict[str, Any]:
    """Run one of our provers in a process of its own, which ends when this one does.

    Args:
        progress: hears how far it is, 0 to 1, where the prover says so.

    Returns:
        The JSON object of its last line.

    Raises:
        QwenlabError: when it failed, with its last words.
    """
    command = [sys.executable, "-m", "qwenlab.export.fresh", module, *arguments]
    last = ""
    with tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace") as log:
        with subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, encoding="utf-8", errors="replace"
        ) as prover:
            try:
                for line in prover.stdout or ():
                    last = line.strip() or last
                    if last.startswith('{"progress"'):
                        progress(json.loads(last)["progress"])
            except BaseException:
                prover.kill()
                raise
        log.seek(0)
        words = log.read().strip().splitlines()
    if prover.returncode or not last:
        said = words[-1] if words else "it ended without a word"
        raise QwenlabError(
            f"The proof in a fresh process failed: {said}",
            "The export was not kept.",
            zh=(f"在新进程中的验证失败：{said}", "导出没有保留。"),
        )
    return json.loads(last)
