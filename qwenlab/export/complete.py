"""What a complete Hugging Face model folder holds: carried over from the base, and checked before it is called done."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from qwenlab import files
from qwenlab.errors import QwenlabError
from qwenlab.export import package
from qwenlab.export.safetensors_folder import Weights
from qwenlab.models.templates import CHATML

SETTINGS = ("config.json", "generation_config.json", "tokenizer_config.json")
TEMPLATE = "chat_template.jinja"
LINEAR = (
    *("self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj", "self_attn.o_proj"),
    *("mlp.gate_proj", "mlp.up_proj", "mlp.down_proj"),
)
"""The linear layers in every decoder layer of the supported families."""


def carry(source: Path, target: Path) -> None:
    """Give a folder the tokenizer, chat template and generation settings of the model it was made from.

    Files are copied as they are; what the source lacks and a server needs is written: ChatML as the template, and
    the ends of a turn from config.json.
    """
    package.carry_tokenizer(source, target)
    if not _has_template(target):
        files.write_text(target / TEMPLATE, CHATML)
    name = "generation_config.json"
    if (source / name).exists():
        (target / name).write_bytes((source / name).read_bytes())
    elif not (target / name).exists():
        config = files.read_json(source / "config.json")
        ends = ("bos_token_id", "eos_token_id", "pad_token_id")
        files.write_json(target / name, {key: config[key] for key in ends if config.get(key) is not None})


def check(folder: Path) -> None:
    """Refuse a folder that some loader would find incomplete.

    Raises:
        QwenlabError: naming every missing file, or the first missing weight.
    """
    missing = [name for name in SETTINGS if not (folder / name).is_file()]
    old_form = (folder / "vocab.json").is_file() and (folder / "merges.txt").is_file()
    if not (folder / "tokenizer.json").is_file() and not old_form:
        missing.append("tokenizer.json")
    if not missing and not _has_template(folder):
        missing.append(TEMPLATE)
    if missing:
        raise QwenlabError(
            f"The model folder lacks {', '.join(missing)}.",
            "Fetch the base model again, then make this one again.",
            zh=(f"模型文件夹缺少 {'、'.join(missing)}。", "请重新获取基础模型，然后再次制作。"),
        )
    config = files.read_json(folder / "config.json")
    if "quantization_config" not in config:
        check_weights(Weights(folder), config)


def check_weights(weights: Weights, config: dict[str, Any]) -> None:
    """Refuse weights that the architecture is incomplete without.

    Raises:
        QwenlabError: naming the first that is missing.
    """
    needed = ["model.embed_tokens.weight", "model.norm.weight"]
    if not config.get("tie_word_embeddings"):
        needed.append("lm_head.weight")
    for layer in range(config["num_hidden_layers"]):
        parts = [f"{part}.weight" for part in ("input_layernorm", "post_attention_layernorm", *LINEAR)]
        if config.get("model_type") == "qwen2":
            parts += [f"self_attn.{one}_proj.bias" for one in "qkv"]
        needed += [f"model.layers.{layer}.{part}" for part in parts]
    missing = [name for name in needed if name not in weights]
    if missing:
        raise QwenlabError(
            f"The model lacks {len(missing)} weights, the first is {missing[0]}.",
            "Fetch or merge the model again.",
            zh=(f"模型缺少 {len(missing)} 个权重，第一个是 {missing[0]}。", "请重新获取或合并该模型。"),
        )


def _has_template(folder: Path) -> bool:
    if (folder / TEMPLATE).is_file():
        return True
    settings = folder / "tokenizer_config.json"
    return settings.is_file() and bool(files.read_json(settings).get("chat_template"))
