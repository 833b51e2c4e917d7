"""Merging and quantizing: time, memory, how far the next token moves, and how fast the result answers.

All of it on weights that training has moved: the models of the catalogue come from 4-bit files, and rounding those to
the grid they came from looks lossless. Each piece of work is a process of its own; its memory is what it holds beside
files that are mapped and may be dropped at any moment, looked at every 20 ms.
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
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import psutil

from qwenlab import files
from qwenlab.evals.suite import load_suite
from qwenlab.export.prove_closeness import Row, Seen, divergence, see
from qwenlab.models import catalogue, loading
from qwenlab.models import folder as model_folder
from qwenlab.models.contestant import Generation, Message
from qwenlab.models.rendering import pieces
from qwenlab.workspace import SHIPPED, Workspace

STEPS, TOKENS, ROUNDS, CASES, MOST = 20, 64, 3, 16, 24
"""Steps of training; tokens of a timed answer, and how often it is timed; cases looked at, and tokens of each."""
QUESTION = [Message(role="user", content="Tell a long story about a kettle.")]
SUITE = SHIPPED / "eval_suites" / "after-sales-tickets"
OFFICIAL_Q4_K_M = 15
"""llama.cpp's number for the mix."""
GGUF = "model.gguf"
Line = tuple[str, str, str]


def rows(model: str) -> Iterator[Line]:
    """Train a little, then merge, quantize in every way, compare and let answer."""
    base = catalogue.locate(Workspace.default(), model)
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        adapter = Path(_work("train", model, folder)["adapter"])
        yield from _merge(model, base, adapter, folder)
        yield from _gguf(model, folder)
        yield from _closeness(model, folder)
        yield from _gptq(model, folder)
        yield from _decoding(model, base, folder)


def _merge(model: str, base: Path, adapter: Path, folder: Path) -> Iterator[Line]:
    for dtype in ("bfloat16", "float32"):
        done = _work("merge", base, adapter, folder / "merged" / dtype, dtype)
        size = model_folder.bytes_on_disk(folder / "merged" / dtype)
        memory = f"{done['peak'] / 1e6:.0f} MB, {done['peak'] / size:.2f}x the weights"
        yield f"merging into {dtype}", f"{done['seconds']:.1f} s", f"{model}, {size / 1e6:.0f} MB; memory {memory}"
    proof = _work("prove", base, adapter, folder / "merged" / "float32")
    yield (
        "merged : base and adapter, largest logit difference",
        f"{proof['max_logit_difference']:.2g}",
        f"{model}, {proof['prompts']} prompts in float32, {proof['seconds']:.0f} s; "
        f"memory {proof['peak'] / 1e9:.2f} GB, {proof['peak'] / size:.2f}x the weights",
    )


def _gguf(model: str, folder: Path) -> Iterator[Line]:
    for kind in ("F16", "Q8_0", "Q5_K_M", "Q4_K_M"):
        done = _work("gguf", folder / "merged" / "float32", folder / kind, kind, model)
        size = (folder / kind / GGUF).stat().st_size
        how = f"{model}, {size / 1e6:.0f} MB; memory {done['peak'] / 1e6:.0f} MB"
        yield f"writing GGUF {kind}", f"{done['seconds']:.1f} s", how + ("; calibrated" if "K" in kind else "")


def _closeness(model: str, folder: Path) -> Iterator[Line]:
    """Kullback-Leibler divergence of the next token, told by llama.cpp itself, at the tokens of right answers."""
    tokenizer = loading.load_tokenizer(folder / "merged" / "float32")
    plain = tokenizer.encode("a", add_special_tokens=False)[0]
    texts = _texts(tokenizer, model)

    def seen(export: Path) -> list[Seen]:
        return [one for row in see(export, texts, plain, lambda _: None) for one in row]

    wanted = seen(folder / "F16")
    made = {f"GGUF {kind}": folder / kind for kind in ("Q8_0", "Q5_K_M", "Q4_K_M")}
    if importlib.util.find_spec("cyllama"):
        for order in ("as trained", "shuffled"):
            made[f"llama.cpp's own Q4_K_M, channels {order}"] = folder / f"official {order}"
            _work("official", folder / "merged" / "float32", folder / f"official {order}", order)
    found = {}
    for name, export in made.items():
        moved = [divergence(left, right) for left, right in zip(wanted, seen(export), strict=True)]
        found[name] = float(np.mean(moved))
        error = np.std(moved) / len(moved) ** 0.5
        yield f"{name} : F16, KL", f"{found[name]:.4f} (± {error:.4f})", f"{model}, {len(moved)} tokens"
    for name, value in found.items():
        if "own" in name:
            yield f"our Q4_K_M : {name}", f"{found['GGUF Q4_K_M'] / value:.2g}x the KL", model


