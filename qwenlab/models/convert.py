"""A GGUF file becomes an ordinary Hugging Face folder: 16-bit safetensors, tokenizer, chat template."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

from qwenlab import failures
from qwenlab.errors import QwenlabError
from qwenlab.models import gguf_header

FAMILIES = {"qwen2": "Qwen2 and Qwen2.5", "qwen3": "Qwen3", "llama": "Llama"}
"""`model_type` of the supported families."""


def gguf_to_folder(gguf: Path, target: Path) -> None:
    """Dequantize `gguf` into `target`; it appears under its name only when complete.

    Raises:
        QwenlabError: when the file cannot be read or is of another family.
    """
    gguf_header.check(gguf)
    import torch
    import transformers
    from transformers import AutoModelForCausalLM, AutoTokenizer, GgufConfig

    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()

    # Only the file's own folder and name: transformers joins them, and an absolute name would hit the hub.
    place: dict[str, Any] = {
        "pretrained_model_name_or_path": str(gguf.parent),
        "gguf_file": gguf.name,
        "local_files_only": True,
    }
    try:
        tokenizer = AutoTokenizer.from_pretrained(**place)
        model = AutoModelForCausalLM.from_pretrained(
            **place, dtype=torch.bfloat16, quantization_config=GgufConfig(dequantize=True)
        )
    except Exception as error:
        failures.blame_no_file(error)
        raise QwenlabError(
            f"{gguf.name} could not be read as a GGUF model: {error}.",
            "Download it again.",
            zh=(f"无法作为 GGUF 模型读取 {gguf.name}：{error}。", "请重新下载。"),
        ) from error
    if model.config.model_type not in FAMILIES:
        raise QwenlabError(
            f"{gguf.name} is of the family {model.config.model_type}.",
            f"Supported: {', '.join(FAMILIES.values())}.",
            zh=(f"{gguf.name} 属于 {model.config.model_type} 系列。", f"支持：{'、'.join(FAMILIES)}。"),
        )
    _split_digits(tokenizer, gguf)
    _tie_embeddings(model)
    staging = target.with_name(target.name + ".part")
    shutil.rmtree(staging, ignore_errors=True)
    model.save_pretrained(staging, max_shard_size="2GB")
    tokenizer.save_pretrained(staging)
    for file in staging.iterdir():
        file.chmod(0o644)
    shutil.rmtree(target, ignore_errors=True)
    staging.rename(target)


def _split_digits(tokenizer: Any, gguf: Path) -> None:
    """Give SmolLM's tokenizer its digit splitting back, which transformers' GGUF import forgets."""
    import libgguf
    from tokenizers import pre_tokenizers

    kind = libgguf.read_gguf_header(gguf).metadata.get("tokenizer.ggml.pre")
    backend = getattr(tokenizer, "backend_tokenizer", None)
    if kind is None or kind.value != "smollm" or backend is None:
        return
    if backend.pre_tokenizer.pre_tokenize_str("12") == [("1", (0, 1)), ("2", (1, 2))]:
        return  # a later transformers remembers it
    digits = pre_tokenizers.Digits(individual_digits=True)
    backend.pre_tokenizer = pre_tokenizers.Sequence([digits, backend.pre_tokenizer])


def _tie_embeddings(model: Any) -> None:
    """Undo llama.cpp's split of a tied embedding.

    Its converter may store the output matrix apart from the token embedding (Q8_0 beside Q5_0) though the
    original ties them. Where the two differ by rounding alone, the finer output matrix serves both.
    """
    if model.config.tie_word_embeddings:
        return
    import torch

    embedding, output = model.get_input_embeddings().weight, model.get_output_embeddings().weight
    rows = torch.linspace(0, len(output) - 1, 2048).long()  # a sample says enough and saves gigabytes
    difference = (embedding[rows].float() - output[rows].float()).norm() / output[rows].float().norm()
    if difference > 0.1:
        return  # a model that really has two matrices
    with torch.no_grad():
        embedding.copy_(output)
    model.config.tie_word_embeddings = True
    model.tie_weights()
