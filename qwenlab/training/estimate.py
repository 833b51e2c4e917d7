"""Memory and time that a recipe will need, told from config.json before anything is loaded.

The sizes are counted from the shapes; PROGRAM and SLACK were fitted to two measured runs, LoRA of rank 16 on a CPU in
bf16, four samples at once: SmolLM2-135M, longest sample 378 tokens, 75 steps, 4.29 GB at its peak;
Qwen2.5-Coder-0.5B, 356 tokens, 100 steps, 7.13 GB. A run of a few steps takes a quarter less. Full training, qlora and
GPUs are counted, not measured.
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import psutil

from qwenlab.errors import QwenlabError
from qwenlab.models import precision
from qwenlab.training.packing import BLOCK
from qwenlab.training.recipe import Recipe, named

PROGRAM = 1.8e9
"""Bytes of a process that trains nothing yet: Python, torch, its buffers."""
SLACK = 1.25
"""What the memory of passing tensors grows to: batches of ever new lengths leave holes, and copies come and go."""
USABLE = 0.92
"""Share of the memory that a run may take; the rest is the system's."""
FOUR_BIT = 0.516
"""Bytes per weight in NF4 with double quantization: four bits, and one byte of scale for each 64 weights."""
FLOAT = 4
COPIES = 4
"""Of a block's attention weights while it is computed anew on the way back."""
CONTAINER_LIMIT = Path("/sys/fs/cgroup/memory.max")


@dataclass(frozen=True)
class Machine:
    """What trains.

    Attributes:
        memory_bytes: of the machine; of one GPU where GPUs train.
        number_bytes: of one activation: 2 in bf16, 4 in float32.
    """

    memory_bytes: int
    device: Literal["cpu", "cuda"] = "cpu"
    number_bytes: int = 2

    @classmethod
    def here(cls) -> Machine:
        """This machine's processors and memory, or what its container may use of it."""
        total = int(psutil.virtual_memory().total)
        with contextlib.suppress(OSError, ValueError):  # no container, or one without a limit
            total = min(total, int(CONTAINER_LIMIT.read_text()))
        return cls(total)

    @classmethod
    def measured(cls) -> Machine:
        """What a run would train on, and in which number format; imports torch, so not on the page's thread."""
        size = precision.dtype().itemsize
        if precision.device() == "cpu":
            return replace(cls.here(), number_bytes=size)
        import torch

        return cls(int(torch.cuda.get_device_properties(0).total_memory), "cuda", size)


@dataclass(frozen=True)
class Advice:
    """The smallest change of a recipe that makes it fit, and the sentence for it in English and in Chinese."""

    changes: dict[str, Any]
    text: tuple[str, str]


@dataclass(frozen=True)
class Estimate:
    """What a recipe will need.

    Attributes:
        memory_bytes: at the peak; of all processes on a machine that share its memory, of one GPU where GPUs train.
        seconds: None when no speed is known.
        parts: what the memory is for: program, weights, gradients, optimizer, activations, logits; their sum is
            `memory_bytes`.
        advice: None when it fits, or when nothing helps.
    """

    memory_bytes: int
    seconds: float | None
    parts: dict[str, int]
    fits: bool
    advice: Advice | None = None


