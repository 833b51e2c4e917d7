"""An adapter is merged into its base: one ordinary model folder that needs no PEFT.

The base's tensors are read one after the other, changed a few rows at a time and written at once, so that merging
takes little memory whatever the size of the model. PEFT does what only PEFT can (see lora_weights.py).
"""

from __future__ import annotations

import functools
import gc
import math
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from qwenlab import files
from qwenlab.errors import QwenlabError
from qwenlab.export import complete, package
from qwenlab.export.lora_weights import Adapter, read_adapter
from qwenlab.export.safetensors_folder import Weights, check_finite, to_float32
from qwenlab.export.safetensors_write import SHARD, Float, Progress, Tensor, write_shards
from qwenlab.models import adapters, catalogue, loading
from qwenlab.models import folder as model_folder

PIECE = 4_000_000
"""Numbers merged at a time: 16 MB in float32."""
BESIDE_4_BIT = (
    "The adapter was trained beside a 4-bit copy of the base and is merged into the base's 16-bit weights: rounded to "
    "4 bits again, the sum would lose part of what was learned. Test the merged model: its answers may differ.",
    "适配器是在 4 位的基础模型旁训练的，这里把它合并到 16 位的基础权重中：若再次舍入到 4 位，会丢失一部分学到的内容。"
    "请测试合并后的模型：它的回答可能略有不同。",
)
"""Why an adapter from Q-LoRA is not merged into the weights that it was trained beside."""
EMBEDDING, HEAD = "model.embed_tokens.weight", "lm_head.weight"


def merge(
    base: Path,
    adapter: Path,
    target: Path,
    dtype: Float = "float32",
    progress: Progress | None = None,
    **about: Any,
) -> dict[str, Any]:
    """Write base + adapter as one folder, and prove in a fresh process that it computes the same.

    Merged weights are kept in float32 unless told otherwise: an adapter moves each weight by less than the
    grain of bfloat16, so rounding the sum to it loses part of what was learned.

    Args:
        progress: called with (tensor name, fraction of the bytes written, 0 to 1).
        about: further lines for the manifest, such as the run.

    Returns:
        The proof: {"max_logit_difference", "prompts", "same_next_token"}.

    Raises:
        QwenlabError: adapter of another base, a base that is quantized, disk full, or a proof that failed.
    """
    adapters.check(adapter, base)
    if quantized := model_folder.quantized(base):
        raise QwenlabError(
            f"{base.name} is quantized ({quantized}), and an adapter cannot be merged into such weights.",
            "Use base and adapter together; or train on the model that is not quantized, merge that and quantize it.",
            zh=(
                f"{base.name} 是量化模型（{quantized}），适配器无法合并到这样的权重中。",
                "请同时使用基础模型和适配器；或改用未量化的模型训练，再合并并量化。",
            ),
        )

    def make(folder: Path) -> None:
        write_merged(base, adapter, folder, dtype, progress)

    def prove(folder: Path) -> dict[str, Any]:
        return package.run_fresh("qwenlab.export.prove_merge", str(base), str(adapter), str(folder))

    known = catalogue.entry(base.name)
    described = {
        "base": known.title if known else base.name,
        "base_weights": model_folder.fingerprints(base)["weights"],
        "licence": known.licence if known else "that of the base model",
        "adapter_sha256": files.sha256(adapter / adapters.WEIGHTS),
        "dtype": dtype,
        **about,
    }
    return package.build(target, "merged", described, make, prove)


