"""qwenlab merge, quantize, verify and serve: from an adapter to a folder that can be deployed."""

from __future__ import annotations

import argparse
import subprocess
import sys
from pathlib import Path
from typing import Any, Literal

from qwenlab import files
from qwenlab.commands.console import BELOW, DONE, FAILED, Console
from qwenlab.errors import QwenlabError
from qwenlab.jobs import Job
from qwenlab.models import adapter_base, adapters, catalogue
from qwenlab.training import runs
from qwenlab.workspace import Workspace

CALIBRATION_ROWS = 64
"""Training conversations that GPTQ is calibrated on."""


def add_verbs(verbs: Any) -> None:
    """Add `merge`, `quantize`, `verify` and `serve`."""
    merging = verbs.add_parser("merge", help="merge a run's adapter into its base")
    merging.add_argument("name", metavar="RUN", help="run id, RUN/checkpoint-N, or an adapter folder")
    merging.add_argument("--model", default="", help="base of an adapter folder; default: the one that it names")
    merging.add_argument("--dtype", choices=("float32", "bfloat16"), default="float32", help="of the merged weights")
    merging.add_argument("--title", default="", help="name on the model card")
    merging.set_defaults(run=merge)
    quantizing = verbs.add_parser("quantize", help="make a merged folder small")
    quantizing.add_argument("folder", type=Path, metavar="DIR")
    quantizing.add_argument("--format", choices=("gguf", "gptq"), default="gguf")
    quantizing.add_argument("--bits", type=int, choices=(4, 5, 8, 16), default=4)
    quantizing.add_argument("--data", type=Path, help="train.json to calibrate GPTQ on; default: the run's own")
    quantizing.set_defaults(run=quantize)
    for one in (merging, quantizing):
        one.add_argument("-o", "--output", type=Path, required=True, help="folder to make")
    verifying = verbs.add_parser("verify", help="check an export's files and load it in a fresh process")
    verifying.add_argument("folder", type=Path, metavar="DIR")
    verifying.set_defaults(run=verify)
    serving = verbs.add_parser("serve", help="open an OpenAI-compatible endpoint on an export")
    serving.add_argument("folder", type=Path, metavar="DIR")
    serving.add_argument("--port", type=int, default=8080)
    serving.set_defaults(run=serve)
    for one in (merging, quantizing, verifying, serving):
        one.add_argument("--json", action="store_true", help="print JSON")


def merge(chosen: argparse.Namespace, workspace: Workspace, console: Console) -> int:
    """Merge, prove equality, and write the folder."""
    proof = merge_run(workspace, chosen.name, chosen.output, console, chosen.dtype, chosen.title, chosen.model)
    words = (
        f"Merged into {chosen.output}: {proof['same_next_token']} of {proof['prompts']} prompts go on alike, "
        f"largest logit difference {proof['max_logit_difference']:.2g}."
    )
    console.result({"path": str(chosen.output), "proof": proof}, words)
    return DONE


def merge_run(
    workspace: Workspace,
    name: str,
    target: Path,
    console: Console,
    dtype: str = "float32",
    title: str = "",
    model: str = "",
) -> dict[str, Any]:
    """Merge the adapter of a run (or of one of its checkpoints), or an adapter folder, into `target`.

    Args:
        model: the base of an adapter folder; "" for the one that it names.

    Returns:
        The proof.
    """
    if Path(name).expanduser().is_dir():  # an adapter from elsewhere
        adapter = adapters.find(workspace, name)
        base = catalogue.locate(workspace, model) if model else adapter_base.find(workspace, adapter)
        about = {"title": title or adapter.name}
    else:
        run = runs.find(workspace, name.partition("/")[0])
        adapter, base = adapters.find(workspace, name), runs.base_of(run)
        about = {"title": title or run.id, "run": run.id, "data_sha256": files.sha256(run.folder / "data.json")}
    from qwenlab.export.merge import merge as merge_adapter

    console.progress("merging", 0.0)
    form: Literal["float32", "bfloat16"] = "bfloat16" if dtype == "bfloat16" else "float32"
    proof = merge_adapter(base, adapter, target.absolute(), form, **about)
    console.progress("merging", 1.0)
    return proof


def quantize(chosen: argparse.Namespace, workspace: Workspace, console: Console) -> int:
    """Quantize and write the folder."""
    quantize_folder(workspace, chosen.folder, chosen.output, console, chosen.format, chosen.bits, chosen.data)
    words = f"Quantized into {chosen.output}. Test it: qwenlab test SUITE --contestant int4={chosen.output}"
    console.result({"path": str(chosen.output), "format": chosen.format, "bits": chosen.bits}, words)
    return DONE


