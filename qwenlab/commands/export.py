"""qwenlab merge and quantize: from an adapter to a folder that can be deployed."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any, Literal

from qwenlab import files
from qwenlab.commands.console import DONE, Console
from qwenlab.commands.prove import tell
from qwenlab.commands.stopping import stoppable
from qwenlab.conversations.dataset import DataSet
from qwenlab.errors import QwenlabError
from qwenlab.export import place, sizes
from qwenlab.export.calibration import DEFAULT, Calibration
from qwenlab.jobs import Job
from qwenlab.models import adapter_base, adapters, catalogue
from qwenlab.training import runs
from qwenlab.workspace import Workspace

KNOWN = ("event", "time", "what", "fraction")
LONG_TAIL = 1_000_000
"""Characters of a proof's log, whose last line is what it found."""


def add_verbs(verbs: Any) -> None:
    """Add `merge` and `quantize`."""
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
    quantizing.add_argument("--data", type=Path, help="train.json to calibrate on; default: the run's own")
    quantizing.add_argument("--rows", type=int, default=DEFAULT.rows, help="conversations to calibrate on")
    quantizing.add_argument("--length", type=int, default=DEFAULT.length, help="tokens of each that count")
    quantizing.add_argument("--seed", type=int, default=DEFAULT.seed, help="another one draws other conversations")
    quantizing.add_argument("--group-size", type=int, help="weights that share a scale in GPTQ; default: what fits")
    quantizing.set_defaults(run=quantize)
    for one in (merging, quantizing):
        one.add_argument("-o", "--output", type=Path, required=True, help="folder to make")
    for one in (merging, quantizing):
        one.add_argument("--suite", help="prove it on this suite at once (see prove)")
        one.add_argument("--limit", type=int, help="prove it on the first so many cases only")
        one.add_argument("--json", action="store_true", help="print JSON")


def merge(chosen: argparse.Namespace, workspace: Workspace, console: Console) -> int:
    """Merge, prove equality, and write the folder."""
    with stoppable(console.job):
        proof = merge_run(workspace, chosen.name, chosen.output, console, chosen.dtype, chosen.title, chosen.model)
    if chosen.suite:
        return prove_fresh(workspace, chosen.output, chosen.suite, chosen.limit, console)
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
    from qwenlab.export.merge import BESIDE_4_BIT
    from qwenlab.export.merge import merge as merge_adapter

    note, about = None, dict[str, Any]()
    if Path(name).expanduser().is_dir():  # an adapter from elsewhere
        adapter = adapters.find(workspace, name)
        base = catalogue.locate(workspace, model) if model else adapter_base.find(workspace, adapter)
        about = {"title": title or adapter.name}
    else:
        run = runs.find(workspace, name.partition("/")[0])
        adapter, base, recipe = adapters.find(workspace, name), runs.base_of(run), runs.recipe_of(run)
        note = BESIDE_4_BIT if recipe.method == "qlora" else None
        about = {
            "title": title or run.id,
            "run": run.id,
            "trained": name,
            "data_name": Path(recipe.data).name,
            "data_samples": len(DataSet.open(run.folder / "data.json").samples),
            "data_sha256": files.sha256(run.folder / "data.json"),
            "recipe": recipe.model_dump(mode="json", exclude={"data"}),
        }
    place.require_room(_parent(target), sizes.merged_bytes(base, dtype))
    if note:
        console.say(note[0])
    proof = merge_adapter(
        base,
        adapter,
        target.absolute(),
        "bfloat16" if dtype == "bfloat16" else "float32",
        lambda what, done: console.progress("merging", 0.9 * done, step=what),  # the proof is still to come
        note=dict(zip(("en", "zh"), note, strict=True)) if note else {},
        **about,
    )
    console.progress("merging", 1.0)
    return proof


def quantize(chosen: argparse.Namespace, workspace: Workspace, console: Console) -> int:
    """Quantize and write the folder."""
    calibration = Calibration(max(1, chosen.rows), max(1, chosen.length), chosen.seed)
    named = (chosen.format, chosen.bits, chosen.data, calibration, chosen.group_size)
    with stoppable(console.job):
        quantize_folder(workspace, chosen.folder, chosen.output, console, *named)
    if chosen.suite:
        return prove_fresh(workspace, chosen.output, chosen.suite, chosen.limit, console)
    words = f"Quantized into {chosen.output}. Prove it: qwenlab prove {chosen.output} --suite SUITE"
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
    calibration: Calibration = DEFAULT,
    group_size: int | None = None,
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

    place.require_room(_parent(target), sizes.quantized_bytes(source, bits))

    def show(what: str, done: float) -> None:
        console.progress(f"quantizing {form}", done, step=what)

    if form == "gguf":
        wanted = bits in quantizing.CALIBRATED
        rows = _calibration(workspace, source, data, calibration, needed=False) if wanted else []
        quantizing.to_gguf(source.absolute(), target.absolute(), bits, show, rows, calibration.length)
        return
    if bits not in (4, 8):
        raise QwenlabError(
            f"GPTQ has no {bits} bits here.",
            "Choose 4 or 8.",
            zh=(f"这里的 GPTQ 不支持 {bits} 位。", "请选择 4 或 8。"),
        )
    rows = _calibration(workspace, source, data, calibration)
    width: Literal[4, 8] = 4 if bits == 4 else 8
    quantizing.to_gptq(source.absolute(), target.absolute(), width, rows, show, calibration.length, group_size)


def _calibration(
    workspace: Workspace, source: Path, data: Path | None, calibration: Calibration, needed: bool = True
) -> list[str]:
    """Training conversations rendered as in chat, answers included; none where there are none and none are needed."""
    from qwenlab.models import loading

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
    return calibration.texts(tokenizer, samples)


def _parent(target: Path) -> Path:
    """Where a folder will be made; made itself when it is not there."""
    target.absolute().parent.mkdir(parents=True, exist_ok=True)
    return target.absolute().parent


def prove_fresh(workspace: Workspace, folder: Path, suite: str, limit: int | None, console: Console) -> int:
    """Prove an export in a process and a result folder of its own; returns the exit code.

    Raises:
        QwenlabError: when the proof could not be done, with its reason.
    """
    job = Job(files.new_folder(workspace.results, f"proof-{folder.name}"))
    few = ["--limit", str(limit)] if limit else []
    words = ["prove", str(folder.absolute()), "--suite", suite, *few, "--json"]
    job.start("test", ["qwenlab", "--workspace", str(workspace.root), "--job", str(job.folder), *words])
    try:
        with stoppable(console.job):
            for event in job.follow():
                if event.get("event") == "progress":
                    details = {key: value for key, value in event.items() if key not in KNOWN}
                    console.progress(event["what"], event["fraction"], **details)
    except KeyboardInterrupt:
        job.kill()
        job.finish("stopped")
        raise
    ended = job.outcome() or {}
    if ended.get("state") != "finished":
        raise QwenlabError(
            f"The proof of {folder.name} failed: {ended.get('reason') or 'it ended without a word.'}",
            ended.get("remedy") or "Prove it again.",
            zh=(
                f"验证 {folder.name} 失败：{ended.get('reason_zh') or '进程突然消失。'}",
                ended.get("remedy_zh") or "请重新验证。",
            ),
        )
    return tell(json.loads(job.log_tail(LONG_TAIL).strip().splitlines()[-1]), console)
