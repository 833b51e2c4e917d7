"""transformers' Trainer with our tokens, packed rows, and logits only where a label is."""

from __future__ import annotations

import shutil
import time
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
import transformers
from torch.utils.data import DataLoader, Dataset

from qwenlab import files
from qwenlab.errors import QwenlabError
from qwenlab.jobs import Job
from qwenlab.models import adapters, loading, precision
from qwenlab.models import folder as model_folder
from qwenlab.training import batches, checkpoints, looks, material, memory, methods, packing, runs
from qwenlab.training.encoding import IGNORED, Encoded
from qwenlab.training.estimate import Machine, estimate, refuse_if_too_big
from qwenlab.training.launch import World
from qwenlab.training.looks import Judge, Looks
from qwenlab.training.recipe import Recipe
from qwenlab.training.token_file import TokenFile

TRIM_EVERY = 8
"""Steps between returning freed memory; each time costs a few page faults."""


class Planned(Dataset[Encoded]):
    """The samples by number; batches.NOTHING is one token without a label."""

    def __init__(self, tokens: TokenFile, pad_id: int) -> None:
        self.tokens = tokens
        self.nothing = Encoded([pad_id], [IGNORED])

    def __len__(self) -> int:
        return len(self.tokens)

    def __getitem__(self, number: int) -> Encoded:
        return self.nothing if number == batches.NOTHING else self.tokens[number]


class LabelTrainer(transformers.Trainer):
    """Computes each packed row once, and logits only at the positions that foretell a label.

    Args:
        world: the processes that share each step.
        micro_batches: sample numbers of this process's micro-batches, in order, for all steps.
        looks: the same for one look at the validation samples.
    """

    def __init__(self, *, world: World, micro_batches: list[list[int]], looks: list[list[int]], **known: Any) -> None:
        super().__init__(**known)
        self.world, self.micro_batches, self.looks = world, micro_batches, looks
        self.loss_is_scaled_for_ga = True  # by the labels of the whole step

    def compute_loss(
        self, model: Any, inputs: dict[str, Any], return_outputs: bool = False, num_items_in_batch: Any = None
    ) -> Any:
        """Cross-entropy summed over labels, divided by the number of labels of the whole step on all processes."""
        loss, labels = self._summed_loss(model, inputs)
        # Gradients are averaged over the processes: their sum is wanted.
        loss = loss / (num_items_in_batch if num_items_in_batch is not None else labels) * self.world.size
        return (loss, {"loss": loss}) if return_outputs else loss

    def _summed_loss(self, model: Any, inputs: dict[str, Any]) -> tuple[Any, Any]:
        """Cross-entropy summed over the labels of a micro-batch, and how many they are."""
        del inputs["labels"]  # the model must not count a loss of its own
        wanted, targets = inputs.pop("wanted"), inputs.pop("shift_labels")
        logits = model(**inputs, logits_to_keep=wanted, use_cache=False).logits[0]
        return torch.nn.functional.cross_entropy(logits.float(), targets, reduction="sum"), len(targets)

    def get_train_dataloader(self) -> DataLoader[Encoded]:
        """This process's share of the plan, in its order."""
        return self._loader(self.train_dataset, self.micro_batches)

    def evaluate(self, *_: Any, **__: Any) -> dict[str, float]:
        """The loss per label over all validation samples, whichever process computed them."""
        model = self.model_wrapped
        model.eval()
        loss, labels = 0.0, 0.0
        for inputs in self._loader(self.eval_dataset, self.looks):
            with torch.no_grad(), self.compute_loss_context_manager():
                part, count = self._summed_loss(model, self._prepare_inputs(inputs))
            loss, labels = loss + float(part), labels + float(count)
        loss, labels = self.world.total(loss, labels)
        metrics = {"eval_loss": loss / labels}
        self.log(metrics)
        self.control = self.callback_handler.on_evaluate(self.args, self.state, self.control, metrics)
        return metrics

    def _loader(self, samples: Any, micro_batches: list[list[int]]) -> DataLoader[Encoded]:
        return DataLoader(samples, batch_sampler=micro_batches, collate_fn=self.data_collator)


