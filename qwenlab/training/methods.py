"""The ways to train: a LoRA adapter, the same beside a 4-bit base, or all weights; sharded by DeepSpeed or not.

A base that is quantized already, with GPTQ as Qwen's own Int4 models are, is trained beside as it is.
"""

from __future__ import annotations

import importlib.util
import os
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from qwenlab.errors import QwenlabError
from qwenlab.models import folder as model_folder
from qwenlab.models import loading, precision
from qwenlab.training.recipe import Recipe

ATTENTION = ["q_proj", "k_proj", "v_proj", "o_proj"]
LINEAR = [*ATTENTION, "gate_proj", "up_proj", "down_proj"]
"""Every linear layer of the supported families, by name: PEFT's own "all-linear" finds none in a GPTQ model."""
CARRIED = (*model_folder.TOKENIZER_FILES, "vocab.json", "merges.txt", "added_tokens.json", "generation_config.json")
"""What a trained model takes over from its base as it is."""


def check(recipe: Recipe, base: Path) -> None:
    """Refuse a method that this machine lacks a package for, or that the base cannot be trained with.

    Raises:
        QwenlabError: saying how to install it, or which method to choose.
    """
    quantized = model_folder.quantized(base)
    if quantized and recipe.method == "full":
        raise QwenlabError(
            f"{base.name} is quantized ({quantized}): its weights cannot be trained, only an adapter beside them.",
            "Set method to qlora, or choose the model that is not quantized.",
            zh=(
                f"{base.name} 是量化模型（{quantized}）：它的权重不能训练，只能在旁边训练适配器。",
                "请把“方法”设为 qlora，或选择未量化的模型。",
            ),
        )
    if quantized == "gptq":
        for package in ("gptqmodel", "optimum"):
            _need(package, f"GPTQ model {base.name}", f"GPTQ 模型 {base.name} ", "requirements-gptq.txt")
    elif recipe.method == "qlora":
        _need("bitsandbytes", "method qlora", "方法 qlora")
    if recipe.sharding != "none":
        _need("deepspeed", f"sharding {recipe.sharding}", f"分片 {recipe.sharding}")


def _need(package: str, what: str, what_zh: str, requirements: str = "requirements-gpu.txt") -> None:
    if importlib.util.find_spec(package) is None:
        raise QwenlabError(
            f"The {what} needs the package {package}, which is not installed.",
            f"Install it with: python -m pip install -r {requirements}",
            zh=(f"{what_zh}需要软件包 {package}，但尚未安装。", f"请运行：python -m pip install -r {requirements}"),
        )


def load(base: Path, recipe: Recipe, dtype: Any) -> loading.LoadedModel:
    """The base model as the method trains it.

    Args:
        dtype: what to compute in. Adapters train beside a base of that type; full training keeps float32 weights,
            because a step of 1e-5 is smaller than the grain of bfloat16.

    Raises:
        QwenlabError: when the folder cannot be loaded.
    """
    import torch

    if recipe.method == "qlora" and not model_folder.quantized(base):
        return _load_in_4_bit(base, dtype)
    return loading.load(base, torch.float32 if recipe.method == "full" else dtype)


def _load_in_4_bit(base: Path, dtype: Any) -> loading.LoadedModel:
    """The base in NF4 with double quantization, quantized while it is read."""
    import transformers

    model_folder.read_config(base)
    model_folder.weight_files(base)
    tokenizer = loading.load_tokenizer(base)
    precision.set_threads()
    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
    in_4_bit = transformers.BitsAndBytesConfig(
        load_in_4bit=True,
        bnb_4bit_quant_type="nf4",
        bnb_4bit_use_double_quant=True,
        bnb_4bit_compute_dtype=dtype,
    )
    try:
        model = transformers.AutoModelForCausalLM.from_pretrained(
            str(base),
            dtype=dtype,
            quantization_config=in_4_bit,
            device_map={"": precision.device()},
            local_files_only=True,
            use_safetensors=True,
            trust_remote_code=False,
        )
    except (OSError, ValueError, RuntimeError, KeyError, ImportError) as error:
        reason = str(error).strip().splitlines()[0]
        raise QwenlabError(
            f"The model {base} cannot be loaded in 4 bits: {reason}.",
            "Choose method lora, or copy the model again.",
            zh=(f"无法以 4 位加载模型 {base}：{reason}。", "请选择方法 lora，或重新复制该模型。"),
        ) from error
    loading.prepare_to_answer(model, tokenizer)
    return loading.LoadedModel(base, tokenizer, model)