def _gptq(model: str, folder: Path) -> Iterator[Line]:
    if not importlib.util.find_spec("gptqmodel"):
        yield "GPTQ", "-", "not installed: make gptq"
        return
    source, numbers = folder / "merged" / "bfloat16", _numbers(folder / "merged" / "bfloat16")
    limit = 1.5 * 2 * numbers + 2**30
    for way in ("GPTQModel directly", "GPTQ int4", "GPTQ int8"):
        bits = 8 if "8" in way else 4
        done = _work("direct" if "directly" in way else "gptq", source, folder / way, bits, model)
        memory = f"memory {done['peak'] / 1e9:.2f} GB, allowed {limit / 1e9:.2f} GB"
        size = model_folder.bytes_on_disk(folder / way) / 1e6
        speed = f"{done['seconds']:.0f} s, {done['seconds'] / numbers * 1e9:.0f} s per billion"
        yield way, speed, f"{model}, {bits} bits, {size:.0f} MB; {memory}"


def _decoding(model: str, base: Path, folder: Path) -> Iterator[Line]:
    made = {"16-bit base": base, "16-bit merged": folder / "merged" / "bfloat16"}
    made |= {way: folder / way for way in ("GPTQ int4", "GPTQ int8") if (folder / way).exists()}
    made |= {f"GGUF {kind}": folder / kind for kind in ("F16", "Q8_0", "Q5_K_M", "Q4_K_M")}
    for name, path in made.items():
        speeds = _work("answer", path)["tokens_per_s"]
        engine = "llama.cpp" if (path / GGUF).exists() else "transformers"
        how = f"{model}, one chat, {engine}; {min(speeds):.0f} to {max(speeds):.0f} in {ROUNDS} rounds"
        yield f"decoding, {name}", f"{statistics.median(speeds):.0f} tokens/s", how


# --- what is looked at -------------------------------------------------------------------------------------


