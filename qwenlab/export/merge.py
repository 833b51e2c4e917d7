"""An adapter is merged into its base: one ordinary model folder that needs no PEFT."""

from __future__ import annotations

import gc
from pathlib import Path
from typing import Any, Literal

from qwenlab import files
from qwenlab.errors import QwenlabError
from qwenlab.export import package
from qwenlab.models import adapters, catalogue, loading
from qwenlab.models import folder as model_folder

SHARD = "2GB"


def merge(
    base: Path, adapter: Path, target: Path, dtype: Literal["float32", "bfloat16"] = "float32", **about: Any
) -> dict[str, Any]:
    """Write base + adapter as one folder, and prove in a fresh process that it computes the same.

    Merged weights are kept in float32 unless told otherwise: an adapter moves each weight by less than the
    grain of bfloat16, so rounding the sum to it loses part of what was learned.

    Args:
        about: further lines for the manifest, such as the run.

    Returns:
        The proof: {"max_logit_difference", "prompts", "same_next_token"}.

    Raises:
        QwenlabError: adapter of another base, a base that is quantized, disk full, or a proof that failed.
    """
    adapters.check(adapter, base)
    if quantized := model_folder.quantized(base):
        raise QwenlabError(
            f"{base.name} is quantized ({quantized}), and an adapter cannot be merged into such weights.",
            "Use base and adapter together; or train on the model that is not quantized, merge that and quantize it.",
            zh=(
                f"{base.name} 是量化模型（{quantized}），适配器无法合并到这样的权重中。",
                "请同时使用基础模型和适配器；或改用未量化的模型训练，再合并并量化。",
            ),
        )

    def make(folder: Path) -> None:
        import torch

        loaded = loading.load(base, torch.float32)
        loaded.attach(adapter, shared=False)
        whole = loaded.model.merge_and_unload().to(getattr(torch, dtype))
        whole.save_pretrained(folder, max_shard_size=SHARD)
        package.carry_tokenizer(base, folder)
        for file in folder.iterdir():
            file.chmod(0o644)
        del loaded, whole
        gc.collect()  # PEFT's cycles hold the weights, and the prover needs the room

    def prove(folder: Path) -> dict[str, Any]:
        return package.run_fresh("qwenlab.export.prove_merge", str(base), str(adapter), str(folder))

    known = catalogue.entry(base.name)
    described = {
        "base": known.title if known else base.name,
        "base_weights": model_folder.fingerprints(base)["weights"],
        "licence": known.licence if known else "that of the base model",
        "adapter_sha256": files.sha256(adapter / "adapter_model.safetensors"),
        "dtype": dtype,
        **about,
    }
    return package.build(target, "merged", described, make, prove)
