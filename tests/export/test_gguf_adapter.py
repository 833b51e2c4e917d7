"""An adapter as GGUF on the GGUF of its base: llama.cpp computes what it computes with the merged model."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from qwenlab.errors import QwenlabError
from qwenlab.export import package
from qwenlab.export.adapter_folder import export_adapter
from qwenlab.export.gguf_adapter import write_gguf_adapter
from qwenlab.export.gguf_file import write_gguf
from qwenlab.export.merge import write_merged
from qwenlab.models import adapters
from tests.export.test_gguf_model import Engine
from tests.export.test_merge_variants import ALL, LAYERED, STREAMED, make_base, train

pytestmark = pytest.mark.model

PROMPT = [(7 * i * i + 3) % 256 for i in range(60)]


def differences(base: Path, adapter: Path, folder: Path, size: int) -> tuple[float, float]:
    """Largest difference of a likely token's log-probability: adapter to merged, and adapter to base."""
    (folder / "merged").mkdir()
    write_merged(base, adapter, folder / "merged")
    write_gguf(folder / "merged", folder / "merged.gguf", "F16")
    write_gguf(base, folder / "base.gguf", "F16")
    write_gguf_adapter(base, adapter, folder / "adapter.gguf")
    engines = (Engine(folder / "merged.gguf"), Engine(folder / "base.gguf"))
    both = Engine(folder / "base.gguf", folder / "adapter.gguf").log_probabilities(PROMPT, size)
    likely = np.argsort(both)[-20:]
    merged, plain = (float(np.abs(one.log_probabilities(PROMPT, size) - both)[likely].max()) for one in engines)
    return merged, plain


@pytest.mark.parametrize(
    "settings",
    [
        pytest.param({"target_modules": ALL, "use_rslora": True}, id="rslora"),
        pytest.param({"target_modules": ALL, **LAYERED}, id="ranks and alphas by module"),
    ],
)
def test_scaling_of_every_kind_is_kept(tmp_path: Path, settings: dict[str, Any]) -> None:
    base = make_base(tmp_path / "base", tied=True)
    train(base, tmp_path / "adapter", settings)
    to_merged, to_base = differences(base, tmp_path / "adapter", tmp_path, 300)
    assert to_merged < 0.1
    assert to_base > 1


def test_real_model_with_adapter_computes_what_the_merged_one_does(
    smollm2: Path, random_adapter: Path, tmp_path: Path
) -> None:
    to_merged, to_base = differences(smollm2, random_adapter, tmp_path, 49152)
    assert to_merged < 0.05
    assert to_base > 1


@pytest.mark.parametrize("kind", ["dora", "embedding", "biases of the layers", "norms saved whole"])
def test_what_llama_cpp_cannot_add_is_refused(tmp_path: Path, kind: str) -> None:
    base = make_base(tmp_path / "base", tied=True)
    train(base, tmp_path / "adapter", STREAMED[kind])
    with pytest.raises(QwenlabError, match="more than llama.cpp can add"):
        write_gguf_adapter(base, tmp_path / "adapter", tmp_path / "adapter.gguf")
    assert not (tmp_path / "adapter.gguf").exists()


def test_adapter_folder_speaks_by_peft_and_by_llama_cpp(smollm2: Path, random_adapter: Path, tmp_path: Path) -> None:
    proof = export_adapter(smollm2, random_adapter, tmp_path / "handed", title="A test")
    assert proof["answer"]
    assert proof["gguf_answer"]
    assert package.check_sums(tmp_path / "handed") == []
    config = json.loads((tmp_path / "handed" / "adapter_config.json").read_text())
    assert config["base_model_name_or_path"] == "HuggingFaceTB/SmolLM2-135M-Instruct"
    adapters.check(tmp_path / "handed", smollm2)
    assert [path.name for path in tmp_path.iterdir()] == ["handed"], "no temporary folder may stay"
