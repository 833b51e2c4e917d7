"""Training speed: the original recipe's way, TRL's and ours, each as a whole process on the same samples.

Each trainer learns the same samples of one exchange each with the same LoRA, batch, learning rate and precision; what
is left to it are its ways. Time is the median of its steps, the first ones left out; loss is that of its adapter on
samples that none has seen, computed alike for all.
"""

from __future__ import annotations

import importlib.util
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from benchmarks.work import share_of_peak
from qwenlab.conversations.dataset import DataSet
from qwenlab.conversations.sample import Sample
from qwenlab.models import adapters, catalogue, loading, precision
from qwenlab.training import material, memory, packing, runs
from qwenlab.training import recipe as recipes
from qwenlab.training.encoding import IGNORED, Encoded, encode_all
from qwenlab.training.launch import World
from qwenlab.workspace import SHIPPED, Workspace

STEPS, WARM_UP, BATCH, MICRO, PADDED, HELD_OUT = 8, 2, 8, 4, 512, 24
ROUNDS = int(os.environ.get("ROUNDS", "2"))
RATE, RANK, ALPHA, SEED = 3e-4, 16, 32, 7
WAYS = ("original", "trl", "ours")
ABOUT = {
    "original": "original recipe: padded to 512, checkpointing, all logits",
    "trl": "TRL's SFTTrainer with its defaults",
    "ours": "ours",
}
Row = tuple[str, str, str]


def rows(model: str) -> Iterator[Row]:
    """Tokens per second, memory and held-out loss of each; ratios; our share of the processor's peak."""
    ways = [way for way in WAYS if way != "trl" or importlib.util.find_spec("trl")]
    found: dict[str, list[dict[str, Any]]] = {way: [] for way in ways}
    for _ in range(ROUNDS):
        for way in ways:  # in turn, so that a noisy machine disturbs all alike
            with tempfile.TemporaryDirectory() as folder:
                found[way].append(_measured(way, model, folder))
    speed = {way: statistics.median(one["tokens_per_s"] for one in found[way]) for way in ways}
    for way in ways:
        peak = max(one["peak"] for one in found[way]) / 2**30
        loss = statistics.median(one["loss"] for one in found[way])
        how = f"{model}, LoRA r {RANK}, batch {BATCH}; {peak:.1f} GiB; loss on unseen samples {loss:.3f}"
        yield f"training, {ABOUT[way]}", f"{speed[way]:.0f} tokens/s", how
    for way in ways:
        if way != "ours":
            ratio = statistics.median(
                mine["tokens_per_s"] / other["tokens_per_s"]
                for mine, other in zip(found["ours"], found[way], strict=True)
            )
            yield f"training, ours : {way}", f"{ratio:.1f}x", f"{model}, median of {ROUNDS} pairs of runs"
    if "trl" not in ways:
        yield "training, TRL", "-", "not installed: python -m pip install -r requirements-bench.txt"
    share, rate = share_of_peak(*_one_step(model))
    yield (
        "training, ours, share of the peak",
        f"{share:.0%}",
        f"{model}, {rate:.0f} GFLOP/s; products alone take the rest",
    )


def _measured(way: str, model: str, *rest: str) -> dict[str, Any]:
    """What a way, or "scale", measured in a process of its own."""
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.training", way, model, *rest], capture_output=True, text=True
    )
    if done.returncode:
        raise RuntimeError(done.stderr[-3000:])
    return json.loads(done.stdout.splitlines()[-1])


def single_exchanges(model: str) -> list[Sample]:
    """Shipped samples of one question and one answer in the model's languages: what every way trains alike."""
    return [
        sample
        for sample in DataSet.open(SHIPPED / "data" / "after-sales.train.json").samples
        if sample.language in catalogue.languages(model)
        and [turn.role for turn in sample.turns if turn.role != "system"] == ["user", "assistant"]
    ]


# --- one way, in a process of its own ----------------------------------------------------------------------


def main() -> None:
    """Measure the way named on the command line, or "scale", and print it as JSON."""
    way, model, folder, *number = sys.argv[1:]
    if way == "scale":
        print(json.dumps(_scale(model, Path(folder), int(number[0]))))
    else:
        print(json.dumps(_train(way, model, Path(folder))))


