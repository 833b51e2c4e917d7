"""Adapters: where a run keeps them, which base they belong to, and refusing one that belongs elsewhere."""

from __future__ import annotations

import re
from itertools import chain, islice
from pathlib import Path
from typing import Any

from qwenlab import failures
from qwenlab.errors import QwenlabError, nearest
from qwenlab.models import adapter_base, adapter_convert
from qwenlab.models.adapter_convert import WEIGHTS
from qwenlab.workspace import Workspace

CHANGING = ("layer_replication", "bias", "init_lora_weights")
"""Settings that make PEFT change the base itself, unless they have one of the values below."""
STARTS = ("gaussian", "eva", "orthogonal")
"""Ways to begin a training that leave the base as it is; PiSSA and its like change it as well."""
HARMLESS: dict[str, tuple[Any, ...]] = {"bias": ("none",), "init_lora_weights": (True, False, *STARTS)}
UNKNOWN = (
    "megatron_config",
    "use_qalora",
    "alora_invocation_tokens",
    "arrow_config",
    "use_bdlora",
    "monteclora_config",
)
"""Settings of PEFT that change what an adapter computes, or run other packages, and are not supported here."""
DEPTHS = ("", "*/", "*/*/")
"""How deep other tools put their adapters: v0-20240205/checkpoint-100/default at most, beside the folder named."""
MOST = 200
"""Folders that are looked at for an adapter."""
MOST_REPEATS = 2
"""Repetitions in a pattern of module names, so that matching it ends soon."""
_CHECKPOINT = re.compile(r"checkpoint-\d+")
ORIGIN = adapter_base.ORIGIN
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


def stands_alone(folder: Path) -> bool:
    """Whether the folder is no model but holds an adapter, whose base is yet to be found."""
    if not folder.is_dir() or (folder / "config.json").exists():
        return False
    return is_adapter(folder) or adapter_convert.is_pickled(folder) or bool(within(folder))


def elsewhere(workspace: Workspace) -> list[Path]:
    """The adapters that a person has put into the workspace, by name; also what `find` will ask to choose from."""
    found = []
    for path in sorted(workspace.adapters.iterdir()):
        try:
            known = stands_alone(path)
        except QwenlabError:
            known = True
        found += [path] if known else []
    return found


def find(workspace: Workspace, named: str) -> Path:
    """The adapter folder of a run id, of RUN/checkpoint-N, or of a path.

    A folder of another tool that holds checkpoints stands for the newest of them.

    Raises:
        QwenlabError: when there is none, or several that are no checkpoints of one training.
    """
    path = Path(named).expanduser()
    if is_adapter(path) or adapter_convert.is_pickled(path):
        return path.resolve()
    if path.is_dir() and (inside := within(path)):
        return inside[0].resolve()
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


def within(folder: Path) -> list[Path]:
    """The adapters below a folder of somebody else's: checkpoints from the newest on, then the others by name.

    Raises:
        QwenlabError: when there are several that are no checkpoints of one training.
    """
    marks = islice(chain.from_iterable(folder.glob(f"{depth}{adapter_base.CONFIG}") for depth in DEPTHS), MOST)
    found = sorted({mark.parent for mark in marks if is_adapter(mark.parent)})
    steps = {path: int(path.name.rpartition("-")[2]) for path in found if _CHECKPOINT.fullmatch(path.name)}
    if len(found) > 1 and (len(steps) < len(found) or len({path.parent for path in found}) > 1):
        names = ", ".join(path.relative_to(folder).as_posix() for path in found[:3])
        raise QwenlabError(
            f"{folder} holds several adapters: {names}.",
            "Name one of these folders.",
            zh=(f"{folder} 中有多个适配器：{names}。", "请指定其中一个文件夹。"),
        )
    return sorted(found, key=lambda path: -steps.get(path, 0))


def check(adapter: Path, base: Path) -> None:
    """Refuse an adapter that cannot be used, or was trained on other weights than `base`.

    Raises:
        QwenlabError: naming both; also when the folder holds no adapter.
    """
    if adapter_convert.is_pickled(adapter):
        raise adapter_convert.pickled(adapter)
    if not is_adapter(adapter):
        raise QwenlabError(
            f"{adapter} is not an adapter folder.",
            "It must hold adapter_config.json and adapter_model.safetensors.",
            zh=(f"{adapter} 不是适配器文件夹。", "其中必须有 adapter_config.json 和 adapter_model.safetensors。"),
        )
    config = adapter_base.read_config(adapter)
    kind, task = config.get("peft_type"), config.get("task_type")
    if kind != "LORA" or task not in (None, "CAUSAL_LM"):
        kind = f"{kind} for {task}" if kind == "LORA" else kind
        raise QwenlabError(
            f"{adapter_base.title(adapter)} is an adapter of the kind {kind!r}.",
            "Only LoRA adapters of language models can be used.",
            zh=(f"{adapter_base.title(adapter)} 是 {kind!r} 类型的适配器。", "只支持语言模型的 LoRA 适配器。"),
        )
    for setting in UNKNOWN:
        if config.get(setting):
            raise QwenlabError(
                f"The adapter {adapter_base.title(adapter)} was trained with {setting}, which is not supported.",
                "Train it without, or merge it with the tool that made it.",
                zh=(
                    f"适配器 {adapter_base.title(adapter)} 训练时使用了 {setting}，目前不支持。",
                    "请改用普通设置训练，或用原工具合并。",
                ),
            )
    if adapter_convert.is_original(_weight_names(adapter)):
        raise QwenlabError(
            f"The adapter {adapter_base.title(adapter)} was trained on the original code of Qwen 1.",
            f"Convert it once, then name the new folder: qwenlab models convert {adapter} NEW_FOLDER",
            zh=(
                f"适配器 {adapter_base.title(adapter)} 是在 Qwen 1 的原始代码上训练的。",
                f"请先转换一次，然后使用新文件夹：qwenlab models convert {adapter} NEW_FOLDER",
            ),
        )
    adapter_base.check(adapter, base)