def _texts(tokenizer: Any, model: str) -> list[Row]:
    """Cases of the shipped suite with their right answers."""
    suite = load_suite(SUITE)
    speaks = catalogue.languages(model)
    cases = [case for case in suite.cases if case.language in speaks]
    found = []
    for case in cases[:: max(1, len(cases) // CASES)][:CASES]:
        answer = Message(role="assistant", content=json.dumps(case.expected, ensure_ascii=False))
        said = pieces(tokenizer, [*case.messages(suite), answer])
        spoken = [piece.answer for piece in said for _ in piece.ids]
        found.append(Row.of([token for piece in said for token in piece.ids], spoken, MOST))
    return found


def _numbers(folder: Path) -> int:
    from qwenlab.export.safetensors_folder import Weights

    weights = Weights(folder)
    return sum(int(np.prod(weights.shape(name))) for name in weights)


def _calibration(folder: Path, model: str) -> list[str]:
    from qwenlab.conversations.dataset import DataSet
    from qwenlab.export.calibration import DEFAULT

    samples = DataSet.open(SHIPPED / "data" / "after-sales.train.json").samples
    speaks = catalogue.languages(model)
    return DEFAULT.texts(loading.load_tokenizer(folder), [one for one in samples if one.language in speaks])


# --- one piece of work, in a process of its own -------------------------------------------------------------


def _work(what: str, *rest: object) -> dict[str, Any]:
    """Its findings, with "seconds" and "peak" (bytes)."""
    with tempfile.TemporaryDirectory() as folder:
        found, log = Path(folder) / "found.json", Path(folder) / "log"
        command = [sys.executable, "-m", "benchmarks.export", str(found), what, *map(str, rest)]
        peak, start = 0, time.perf_counter()
        with log.open("w") as out, subprocess.Popen(command, stdout=out, stderr=out) as process:
            while process.poll() is None:
                peak = max(peak, _held(process.pid))
                time.sleep(0.02)
        if process.returncode:
            raise RuntimeError(log.read_text(errors="replace")[-3000:])
        return {"seconds": time.perf_counter() - start, "peak": peak, **files.read_json(found)}


def _held(process: int) -> int:
    try:
        memory = psutil.Process(process).memory_info()
    except psutil.Error:
        return 0
    return int(memory.rss - getattr(memory, "shared", 0))


def main() -> None:
    """Do the work named on the command line and write down what it found."""
    found, what, *rest = sys.argv[1:]
    files.write_json(Path(found), WORK[what](*rest) or {})


def _train(model: str, folder: str) -> dict[str, Any]:
    from benchmarks.training import recipe_of, single_exchanges
    from qwenlab.conversations.dataset import DataSet
    from qwenlab.models import adapters
    from qwenlab.training import runs
    from qwenlab.training.launch import World
    from qwenlab.training.trainer import train

    workspace, data = Workspace(Path(folder) / "home"), Path(folder) / "data.train.json"
    DataSet.new(data, single_exchanges(model)).save()
    (workspace.models / model).symlink_to(catalogue.locate(Workspace.default(), model))
    job = runs.create(workspace, recipe_of(model, data, max_steps=STEPS))
    train(job, World())
    return {"adapter": str(adapters.of_run(job.folder))}


def _merged(base: str, adapter: str, target: str, dtype: str) -> None:
    from qwenlab.export.merge import write_merged

    Path(target).mkdir(parents=True)
    write_merged(Path(base), Path(adapter), Path(target), "bfloat16" if dtype == "bfloat16" else "float32")


def _prove(base: str, adapter: str, merged: str) -> dict[str, Any]:
    from qwenlab.export import prove_merge

    wanted = prove_merge.logits_of(Path(base), Path(adapter))
    got = prove_merge.logits_of(Path(merged), None)
    most = max(float((left - right).abs().max()) for left, right in zip(wanted, got, strict=True))
    return {"max_logit_difference": most, "prompts": len(got)}


def _write_gguf(source: str, target: str, kind: str, model: str) -> None:
    from qwenlab.export import importance
    from qwenlab.export.gguf_file import NOTHING_KNOWN, write_gguf
    from qwenlab.export.gguf_types import check_kind

    folder, known = Path(source), NOTHING_KNOWN
    Path(target).mkdir()
    if "K" in kind:
        known = importance.measure(folder, _calibration(folder, model))
    write_gguf(folder, Path(target) / GGUF, check_kind(kind), importance=known)


def _official(source: str, target: str, order: str) -> None:
    """llama.cpp's own quantizer (in the package cyllama), on the same weights."""
    from cyllama.llama import llama_cpp

    from qwenlab.export.gguf_file import write_gguf

    whole = Path(target) / "f16"
    whole.parent.mkdir()
    write_gguf(Path(source), whole, "F16", shuffled=order == "shuffled")
    settings = llama_cpp.LlamaModelQuantizeParams()
    settings.ftype, settings.nthread = OFFICIAL_Q4_K_M, os.cpu_count() or 1
    llama_cpp.model_quantize(str(whole), str(Path(target) / GGUF), settings)
    whole.unlink()


def _quantize(source: str, target: str, bits: str, model: str) -> None:
    from qwenlab.export.gptq import quantize_gptq

    quantize_gptq(Path(source), Path(target), _calibration(Path(source), model), 8 if bits == "8" else 4)
    _carry(source, target)


def _directly(source: str, target: str, bits: str, model: str) -> None:
    """As GPTQModel's own documentation has it."""
    os.environ.setdefault("GPTQMODEL_CPU_WORKERS", str(max(2, os.cpu_count() or 2)))  # else it refuses two cores
    from gptqmodel import GPTQModel, QuantizeConfig

    from qwenlab.export.gptq import fitting_group_size

    group = fitting_group_size(model_folder.read_config(Path(source)))
    made = GPTQModel.load(source, QuantizeConfig(bits=int(bits), group_size=group))
    made.quantize(_calibration(Path(source), model), batch_size=1)
    made.save(target)


def _carry(source: str, target: str) -> None:
    from qwenlab.export import complete

    complete.carry(Path(source), Path(target))


def _answer(path: str) -> dict[str, Any]:
    from qwenlab.chat.gguf_contestant import GgufContestant
    from qwenlab.chat.local_contestant import LocalContestant

    folder = Path(path)
    contestant: Any = (
        GgufContestant("it", folder / GGUF, slots=1)
        if (folder / GGUF).exists()
        else LocalContestant("it", loading.load_to_answer(folder))
    )
    list(contestant.answer([QUESTION], Generation(max_new_tokens=4)))  # warms up
    speeds = []
    for _ in range(ROUNDS):
        start = time.perf_counter()
        ((_, answer),) = contestant.answer([QUESTION], Generation(max_new_tokens=TOKENS))
        speeds.append(answer.tokens / (time.perf_counter() - start))
    return {"tokens_per_s": speeds}


WORK: dict[str, Any] = {
    "train": _train,
    "merge": _merged,
    "prove": _prove,
    "gguf": _write_gguf,
    "official": _official,
    "gptq": _quantize,
    "direct": _directly,
    "answer": _answer,
}


if __name__ == "__main__":
    main()