def quantize_folder(
    workspace: Workspace,
    source: Path,
    target: Path,
    console: Console,
    form: str = "gguf",
    bits: int = 4,
    data: Path | None = None,
) -> None:
    """Quantize `source` into `target` as GGUF or GPTQ.

    Raises:
        QwenlabError: no model folder, a number of bits the format has not, or no calibration data.
    """
    from qwenlab.export import quantize as quantizing

    if not (source / "config.json").exists():
        raise QwenlabError(
            f"{source} is not a model folder.",
            "Name a folder made by `qwenlab merge`.",
            zh=(f"{source} 不是模型文件夹。", "请指定由 `qwenlab merge` 生成的文件夹。"),
        )

    def show(what: str, done: float) -> None:
        console.progress(f"quantizing {form}", done, step=what)

    if form == "gguf":
        rows = _calibration(workspace, source, data, needed=False) if bits in quantizing.CALIBRATED else []
        quantizing.to_gguf(source.absolute(), target.absolute(), bits, show, rows)
        return
    if bits not in (4, 8):
        raise QwenlabError(
            f"GPTQ has no {bits} bits here.",
            "Choose 4 or 8.",
            zh=(f"这里的 GPTQ 不支持 {bits} 位。", "请选择 4 或 8。"),
        )
    rows = _calibration(workspace, source, data)
    quantizing.to_gptq(source.absolute(), target.absolute(), 4 if bits == 4 else 8, rows, show)


def _calibration(workspace: Workspace, source: Path, data: Path | None, needed: bool = True) -> list[str]:
    """Training conversations rendered as in chat, answers included; none where there are none and none are needed."""
    from qwenlab.conversations.dataset import DataSet
    from qwenlab.models import loading, rendering

    manifest = source / "qwenlab-export.json"
    run = str(files.read_json(manifest).get("run", "")) if manifest.exists() else ""
    path = data or (workspace.runs / run / "data.json")
    if not path.is_file() and not data and not needed:
        return []
    if not path.is_file():
        raise QwenlabError(
            "There is no data to calibrate on.",
            "Name a train.json with --data.",
            zh=("没有可用于校准的数据。", "请用 --data 指定一个 train.json。"),
        )
    tokenizer = loading.load_tokenizer(source)
    samples = [sample for sample in DataSet.open(path).samples if not sample.broken() and sample.turns]
    if run and (workspace.runs / run).exists():
        speaks = runs.recipe_of(Job(workspace.runs / run)).languages
        samples = [sample for sample in samples if sample.language in speaks]
    stride = max(1, len(samples) // CALIBRATION_ROWS)  # spread over the whole set
    return [
        rendering.render(tokenizer, sample.to_messages(), open_turn=False)
        for sample in samples[::stride][:CALIBRATION_ROWS]
    ]


def verify(chosen: argparse.Namespace, workspace: Workspace, console: Console) -> int:
    """Check sums and completeness, then load the export in a fresh process."""
    from qwenlab.export import package

    manifest = package.read_manifest(chosen.folder)
    wrong = package.check_sums(chosen.folder)
    if wrong:
        value = {"path": str(chosen.folder), "ok": False, "wrong": wrong}
        console.result(value, f"{chosen.folder} is damaged: {', '.join(wrong)} differ from SHA256SUMS. Copy it again.")
        return BELOW
    loaded = package.prove_loading(chosen.folder.absolute())
    value = {"path": str(chosen.folder), "ok": True, "kind": manifest["kind"], "wrong": [], **loaded}
    console.result(value, f"{chosen.folder} is whole and answers: {loaded['answer']!r}")
    return DONE


def serve(chosen: argparse.Namespace, workspace: Workspace, console: Console) -> int:
    """Serve until Ctrl-C, on 127.0.0.1."""
    from qwenlab.export import package

    kind = package.read_manifest(chosen.folder)["kind"]
    address = f"http://127.0.0.1:{chosen.port}/v1"
    if kind == "gguf":
        from qwenlab.export.gguf_server import serve_gguf

        serve_gguf(chosen.folder / "model.gguf", chosen.port, lambda: console.say(f"Serving on {address}"))
        return DONE
    command = ["-m", "transformers.cli.transformers", "serve", str(chosen.folder), "--port", str(chosen.port)]
    console.say(f"Serving with transformers on {address}")
    ended = subprocess.run([sys.executable, *command, "--host", "127.0.0.1"], check=False)
    return DONE if ended.returncode == 0 else FAILED