class Reporter(transformers.TrainerCallback):
    """Turns the Trainer's callbacks into the run's events, checkpoints by time, and a prompt stop.

    Args:
        tokens: of each step, over all processes.

    Attributes:
        trainer: is set before training begins.
    """

    trainer: LabelTrainer

    def __init__(
        self, job: Job, recipe: Recipe, world: World, tokens: list[int], origin: dict[str, str], looks: Looks
    ) -> None:
        self.job, self.recipe, self.world, self.tokens, self.origin = job, recipe, world, tokens, origin
        self.looks = looks
        self.stopped = False
        self._memory = 0
        self._began = self._saved = self._last = time.monotonic()
        self._first_step = 0

    def on_train_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Start the clocks; after a resume they count from the first new step, and an open look comes first."""
        self._began = self._saved = self._last = time.monotonic()
        self._first_step = state.global_step
        if self.looks.begin(state.global_step):
            self._look(state, control)
            if control.should_training_stop:  # the Trainer would take one more step
                raise looks.EndedError

    def on_log(self, args: Any, state: Any, control: Any, logs: dict[str, float] | None = None, **_: Any) -> None:
        """One event per optimizer step, or per look at the validation samples."""
        if logs and "eval_loss" in logs:
            self.job.report("validation", step=state.global_step, loss=logs["eval_loss"])
        if not logs or "loss" not in logs:
            return
        now, step = time.monotonic(), state.global_step
        per_step = (now - self._began) / max(1, step - self._first_step)
        self.job.report(
            "step",
            step=step,
            total=state.max_steps,
            loss=logs["loss"],
            learning_rate=logs["learning_rate"],
            tokens_per_s=self.tokens[step - 1] / (now - self._last),
            eta_seconds=per_step * (state.max_steps - step) + self.looks.seconds_ahead(step),
            memory_bytes=self._memory,
        )
        self._last = now

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Save when it is time or when a person asked to stop; the first process decides for all."""
        if state.global_step % TRIM_EVERY == 0:
            memory.give_back()
        stop = self.world.first and self.job.asked_to_stop() and state.global_step < state.max_steps
        save = self.world.first and time.monotonic() - self._saved > self.recipe.save_minutes * 60
        stop_votes, save_votes, most = self.world.total(stop, save, memory.peak())
        self._memory = int(most)
        if stop_votes:
            self.stopped = True
            control.should_save = control.should_training_stop = True
        elif save_votes or self.looks.due(state.global_step):
            control.should_save = True

    def on_save(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Mark the checkpoint complete, as the very last thing; only then look at how good it is."""
        checkpoint = Path(args.output_dir) / f"checkpoint-{state.global_step}"
        self.world.wait()  # for what the others write into it
        if self.world.first:
            files.write_json(checkpoint / adapters.ORIGIN, self.origin)
            checkpoints.seal(checkpoint)
        self._saved = self._last = time.monotonic()
        self.job.report("saved", step=state.global_step)
        if self.looks.due(state.global_step) and not self.stopped:
            self._look(state, control)
        if self.world.first:
            self.looks.tidy()

    def _look(self, state: Any, control: Any) -> None:
        began = time.monotonic()
        outcome = self.looks.take(state.global_step, self.trainer)
        memory.give_back()
        self._began += time.monotonic() - began  # a look is no step
        self._saved = self._last = time.monotonic()
        self.stopped = self.stopped or outcome == "stopped"
        if outcome != "on":
            control.should_training_stop = True


def train(job: Job, world: World, judge: Judge | None = None) -> bool:
    """Train a run to its end, or until a person stops it.

    Args:
        judge: whose score makes a checkpoint the result; None takes the last one.

    Returns:
        Whether it was stopped early.

    Raises:
        QwenlabError: when nothing can be trained.
    """
    recipe, base = runs.recipe_of(job), runs.base_of(job)
    methods.check(recipe, base)
    world.join(precision.device())
    methods.join(recipe)
    dtype = world.agree(precision.dtype())  # each measures, and close ones may differ
    transformers.set_seed(recipe.seed)
    tokenizer = loading.load_tokenizer(base)
    encoded = material.encode(job, recipe, base, tokenizer, world)
    training, validation = material.divide(len(encoded), recipe)
    steps, tokens = material.plan(recipe, encoded, training)
    job.report(
        "encoded",
        samples=len(training),
        **encoded.about["remarks"],
        tokens=sum(tokens),
        trained_tokens=sum(encoded.trained[number] for step in steps for number in step),
        steps=len(steps),
        longest=max(encoded.lengths),
        longest_answer=max(encoded.trained),
    )
    _refuse_what_cannot_fit(recipe, base, encoded, sum(tokens), dtype)
    # Before the model is loaded: under ZeRO-3 the arguments make each process load its part only.
    arguments = _arguments(job, recipe, dtype, len(steps))
    model = _model(job, recipe, base, dtype)
    world.share_cores()
    origin = {"base": base.name, "folder": str(base), **model_folder.fingerprints(base)}
    watch = Looks(job, recipe, world, len(steps), loading.LoadedModel(base, tokenizer, model), judge)
    reporter = Reporter(job, recipe, world, tokens, origin, watch)
    samples = Planned(encoded, tokenizer.pad_token_id)
    trainer = LabelTrainer(
        world=world,
        micro_batches=batches.share(steps, recipe.at_once, world.rank, world.size),
        looks=batches.share([validation], recipe.at_once, world.rank, world.size),
        model=model,
        args=arguments,
        train_dataset=samples,
        eval_dataset=samples if validation else None,
        data_collator=packing.pack,
        callbacks=[reporter],
    )
    trainer.remove_callback(transformers.PrinterCallback)
    reporter.trainer = trainer
    if not world.first:
        torch.manual_seed(recipe.seed + world.rank)  # all began with the same weights; each drops out its own
    with suppress(looks.EndedError):
        trainer.train(resume_from_checkpoint=_checkpoint(job, world))
    chosen = world.agree(watch.best_checkpoint() if world.first else None)
    if chosen or not reporter.stopped:
        _save(trainer, job, recipe, base, origin, chosen)
    world.wait()
    return reporter.stopped


def _refuse_what_cannot_fit(recipe: Recipe, base: Path, encoded: TokenFile, tokens: int, dtype: Any) -> None:
    """Raise QwenlabError before minutes are spent on a run that would end for want of memory."""
    machine = replace(Machine.measured(), number_bytes=dtype.itemsize)
    config = model_folder.read_config(base)
    found = estimate(config, recipe, tokens, max(encoded.lengths), machine, answer=max(encoded.trained))
    refuse_if_too_big(found, machine)


def _model(job: Job, recipe: Recipe, base: Path, dtype: torch.dtype) -> Any:
    """The model to train, with what this machine has to make it faster."""
    loaded = methods.load(base, recipe, dtype)
    extras = methods.extras(precision.device())
    for extra in extras:
        job.report("extras", name=extra.name, used=extra.used, reason=extra.reason, reason_zh=extra.reason_zh)
    packing.prepare(loaded.model, any(extra.used for extra in extras if extra.name == "flash-attn"))
    return methods.prepare(loaded, recipe)


def _checkpoint(job: Job, world: World) -> str | None:
    """Where to go on from, the same on every process; None at the beginning.

    Raises:
        QwenlabError: when another machine does not see the first one's checkpoint.
    """
    found = checkpoints.recover(job) if world.first else None
    name = world.agree(found.name if found else "")
    chosen = job.folder / adapters.CHECKPOINTS / name
    if not all(world.everyone(not name or (chosen / adapters.COMPLETE).exists())):
        raise QwenlabError(
            "The machines of this run do not see the same checkpoints.",
            "Put the run's folder on a disk that all of them share, or copy it to each.",
            zh=("参与训练的机器看到的检查点不一致。", "请把训练文件夹放在共享磁盘上，或复制到每台机器。"),
        )
    return str(chosen) if name else None


def _arguments(job: Job, recipe: Recipe, dtype: torch.dtype, steps: int) -> transformers.TrainingArguments:
    return transformers.TrainingArguments(
        output_dir=str(job.folder / adapters.CHECKPOINTS),
        per_device_train_batch_size=recipe.at_once,
        gradient_accumulation_steps=recipe.share // recipe.at_once,
        average_tokens_across_devices=True,
        max_steps=steps,
        learning_rate=recipe.learning_rate,
        lr_scheduler_type=recipe.schedule if recipe.schedule != "constant" else "constant_with_warmup",
        warmup_steps=round(recipe.warmup * steps),
        weight_decay=recipe.weight_decay,
        adam_beta2=0.95,
        max_grad_norm=1.0,
        seed=recipe.seed,
        bf16=dtype is torch.bfloat16,
        fp16=dtype is torch.float16,
        use_cpu=precision.device() == "cpu",
        activation_checkpointing=recipe.checkpointing == "yes",
        activation_checkpointing_kwargs={"use_reentrant": False},
        deepspeed=methods.deepspeed(recipe),
        ddp_find_unused_parameters=False,
        use_liger_kernel=any(
            extra.used for extra in methods.extras(precision.device()) if extra.name == "liger-kernel"
        ),
        liger_kernel_config=methods.LIGER,
        logging_steps=1,
        save_strategy="steps",
        save_steps=10**9,  # checkpoints come by time and at looks
        save_total_limit=None,  # it would delete an old one before the new one is complete
        prediction_loss_only=True,
        remove_unused_columns=False,
        label_names=["labels"],
        disable_tqdm=True,
        report_to=[],
        dataloader_pin_memory=False,
    )


def _save(
    trainer: LabelTrainer, job: Job, recipe: Recipe, base: Path, origin: dict[str, str], chosen: Path | None
) -> None:
    """Write the adapter or model under a temporary name, then rename: it is there whole or not at all.

    Args:
        chosen: the checkpoint to take it from; None for the weights as they are.
    """
    target = job.folder / (adapters.FULL if recipe.method == "full" else adapters.FINISHED)
    staging = target.with_name(f".{target.name}.part")
    if trainer.world.first:
        shutil.rmtree(staging, ignore_errors=True)
    trainer.world.wait()
    if chosen is None:
        trainer.save_model(str(staging))  # by all: under ZeRO each holds a part of the weights
    elif trainer.world.first:
        looks.copy_weights(chosen, staging)
    if not trainer.world.first:
        return
    (staging / "training_args.bin").unlink(missing_ok=True)
    if recipe.method == "full":
        methods.carry(base, staging)
    files.write_json(staging / adapters.ORIGIN, origin)
    files.sync_tree(staging)
    shutil.rmtree(target, ignore_errors=True)
    staging.rename(target)
    files.sync_folder(target.parent)