@dataclass(frozen=True)
class Shape:
    """The sizes in a config.json that decide the memory; widths are those of the layers' inputs and outputs."""

    layers: int
    heads: int
    hidden: int
    inner: int
    queries: int
    keys: int
    vocabulary: int
    tied: bool

    @classmethod
    def of(cls, config: dict[str, Any]) -> Shape:
        """Read a config.json of the Qwen2, Qwen3 or Llama family.

        Raises:
            QwenlabError: when a size is missing.
        """
        try:
            heads, hidden = int(config["num_attention_heads"]), int(config["hidden_size"])
            width = int(config.get("head_dim") or hidden // heads)
            return cls(
                layers=int(config["num_hidden_layers"]),
                heads=heads,
                hidden=hidden,
                inner=int(config["intermediate_size"]),
                queries=heads * width,
                keys=int(config.get("num_key_value_heads") or heads) * width,
                vocabulary=int(config["vocab_size"]),
                tied=bool(config.get("tie_word_embeddings", False)),
            )
        except (KeyError, TypeError, ValueError, ZeroDivisionError) as error:
            raise QwenlabError(
                f"The model's config.json does not say how large it is ({error}).",
                "Copy or download the model again.",
                zh=(f"模型的 config.json 没有写明模型大小（{error}）。", "请重新复制或下载该模型。"),
            ) from error

    @property
    def attention(self) -> list[tuple[int, int]]:
        """(inputs, outputs) of a layer's q, k, v and o."""
        sizes = [self.queries, self.keys, self.keys]
        return [*((self.hidden, size) for size in sizes), (self.queries, self.hidden)]

    @property
    def linear(self) -> list[tuple[int, int]]:
        """(inputs, outputs) of all linear layers of a layer."""
        return [*self.attention, (self.hidden, self.inner), (self.hidden, self.inner), (self.inner, self.hidden)]

    @property
    def in_layers(self) -> int:
        """Weights of all linear layers; those of norms and biases are too few to matter."""
        return self.layers * sum(inputs * outputs for inputs, outputs in self.linear)

    @property
    def embeddings(self) -> int:
        """Weights of the input and output matrices."""
        return self.vocabulary * self.hidden * (1 if self.tied else 2)

    def adapter(self, recipe: Recipe) -> int:
        """Weights of the recipe's adapter."""
        sizes = self.linear if recipe.target == "all" else self.attention
        return self.layers * recipe.rank * sum(inputs + outputs for inputs, outputs in sizes)


def estimate(
    config: dict[str, Any],
    recipe: Recipe,
    tokens: float,
    longest: int,
    machine: Machine,
    tokens_per_s: float | None = None,
    answer: int | None = None,
) -> Estimate:
    """Memory and time of a run.

    Args:
        config: config.json of the model.
        tokens: that the run reads in all its epochs.
        longest: tokens of the longest sample; what exceeds max_length is not trained.
        tokens_per_s: measured with lora and without checkpointing; None when it is not known.
        answer: most trained tokens of a sample; by default half of the longest one.

    Raises:
        QwenlabError: when config.json lacks a size.
    """
    shape = Shape.of(config)
    found = _estimate(shape, recipe, longest, machine, answer)
    seconds = tokens / tokens_per_s * _work(recipe, machine) if tokens_per_s else None
    advice = None if found.fits else _advice(shape, recipe, longest, machine, answer)
    return Estimate(found.memory_bytes, seconds, found.parts, found.fits, advice)


def refuse_if_too_big(found: Estimate, machine: Machine) -> None:
    """Raise QwenlabError when an estimate does not fit, with the change that would make it fit."""
    if found.fits:
        return
    needs, has = f"{found.memory_bytes / 1e9:.1f} GB", f"{machine.memory_bytes / 1e9:.1f} GB"
    nothing = ("No setting makes it fit: choose a smaller model.", "调整设置也放不下：请选择更小的模型。")
    remedy = found.advice.text if found.advice else nothing
    where = ("this GPU", "这块 GPU") if machine.device == "cuda" else ("this machine", "这台机器")
    raise QwenlabError(
        f"This recipe needs about {needs} of memory, and {where[0]} has {has}.",
        remedy[0],
        zh=(f"该配方约需 {needs} 内存，而{where[1]}只有 {has}。", remedy[1]),
    )


def _estimate(shape: Shape, recipe: Recipe, longest: int, machine: Machine, answer: int | None) -> Estimate:
    longest = min(longest, recipe.max_length)
    trained = shape.adapter(recipe) if recipe.method != "full" else shape.in_layers + shape.embeddings
    everywhere = recipe.processes * recipe.machines
    shared = 1 if recipe.sharding == "none" else everywhere
    parts = {
        "program": PROGRAM,
        "weights": _weights(shape, recipe, machine) / (everywhere if recipe.sharding == "zero3" else 1),
        "gradients": FLOAT * trained / shared,
        "optimizer": 2 * FLOAT * trained / shared,
        "activations": SLACK * _activations(shape, recipe, longest, machine),
        "logits": SLACK * _logits(shape, recipe, min(longest, longest // 2 if answer is None else answer), machine),
    }
    together = recipe.processes if machine.device == "cpu" else 1
    whole = {name: round(size * together) for name, size in parts.items()}
    memory = sum(whole.values())
    return Estimate(memory, None, whole, memory <= USABLE * machine.memory_bytes)


def _weights(shape: Shape, recipe: Recipe, machine: Machine) -> float:
    """Base and adapter; what is trained is kept in float32 and computed with in a copy."""
    if recipe.method == "full":
        copy = machine.number_bytes if machine.number_bytes < FLOAT else 0
        return (FLOAT + copy) * (shape.in_layers + shape.embeddings)
    base = FOUR_BIT if recipe.method == "qlora" else machine.number_bytes
    return base * shape.in_layers + machine.number_bytes * shape.embeddings + FLOAT * shape.adapter(recipe)


def _activations(shape: Shape, recipe: Recipe, longest: int, machine: Machine) -> float:
    """What the layers keep for the way back: two norms in float32, attention and MLP in the number format."""
    norms = 2 * FLOAT * shape.hidden
    kept = 2 * shape.hidden + 5 * shape.queries  # inputs of the two blocks; q, k and v for each head, two outputs
    layer = norms + machine.number_bytes * (kept + 4 * shape.inner)
    tokens = recipe.at_once * longest
    weights = machine.number_bytes * shape.heads * min(longest, BLOCK) * longest  # of attention; longer ones come anew
    attention = recipe.at_once * weights if longest <= BLOCK else COPIES * weights
    if recipe.checkpointing == "yes":
        return tokens * (layer + shape.layers * machine.number_bytes * shape.hidden) + attention
    return tokens * layer * shape.layers + attention * (shape.layers if longest <= BLOCK else 1)


def _logits(shape: Shape, recipe: Recipe, answer: int, machine: Machine) -> float:
    """Logits at the labels, their float32 copy, its log-softmax, and the gradients of both."""
    return recipe.at_once * answer * shape.vocabulary * (3 * FLOAT + machine.number_bytes)


def _work(recipe: Recipe, machine: Machine) -> float:
    """Time per token, where lora without checkpointing is 1: it goes forward once and back once."""
    passes = (3 if recipe.method == "full" else 2) + (recipe.checkpointing == "yes")
    computers = recipe.machines * (recipe.processes if machine.device == "cuda" else 1)
    return passes / 2 / computers


def _advice(shape: Shape, recipe: Recipe, longest: int, machine: Machine, answer: int | None) -> Advice | None:
    for changes in _changes(recipe, longest):
        if _estimate(shape, recipe.model_copy(update=changes), longest, machine, answer).fits:
            return Advice(changes, _sentence(changes))
    return None


def _changes(recipe: Recipe, longest: int) -> Iterator[dict[str, Any]]:
    """Changes from the most harmless: the same result, then slower, then without long samples, then another method."""
    sizes = [size for size in range(recipe.at_once - 1, 0, -1) if recipe.share % size == 0]
    yield from ({"micro_batch": size} for size in sizes)
    safe: dict[str, Any] = {"micro_batch": 1} if sizes else {}
    if recipe.checkpointing == "no":
        yield {"checkpointing": "yes"}
        safe["checkpointing"] = "yes"
    if safe:
        yield safe
    if recipe.processes > 1:  # where they share one memory
        yield {"processes": 1}
    top = min(longest, recipe.max_length)
    lengths = [length for length in range(math.ceil(top / 64) * 64 - 64, max(64, top // 2) - 1, -64) if length < top]
    yield from (safe | {"max_length": length} for length in lengths)
    for method in {"full": ["lora", "qlora"], "lora": ["qlora"], "qlora": []}[recipe.method]:
        sharding = {"sharding": "zero2"} if (method, recipe.sharding) == ("qlora", "zero3") else {}
        yield {"method": method, **sharding}
        yield safe | {"method": method, **sharding}
        yield from (safe | {"max_length": length, "method": method, **sharding} for length in lengths)


def _sentence(changes: dict[str, Any]) -> tuple[str, str]:
    en, zh = named(changes)
    return f"Set {en}: then it fits.", f"把{zh}，即可放下。"
