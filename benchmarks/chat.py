"""Decoding speed: a single chat, two columns of Compare, a suite's batch, and how much of the memory's speed they use.

Each is a process of its own, so that its memory is its own. Time is the median between two tokens, the prompt left out.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from qwenlab.chat.decoding import generate
from qwenlab.chat.local_contestant import BATCH, LocalContestant
from qwenlab.evals.suite import load_suite
from qwenlab.models import catalogue, loading
from qwenlab.models.contestant import Generation, Message
from qwenlab.models.loading import BASE
from qwenlab.models.rendering import prompt_ids
from qwenlab.training import memory
from qwenlab.workspace import SHIPPED, Workspace

ROUNDS = int(os.environ.get("ROUNDS", "3"))
TOKENS, RANK = 48, 16
QUESTION = [Message(role="user", content="Tell a long story about a kettle.")]
READ_BYTES = 1 << 30
SUITE, CASES = "suite", 24
ADAPTER = "adapter0"
"""The name that the first adapter gets."""
WAYS = {
    "base": [BASE],
    "adapter": [ADAPTER],
    "two columns": [BASE, ADAPTER],
    "a suite's batch": [BASE] * BATCH,
}
Row = tuple[str, str, str]


def rows(model: str) -> Iterator[Row]:
    """Tokens per second and column, memory, their ratios, and the share of the memory's speed; then llama.cpp."""
    with tempfile.TemporaryDirectory() as folder:
        adapter = Path(folder) / "adapter"
        _write_adapter(model, adapter)
        found: dict[str, list[dict[str, Any]]] = {way: [] for way in WAYS}
        for _ in range(ROUNDS):
            for way in WAYS:  # in turn, so that a noisy machine disturbs all alike
                found[way].append(_measured(way, model, str(adapter)))
    for way, names in WAYS.items():
        speed = statistics.median(one["tokens_per_s"] for one in found[way])
        peak = max(one["peak"] for one in found[way]) / 1e9
        how = f"{model}, {found[way][0]['dtype']}, {len(names)} at once, {peak:.2f} GB"
        yield f"decoding, {way}", f"{speed * len(names):.0f} tokens/s", how
    for one in ("base", "adapter"):
        speeds = _ratios(found, "two columns", one, "tokens_per_s")
        memories = _ratios(found, "two columns", one, "peak")
        yield f"two columns : one chat with the {one}", f"{speeds:.2f}x a column", f"{memories:.2f}x the memory"
    reads = statistics.median(one["bytes_per_s"] for one in found["base"])
    share = statistics.median(one["tokens_per_s"] * one["read"] / one["bytes_per_s"] for one in found["base"])
    yield "one chat, share of the memory's speed", f"{share:.0%}", f"{model}; memory is read at {reads / 1e9:.0f} GB/s"
    with_suite = _measured(SUITE, model, "")
    how = f"{model}, {with_suite['cases']} cases; in float32 {with_suite['same']} of them have the same answer"
    yield "a suite, batched : one by one with generate", f"{with_suite['ratio']:.1f}x", how
    yield from _llama(model, reads)


def _ratios(found: dict[str, list[dict[str, Any]]], mine: str, other: str, key: str) -> float:
    return statistics.median(one[key] / two[key] for one, two in zip(found[mine], found[other], strict=True))


