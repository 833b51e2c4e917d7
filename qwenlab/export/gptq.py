"""Quantize a merged model to 4 or 8 bits with GPTQ: the format of Qwen's own Int4 models, served by vLLM.

Each layer's weights are rounded so that its outputs on the calibration texts change least
(https://arxiv.org/abs/2210.17323), by the package GPTQModel, which is optional.
"""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, Literal

from qwenlab import files
from qwenlab.errors import QwenlabError
from qwenlab.export.calibration import DEFAULT

GROUP_SIZES = (128, 64, 32)
"""Weights that share a scale; the first that divides every layer's input is taken, as a bigger one packs denser."""
MIN_CALIBRATION = 8
LAYERS_SHARE = 0.97
"""Share of the work that is the layers; the rest is writing the folder."""

Progress = Callable[[str, float], None]


def gptq_missing(language: str = "en") -> str:
    """What keeps this machine from making GPTQ models, as one sentence with the way out; empty when nothing."""
    missing = [name for name in ("gptqmodel", "optimum") if importlib.util.find_spec(name) is None]
    if not missing:
        return ""
    if language == "zh":
        return (
            f"GPTQ 需要软件包 {' 和 '.join(missing)}：请运行 `make gptq` 来构建，"
            "需要 C 编译器（Debian 或 Ubuntu：build-essential 和 python3-dev）。"
        )
    return (
        f"GPTQ needs the package{'s' if len(missing) > 1 else ''} {' and '.join(missing)}: run `make gptq`, "
        "which builds them and needs a C compiler (Debian or Ubuntu: build-essential and python3-dev)."
    )


def quantize_gptq(
    source: Path,
    target: Path,
    calibration: Sequence[str],
    bits: Literal[4, 8] = 4,
    group_size: int | None = None,
    progress: Progress = lambda _, __: None,
    length: int = DEFAULT.length,
) -> None:
    """Write a GPTQ model folder; symmetric, without activation order, lm_head left alone.

    Args:
        source: merged Hugging Face folder.
        target: folder to fill; transformers and vLLM load it.
        calibration: chats rendered with the model's own template, at least 8, like those it will answer.
        bits: bits per weight.
        group_size: weights that share a scale; None takes the biggest that fits the model.
        progress: called with (layer in words, fraction 0 to 1).
        length: tokens of one calibration text that count.

    Raises:
        QwenlabError: when GPTQModel is missing, the calibration is too small or the group size does not fit.
    """
    if missing := gptq_missing():
        raise QwenlabError(
            "This machine cannot make GPTQ models.", missing, zh=("这台机器无法制作 GPTQ 模型。", gptq_missing("zh"))
        )
    config = files.read_json(source / "config.json")
    group_size = fitting_group_size(config, group_size)
    if len(calibration) < MIN_CALIBRATION:
        raise QwenlabError(
            f"GPTQ got {len(calibration)} calibration texts and needs at least {MIN_CALIBRATION}.",
            "Add samples to the data set it calibrates with; 32 to 128 are usual.",
            zh=(
                f"GPTQ 只有 {len(calibration)} 条校准文本，至少需要 {MIN_CALIBRATION} 条。",
                "请在校准所用的数据集中添加样本；通常需要 32 到 128 条。",
            ),
        )
    progress("loading", 0.0)
    # One worker pool thread per core must exist before the import, else GPTQModel refuses machines with 2 cores.
    os.environ.setdefault("GPTQMODEL_CPU_WORKERS", str(max(2, os.cpu_count() or 2)))
    import torch
    from gptqmodel import GPTQModel, QuantizeConfig
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(source, local_files_only=True, trust_remote_code=False)
    settings = QuantizeConfig(bits=bits, group_size=group_size, sym=True, desc_act=False)
    # In 16 bits whatever the file holds: a float32 merge would take twice the memory, and 4 bits are far coarser.
    model = GPTQModel.load(str(source), settings, trust_remote_code=False, dtype=torch.bfloat16)
    model.layer_callback = _layer_counter(config["num_hidden_layers"], progress)
    model.quantize(_encode(tokenizer, calibration, length), batch_size=1)
    progress("writing", LAYERS_SHARE)
    model.save(str(target))
    progress("", 1.0)


def fitting_group_size(config: dict[str, Any], wanted: int | None = None) -> int:
    """The group size to use for a model of this config.

    GPTQModel quantizes and saves a size that does not divide a layer's input without a word; using it fails.

    Raises:
        QwenlabError: when the wanted size, or all of GROUP_SIZES, do not divide every layer's input width.
    """
    heads = config["num_attention_heads"]
    attention = heads * (config.get("head_dim") or config["hidden_size"] // heads)
    widths = {config["hidden_size"], config["intermediate_size"], attention}
    for size in (wanted,) if wanted else GROUP_SIZES:
        if all(width % size == 0 for width in widths):
            return size
    tried = str(wanted) if wanted else ", ".join(map(str, GROUP_SIZES))
    raise QwenlabError(
        f"The group size {tried} does not divide the model's layer widths {', '.join(map(str, sorted(widths)))}.",
        "Leave the group size to Qwenlab, or export as GGUF, which fits any model.",
        zh=(
            f"分组大小 {tried} 不能整除模型的层宽 {'、'.join(map(str, sorted(widths)))}。",
            "请让 Qwenlab 自动选择分组大小，或导出适用于任何模型的 GGUF。",
        ),
    )


def _encode(tokenizer: Any, texts: Iterable[str], length: int) -> list[dict[str, list[int]]]:
    """Token ids as the model will see them: the texts carry their special tokens already."""
    encoded = [tokenizer(text, add_special_tokens=False, truncation=True, max_length=length) for text in texts]
    return [{"input_ids": one["input_ids"], "attention_mask": one["attention_mask"]} for one in encoded]


def _layer_counter(layers: int, progress: Progress) -> Callable[..., None]:
    def layer_complete(*, layer_idx: int, **_: Any) -> None:
        progress(f"layer {layer_idx + 1} of {layers}", LAYERS_SHARE * (layer_idx + 1) / layers)

    return layer_complete