def _train(way: str, model: str, folder: Path) -> dict[str, Any]:
    everything = single_exchanges(model)
    samples = everything[HELD_OUT : HELD_OUT + STEPS * BATCH]
    base = catalogue.locate(Workspace.default(), model)
    seconds, adapter = {"original": original, "trl": trl, "ours": ours}[way](base, samples, folder)
    peak = memory.peak()
    loaded = loading.load(base)
    lengths = [len(one.ids) for one in encode_all(loaded.tokenizer, samples, PADDED).samples]
    tokens = statistics.mean(lengths) * BATCH
    loss = held_out_loss(loaded, adapter, everything[:HELD_OUT])
    typical = statistics.median(seconds[WARM_UP:])
    return {"tokens_per_s": tokens / typical, "seconds": seconds, "loss": loss, "peak": peak}


def held_out_loss(loaded: loading.LoadedModel, adapter: Path, samples: list[Sample]) -> float:
    """Cross-entropy per label on the answers of samples that were not trained."""
    import torch

    loaded.attach(adapter)
    total, count = 0.0, 0
    for one in encode_all(loaded.tokenizer, samples, PADDED).samples:
        labels = torch.tensor([one.labels])
        with torch.inference_mode():
            loss = loaded.model(input_ids=torch.tensor([one.ids]), labels=labels).loss
        total, count = total + float(loss) * one.trained, count + one.trained
    return total / count


def _clock() -> Any:
    """A Trainer callback that times steps into its `seconds`."""
    import transformers

    class Clock(transformers.TrainerCallback):
        def __init__(self) -> None:
            self.seconds: list[float] = []

        def on_step_begin(self, *_: Any, **__: Any) -> None:
            self.then = time.perf_counter()

        def on_step_end(self, *_: Any, **__: Any) -> None:
            self.seconds.append(time.perf_counter() - self.then)

    return Clock()


def _lora() -> Any:
    from peft import LoraConfig

    return LoraConfig(r=RANK, lora_alpha=ALPHA, target_modules="all-linear", task_type="CAUSAL_LM")


def _same(folder: Path) -> dict[str, Any]:
    """What all have in common, as transformers' TrainingArguments."""
    return {
        "output_dir": str(folder / "out"),
        "max_steps": STEPS,
        "learning_rate": RATE,
        "lr_scheduler_type": "constant",
        "seed": SEED,
        "use_cpu": True,
        "report_to": [],
        "save_strategy": "no",
        "disable_tqdm": True,
        "dataloader_pin_memory": False,
    }


def original(base: Path, samples: list[Sample], folder: Path) -> tuple[list[float], Path]:
    """QwenLM/Qwen's finetune.py: every row padded to the maximum, activation checkpointing, bf16, logits everywhere."""
    import torch
    import transformers
    from peft import get_peft_model

    loaded = loading.load(base)
    model = get_peft_model(loaded.model, _lora())
    model.enable_input_require_grads()
    pad = loaded.tokenizer.pad_token_id

    def padded(one: Encoded) -> dict[str, Any]:
        gap = PADDED - len(one.ids)
        rows = {"input_ids": one.ids + [pad] * gap, "labels": one.labels + [IGNORED] * gap}
        rows["attention_mask"] = [1] * len(one.ids) + [0] * gap
        return {name: torch.tensor(row) for name, row in rows.items()}

    data = [padded(one) for one in encode_all(loaded.tokenizer, samples, PADDED).samples]
    clock = _clock()
    arguments = transformers.TrainingArguments(
        **_same(folder),
        per_device_train_batch_size=2,
        gradient_accumulation_steps=BATCH // 2,
        bf16=precision.dtype() is torch.bfloat16,
        gradient_checkpointing=True,
    )
    trainer = transformers.Trainer(model=model, args=arguments, train_dataset=data, callbacks=[clock])
    trainer.train()
    model.save_pretrained(folder / "adapter")
    return clock.seconds, folder / "adapter"


def trl(base: Path, samples: list[Sample], folder: Path) -> tuple[list[float], Path]:
    """TRL's SFTTrainer as it comes, on prompts and completions, whose loss is that of the answers."""
    from datasets import Dataset
    from trl import SFTConfig, SFTTrainer

    talks = [sample.to_messages() for sample in samples]
    data = Dataset.from_list([{"prompt": list(talk[:-1]), "completion": [talk[-1]]} for talk in talks])
    clock = _clock()
    trainer = SFTTrainer(
        model=str(base),
        args=SFTConfig(**_same(folder)),  # its batch is 8 as well
        train_dataset=data,
        peft_config=_lora(),
        callbacks=[clock],
    )
    precision.set_threads()
    trainer.train()
    trainer.model.save_pretrained(folder / "adapter")
    return clock.seconds, folder / "adapter"


