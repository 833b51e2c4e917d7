"""A Qwen 1 model in its original format becomes an ordinary Qwen2 folder, without running the code it came with.

Qwen 1 (QWenLMHeadModel) computes what Qwen2ForCausalLM computes, under other names, up to the length where its dynamic
scaling begins; the context of the converted model ends there.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from qwenlab import files
from qwenlab.errors import QwenlabError
from qwenlab.models import folder as model_folder
from qwenlab.models import qwen1_tokenizer, qwen1_weights
from qwenlab.models.arrival import refuse_full_disk
from qwenlab.models.catalogue import COMPLETE
from qwenlab.models.pickles import ConsentError
from qwenlab.models.qwen1_weights import Shard

Progress = Callable[[str, float], None]
"""Called with what is being done and how much of it is done, from 0 to 1."""

DONE_SO_FAR = "converted.json"
"""Which shards are done, while the conversion is under way."""
LICENCES = ("LICENSE*", "NOTICE*")
FIXED = {"scale_attn_weights": True, "no_bias": True, "rotary_pct": 1.0}
"""What every Qwen 1 has; Qwen2's arithmetic is another with other values."""
SIZES = ("vocab_size", "hidden_size", "intermediate_size", "num_hidden_layers", "num_attention_heads", "seq_length")
NUMBERS = ("layer_norm_epsilon", "rotary_emb_base", "initializer_range")
LARGEST = 1_000_000
"""No size of a language model is larger; a configuration that says so is broken."""
RESEARCH_WIDTH = 2048
"""The hidden size of Qwen-1.8B, the one of the family under a research licence."""


@dataclass(frozen=True)
class Original:
    """A Qwen 1 model as it was found: complete, every shape right.

    Attributes:
        context: tokens up to which it computes as Qwen2 does.
        pickled: whether its weights are PyTorch pickles.
    """

    folder: Path
    config: Mapping[str, Any]
    ranks: Mapping[bytes, int]
    shards: list[Shard]

    @property
    def context(self) -> int:
        """Tokens up to which it computes as Qwen2 does: beyond, the original scales positions and attention."""
        return int(self.config["seq_length"])

    @property
    def bytes(self) -> int:
        """Size of its weight files."""
        return sum(shard.path.stat().st_size for shard in self.shards)

    def notes(self) -> list[tuple[str, str]]:
        """What a person should know of the converted model, each in English and in Chinese."""
        found = [
            (
                f"A conversation with it may have up to {self.context:,} tokens, answer included. What the original "
                "does to hold more (dynamic scaling) is not carried over.",
                f"与它的一段对话（含回答）最多 {self.context:,} 个 token。原模型的动态缩放没有保留。",
            )
        ]
        licence = next((path.name for path in sorted(self.folder.glob("LICENSE*"))), "LICENSE")
        if self.config["hidden_size"] == RESEARCH_WIDTH:
            found.append(
                (
                    "The weights of Qwen-1.8B are under the Tongyi Qianwen research licence: not for commercial use "
                    f"unless Alibaba Cloud allows it (see {licence}).",
                    f"Qwen-1.8B 的权重采用通义千问研究许可协议：未经阿里云许可不得商用（见 {licence}）。",
                )
            )
        else:
            found.append(
                (
                    f"The weights are under the Tongyi Qianwen licence (see {licence}).",
                    f"权重采用通义千问许可协议（见 {licence}）。",
                )
            )
        return found


def sizes(folder: Path) -> dict[str, Any]:
    """The config.json of the converted model, as far as the original's tells it.

    Raises:
        QwenlabError: when it describes no model that can be converted.
    """
    config = files.read_json(folder / "config.json")
    _check_config(folder, config)
    return {
        "model_type": "qwen2",
        "hidden_size": config["hidden_size"],
        "intermediate_size": config["intermediate_size"] // 2,
        "max_position_embeddings": config["seq_length"],
        "num_attention_heads": config["num_attention_heads"],
        "num_hidden_layers": config["num_hidden_layers"],
        "num_key_value_heads": config["num_attention_heads"],
        "tie_word_embeddings": bool(config.get("tie_word_embeddings")),
        "vocab_size": config["vocab_size"],
    }


