"""Recipes to begin with, what suits a data set and a machine, and choices that are known to hurt."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from qwenlab.training.estimate import Machine, estimate
from qwenlab.training.recipe import Recipe, recommended

ADAPTER_SETTINGS = ("target", "rank", "alpha", "dropout")
"""Settings of an adapter, which full training has not."""
LONGEST = 32768
"""The most that `max_length` may be."""
MOST_AT_ONCE = {"cpu": 4, "cuda": 16}
"""A processor is busy with four samples; a GPU takes more."""

PRESETS: dict[str, dict[str, Any]] = {
    "quick": {"epochs": 1, "max_steps": 50, "rank": 8, "alpha": 16},
    "balanced": {},
    "thorough": {
        "epochs": 4,
        "rank": 32,
        "alpha": 64,
        "schedule": "cosine",
        "validation": 0.1,
        "patience": 3,
    },
    "qwen-original": {
        "method": "lora",
        "target": "all",
        "labels": "qwen-original",
        "epochs": 5,
        "learning_rate": 3e-4,
        "schedule": "cosine",
        "warmup": 0.01,
        "batch_size": 16,
        "micro_batch": 2,
        "checkpointing": "yes",
        "max_length": 512,
        "rank": 64,
        "alpha": 16,
        "dropout": 0.05,
        "weight_decay": 0.1,
    },
}
"""Settings on top of those recommended for the model.