def _measured(way: str, *rest: str) -> dict[str, Any]:
    done = subprocess.run([sys.executable, "-m", "benchmarks.chat", way, *rest], capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(done.stderr[-3000:])
    return json.loads(done.stdout.splitlines()[-1])


def _write_adapter(model: str, folder: Path) -> None:
    """A LoRA of random numbers on all linear layers: as large as a trained one."""
    from peft import LoraConfig, get_peft_model

    loaded = loading.load(catalogue.locate(Workspace.default(), model))
    lora = LoraConfig(r=RANK, target_modules="all-linear", task_type="CAUSAL_LM", init_lora_weights="gaussian")
    get_peft_model(loaded.model, lora).save_pretrained(folder)


def _llama(model: str, bytes_per_s: float) -> Iterator[Row]:
    from qwenlab.chat.gguf_contestant import GgufContestant
    from qwenlab.export.gguf_file import write_gguf

    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "model.gguf"
        start = time.perf_counter()
        write_gguf(catalogue.locate(Workspace.default(), model), file)
        spent = time.perf_counter() - start
        yield "writing GGUF Q4_K_M", f"{spent:.1f} s", f"{model}, {file.stat().st_size / 1e6:.0f} MB"
        for slots in (1, 8):
            contestant = GgufContestant("bench", file, slots)
            list(contestant.answer([QUESTION], Generation(max_new_tokens=4)))  # loads it
            start = time.perf_counter()
            answers = list(contestant.answer([QUESTION] * slots, Generation(max_new_tokens=TOKENS)))
            speed = sum(answer.tokens for _, answer in answers) / (time.perf_counter() - start)
            contestant.close()
            share = f"; {speed * file.stat().st_size / bytes_per_s:.0%} of the memory's speed" if slots == 1 else ""
            yield f"decoding GGUF Q4_K_M, {slots} at once", f"{speed:.0f} tokens/s", f"{model}, llama.cpp{share}"


# --- one way, in a process of its own ----------------------------------------------------------------------


def main() -> None:
    """Measure the way named on the command line and print it as JSON."""
    way, model, adapter = sys.argv[1:]
    if way == SUITE:
        print(json.dumps(_suite(model)))
        return
    loaded = loading.load_to_answer(catalogue.locate(Workspace.default(), model))
    names = WAYS[way]
    if ADAPTER in names:
        loaded.attach(Path(adapter))
    ids = prompt_ids(loaded.tokenizer, QUESTION)
    times: list[float] = []
    for tokens in (4, TOKENS):  # the first warms up
        times.clear()
        settings = Generation(max_new_tokens=tokens)
        generate(loaded, [ids] * len(names), names, settings, lambda _: times.append(time.perf_counter()))
    between = statistics.median(after - before for before, after in zip(times, times[1:], strict=False))
    found = {"tokens_per_s": 1 / between, "peak": memory.peak(), "read": _read_for_a_token(loaded)}
    dtype = str(loaded.model.dtype).removeprefix("torch.")
    print(json.dumps(found | {"dtype": dtype, "bytes_per_s": _read_speed()}))


def _suite(model: str) -> dict[str, Any]:
    """Cases of the shipped suite answered in batches, and one by one by transformers' own generate."""
    import torch

    suite = load_suite(SHIPPED / "eval_suites" / "after-sales-tickets").only("en", None, CASES)
    prompts = [case.messages(suite) for case in suite.cases]
    settings = Generation(max_new_tokens=TOKENS)
    found: dict[str, Any] = {"cases": len(prompts)}
    for kind in (None, torch.float32):
        folder = catalogue.locate(Workspace.default(), model)
        loaded, contestant = loading.load(folder, kind), LocalContestant("base", loading.load_to_answer(folder, kind))
        list(contestant.answer(prompts[:2], Generation(max_new_tokens=2)))  # warms up
        start = time.perf_counter()
        answers = dict(contestant.answer(prompts, settings))
        batched = sum(answer.tokens for answer in answers.values()) / (time.perf_counter() - start)
        start, tokens, same = time.perf_counter(), 0, 0
        for index, messages in enumerate(prompts):
            ids = torch.tensor([prompt_ids(loaded.tokenizer, messages)])
            said = loaded.model.generate(ids, attention_mask=torch.ones_like(ids), max_new_tokens=TOKENS)
            new = said[0, ids.shape[1] :]
            tokens += len(new)
            same += loaded.tokenizer.decode(new, skip_special_tokens=True) == answers[index].text
        if kind is None:
            found["ratio"] = batched / (tokens / (time.perf_counter() - start))
        found["same"] = same
    return found


def _read_for_a_token(loaded: loading.LoadedModel) -> int:
    """Bytes of weights that every token takes: of embeddings only where they are the output matrix too."""
    embeddings = loaded.plain.get_input_embeddings().weight
    shared = loaded.plain.get_output_embeddings().weight is embeddings
    return loaded.bytes - (0 if shared else int(embeddings.nbytes))


def _read_speed() -> float:
    """Bytes a second that all cores together read from memory."""
    import torch

    numbers, best = torch.ones(READ_BYTES // 4), float("inf")
    for _ in range(5):
        start = time.perf_counter()
        numbers.sum()
        best = min(best, time.perf_counter() - start)
    return READ_BYTES / best


if __name__ == "__main__":
    main()