def look(folder: Path, pickle: bool = False) -> Original:
    """Check a folder in the original format; no weights are read.

    Args:
        pickle: the person consents to reading PyTorch pickles, with `weights_only`.

    Raises:
        ConsentError: its weights are pickles, and nobody agreed.
        QwenlabError: naming what cannot be converted, lacks, or has the wrong shape.
    """
    if not model_folder.is_qwen1(folder):
        raise QwenlabError(
            f"{folder} holds no Qwen 1 model in its original format.",
            "Name the folder with its config.json, qwen.tiktoken and weight files.",
            zh=(
                f"{folder} 中没有原始格式的 Qwen 1 模型。",
                "请指定包含 config.json、qwen.tiktoken 和权重文件的文件夹。",
            ),
        )
    config = files.read_json(folder / "config.json")
    _check_config(folder, config)
    if not pickle and any(path.suffix == ".bin" for path in qwen1_weights.shard_paths(folder)):
        raise ConsentError(str(folder), f"qwenlab models add {folder} --pickle")
    ranks = qwen1_tokenizer.read_ranks(folder / qwen1_tokenizer.RANKS)
    if len(ranks) + len(qwen1_tokenizer.SPECIAL) > config["vocab_size"]:
        raise _unusual(folder, f"vocab_size {config['vocab_size']} for {len(ranks)} ranks")
    return Original(folder, config, ranks, qwen1_weights.survey(folder, config))


def convert(source: Path, target: Path, progress: Progress, pickle: bool = False) -> Original:
    """Make `target`, a Qwen2 folder with a fast tokenizer; it appears whole or not at all.

    One tensor is in memory at a time. What a stopped conversion has done is kept beside `target`, and the next
    one goes on from there.

    Args:
        pickle: the person consents to reading PyTorch pickles, with `weights_only`.

    Returns:
        What was converted; its `notes` are for the person.

    Raises:
        QwenlabError: `source` is incomplete or another model, `target` exists, or the disk is full.
    """
    if target.exists():
        raise QwenlabError(
            f"{target} exists already.", "Name a new folder.", zh=(f"{target} 已存在。", "请指定一个新文件夹。")
        )
    original = look(source, pickle)
    staging = target.with_name(f".{target.name}.part")
    try:
        staging.mkdir(parents=True, exist_ok=True)
        done = _convert_shards(original, staging, progress)
        _write_rest(original, staging, done)
        progress("checking", 0.0)
        _verify(original, staging, done)
        (staging / DONE_SO_FAR).unlink()
        files.sync_tree(staging)
        staging.rename(target)
    except OSError as error:
        raise QwenlabError(
            f"{target} could not be written: {error.strerror or error}.",
            "Free some disk space and run the same command again: what is done is kept.",
            zh=(f"无法写入 {target}：{error.strerror or error}。", "请释放磁盘空间后重试：已完成的部分会保留。"),
        ) from error
    files.sync_folder(target.parent)
    progress("checking", 1.0)
    return original


