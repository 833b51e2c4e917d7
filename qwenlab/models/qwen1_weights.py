"""The weights of a Qwen 1 checkpoint, renamed and split into Qwen2's, one tensor in memory at a time."""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from qwenlab import files
from qwenlab.errors import QwenlabError
from qwenlab.models.folder import own_file

OUTER = {"transformer.wte": "model.embed_tokens", "transformer.ln_f": "model.norm", "lm_head": "lm_head"}
INNER = {
    "ln_1": "input_layernorm",
    "ln_2": "post_attention_layernorm",
    "attn.c_proj": "self_attn.o_proj",
    "mlp.w1": "mlp.up_proj",  # the original computes w1(x) * silu(w2(x))
    "mlp.w2": "mlp.gate_proj",
    "mlp.c_proj": "mlp.down_proj",
}
"""Modules of the original -> modules of Qwen2ForCausalLM: around the layers, and of a layer."""
FUSED = "attn.c_attn"
THIRDS = ("self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj")
"""What the fused attention matrix is cut into, in this order, along its output rows."""
COMPUTED = re.compile(r"(inv_freq|logn_tensor|\.attn\.(masked_)?bias)$")
"""Constants that some checkpoints store though they follow from the configuration."""
_LAYER = re.compile(r"transformer\.h\.(\d+)\.(.+)")


STORED = {"bfloat16": "BF16", "float16": "F16", "float32": "F32"}
"""torch's names of the number formats -> those of safetensors."""


class Part(NamedTuple):
    """Where a tensor, or one of its thirds, goes."""

    name: str
    third: int | None = None


def modules(name: str) -> list[Part]:
    """The Qwen2 modules that a module of the original becomes: three for the fused attention, none if unknown."""
    layer = _LAYER.fullmatch(name)
    if layer is None:
        return [Part(OUTER[name])] if name in OUTER else []
    prefix, inner = f"model.layers.{layer[1]}.", layer[2]
    if inner == FUSED:
        return [Part(prefix + third, number) for number, third in enumerate(THIRDS)]
    return [Part(prefix + INNER[inner])] if inner in INNER else []


def parts(name: str) -> list[Part]:
    """The Qwen2 tensors that a tensor of the original becomes; none for an unknown one."""
    module, _, kind = name.rpartition(".")
    return [Part(f"{part.name}.{kind}", part.third) for part in modules(module)]


def cut(tensor: Any, third: int | None) -> Any:
    """A third of a tensor's output rows, or the whole tensor where `third` is None."""
    return tensor if third is None else tensor.chunk(3, 0)[third]


def expected(config: Mapping[str, Any]) -> dict[str, tuple[int, ...]]:
    """Every tensor of a Qwen 1 checkpoint, by the original name and shape, that its config.json asks for."""
    width, inner = config["hidden_size"], config["intermediate_size"] // 2
    found: dict[str, tuple[int, ...]] = {"transformer.wte.weight": (config["vocab_size"], width)}
    for layer in range(config["num_hidden_layers"]):
        at = f"transformer.h.{layer}."
        found |= {at + "ln_1.weight": (width,), at + "ln_2.weight": (width,)}
        found |= {at + "attn.c_attn.weight": (3 * width, width), at + "attn.c_attn.bias": (3 * width,)}
        found |= {at + "attn.c_proj.weight": (width, width), at + "mlp.c_proj.weight": (width, inner)}
        found |= {at + "mlp.w1.weight": (inner, width), at + "mlp.w2.weight": (inner, width)}
    found["transformer.ln_f.weight"] = (width,)
    if not config.get("tie_word_embeddings"):
        found["lm_head.weight"] = (config["vocab_size"], width)
    return found


@dataclass(frozen=True)
class Shard:
    """One weight file of the original.

    Attributes:
        tensors: what is taken from it: original name -> shape.
        dtype: the torch dtype of its first tensor, such as "bfloat16".
    """

    path: Path
    tensors: dict[str, tuple[int, ...]]
    dtype: str

    @property
    def version(self) -> list[int]:
        """Another after each change of the file: size and change time (ns)."""
        stat = self.path.stat()
        return [stat.st_size, stat.st_mtime_ns]


def shard_paths(folder: Path) -> list[Path]:
    """The weight files of a checkpoint, safetensors before pickles.

    Raises:
        QwenlabError: when there are none, or one that the index names is missing.
    """
    for index, single in (
        ("model.safetensors.index.json", "model*.safetensors"),
        ("pytorch_model.bin.index.json", "pytorch_model*.bin"),
    ):
        found = sorted(folder.glob(single))
        if (folder / index).exists():
            named = files.read_json(folder / index)
            names = sorted(set(map(str, named["weight_map"].values()))) if isinstance(named, dict) else []
            found = [own_file(folder, name) for name in names]
            absent = [path.name for path in found if not path.is_file()]
            if absent:
                raise _lacks(folder, f"the weight file {absent[0]}", f"权重文件 {absent[0]}")
        if found:
            return [own_file(folder, path.name) for path in found]
    raise _lacks(folder, "weights (.safetensors or pytorch_model*.bin)", "权重（.safetensors 或 pytorch_model*.bin）")


