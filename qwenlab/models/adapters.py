"""Adapters: where a run keeps them, which base they belong to, and refusing one that belongs elsewhere."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from qwenlab import files
from qwenlab.errors import QwenlabError, nearest
from qwenlab.models import folder as model_folder
from qwenlab.workspace import Workspace

ORIGIN = "qwenlab-adapter.json"
"""Beside an adapter's weights: which base it was trained on, by path and weight fingerprint."""
WEIGHTS = "adapter_model.safetensors"
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
    return (folder / "adapter_config.json").exists() and (folder / WEIGHTS).exists()


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
    config = files.read_json(adapter / "adapter_config.json")
    kind = config.get("peft_type") if isinstance(config, dict) else None
    if kind != "LORA":
        raise QwenlabError(
            f"{adapter} is an adapter of the kind {kind!r}.",
            "Only LoRA adapters can be used.",
            zh=(f"{adapter} 是 {kind!r} 类型的适配器。", "只支持 LoRA 适配器。"),
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


def check_shared(adapter: Path) -> None:
    """Refuse an adapter that cannot be put on a base which others use as it is.

    Raises:
        QwenlabError: when PEFT would write some of it over the base's own weights, or it cannot be read.
    """
    config = files.read_json(adapter / "adapter_config.json")
    if _writes_over_base(adapter, config):
        raise QwenlabError(
            f"The adapter {adapter} changes weights of the base model itself, which others share.",
            "Merge it into its base first, and use the merged model.",
            zh=(f"适配器 {adapter} 会改动共用的基础模型本身的权重。", "请先把它合并到基础模型，再使用合并后的模型。"),
        )


def _writes_over_base(adapter: Path, config: dict[str, Any]) -> bool:
    """Whether PEFT would load some of it into the shared base: trained biases, or embeddings saved along."""
    from safetensors import SafetensorError, safe_open

    own = ["lora_", "trainable_tokens", *(f".{part}." for part in config.get("modules_to_save") or [])]
    try:
        with safe_open(str(adapter / WEIGHTS), "np") as file:
            keys = list(file.keys())
    except (SafetensorError, OSError) as error:
        raise QwenlabError(
            f"The adapter {adapter} cannot be read: {error}.",
            "Copy it again, or use another checkpoint.",
            zh=(f"无法读取适配器 {adapter}：{error}。", "请重新复制，或使用其他检查点。"),
        ) from error
    return config.get("bias", "none") != "none" or not all(any(part in key for part in own) for key in keys)


def put_on(model: Any, adapter: Path, name: str, base: str) -> tuple[Any, bool]:
    """Load an adapter onto a model, all of it or nothing.

    Args:
        model: the bare base, or the base that `put_on` has wrapped already.
        name: what PEFT is to call it; new.
        base: what a person calls the base.

    Returns:
        The wrapped model, and whether the adapter is more than thin products beside those of the base (DoRA, or
        modules of its own), so that it cannot answer in one batch with others.

    Raises:
        QwenlabError: when it is broken or does not fit; `model` is then as it was.
    """
    from peft import LoraConfig, PeftModel, PeftModelForCausalLM

    wrapped = model if isinstance(model, PeftModel) else None
    try:
        config = LoraConfig.from_pretrained(str(adapter))
        config.inference_mode = True
        # In the base's own format: a float32 adapter on a bfloat16 base halves the speed of answering.
        if wrapped is None:
            wrapped = PeftModelForCausalLM(model, config, name, autocast_adapter_dtype=False)
        loaded = wrapped.load_adapter(str(adapter), name, autocast_adapter_dtype=False)
        lacking = next(iter(loaded.missing_keys), "")
        if lacking or loaded.unexpected_keys:
            raise ValueError(f"its weights lack {lacking}" if lacking else f"no place for {loaded.unexpected_keys[0]}")
        if not all(part.isfinite().all() for key, part in wrapped.named_parameters() if f".{name}." in key):
            raise ValueError("its weights hold values that are no numbers")
    except Exception as error:  # safetensors, PEFT and torch each have their own
        _take_off(model, wrapped, name)
        reason = " ".join(str(error).split())[:200].rstrip(".") or type(error).__name__
        raise QwenlabError(
            f"The adapter {adapter} does not fit the model {base}: {reason}.",
            "Choose the base model it was trained on.",
            zh=(f"适配器 {adapter} 与模型 {base} 不匹配：{reason}。", "请选择训练它时所用的基础模型。"),
        ) from error
    wrapped.eval()
    return wrapped, not _is_thin(wrapped, name)


def _is_thin(wrapped: Any, name: str) -> bool:
    from peft.tuners.lora import LoraLayer, ParamWrapper
    from peft.utils.other import AuxiliaryTrainingWrapper

    for part in wrapped.modules():
        if isinstance(part, AuxiliaryTrainingWrapper) and name in part._adapters:
            return False
        if isinstance(part, LoraLayer) and name in part.r:
            special = name in part.lora_variant or part.lora_bias.get(name) or isinstance(part, ParamWrapper)
            if special or name not in part.lora_A:  # an embedding has its own pair
                return False
    return True


def _take_off(model: Any, wrapped: Any, name: str) -> None:
    """Undo a half-done `put_on`."""
    from peft.tuners.tuners_utils import BaseTunerLayer
    from peft.utils.other import AuxiliaryTrainingWrapper

    if wrapped is model:
        if name in model.peft_config:
            model.delete_adapter(name)
        return
    for path, part in list(model.named_modules()):
        if isinstance(part, BaseTunerLayer | AuxiliaryTrainingWrapper):
            parent, _, leaf = path.rpartition(".")
            original = part.get_base_layer() if isinstance(part, BaseTunerLayer) else part.original_module
            setattr(model.get_submodule(parent), leaf, original)
    if hasattr(model, "peft_config"):
        del model.peft_config