def write_merged(
    base: Path,
    adapter: Path,
    folder: Path,
    dtype: Float = "float32",
    progress: Progress | None = None,
    shard: int = SHARD,
) -> None:
    """Fill an empty folder with the merged model: weights, settings, tokenizer and chat template.

    Args:
        shard: most bytes of weights in one file.

    Raises:
        QwenlabError: when base or adapter are incomplete, damaged or do not fit each other.
    """
    changes = read_adapter(adapter)
    if changes is None:
        _merge_by_peft(base, adapter, folder, dtype)
    else:
        weights = Weights(base)
        _check_fit(weights, changes, adapter, base)
        config = model_folder.read_config(base)
        tied = bool(config.get("tie_word_embeddings")) or HEAD not in weights
        apart = tied and bool({EMBEDDING, HEAD} & {*changes.changes, *changes.replaced})
        write_shards(folder, _tensors(weights, changes, tied, apart), dtype, progress, shard)
        config = {key: value for key, value in config.items() if key not in ("auto_map", "torch_dtype")}
        files.write_json(folder / "config.json", config | {"dtype": dtype, "tie_word_embeddings": tied and not apart})
    complete.carry(base, folder)
    complete.check(folder)


def _tensors(weights: Weights, changes: Adapter, tied: bool, apart: bool) -> list[Tensor]:
    """What the merged model holds.

    Args:
        tied: the base uses its embedding as output matrix too.
        apart: the adapter changes one of the two otherwise than the other, so both must be stored.
    """
    sources = {name: name for name in weights if not name.endswith("rotary_emb.inv_freq")}
    if tied:
        sources.pop(HEAD, None)
    if apart:
        sources[HEAD] = EMBEDDING
    found = []
    base = {EMBEDDING if tied and name == HEAD else name: stored for name, stored in changes.base.items()}

    def stored(name: str, source: str) -> np.ndarray:
        known = changes.replaced.get(name, base.get(source))
        return weights.stored(source) if known is None else known

    for name, source in sources.items():
        read = functools.partial(stored, name, source)
        found.append(Tensor(name, weights.shape(source), functools.partial(_pieces, name, read, changes)))
    return found


def _pieces(name: str, read: Callable[[], np.ndarray], changes: Adapter) -> Iterator[np.ndarray]:
    """The merged tensor in pieces of rows, float32."""
    numbers = read()
    change, bias = changes.changes.get(name), changes.added_biases.get(name)
    step = max(1, PIECE // math.prod(numbers.shape[1:]))
    for start in range(0, len(numbers), step):
        rows = to_float32(numbers[start : start + step])
        if change is not None:
            rows = change.applied(rows, start)
        if bias is not None:
            rows = rows + bias[start : start + step]
        check_finite(name, rows)
        yield rows


def _check_fit(weights: Weights, changes: Adapter, adapter: Path, base: Path) -> None:
    for name, shape in changes.touched.items():
        source = EMBEDDING if name == HEAD and HEAD not in weights else name
        if source not in weights or weights.shape(source) != shape:
            raise QwenlabError(
                f"The adapter {adapter} does not fit the model {base.name}: it changes {name} of the shape {shape}.",
                "Choose the base model it was trained on.",
                zh=(
                    f"适配器 {adapter} 与模型 {base.name} 不匹配：它改动的 {name} 形状为 {shape}。",
                    "请选择训练它时所用的基础模型。",
                ),
            )


def _merge_by_peft(base: Path, adapter: Path, folder: Path, dtype: Float) -> None:
    """Merge in memory, with the whole model in float32.

    Raises:
        QwenlabError: when PEFT cannot merge such an adapter either.
    """
    import torch

    loaded = loading.load(base, torch.float32)
    loaded.attach(adapter, shared=False)
    try:
        whole = loaded.model.merge_and_unload().to(getattr(torch, dtype))
    except (NotImplementedError, ValueError) as error:
        raise QwenlabError(
            f"The adapter {adapter} is of a kind that cannot be merged: {error}",
            "Use base and adapter together.",
            zh=(f"适配器 {adapter} 的类型无法合并：{error}", "请同时使用基础模型和适配器。"),
        ) from error
    whole.save_pretrained(folder, max_shard_size=SHARD)
    for file in folder.iterdir():
        file.chmod(0o644)
    del loaded, whole
    gc.collect()  # PEFT's cycles hold the weights, and the prover needs the room