def prepare(loaded: loading.LoadedModel, recipe: Recipe) -> Any:
    """The model to train: all of it, or frozen with a fresh LoRA adapter in float32."""
    if recipe.method == "full":
        return loaded.model
    from peft import LoraConfig, get_peft_model
    from peft.tuners.tuners_utils import BaseTunerLayer

    # Not PEFT's prepare_model_for_kbit_training: its float32 copies of embedding and output layer cost more than
    # the whole 4-bit model, and autocast turns them back at each product.
    adapted = get_peft_model(
        loaded.model,
        LoraConfig(
            r=recipe.rank,
            lora_alpha=recipe.alpha,
            lora_dropout=recipe.dropout,
            target_modules=LINEAR if recipe.target == "all" else ATTENTION,
            task_type="CAUSAL_LM",
        ),
    )
    layers: list[Any] = [module for module in adapted.modules() if isinstance(module, BaseTunerLayer)]
    for layer in layers:
        layer.cast_input_dtype_enabled = False  # autocast does it, without a float32 copy kept for backward
    return adapted


def deepspeed(recipe: Recipe) -> dict[str, Any] | None:
    """DeepSpeed's configuration; None without sharding.

    "auto" is filled in by the Trainer. There is neither optimizer nor scheduler here, so that the Trainer's own are
    used: the original Qwen files name WarmupLR, and the chosen schedule was silently ignored.
    """
    if recipe.sharding == "none":
        return None
    zero: dict[str, Any] = {"stage": 2, "reduce_bucket_size": "auto"}
    if recipe.sharding == "zero3":
        zero = {
            "stage": 3,
            "reduce_bucket_size": "auto",
            "stage3_prefetch_bucket_size": "auto",
            "stage3_param_persistence_threshold": "auto",
            "stage3_gather_16bit_weights_on_model_save": True,
        }
    return {
        "train_batch_size": "auto",
        "train_micro_batch_size_per_gpu": "auto",
        "gradient_accumulation_steps": "auto",
        "gradient_clipping": "auto",
        "bf16": {"enabled": "auto"},
        "fp16": {"enabled": "auto"},
        "zero_optimization": zero,
    }


def join(recipe: Recipe) -> None:
    """Let DeepSpeed take over the processes that have met; without it ZeRO-3 would load the model unshared.

    Raises:
        QwenlabError: on a CPU without a C++ compiler.
    """
    if recipe.sharding == "none":
        return
    compiler = os.environ.get("CXX", "c++")
    if precision.device() == "cpu" and shutil.which(compiler) is None:
        raise QwenlabError(
            f"DeepSpeed builds a small part of itself on this machine, and there is no C++ compiler ({compiler}).",
            "Install one (Debian or Ubuntu: g++ and python3-dev), or set sharding to none.",
            zh=(
                f"DeepSpeed 需要在本机编译一小部分代码，但没有 C++ 编译器（{compiler}）。",
                "请安装编译器（Debian 或 Ubuntu：g++ 和 python3-dev），或把“分片”设为 none。",
            ),
        )
    from deepspeed import comm

    comm.init_distributed(auto_mpi_discovery=False)


@dataclass(frozen=True)
class Extra:
    """An optional package that makes training faster: whether it is used, and if not, why."""

    name: str
    used: bool
    reason: str = ""
    reason_zh: str = ""


def extras(device: str) -> list[Extra]:
    """flash-attn and liger-kernel, both written for NVIDIA cards; they know every supported family."""
    found = []
    for name, module in (("flash-attn", "flash_attn"), ("liger-kernel", "liger_kernel")):
        if device != "cuda":
            found.append(Extra(name, False, "It is for NVIDIA cards only.", "它只用于 NVIDIA 显卡。"))
        elif importlib.util.find_spec(module) is None:
            words = (
                f"It is not installed (python -m pip install {name}).",
                f"尚未安装（python -m pip install {name}）。",
            )
            found.append(Extra(name, False, *words))
        else:
            found.append(Extra(name, True))
    return found


LIGER = {"rope": True, "rms_norm": True, "swiglu": True, "cross_entropy": False, "fused_linear_cross_entropy": False}
"""Liger's kernels inside the layers; the loss is ours, which computes logits only where a label is."""


def carry(base: Path, target: Path) -> None:
    """Copy tokenizer, chat template and generation settings of the base to the model trained from it."""
    for name in CARRIED:
        if (base / name).exists():
            shutil.copyfile(base / name, target / name)
