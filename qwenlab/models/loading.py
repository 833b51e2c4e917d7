"""A model in memory: one copy of the base weights, and the adapters that share it."""

from __future__ import annotations

import warnings
from itertools import chain
from pathlib import Path
from typing import Any

from qwenlab import failures
from qwenlab.errors import QwenlabError
from qwenlab.models import adapters, precision, streaming, templates
from qwenlab.models import folder as model_folder
from qwenlab.models.folder import Version
from qwenlab.models.resident import Resident

BASE = "__base__"
"""In the place of an adapter's name: none."""


class LoadedModel(Resident):
    """Base weights, tokenizer and any number of attached adapters.

    Attributes:
        folder: the Hugging Face folder the weights came from.
        tokenizer: its tokenizer.
    """

    def __init__(self, folder: Path, tokenizer: Any, model: Any) -> None:
        super().__init__()
        self.folder = folder
        self.tokenizer = tokenizer
        self.model = model
        self._adapters: dict[Version, str] = {}
        self._alone: set[str] = set()

    def attach(self, adapter: Path, shared: bool = True) -> str:
        """Load an adapter onto the shared base, once; return the name PEFT knows it by.

        A base whose adapter could not be attached is as it was before.

        Args:
            shared: others answer with the same base; False for merging, where the adapter may change the base itself.

        Raises:
            QwenlabError: when it is broken or was trained on another base.
        """
        adapter = adapter.resolve()
        adapters.check(adapter, self.folder)
        if shared:
            adapters.check_shared(adapter)
        version = model_folder.version(adapter)  # a run that went on has other weights under the same name
        with self.lock:
            if version not in self._adapters:
                name = f"adapter{len(self._adapters)}"
                self.model, alone = adapters.put_on(self.model, adapter, name, self.folder.name)
                self._adapters[version] = name
                if alone:
                    self._alone.add(name)
            return self._adapters[version]

    @property
    def has_adapters(self) -> bool:
        """Whether the model is wrapped by PEFT, so that a batch must name its adapters."""
        return bool(self._adapters)

    def mixes(self, name: str) -> bool:
        """Whether the adapter can answer in one batch with the base and others."""
        return name not in self._alone

    @property
    def plain(self) -> Any:
        """The transformers model without PEFT's wrapping; attached adapters are inside its layers."""
        return self.model.get_base_model() if self.has_adapters else self.model

    @property
    def ends(self) -> list[int]:
        """Every token that ends a turn."""
        return list(self.model.generation_config.eos_token_id)

    @property
    def context(self) -> int:
        """Tokens the model can hold, prompt and answer together."""
        return int(self.model.config.max_position_embeddings)

    @property
    def computed(self) -> str:
        """Where and in what order its weights are multiplied: elsewhere the same numbers are rounded otherwise."""
        from qwenlab.models.packed import Part

        packed = isinstance(self.plain.get_output_embeddings(), Part)
        return f"{self.plain.device.type}, {'packed' if packed else 'plain'}"

    @property
    def bytes(self) -> int:
        """Memory of the weights and adapters."""
        return sum(one.nbytes for one in chain(self.model.parameters(), self.model.buffers()))  # tied ones come once


def load_tokenizer(folder: Path) -> Any:
    """The folder's tokenizer; left padding and ChatML where it names none.

    Raises:
        QwenlabError: when the tokenizer files are missing or broken.
    """
    from transformers import AutoTokenizer

    try:
        tokenizer = AutoTokenizer.from_pretrained(str(folder), local_files_only=True, trust_remote_code=False)
    except Exception as error:  # the library for tokenizer.json raises nothing more particular
        failures.blame_no_file(error)
        raise QwenlabError(
            f"The tokenizer of {folder} cannot be read: {error}.",
            "Copy the model again.",
            zh=(f"无法读取 {folder} 的分词器：{error}。", "请重新复制该模型。"),
        ) from error
    if tokenizer.pad_token_id is None:
        tokenizer.pad_token = tokenizer.eos_token
    if not tokenizer.chat_template:
        tokenizer.chat_template = templates.CHATML
    tokenizer.padding_side = "left"
    return tokenizer


def load(folder: Path, dtype: Any = None) -> LoadedModel:
    """Load a Hugging Face folder for inference or training.

    Args:
        folder: config.json, safetensors and tokenizer files of a supported family.
        dtype: torch dtype; by default the one this machine computes fastest in.

    Raises:
        QwenlabError: when the folder is incomplete, broken or of another family.
    """
    model_folder.check(folder)
    tokenizer = load_tokenizer(folder)
    import torch
    import transformers

    precision.set_threads()
    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
    # PEFT asks transformers in an old way; the person cannot do anything about it.
    warnings.filterwarnings("ignore", category=FutureWarning, module="transformers")
    kind = dtype or precision.dtype()
    try:
        if streaming.converts(folder, kind):
            model, lacking = streaming.load_converted(folder, kind)
        else:
            made: Any = transformers.AutoModelForCausalLM.from_pretrained(
                str(folder),
                dtype=kind,
                local_files_only=True,
                use_safetensors=True,
                trust_remote_code=False,
                output_loading_info=True,
            )
            model, lacking = made[0], sorted(made[1]["missing_keys"])
    except (OSError, ValueError, RuntimeError, KeyError, ImportError) as error:
        reason = str(error).strip().splitlines()[0]
        raise QwenlabError(
            f"The model {folder} cannot be loaded: {reason}.",
            "Copy or download it again; see `qwenlab verify`.",
            zh=(f"无法加载模型 {folder}：{reason}。", "请重新复制或下载；可用 `qwenlab verify` 检查。"),
        ) from error
    if lacking:  # transformers would fill them with random numbers and say nothing
        raise QwenlabError(
            f"The model {folder} lacks the weight {lacking[0]}.",
            "Copy or download it again; see `qwenlab verify`.",
            zh=(f"模型 {folder} 缺少权重 {lacking[0]}。", "请重新复制或下载；可用 `qwenlab verify` 检查。"),
        )
    torch.nn.Module.to(model, precision.device())
    model.eval()
    prepare_to_answer(model, tokenizer)
    return LoadedModel(folder, tokenizer, model)


def load_to_answer(folder: Path, dtype: Any = None) -> LoadedModel:
    """As `load`, for answering only: with packed weights where these are quicker.

    Raises:
        QwenlabError: as `load`.
    """
    loaded = load(folder, dtype)
    if precision.packs(loaded.model.dtype):
        from qwenlab.models import packed

        packed.pack(loaded.model)
    return loaded


def prepare_to_answer(model: Any, tokenizer: Any) -> None:
    """Let a transformers model decode as it is told with each call, and at full speed."""
    import transformers

    # The last position is a view with gaps; on it, torch's product with a frozen matrix first copies the matrix
    # once per row of the batch: 6 GB and 15 seconds for 24 rows of a 0.5B Qwen.
    model.get_output_embeddings().register_forward_pre_hook(lambda _, hidden: (hidden[0].contiguous(),))
    # Sampling defaults of the checkpoint would warn and change greedy answers; settings come with each call.
    model.generation_config = transformers.GenerationConfig(
        bos_token_id=tokenizer.bos_token_id,
        pad_token_id=tokenizer.pad_token_id,
        eos_token_id=_end_ids(tokenizer, model),
    )


def _end_ids(tokenizer: Any, model: Any) -> list[int]:
    """Every token that ends a turn: the tokenizer's and those of generation_config.json."""
    known = model.generation_config.eos_token_id
    listed = known if isinstance(known, list) else [known]
    return sorted({token for token in [tokenizer.eos_token_id, *listed] if token is not None})
