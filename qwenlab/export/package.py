"""An export folder: made under a temporary name, complete, summed, and renamed only when it is proven to load."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from qwenlab import files
from qwenlab.errors import QwenlabError

MANIFEST = "qwenlab-export.json"
SUMS = "SHA256SUMS"
CARD = "README.md"
UNSUMMED = {SUMS}
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
) -> dict[str, Any]:
    """Make an export folder whole or not at all.

    Args:
        target: the folder to appear; an existing export there is replaced, any other folder is not.
        kind: "merged", "gptq" or "gguf".
        about: where it comes from; stands in the manifest and on the model card.
        make: fills the folder it is given with weights and tokenizer.
        prove: loads what was made in a fresh process; by default `prove_loading`.

    Returns:
        What the proof found; it also stands in the manifest.

    Raises:
        QwenlabError: when the target is somebody else's folder, or what was made does not load.
    """
    if target.exists() and not (target / MANIFEST).exists() and any(target.iterdir()):
        raise QwenlabError(
            f"{target} holds other files.",
            "Name a new folder for the export.",
            zh=(f"{target} 中有其他文件。", "请为导出指定一个新文件夹。"),
        )
    staging = target.with_name(f".{target.name}.part")
    shutil.rmtree(staging, ignore_errors=True)
    try:
        staging.mkdir(parents=True)
        make(staging)
        _require(staging, kind)
        proof = (prove or prove_loading)(staging)
        files.write_json(staging / MANIFEST, {"kind": kind, **about, "proof": proof})
        write_card(staging, {})
        write_sums(staging)
        if target.exists():
            shutil.rmtree(target)
        staging.rename(target)
    except OSError as error:
        raise QwenlabError(
            f"The export to {target} could not be written: {error.strerror or error}.",
            "Free some disk space or name another folder; what stood there before is unchanged.",
            zh=(
                f"无法写入导出 {target}：{error.strerror or error}。",
                "请释放磁盘空间或指定其他文件夹；原有内容没有改动。",
            ),
        ) from error
    finally:
        shutil.rmtree(staging, ignore_errors=True)
    return proof


def _require(folder: Path, kind: str) -> None:
    missing = [name for name in REQUIRED[kind] if not (folder / name).exists()]
    if kind != "gguf" and not list(folder.glob("*.safetensors")):
        missing.append("*.safetensors")
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
    return files.read_json(folder / MANIFEST)


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


def run_fresh(module: str, *arguments: str) -> dict[str, Any]:
    """Run one of our provers as `python -m module` and return the JSON object of its last line.

    Raises:
        QwenlabError: when it failed, with its last words.
    """
    ended = subprocess.run(
        [sys.executable, "-m", module, *arguments], capture_output=True, encoding="utf-8", errors="replace", check=False
    )
    lines = ended.stdout.strip().splitlines()
    if ended.returncode or not lines:
        words = (ended.stderr.strip().splitlines() or ["it ended without a word"])[-1]
        raise QwenlabError(
            f"The proof in a fresh process failed: {words}",
            "The export was not kept.",
            zh=(f"在新进程中的验证失败：{words}", "导出没有保留。"),
        )
    return json.loads(lines[-1])


def write_card(folder: Path, scorecard: dict[str, Any]) -> None:
    """Write the model card; called again once the test scores are known."""
    about = read_manifest(folder)
    kind = about["kind"]
    lines = [f"# {about.get('title', folder.name)}", "", f"Made with Qwenlab ({kind})."]
    lines += ["", "| | |", "|---|---|"]
    shown = ("base", "licence", "run", "data_sha256", "adapter_sha256", "made_from", "format", "dtype")
    lines += [f"| {key.replace('_', ' ')} | {about[key]} |" for key in shown if about.get(key)]
    if scorecard:
        lines += ["", f"## Scorecard: {scorecard['suite']}", "", scorecard["table"]]
    lines += ["", "## Serving it", "", SERVING[kind], "", "Check the copy with `sha256sum -c SHA256SUMS`.", ""]
    files.write_text(folder / CARD, "\n".join(lines))


def add_scorecard(folder: Path, suite: str, table: str) -> None:
    """Put the test scores on the model card and renew the checksums."""
    write_card(folder, {"suite": suite, "table": table})
    write_sums(folder)


SERVING = {
    "adapter": (
        "It needs its base model. By vLLM, and by llama.cpp on an F16 or Q8_0 file of the base or one of its makers\n"
        "(not on a Q4_K_M or Q5_K_M made by Qwenlab, whose channels are in another order):\n\n"
        "    vllm serve BASE --enable-lora --lora-modules mine=.\n"
        "    llama-server -m BASE.gguf --lora adapter.gguf --jinja"
    ),
    "merged": "    vllm serve .          # or any server that loads Hugging Face folders",
    "gptq": "    vllm serve .          # reads GPTQ on GPUs and on x86",
    "gguf": (
        "    llama-server -m model.gguf --jinja\n"
        "    printf 'FROM ./model.gguf\\n' > Modelfile && ollama create my-model -f Modelfile"
    ),
}