def _check_config(folder: Path, config: dict[str, Any]) -> None:
    """Refuse what the Qwen2 arithmetic does not cover."""
    if config.get("quantization_config"):
        raise QwenlabError(
            f"{folder} holds a quantized Qwen 1 model.",
            "Convert the one that is not quantized (without Int4 or Int8 in its name) and quantize it here.",
            zh=(
                f"{folder} 中是量化过的 Qwen 1 模型。",
                "请转换未量化的模型（名称中没有 Int4 或 Int8），再在这里量化。",
            ),
        )
    for part in ("visual", "audio"):
        if part in config:
            raise _unusual(folder, f"a part for {part} input")
    for name, usual in FIXED.items():
        if config.get(name, usual) != usual:
            raise _unusual(folder, f"{name} {config[name]!r}")
    for name in SIZES:
        size = config.get(name)
        if not (isinstance(size, int) and 0 < size <= LARGEST):
            raise _unusual(folder, f"{name} {size!r}")
    for name in NUMBERS:
        if not isinstance(config.get(name, 1), int | float):
            raise _unusual(folder, f"{name} {config[name]!r}")
    heads, width = config["num_attention_heads"], config["hidden_size"]
    if width % heads or config.get("kv_channels", width // heads) != width // heads or config["intermediate_size"] % 2:
        raise _unusual(folder, f"{heads} heads for a width of {width}")
    if config["num_hidden_layers"] > 1000:
        raise _unusual(folder, f"{config['num_hidden_layers']} layers")


def _unusual(folder: Path, what: str) -> QwenlabError:
    return QwenlabError(
        f"The config.json in {folder} describes no Qwen 1 text model that can be converted: {what}.",
        "Copy config.json again from the original model.",
        zh=(f"{folder} 中的 config.json 不是可转换的 Qwen 1 文本模型：{what}。", "请从原模型重新复制 config.json。"),
    )


def _shard_name(number: int, count: int) -> str:
    return "model.safetensors" if count == 1 else f"model-{number:05}-of-{count:05}.safetensors"


def _convert_shards(original: Original, staging: Path, progress: Progress) -> dict[str, str]:
    """Write the weight files that are not there yet; return name -> SHA-256."""
    record = staging / DONE_SO_FAR
    known = files.read_json(record) if record.exists() else {}
    names = [_shard_name(number, len(original.shards)) for number in range(1, len(original.shards) + 1)]
    sources = [[str(shard.path.resolve()), *shard.version] for shard in original.shards]
    refuse_full_disk(staging, original.bytes - sum(path.stat().st_size for path in staging.glob("*.safetensors")))
    moved, whole, sums = 0, max(1, original.bytes), dict[str, str]()

    def report(size: int) -> None:
        nonlocal moved
        moved += size
        progress("converting", min(0.999, moved / whole))

    for shard, name, source in zip(original.shards, names, sources, strict=True):
        before = known.get(name)
        if before and before["source"] == source and (staging / name).exists():
            sums[name] = before["sha256"]  # _verify reads it again
            report(shard.path.stat().st_size)
            continue
        sums[name] = qwen1_weights.write(shard, staging / name, report)
        known[name] = {"source": source, "sha256": sums[name]}
        files.write_json(record, known)
    progress("converting", 1.0)
    return sums


def _write_rest(original: Original, staging: Path, sums: Mapping[str, str]) -> None:
    """Everything but the weights."""
    qwen1_tokenizer.write(original.ranks, staging, original.context)
    files.write_json(staging / "config.json", _config(original))
    files.write_json(staging / "generation_config.json", _generation(original))
    if len(original.shards) > 1:
        placed = {
            part.name: name
            for shard, name in zip(original.shards, sums, strict=True)
            for tensor in shard.tensors
            for part in qwen1_weights.parts(tensor)
        }
        files.write_json(staging / "model.safetensors.index.json", {"metadata": {}, "weight_map": placed})
    for pattern in LICENCES:
        for path in original.folder.glob(pattern):
            if path.is_file():
                shutil.copyfile(path, staging / path.name)
    files.write_json(
        staging / COMPLETE,
        {
            "name": original.folder.resolve().name,
            "made_from": model_folder.QWEN1,
            "source": str(original.folder.resolve()),
            "sha256": dict(sums),
            "notes": [english for english, _ in original.notes()],
        },
    )


def _specials(original: Original) -> dict[str, int]:
    names = qwen1_tokenizer.SPECIAL
    return {name: len(original.ranks) + number for number, name in enumerate(names)}


def _config(original: Original) -> dict[str, Any]:
    """The config.json of Qwen2ForCausalLM."""
    config, ids = original.config, _specials(original)
    return {
        **sizes(original.folder),
        "architectures": ["Qwen2ForCausalLM"],
        "attention_dropout": 0.0,
        "bos_token_id": ids[qwen1_tokenizer.END_OF_TEXT],
        "dtype": original.shards[0].dtype,
        "eos_token_id": ids[qwen1_tokenizer.TURN_ENDS],
        "hidden_act": "silu",
        "initializer_range": config.get("initializer_range", 0.02),
        "pad_token_id": ids[qwen1_tokenizer.END_OF_TEXT],
        "rms_norm_eps": config.get("layer_norm_epsilon", 1e-6),
        "rope_theta": config.get("rotary_emb_base", 10000),
        "use_cache": True,
        "use_sliding_window": False,
    }


def _generation(original: Original) -> dict[str, Any]:
    """The sampling its makers chose; what ends a turn is named as token ids."""
    path, ids = original.folder / "generation_config.json", _specials(original)
    own = files.read_json(path) if path.is_file() else {}
    kept = ("do_sample", "top_k", "top_p", "temperature", "repetition_penalty")
    return {
        **{name: own[name] for name in kept if isinstance(own, dict) and own.get(name) is not None},
        "bos_token_id": ids[qwen1_tokenizer.END_OF_TEXT],
        "eos_token_id": [ids[qwen1_tokenizer.TURN_ENDS], ids[qwen1_tokenizer.END_OF_TEXT]],
        "pad_token_id": ids[qwen1_tokenizer.END_OF_TEXT],
    }


def _verify(original: Original, staging: Path, sums: Mapping[str, str]) -> None:
    """Read what was written once more: every byte as it was meant, every tensor there with its shape."""
    found: dict[str, tuple[int, ...]] = {}
    damaged = [name for name, digest in sums.items() if files.sha256(staging / name) != digest]
    if not damaged:
        for name in sums:
            read = qwen1_weights.opened(staging / name)
            found |= {tensor: tuple(read.tensor(tensor).shape) for tensor in read.names}
    wanted = {
        part.name: shape if part.third is None else (shape[0] // 3, *shape[1:])
        for tensor, shape in qwen1_weights.expected(original.config).items()
        for part in qwen1_weights.parts(tensor)
    }
    if damaged or found != wanted:
        shutil.rmtree(staging)
        raise QwenlabError(
            f"What was written does not read back as it should ({damaged[0] if damaged else 'tensors lack'}).",
            "Nothing was kept. Check the disk and run the command again.",
            zh=(
                f"写入的内容读回后不一致（{damaged[0] if damaged else '缺少张量'}）。",
                "没有保留任何文件。请检查磁盘后重试。",
            ),
        )
