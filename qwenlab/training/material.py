"""What a run learns from: its samples as tokens, divided into those to train and those to watch, planned into steps."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

from qwenlab.conversations.dataset import DataSet
from qwenlab.errors import QwenlabError
from qwenlab.jobs import Job
from qwenlab.models import folder as model_folder
from qwenlab.training import batches, memory
from qwenlab.training.encoding import EncodedSet, encode_each
from qwenlab.training.launch import World
from qwenlab.training.recipe import Recipe
from qwenlab.training.token_file import FOLDER, TokenFile


def encode(job: Job, recipe: Recipe, base: Path, tokenizer: Any, world: World) -> TokenFile:
    """The run's samples as tokens on disk, written by the first process; a resumed run finds them there.

    Raises:
        QwenlabError: when no sample can be trained.
    """
    folder, made_with = job.folder / FOLDER, model_folder.fingerprints(base)["tokenizer"]
    found = TokenFile.find(folder)
    if not all(world.everyone(found is not None and found.about["tokenizer"] == made_with)):
        if world.first:
            job.report("phase", name="encoding")
            _write_tokens(job, recipe, tokenizer, made_with)
            memory.give_back()
        world.wait()
        found = TokenFile(folder)
    assert found is not None
    return found


def _write_tokens(job: Job, recipe: Recipe, tokenizer: Any, made_with: str) -> None:
    samples = [
        sample
        for sample in DataSet.open(job.folder / "data.json").samples
        if sample.broken() or sample.language in recipe.languages
    ]
    seen = EncodedSet()
    encoded = encode_each(tokenizer, samples, recipe.max_length, recipe.labels, recipe.too_long, seen)
    if TokenFile.write(job.folder / FOLDER, encoded, lambda: {"tokenizer": made_with, "remarks": seen.remarks()}):
        return
    first = seen.left_out[0] if seen.left_out else ("", "there are none")
    first_zh = seen.left_out_zh[0] if seen.left_out_zh else ("", "没有样本")
    raise QwenlabError(
        f"None of the {len(samples)} samples can be trained (the first: {first[0]}: {first[1]}).",
        "Check the data set, or raise max_length.",
        zh=(
            f"{len(samples)} 个样本都无法训练（第一个 {first_zh[0]}：{first_zh[1]}）。",
            "请检查数据集，或调大“最长样本”。",
        ),
    )


def divide(samples: int, recipe: Recipe) -> tuple[list[int], list[int]]:
    """Numbers of the samples to train on, and of those kept out, which are spread over the whole set."""
    kept_out = int(samples * recipe.validation)
    validation = set(random.Random(recipe.seed).sample(range(samples), kept_out))
    return [number for number in range(samples) if number not in validation], sorted(validation)


def plan(recipe: Recipe, encoded: TokenFile, training: list[int]) -> tuple[list[list[int]], list[int]]:
    """The numbers of each step's samples, and its tokens."""
    lengths, openings = ([every[number] for number in training] for every in (encoded.lengths, encoded.openings()))
    steps = batches.plan(lengths, recipe.epochs, recipe.batch_size, recipe.max_steps, recipe.seed, openings)
    tokens = [sum(lengths[index] for index in step) for step in steps]
    return [[training[index] for index in step] for step in steps], tokens
