"""From what a person writes to a contestant: `base=M`, `tuned=M+RUN`, `small=model.gguf`, `cluster=http://...`."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from qwenlab.chat.endpoint_contestant import PLAIN, EndpointContestant
from qwenlab.chat.endpoint_pace import Pace
from qwenlab.chat.gguf_contestant import GgufContestant
from qwenlab.chat.local_contestant import LocalContestant
from qwenlab.chat.pool import ModelPool
from qwenlab.errors import QwenlabError
from qwenlab.models import adapter_base, adapters, catalogue
from qwenlab.models.contestant import Contestant
from qwenlab.workspace import Workspace


def parse(written: str) -> tuple[str, str]:
    """Split NAME=SPEC; without a name the spec's last part names it.

    Raises:
        QwenlabError: when the spec is empty.
    """
    name, equals, spec = written.partition("=")
    if not equals or "/" in name or ":" in name:  # an equals sign inside a path or URL
        name, spec = Path(written.rstrip("/")).name, written
    if not name or not spec:
        raise QwenlabError(
            f"The contestant {written!r} names no model.",
            "Write NAME=MODEL or NAME=MODEL+RUN.",
            zh=(f"{written!r} 没有指定模型。", "请写成 名称=模型 或 名称=模型+训练。"),
        )
    return name, spec


def make(
    workspace: Workspace,
    pool: ModelPool,
    name: str,
    spec: str,
    cancelled: Callable[[], bool] = lambda: False,
    pace: Pace = PLAIN,
) -> Contestant:
    """The contestant for a spec.

    Args:
        spec: a catalogue model or model folder, optionally `+` a run id or an adapter folder; an adapter folder
            that names its base; a GGUF file or a folder holding one; or the base URL of an OpenAI-compatible endpoint.
        cancelled: asked while weights are loaded; True gives up.
        pace: how an endpoint is asked.

    Raises:
        QwenlabError: when it cannot be had, or loading was cancelled.
    """
    if spec.startswith(("http://", "https://")):
        return EndpointContestant(name, spec, pace)
    model, _, adapter = spec.partition("+")
    if not Path(model).exists() and Path(spec).exists():  # a path with a plus sign in it
        model, adapter = spec, ""
    path = Path(model).expanduser()
    gguf = path if path.suffix == ".gguf" else next(iter(sorted(path.glob("*.gguf"))), None) if path.is_dir() else None
    if gguf is not None and not (path / "config.json").exists():
        if adapter:
            raise QwenlabError(
                f"No adapter can be put on the GGUF file {gguf.name}.",
                "Name the base model instead.",
                zh=(f"GGUF 文件 {gguf.name} 不能加载适配器。", "请改用基础模型。"),
            )
        return GgufContestant(name, pool.gguf(gguf))
    if not adapter and adapters.stands_alone(path):
        adapter = spec
        model = str(adapter_base.find(workspace, adapters.find(workspace, adapter)))
    loaded = pool.get(catalogue.locate(workspace, model), cancelled)
    return LocalContestant(name, loaded, adapters.find(workspace, adapter) if adapter else None)
