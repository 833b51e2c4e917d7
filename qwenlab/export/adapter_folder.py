"""An adapter handed over alone: small, for whoever has its base already."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

from qwenlab import files
from qwenlab.export import complete, gguf_adapter, package
from qwenlab.export.lora_weights import read_adapter
from qwenlab.models import adapters, catalogue
from qwenlab.models import folder as model_folder

GGUF = "adapter.gguf"


def export_adapter(base: Path, adapter: Path, target: Path, **about: Any) -> dict[str, Any]:
    """Write an adapter as a folder that PEFT and vLLM load; with adapter.gguf where llama.cpp can compute it.

    Args:
        about: further lines for the manifest, such as the run.

    Returns:
        The proof: {"answer", "gguf_answer"}, what base and adapter say in a fresh process; the latter by llama.cpp.

    Raises:
        QwenlabError: adapter of another base, disk full, or a proof that failed.
    """
    adapters.check(adapter, base)
    known = catalogue.entry(base.name)
    origin = {"base": known.title if known else base.name, "weights": model_folder.fingerprints(base)["weights"]}

    def make(folder: Path) -> None:
        shutil.copyfile(adapter / adapters.WEIGHTS, folder / adapters.WEIGHTS)
        config = files.read_json(adapter / "adapter_config.json")
        config["base_model_name_or_path"] = known.hub if known else base.name  # not a path of this machine
        files.write_json(folder / "adapter_config.json", config)
        files.write_json(folder / adapters.ORIGIN, origin)
        complete.carry(base, folder)
        if not model_folder.quantized(base) and gguf_adapter.covers(read_adapter(adapter)):
            gguf_adapter.write_gguf_adapter(base, adapter, folder / GGUF)

    def prove(folder: Path) -> dict[str, Any]:
        return package.run_fresh("qwenlab.export.prove_adapter", str(base), str(folder))

    described = {
        "base": origin["base"],
        "base_weights": origin["weights"],
        "licence": known.licence if known else "that of the base model",
        "format": "LoRA adapter",
        "adapter_sha256": files.sha256(adapter / adapters.WEIGHTS),
        **about,
    }
    return package.build(target, "adapter", described, make, prove)
