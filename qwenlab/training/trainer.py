"""transformers' Trainer with our tokens, our batches, and logits only where a label is."""

from __future__ import annotations

import ctypes
import shutil
import sys
import time
from pathlib import Path
from typing import Any, cast

import psutil
import torch
import transformers
from peft import LoraConfig, get_peft_model
from peft.tuners.tuners_utils import BaseTunerLayer
from torch.utils.data import Dataset, SequentialSampler

from qwenlab import files
from qwenlab.conversations.dataset import DataSet
from qwenlab.errors import QwenlabError
from qwenlab.jobs import Job
from qwenlab.models import adapters, loading, precision
from qwenlab.models import folder as model_folder
from qwenlab.training import batches, runs
from qwenlab.training.encoding import IGNORED, Encoded, EncodedSet, encode_all
from qwenlab.training.recipe import Recipe

KEEP_CHECKPOINTS = 3
TRIM_EVERY = 8
"""Steps between returning freed memory; each time costs a few page faults."""


class Planned(Dataset[Encoded]):
    """The samples of all steps, one after the other, in the order of the plan."""

    def __init__(self, samples: list[Encoded], steps: list[list[int]]) -> None:
        self.samples = samples
        self.order = [index for step in steps for index in step]

    def __len__(self) -> int:
        return len(self.order)

    def __getitem__(self, at: int) -> Encoded:
        return self.samples[self.order[at]]


class LabelTrainer(transformers.Trainer):
    """Computes logits at the positions that some row of the batch has a label for, and nowhere else."""

    def compute_loss(
        self, model: Any, inputs: dict[str, Any], return_outputs: bool = False, num_items_in_batch: Any = None
    ) -> Any:
        """Cross-entropy summed over labels, divided by the number of labels of the whole optimizer step."""
        labels = inputs.pop("labels")
        # The logit at position p predicts the token at p + 1.
        wanted = (labels[:, 1:] != IGNORED).any(dim=0).nonzero().squeeze(-1)
        logits = model(**inputs, logits_to_keep=wanted, use_cache=False).logits
        targets = labels[:, wanted + 1]
        chosen = targets != IGNORED  # before the float copy: a row rarely labels every kept position
        loss = torch.nn.functional.cross_entropy(logits[chosen].float(), targets[chosen], reduction="sum")
        loss = loss / (num_items_in_batch if num_items_in_batch is not None else chosen.sum())
        return (loss, {"loss": loss}) if return_outputs else loss

    def _get_train_sampler(self, *_: Any) -> SequentialSampler:
        return SequentialSampler(cast(Planned, self.train_dataset))  # the plan is the order