def survey(folder: Path, config: Mapping[str, Any]) -> list[Shard]:
    """Look at every shard without reading weights: nothing may lack, be there twice, or have another shape.

    Raises:
        QwenlabError: naming the file or tensor that is wrong.
    """
    wanted, seen, shards = expected(config), set[str](), list[Shard]()
    for path in shard_paths(folder):
        taken: dict[str, tuple[int, ...]] = {}
        kind = ""
        read = opened(path)
        for name in read.names:
            if COMPUTED.search(name) or (name == "lm_head.weight" and name not in wanted):
                continue  # a tied output matrix is the embedding
            if name not in wanted or name in seen:
                raise _strange(path, name)
            tensor = read.tensor(name)
            kind = kind or str(tensor.dtype).removeprefix("torch.")
            if tuple(tensor.shape) != wanted[name]:
                raise _misshapen(path, name, tuple(tensor.shape), wanted[name])
            if str(tensor.dtype).removeprefix("torch.") not in STORED:
                raise _of_other_type(path, name, str(tensor.dtype))
            taken[name] = wanted[name]
            seen.add(name)
        shards.append(Shard(path, taken, kind))
    lacking = [name for name in wanted if name not in seen]
    if lacking:
        raise _lacks(folder, f"the weight {lacking[0]}", f"权重 {lacking[0]}")
    return [shard for shard in shards if shard.tensors]


class Opened(NamedTuple):
    """A weight file: what it names, and a tensor of it, mapped from disk."""

    names: list[str]
    tensor: Callable[[str], Any]


def opened(path: Path) -> Opened:
    """A weight file mapped into memory; a pickle is read with `weights_only`, which builds nothing but tensors.

    Raises:
        QwenlabError: when it is cut short, or something else than tensors; also by `tensor`.
    """
    import torch
    from safetensors import safe_open

    with _reading(path):
        if path.suffix == ".safetensors":
            file = safe_open(str(path), "pt")
            names, take = list(file.keys()), file.get_tensor
        else:
            held = torch.load(path, map_location="cpu", weights_only=True, mmap=True)
            if not (isinstance(held, dict) and all(isinstance(one, torch.Tensor) for one in held.values())):
                raise ValueError("it holds something else than weights")
            names, take = list(held), held.__getitem__

    def tensor(name: str) -> Any:
        with _reading(path):
            return take(name)

    return Opened(names, tensor)


@contextmanager
def _reading(path: Path) -> Iterator[None]:
    try:
        yield
    except Exception as error:  # safetensors and torch raise many kinds for one cause
        reason = (" ".join(str(error).split()) or type(error).__name__)[:160].rstrip(". ")
        raise QwenlabError(
            f"The weight file {path} cannot be read: {reason}.",
            "It is cut short, damaged or no weight file: copy or download it again.",
            zh=(f"无法读取权重文件 {path}：{reason}。", "文件不完整、已损坏或不是权重文件：请重新复制或下载。"),
        ) from error


def write(shard: Shard, target: Path, moved: Callable[[int], None]) -> str:
    """Write a shard's tensors under their new names as safetensors, one at a time, durably.

    Args:
        moved: called with the bytes of each tensor once it is written.

    Returns:
        The SHA-256 of the file as it was meant to be.

    Raises:
        QwenlabError: when the shard cannot be read.
    """
    import torch

    digest, read = hashlib.sha256(), opened(shard.path)
    header: dict[str, Any] = {"__metadata__": {"format": "pt"}}
    at = 0
    for name in shard.tensors:
        tensor = read.tensor(name)
        for part in parts(name):
            piece = cut(tensor, part.third)
            entry = {"dtype": STORED[str(tensor.dtype).removeprefix("torch.")], "shape": list(piece.shape)}
            header[part.name] = entry | {"data_offsets": [at, at + piece.nbytes]}
            at += piece.nbytes
    words = json.dumps(header).encode()
    words += b" " * (-len(words) % 8)
    with target.open("wb") as out:

        def put(content: Any) -> None:
            digest.update(content)
            out.write(content)

        put(len(words).to_bytes(8, "little") + words)
        for name in shard.tensors:
            tensor = read.tensor(name)
            for part in parts(name):
                put(cut(tensor, part.third).contiguous().view(torch.uint8).numpy())
            moved(tensor.nbytes)
        out.flush()
        os.fsync(out.fileno())
    return digest.hexdigest()


def _lacks(folder: Path, what: str, what_zh: str) -> QwenlabError:
    return QwenlabError(
        f"{folder} lacks {what}.",
        "Copy or download the model again.",
        zh=(f"{folder} 缺少{what_zh}。", "请重新复制或下载该模型。"),
    )


def _strange(path: Path, name: str) -> QwenlabError:
    return QwenlabError(
        f"{path} holds the weight {name}, which has no place in this Qwen 1 model or is there twice.",
        "Check that config.json and the weight files belong together; only text models can be converted.",
        zh=(
            f"{path} 中的权重 {name} 在这个 Qwen 1 模型中没有位置，或重复出现。",
            "请检查 config.json 与权重文件是否配套；只能转换文本模型。",
        ),
    )


def _misshapen(path: Path, name: str, found: tuple[int, ...], wanted: tuple[int, ...]) -> QwenlabError:
    return QwenlabError(
        f"The weight {name} in {path} has the shape {list(found)}; config.json asks for {list(wanted)}.",
        "Check that config.json and the weight files belong together.",
        zh=(
            f"{path} 中权重 {name} 的形状是 {list(found)}，而 config.json 要求 {list(wanted)}。",
            "请检查 config.json 与权重文件是否配套。",
        ),
    )


def _of_other_type(path: Path, name: str, dtype: str) -> QwenlabError:
    return QwenlabError(
        f"The weight {name} in {path} is stored as {dtype}.",
        "Only bfloat16, float16 and float32 can be converted: take the model that is not quantized.",
        zh=(f"{path} 中的权重 {name} 以 {dtype} 存储。", "只能转换 bfloat16、float16 和 float32：请使用未量化的模型。"),
    )