"qwen-original" has those of QwenLM/Qwen's finetune_lora_single_gpu.sh; but samples are not padded, and a sample that is
too long is left out instead of being cut.
"""

ABOUT: dict[str, tuple[tuple[str, str], tuple[str, str]]] = {
    "quick": (
        ("Quick", "A first look: at most 50 steps and a small adapter."),
        ("快速", "先看看效果：最多 50 步，小适配器。"),
    ),
    "balanced": (
        ("Balanced", "The settings recommended for this model."),
        ("均衡", "为该模型推荐的设置。"),
    ),
    "thorough": (
        (
            "Thorough",
            "More rounds and a wider adapter; a tenth of the samples watches, and stops it when it gets worse.",
        ),
        ("充分", "更多轮数、更宽的适配器；留出十分之一的样本观察，变差就停止。"),
    ),
    "qwen-original": (
        ("Qwen original", "The settings and labels of Qwen's own fine-tuning script."),
        ("Qwen 原版", "Qwen 官方微调脚本的设置和训练标签。"),
    ),
}
"""Title and one line of help for each preset, in English and in Chinese."""


def preset(name: str, model: str) -> dict[str, Any]:
    """The settings of a preset for a model; what it does not name keeps its default."""
    return {"model": model, **recommended(model), **PRESETS[name]}


@dataclass(frozen=True)
class Suggestion:
    """A value that suits, and why, in English and in Chinese."""

    value: int | float
    why: tuple[str, str]


def suggested(
    recipe: Recipe,
    config: dict[str, Any],
    lengths: Sequence[int],
    machine: Machine,
    samples: int,
    epochs: float | None = None,
) -> dict[str, Suggestion]:
    """What suits the data and the machine: max_length, micro_batch and epochs.

    Args:
        recipe: the other settings.
        config: config.json of the model.
        lengths: tokens of the samples that were counted.
        samples: in the set; more than `lengths` when only some were counted.
        epochs: usual for some hundred samples, such as a preset has; by default what is recommended for the model.
    """
    if not lengths:
        return {}
    length = _length(config, sorted(lengths))
    with_length = recipe.model_copy(update={"max_length": length.value})
    longest = max((tokens for tokens in lengths if tokens <= length.value), default=int(length.value))
    return {
        "max_length": length,
        "micro_batch": _micro_batch(with_length, config, longest, machine),
        "epochs": _epochs(usual_epochs(recipe.model) if epochs is None else epochs, samples),
    }


def differing(recipe: Recipe, found: dict[str, Suggestion], lengths: Sequence[int]) -> dict[str, Suggestion]:
    """Those of the suggestions that would change anything.

    A larger max_length than the data needs costs nothing, so it is left alone where no sample lies in between. Where
    it is to change, micro_batch comes after it.

    Args:
        lengths: tokens of the samples that were counted.
    """

    def matters(name: str, value: int | float) -> bool:
        if name == "max_length":
            low, high = sorted((int(value), recipe.max_length))
            return any(low < tokens <= high for tokens in lengths)
        if name == "micro_batch":
            return recipe.model_copy(update={name: value}).at_once != recipe.at_once
        return bool(getattr(recipe, name) != value)

    kept = {name: one for name, one in found.items() if matters(name, one.value)}
    if "max_length" in kept:  # how many fit at once is for that length
        kept.pop("micro_batch", None)
    return kept


def _length(config: dict[str, Any], lengths: list[int]) -> Suggestion:
    """The longest sample rounded up to 64, unless few samples are far longer than the others."""
    usual = lengths[(len(lengths) - 1) * 99 // 100]
    top = lengths[-1] if lengths[-1] <= 2 * usual else usual
    context = min(int(config.get("max_position_embeddings", LONGEST)), LONGEST)
    value = min(math.ceil(top / 64) * 64, context)
    over = sum(tokens > value for tokens in lengths)
    if not over:
        en, zh = f"The longest sample has {lengths[-1]:,} tokens.", f"最长的样本有 {lengths[-1]:,} 个 token。"
    elif value == context and top > context:
        en = f"The model reads {context:,} tokens at most; {over:,} of {len(lengths):,} samples are longer."
        zh = f"模型最多读 {context:,} 个 token；{len(lengths):,} 个样本中有 {over:,} 个更长。"
    else:
        en = f"{over:,} of {len(lengths):,} samples are far longer than the others and would need much memory."
        zh = f"{len(lengths):,} 个样本中有 {over:,} 个远长于其他样本，会占用大量内存。"
    return Suggestion(value, (en, zh))


def _micro_batch(recipe: Recipe, config: dict[str, Any], longest: int, machine: Machine) -> Suggestion:
    most = MOST_AT_ONCE[machine.device]
    for size in (2**power for power in range(most.bit_length() - 1, -1, -1)):
        tried = recipe.model_copy(update={"micro_batch": size})
        if tried.at_once != size:
            continue
        found = estimate(config, tried, 0, longest, machine)
        if found.fits:
            break
    needs, has = f"{found.memory_bytes / 1e9:.1f} GB", f"{machine.memory_bytes / 1e9:.1f} GB"
    if not found.fits:
        en, zh = (
            f"Even so about {needs} are needed, and there are {has}.",
            f"即使如此也需要约 {needs}，而这里只有 {has}。",
        )
    elif size == most:
        en = f"About {needs} of {has} are needed; more samples at once would hardly be faster."
        zh = f"约需 {needs}（共 {has}）；一次计算更多样本也快不了多少。"
    else:
        en, zh = f"About {needs} of {has} are needed.", f"约需 {needs}（共 {has}）。"
    return Suggestion(size, (en, zh))


def usual_epochs(model: str) -> float:
    """What is recommended for some hundred samples."""
    return float(recommended(model).get("epochs", Recipe.model_fields["epochs"].default))


def _epochs(usual: float, samples: int) -> Suggestion:
    """What is usual for some hundred samples, more for fewer, less for many."""
    if samples < 50:
        value, en, zh = max(3.0, 3 * usual), "must be seen more often to be learned", "需要多看几遍才能学会"
    elif samples < 200:
        value, en, zh = 2 * usual, "are few: seen twice as often as usual", "偏少：看的遍数加倍"
    elif samples < 2000:
        value, en, zh = usual, "are learned well in this many rounds", "用这么多轮可以学好"
    else:
        value, en, zh = max(1.0, usual / 2), "are many: fewer rounds are enough", "很多：较少的轮数就够"
    return Suggestion(min(value, 10.0), (f"{samples:,} samples {en}.", f"{samples:,} 个样本{zh}。"))


def warnings(recipe: Recipe, samples: int | None = None) -> list[tuple[str, str]]:
    """Choices that are known to hurt, each as one sentence in English and in Chinese.

    Args:
        samples: how many are trained; None when that is not known yet.
    """
    rate, full = recipe.learning_rate, recipe.method == "full"
    unused = [name for name in ADAPTER_SETTINGS if getattr(recipe, name) != Recipe.model_fields[name].default]
    settings = Recipe.model_json_schema()["properties"]
    found = [
        (
            full and rate > 5e-5,
            f"A learning rate of {rate:g} is high for full training: above 5e-5 a model forgets what it knew.",
            f"学习率 {rate:g} 对全量训练偏高：超过 5e-5，模型会忘记原有的知识。",
        ),
        (
            not full and rate > 1e-3,
            f"A learning rate of {rate:g} is high: above 1e-3 training often falls apart.",
            f"学习率 {rate:g} 偏高：超过 1e-3，训练常会崩溃。",
        ),
        (
            not full and rate < 2e-5,
            f"A learning rate of {rate:g} is low: an adapter hardly learns anything below 2e-5.",
            f"学习率 {rate:g} 偏低：低于 2e-5，适配器几乎学不到东西。",
        ),
        (
            full and bool(unused),
            f"Full training has no adapter, so {', '.join(unused)} will have no effect.",
            f"全量训练没有适配器，因此{'、'.join(settings[name]['title_zh'] for name in unused)}不起作用。",
        ),
        (
            not full and recipe.rank > 128,
            f"A LoRA rank of {recipe.rank} seldom learns more than 128 does, and costs more memory.",
            f"LoRA 秩为 {recipe.rank}：通常不比 128 学得更多，却更占内存。",
        ),
        (
            not full and recipe.alpha > 4 * recipe.rank,
            f"A LoRA alpha of {recipe.alpha} is over four times the rank: it acts like a much higher learning rate.",
            f"LoRA alpha 为 {recipe.alpha}，超过秩的四倍：效果等同于学习率大幅提高。",
        ),
        (
            recipe.epochs > 10,
            f"{recipe.epochs:g} epochs: the model will learn the samples by heart and answer new questions worse.",
            f"{recipe.epochs:g} 轮：模型会把样本背下来，对新问题反而答得更差。",
        ),
        (
            recipe.sharding != "none" and recipe.processes * recipe.machines == 1,
            f"{recipe.sharding} divides memory among processes; with a single one it only makes training slower.",
            f"{recipe.sharding} 是在多个进程间分担内存；只有一个进程时只会变慢。",
        ),
    ]
    if samples:
        found += _warnings_for_size(recipe, samples)
    return [(en, zh) for applies, en, zh in found if applies]


def _warnings_for_size(recipe: Recipe, samples: int) -> list[tuple[bool, str, str]]:
    trained = samples - int(samples * recipe.validation)
    steps = math.ceil(recipe.epochs * trained / recipe.batch_size)
    seen = recipe.max_steps * recipe.batch_size
    return [
        (
            samples < 50 and recipe.epochs <= 1,
            f"One look at only {samples} samples teaches little: set 3 epochs or more.",
            f"只有 {samples} 个样本，看一遍学不到多少：请设为 3 轮或更多。",
        ),
        (
            samples >= 50 and steps < 10,
            f"That is only {steps} optimizer steps: choose a smaller batch size or more epochs.",
            f"这样只有 {steps} 个优化步：请减小批大小或增加轮数。",
        ),
        (
            0 < seen < trained,
            f"{recipe.max_steps} steps read {seen:,} of {trained:,} samples: the rest is never seen.",
            f"{recipe.max_steps} 步只读到 {trained:,} 个样本中的 {seen:,} 个：其余的从未学习。",
        ),
        (
            recipe.method != "full" and recipe.dropout > 0 and samples >= 2000,
            f"With {samples:,} samples dropout only slows learning: set it to 0.",
            f"样本有 {samples:,} 个时，dropout 只会减慢学习：请设为 0。",
        ),
        (
            samples < 100 and recipe.validation > 0.2,
            f"Of {samples} samples, {samples - trained} are kept out of training: few are left to learn from.",
            f"{samples} 个样本中有 {samples - trained} 个不参与训练：剩下的太少。",
        ),
    ]