def ours(base: Path, samples: list[Sample], folder: Path) -> tuple[list[float], Path]:
    """The lab's own worker, as a person's run starts it."""
    from qwenlab.training.trainer import train

    data = folder / "data.train.json"
    DataSet.new(data, samples).save()
    workspace = Workspace(folder)
    (workspace.models / base.name).symlink_to(base)
    job = runs.create(workspace, recipe_of(base.name, data))
    train(job, World())
    times = [event["time"] for event in job.events()[0] if event["event"] == "step"]
    seconds = [after - before for before, after in zip(times, times[1:], strict=False)]
    return [seconds[0], *seconds], adapters.of_run(job.folder)


def recipe_of(model: str, data: Path, **changes: Any) -> recipes.Recipe:
    values = {
        "model": model,
        "data": str(data),
        "epochs": 1,
        "max_steps": STEPS,
        "batch_size": BATCH,
        "micro_batch": MICRO,
        "learning_rate": RATE,
        "schedule": "constant",
        "warmup": 0,
        "seed": SEED,
        "rank": RANK,
        "alpha": ALPHA,
        "save_minutes": 600,
    }
    return recipes.read({**values, **changes})


def _one_step(model: str) -> Any:
    """(work, times): a function that computes one micro-batch forward and back, as the trainer does, and how often."""
    import torch
    from peft import get_peft_model

    loaded = loading.load(catalogue.locate(Workspace.default(), model))
    packing.prepare(loaded.model)
    adapted = get_peft_model(loaded.model, _lora()).train()
    samples = encode_all(loaded.tokenizer, single_exchanges(model)[:MICRO], PADDED).samples
    packed = packing.pack(samples)
    wanted, targets = packed.pop("wanted"), packed.pop("shift_labels")
    del packed["labels"]
    half = precision.dtype() is torch.bfloat16

    def work() -> None:
        with torch.autocast("cpu", torch.bfloat16, enabled=half):
            logits = adapted(**packed, logits_to_keep=wanted, use_cache=False).logits[0]
            loss = torch.nn.functional.cross_entropy(logits.float(), targets)
        loss.backward()

    return work, 5


# --- many samples ------------------------------------------------------------------------------------------


def scale(model: str) -> Iterator[Row]:
    """What samples cost beside the steps themselves, and the memory they hold, with few of them and with many."""
    for number in (100, 100_000):
        with tempfile.TemporaryDirectory() as folder:
            found = _measured("scale", model, folder, str(number))
        how = f"{model}, {number:,} samples, {found['tokens'] / 1e6:.2f} million tokens"
        yield "training, encoding", f"{found['encode'] / found['tokens'] * 1e6:.1f} us a token", how
        yield "training, finding the tokens in a resumed run", f"{found['again']:.3f} s", how
        yield "training, planning the steps", f"{found['plan']:.2f} s", how
        yield "training, reading and packing a micro-batch", f"{found['pack'] * 1e3:.1f} ms", how
        holds = f"{found['held'] / 1e6:.0f} MB held; {found['peak'] / 1e6:.0f} MB while encoding"
        yield "training, memory of the samples", holds, how


def _scale(model: str, folder: Path, number: int) -> dict[str, float]:
    """Encode, find again, plan and pack, as a run does before and between its steps."""
    import psutil
    import transformers  # noqa: F401  what a training process holds anyway

    from benchmarks.data import write_set

    base = catalogue.locate(Workspace.default(), model)
    workspace, data = Workspace(folder), folder / "set.train.json"
    write_set(data, number)
    (workspace.models / model).symlink_to(base)
    recipe = recipe_of(model, data, max_length=1024, languages=["en", "zh"], max_steps=0)
    job, tokenizer = runs.create(workspace, recipe), loading.load_tokenizer(base)
    before = psutil.Process().memory_info().rss

    def timed(work: Callable[[], Any]) -> tuple[float, Any]:
        start = time.perf_counter()
        found = work()
        return time.perf_counter() - start, found

    encode, tokens = timed(lambda: material.encode(job, recipe, base, tokenizer, World()))
    memory.give_back()
    again, _ = timed(lambda: material.encode(job, recipe, base, tokenizer, World()))
    training, _ = material.divide(len(tokens), recipe)
    plan, (steps, _) = timed(lambda: material.plan(recipe, tokens, training))
    some = steps[:50]
    pack, _ = timed(lambda: [packing.pack([tokens[at] for at in step[:MICRO]]) for step in some])
    held = max(0, psutil.Process().memory_info().rss - before)
    return {
        "encode": encode,
        "again": again,
        "plan": plan,
        "pack": pack / len(some),
        "held": held,
        "tokens": sum(tokens.lengths),
        "peak": memory.peak(),
    }


if __name__ == "__main__":
    main()
