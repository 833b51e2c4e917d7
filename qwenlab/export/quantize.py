"""A merged model becomes a small one: GGUF for llama.cpp and Ollama, GPTQ for vLLM and transformers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Literal

from qwenlab.export import complete, gptq, importance, package
from qwenlab.export.calibration import DEFAULT
from qwenlab.export.gguf_file import NOTHING_KNOWN, write_gguf
from qwenlab.models import folder as model_folder

Progress = Callable[[str, float], None]
GGUF_KINDS: dict[int, Literal["Q4_K_M", "Q5_K_M", "Q8_0", "F16"]] = {4: "Q4_K_M", 5: "Q5_K_M", 8: "Q8_0", 16: "F16"}
"""The GGUF type that each number of bits stands for."""
CALIBRATED = (4, 5)
"""Bits at which it pays to measure what matters."""


def to_gguf(
    source: Path,
    target: Path,
    bits: int,
    progress: Progress,
    calibration: Sequence[str] = (),
    length: int = DEFAULT.length,
) -> dict[str, Any]:
    """Quantize a Hugging Face folder into an export folder with one model.gguf.

    Args:
        calibration: rendered training conversations; rounding to 4 or 5 bits spares what matters on them.
        length: tokens of each that count.

    Raises:
        QwenlabError: other family, disk full, or a file that llama.cpp does not load.
    """
    kind = GGUF_KINDS[bits]

    def make(folder: Path) -> None:
        known = NOTHING_KNOWN
        if calibration and bits in CALIBRATED:
            progress("calibrating", 0.0)
            known = importance.measure(source, calibration, length)
        write_gguf(source, folder / "model.gguf", kind, progress, known)

    about = {**_origin(source), "format": f"GGUF {kind}", "bits": bits}
    if bits in CALIBRATED:
        about["calibration_rows"] = len(calibration)
    return package.build(target, "gguf", about, make)


def to_gptq(
    source: Path,
    target: Path,
    bits: Literal[4, 8],
    calibration: Sequence[str],
    progress: Progress,
    length: int = DEFAULT.length,
    group_size: int | None = None,
) -> dict[str, Any]:
    """Quantize a Hugging Face folder with GPTQModel, calibrated on rendered training conversations.

    Args:
        length: tokens of each that count.
        group_size: weights that share a scale; None takes the biggest that fits the model.

    Raises:
        QwenlabError: GPTQModel is missing, or a result that transformers does not load.
    """

    def make(folder: Path) -> None:
        gptq.quantize_gptq(source, folder, calibration, bits, group, progress, length)
        complete.carry(source, folder)
        complete.check(folder)

    group = gptq.fitting_group_size(model_folder.read_config(source), group_size)
    about = {**_origin(source), "format": f"GPTQ int{bits}", "bits": bits, "group_size": group}
    about["calibration_rows"] = len(calibration)
    return package.build(target, "gptq", about, make)


def _origin(source: Path) -> dict[str, Any]:
    """What the manifest of a merged export says of where it comes from; a plain model folder says its name."""
    known = (
        *("title", "base", "base_weights", "licence", "run", "trained", "adapter_sha256", "recipe"),
        *("data_name", "data_samples", "data_sha256"),
    )
    if (source / package.MANIFEST).exists():
        manifest = package.read_manifest(source)
        about = {key: manifest[key] for key in known if key in manifest}
    else:
        about = {"base": source.name}
    return {**about, "made_from": source.name, "made_from_weights": model_folder.fingerprints(source)["weights"]}
