"""Adapters: where a run keeps them, which base they belong to, and refusing one that belongs elsewhere."""

from __future__ import annotations

from pathlib import Path

from qwenlab import files
from qwenlab.errors import QwenlabError, nearest
from qwenlab.models import folder as model_folder
from qwenlab.workspace import Workspace

ORIGIN = "qwenlab-adapter.json"
"""Beside an adapter's weights: which base it was trained on, by path and weight fingerprint."""
FINISHED = "adapter"
FULL = "model"
"""Where full training puts the whole model, in place of an adapter."""
CHECKPOINTS = "checkpoints"
COMPLETE = "complete"
"""Written last into a checkpoint; one without it was torn by a crash and is not used."""


def last_checkpoint(run: Path) -> Path | None:
    """The newest complete checkpoint of a run folder, or None."""
    complete = [path.parent for path in (run / CHECKPOINTS).glob(f"checkpoint-*/{COMPLETE}")]
    return max(complete, key=lambda path: int(path.name.rpartition("-")[2]), default=None)


def of_run(run: Path) -> Path:
    """A run's adapter: the finished one, else that of its newest complete checkpoint.

    Raises:
        QwenlabError: when the run has saved nothing yet.
    """
    if is_adapter(run / FINISHED):
        return run / FINISHED
    whole = whole_model(run)
    if whole is not None:
        raise QwenlabError(
            f"The run {run.name} trained the whole model and has no adapter.",
            f"Use its folder as a model: {whole}",
            zh=(f"训练 {run.name} 训练的是整个模型，没有适配器。", f"请把它的文件夹当作模型使用：{whole}"),
        )
    checkpoint = last_checkpoint(run)
    if checkpoint is None:
        raise QwenlabError(
            f"The run {run.name} has saved no adapter yet.",
            "Wait for its first checkpoint.",
            zh=(f"训练 {run.name} 还没有保存适配器。", "请等待第一个检查点。"),
        )
    return checkpoint


def whole_model(run: Path) -> Path | None:
    """The complete model that full training left in a run; None for any other run."""
    return run / FULL if (run / FULL / "config.json").exists() else None


def is_adapter(folder: Path) -> bool:
    """Whether the folder holds a LoRA adapter."""
    return (folder / "adapter_config.json").exists() and (folder / "adapter_model.safetensors").exists()


def find(workspace: Workspace, named: str) -> Path:
    """The adapter folder of a run id, of RUN/checkpoint-N, or of a path.

    Raises:
        QwenlabError: when there is none.
    """
    path = Path(named).expanduser()
    if is_adapter(path):
        return path.resolve()
    run, _, checkpoint = named.partition("/")
    folder = workspace.runs / run
    if run and folder.is_dir() and not checkpoint:
        return of_run(folder)
    chosen = folder / CHECKPOINTS / checkpoint
    if checkpoint and is_adapter(chosen) and (chosen / COMPLETE).exists():
        return chosen
    known = [one.name for one in workspace.runs.iterdir()]
    raise QwenlabError(
        f"There is no adapter {named}.{nearest(run, known)}",
        "Name a run (qwenlab runs list) or an adapter folder.",
        zh=(f"没有适配器 {named}。{nearest(run, known, 'zh')}", "请指定一个训练（qwenlab runs list）或适配器文件夹。"),
    )


def check(adapter: Path, base: Path) -> None:
    """Refuse an adapter that was trained on other weights than `base`.

    Raises:
        QwenlabError: naming both; also when the folder holds no adapter.
    """
    if not is_adapter(adapter):
        raise QwenlabError(
            f"{adapter} is not an adapter folder.",
            "It must hold adapter_config.json and adapter_model.safetensors.",
            zh=(f"{adapter} 不是适配器文件夹。", "其中必须有 adapter_config.json 和 adapter_model.safetensors。"),
        )
    if not (adapter / ORIGIN).exists():
        return  # brought from elsewhere: PEFT checks the shapes
    origin = files.read_json(adapter / ORIGIN)
    if origin["weights"] != model_folder.fingerprints(base)["weights"]:
        raise QwenlabError(
            f"The adapter {adapter} was trained on {origin['base']}, whose weights differ from {base.name}.",
            "Choose the base model it was trained on.",
            zh=(
                f"适配器 {adapter} 是在 {origin['base']} 上训练的，其权重与 {base.name} 不同。",
                "请选择训练它时所用的基础模型。",
            ),
        )