def check_shared(adapter: Path) -> None:
    """Refuse an adapter that cannot be put on a base which others use as it is.

    Raises:
        QwenlabError: when PEFT would write some of it over the base's own weights, or it cannot be read.
    """
    if _writes_over_base(adapter, adapter_base.read_config(adapter)):
        raise QwenlabError(
            f"The adapter {adapter_base.title(adapter)} changes weights of the base model itself, which others share.",
            "Merge it into its base first, and use the merged model.",
            zh=(
                f"适配器 {adapter_base.title(adapter)} 会改动共用的基础模型本身的权重。",
                "请先把它合并到基础模型，再使用合并后的模型。",
            ),
        )


def _writes_over_base(adapter: Path, config: dict[str, Any]) -> bool:
    """Whether PEFT would load some of it into the shared base: trained biases, embeddings saved along, or layers."""
    own = ["lora_", "trainable_tokens", *(f".{part}." for part in config.get("modules_to_save") or [])]
    changed = [config.get(name) for name in CHANGING if config.get(name) not in (None, *HARMLESS.get(name, ()))]
    return bool(changed) or not all(any(part in key for part in own) for key in _weight_names(adapter))


def _weight_names(adapter: Path) -> list[str]:
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(str(adapter / WEIGHTS), "np") as file:
            return list(file.keys())
    except (SafetensorError, OSError) as error:
        raise _damaged(adapter) from error


def _damaged(adapter: Path) -> QwenlabError:
    name = adapter_base.title(adapter)
    return QwenlabError(
        f"The adapter {name} is damaged or was not copied completely.",
        "Copy it again, use an earlier checkpoint, or train again.",
        zh=(f"适配器 {name} 已损坏，或没有复制完整。", "请重新复制、使用更早的检查点，或重新训练。"),
    )


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
        _name_modules(adapter, config)
        # In the base's own format: a float32 adapter on a bfloat16 base halves the speed of answering.
        if wrapped is None:
            wrapped = PeftModelForCausalLM(model, config, name, autocast_adapter_dtype=False)
        else:  # or PEFT would read the settings itself
            wrapped.add_adapter(name, config, autocast_adapter_dtype=False)
        loaded = wrapped.load_adapter(str(adapter), name, autocast_adapter_dtype=False)
        if loaded.missing_keys or loaded.unexpected_keys:
            raise LookupError
        if not all(part.isfinite().all() for key, part in wrapped.named_parameters() if f".{name}." in key):
            raise FloatingPointError
    except Exception as error:  # safetensors, PEFT and torch each have their own
        _take_off(model, wrapped, name)
        failures.blame_no_file(error)
        raise _unfit(adapter, base, error) from error
    wrapped.eval()
    return wrapped, not _is_thin(wrapped, name)


def _unfit(adapter: Path, base: str, error: Exception) -> QwenlabError:
    """Why an adapter could not be put on a base, without the libraries' own words where the cause is known."""
    from safetensors import SafetensorError

    if isinstance(error, SafetensorError | OSError | FloatingPointError):
        return _damaged(adapter)
    reason = " ".join(str(error).split())[:200].rstrip(".") or type(error).__name__
    why, why_zh = reason, reason
    if isinstance(error, LookupError) or "not found in the base model" in reason:
        why, why_zh = "one has parts that the other lacks", "两者的组成部分不一致"
    elif "size mismatch" in reason:
        why, why_zh = "it was made for a model of another size", "它是为另一种大小的模型训练的"
    name, said = adapter_base.title(adapter), adapter_base.named(adapter)
    remedy = f"Choose the base model it was trained on{f': {said}' if said else ''}."
    remedy_zh = f"请选择训练它时所用的基础模型{f'：{said}' if said else ''}。"
    if said and adapter_base.plain(said) == adapter_base.plain(base):
        remedy = f"It names {base} as its base, but was trained on another model, or is damaged: copy it again."
        remedy_zh = f"它写明的基础模型是 {base}，但它是在另一个模型上训练的，或已损坏：请重新复制。"
    return QwenlabError(
        f"The adapter {name} does not fit the model {base}: {why}.",
        remedy,
        zh=(f"适配器 {name} 与模型 {base} 不匹配：{why_zh}。", remedy_zh),
    )


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


def _name_modules(adapter: Path, config: Any) -> None:
    """Put the modules that have weights in place of a pattern: one made by a stranger could be matched for ever.

    Raises:
        ValueError: when another of its patterns could.
    """
    for key in [*config.rank_pattern, *config.alpha_pattern]:
        if len(re.findall(r"[*+{]", key)) > MOST_REPEATS:
            raise ValueError(f"its pattern {key} is too complicated")
    if isinstance(config.target_modules, str):
        adapted = (name.partition(".lora_") for name in _weight_names(adapter))
        config.target_modules = {name.removeprefix(adapter_convert.PREFIX) for name, lora, _ in adapted if lora}
        config.exclude_modules = None


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