class Reporter(transformers.TrainerCallback):
    """Turns the Trainer's callbacks into the run's events, checkpoints by time, and a prompt stop."""

    def __init__(self, job: Job, recipe: Recipe, data: Planned, origin: dict[str, str]) -> None:
        self.job, self.recipe, self.data, self.origin = job, recipe, data, origin
        self.stopped = False
        self._began = self._saved = self._last = time.monotonic()
        self._first_step = 0

    def on_train_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Start the clocks; after a resume they count from the first new step."""
        self._began = self._saved = self._last = time.monotonic()
        self._first_step = state.global_step

    def on_log(self, args: Any, state: Any, control: Any, logs: dict[str, float] | None = None, **_: Any) -> None:
        """One event per optimizer step, or per look at the validation samples."""
        if logs and "eval_loss" in logs:
            self.job.report("validation", step=state.global_step, loss=logs["eval_loss"])
        if not logs or "loss" not in logs:
            return
        now, step = time.monotonic(), state.global_step
        seen = self.data.order[(step - 1) * self.recipe.batch_size : step * self.recipe.batch_size]
        tokens = sum(len(self.data.samples[index].ids) for index in seen)
        per_step = (now - self._began) / max(1, step - self._first_step)
        self.job.report(
            "step",
            step=step,
            total=state.max_steps,
            loss=logs["loss"],
            learning_rate=logs["learning_rate"],
            tokens_per_s=tokens / (now - self._last),
            eta_seconds=per_step * (state.max_steps - step),
            memory_bytes=peak_memory(),
        )
        self._last = now

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Save when it is time or when a person asked to stop."""
        if state.global_step % TRIM_EVERY == 0:
            return_memory()
        if self.job.asked_to_stop() and state.global_step < state.max_steps:
            self.stopped = True
            control.should_save = control.should_training_stop = True
        elif time.monotonic() - self._saved > self.recipe.save_minutes * 60:
            control.should_save = True

    def on_save(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Mark the checkpoint complete, as the very last thing."""
        checkpoint = Path(args.output_dir) / f"checkpoint-{state.global_step}"
        files.write_json(checkpoint / adapters.ORIGIN, self.origin)
        files.write_text(checkpoint / adapters.COMPLETE, "")
        self._saved = self._last = time.monotonic()
        self.job.report("saved", step=state.global_step)


def return_memory() -> None:
    """Give freed memory back to the system.

    Batches of ever new lengths leave holes that glibc keeps: without this a run of 75 steps grew by two thirds.
    """
    if sys.platform == "linux":
        trim = getattr(ctypes.CDLL(None), "malloc_trim", None)  # glibc alone has it
        if trim:
            trim(0)


def peak_memory() -> int:
    """The most memory this process has held so far, in bytes."""
    try:
        import resource
    except ImportError:  # Windows
        return int(getattr(psutil.Process().memory_info(), "peak_wset", 0))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def train(job: Job) -> bool:
    """Train a run to its end, or until a person stops it.

    Returns:
        Whether it was stopped early.

    Raises:
        QwenlabError: when nothing can be trained.
    """
    recipe, base = runs.recipe_of(job), runs.base_of(job)
    transformers.set_seed(recipe.seed)
    loaded = loading.load(base)
    encoded = _encode(job, recipe, loaded.tokenizer)
    kept_out = int(len(encoded.samples) * recipe.validation)
    training, validation = encoded.samples[kept_out:], encoded.samples[:kept_out]
    steps = batches.plan(
        [len(sample.ids) for sample in training], recipe.epochs, recipe.batch_size, recipe.max_steps, recipe.seed
    )
    planned = Planned(training, steps)
    job.report(
        "encoded",
        samples=len(training),
        left_out=encoded.left_out,
        left_out_zh=encoded.left_out_zh,
        tokens=sum(len(training[index].ids) for index in planned.order),
        trained_tokens=sum(training[index].trained for index in planned.order),
        steps=len(steps),
    )
    origin = {"base": base.name, "folder": str(base), **model_folder.fingerprints(base)}
    reporter = Reporter(job, recipe, planned, origin)
    trainer = LabelTrainer(
        model=_with_adapter(loaded.model, recipe),
        args=_arguments(job, recipe, len(steps), bool(validation)),
        train_dataset=planned,
        eval_dataset=Planned(validation, [list(range(len(validation)))]) if validation else None,
        data_collator=lambda samples: batches.collate(samples, loaded.tokenizer.pad_token_id),
        callbacks=[reporter],
    )
    trainer.remove_callback(transformers.PrinterCallback)
    checkpoint = adapters.last_checkpoint(job.folder)
    trainer.train(resume_from_checkpoint=str(checkpoint) if checkpoint else None)
    if not reporter.stopped:
        _save_adapter(trainer.model, job.folder / adapters.FINISHED, origin)
    return reporter.stopped


def _encode(job: Job, recipe: Recipe, tokenizer: Any) -> EncodedSet:
    job.report("phase", name="encoding")
    samples = [
        sample
        for sample in DataSet.open(job.folder / "data.json").samples
        if sample.broken() or sample.language in recipe.languages
    ]
    encoded = encode_all(tokenizer, samples, recipe.max_length)
    if not encoded.samples:
        first = encoded.left_out[0] if encoded.left_out else ("", "there are none")
        first_zh = encoded.left_out_zh[0] if encoded.left_out_zh else ("", "没有样本")
        raise QwenlabError(
            f"None of the {len(samples)} samples can be trained (the first: {first[0]}: {first[1]}).",
            "Check the data set, or raise max_length.",
            zh=(
                f"{len(samples)} 个样本都无法训练（第一个 {first_zh[0]}：{first_zh[1]}）。",
                "请检查数据集，或调大“最长样本”。",
            ),
        )
    return encoded


def _with_adapter(model: Any, recipe: Recipe) -> Any:
    """Wrap the base with a fresh LoRA adapter on all linear layers, its weights in float32."""
    adapted = get_peft_model(
        model,
        LoraConfig(
            r=recipe.rank,
            lora_alpha=recipe.alpha,
            lora_dropout=recipe.dropout,
            target_modules="all-linear",
            task_type="CAUSAL_LM",
        ),
    )
    layers: list[Any] = [module for module in adapted.modules() if isinstance(module, BaseTunerLayer)]
    for layer in layers:
        layer.cast_input_dtype_enabled = False  # autocast does it, without a float32 copy kept for backward
    return adapted


def _arguments(job: Job, recipe: Recipe, steps: int, validate: bool) -> transformers.TrainingArguments:
    micro = min(recipe.micro_batch, recipe.batch_size)
    while recipe.batch_size % micro:
        micro -= 1
    kind = precision.dtype()
    return transformers.TrainingArguments(
        output_dir=str(job.folder / adapters.CHECKPOINTS),
        per_device_train_batch_size=micro,
        per_device_eval_batch_size=micro,
        gradient_accumulation_steps=recipe.batch_size // micro,
        max_steps=steps,
        learning_rate=recipe.learning_rate,
        lr_scheduler_type=recipe.schedule if recipe.schedule != "constant" else "constant_with_warmup",
        warmup_steps=round(recipe.warmup * steps),
        weight_decay=recipe.weight_decay,
        adam_beta2=0.95,
        max_grad_norm=1.0,
        seed=recipe.seed,
        bf16=kind is torch.bfloat16,
        fp16=kind is torch.float16,
        use_cpu=precision.device() == "cpu",
        logging_steps=1,
        save_strategy="steps",
        save_steps=10**9,  # checkpoints come by time
        save_total_limit=KEEP_CHECKPOINTS,
        eval_strategy="steps" if validate else "no",
        eval_steps=max(1, round(steps / max(1.0, recipe.epochs))),
        prediction_loss_only=True,
        remove_unused_columns=False,
        label_names=["labels"],
        disable_tqdm=True,
        report_to=[],
        dataloader_pin_memory=False,
    )


def _save_adapter(model: Any, target: Path, origin: dict[str, str]) -> None:
    """Write the adapter under a temporary name, then rename: it is there whole or not at all."""
    staging = target.with_name(f".{target.name}.part")
    shutil.rmtree(staging, ignore_errors=True)
    model.save_pretrained(staging)
    files.write_json(staging / adapters.ORIGIN, origin)
    shutil.rmtree(target, ignore_errors=True)
    staging.rename(target)
