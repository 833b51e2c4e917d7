"""Weights that are stored in another number format than they are computed in, read piece by piece into place.

transformers maps the file into memory and converts from there, so that both formats are held at once: 1.5 times the
weights and more. Where nothing is converted, its mapping is the better way: pages are read when they are needed, and
several processes share them.
"""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

from qwenlab import files
from qwenlab.models import folder as model_folder
from qwenlab.models.header import BITS, Stored, read_header

PIECE = 16 << 20
"""Bytes read at a time."""
BUILDING = threading.Lock()
"""no_init_weights changes torch for all threads, and two at once would leave it so."""
FLOATS = {"BF16": "bfloat16", "F16": "float16", "F32": "float32"}
"""What is converted, and torch's names for it."""


def converts(folder: Path, kind: Any) -> bool:
    """Whether the plain float weights of a folder lie there in another format than the torch dtype `kind`."""
    from transformers.integrations import is_deepspeed_zero3_enabled

    # With ZeRO-3 a process holds a part of each weight, which only transformers knows to fill.
    if model_folder.quantized(folder) or is_deepspeed_zero3_enabled():
        return False
    stored = {one.dtype for path in model_folder.weight_files(folder) for one in read_header(path).values()}
    return stored <= FLOATS.keys() and {FLOATS[name] for name in stored} != {str(kind).removeprefix("torch.")}


def load_converted(folder: Path, kind: Any) -> tuple[Any, list[str]]:
    """The model of a folder with its weights in the torch dtype `kind`, and the names of weights that it lacks.

    Raises:
        ValueError: when a weight has another shape than the model.
        OSError: when a file cannot be read.
    """
    import transformers
    from transformers.initialization import no_init_weights

    config = transformers.AutoConfig.from_pretrained(str(folder), local_files_only=True, trust_remote_code=False)
    with BUILDING, no_init_weights():
        model = transformers.AutoModelForCausalLM.from_config(config, dtype=kind)
    model.tie_weights()
    if (folder / "generation_config.json").exists():
        told = files.read_json(model_folder.own_file(folder, "generation_config.json"))
        model.generation_config = transformers.GenerationConfig.from_dict(told)
    lacking = dict(model.named_parameters())
    for path in model_folder.weight_files(folder):
        with path.open("rb", buffering=0) as file:
            for name, stored in read_header(path).items():
                if name in lacking:
                    _read(file, stored, name, lacking.pop(name).data)
    return model, sorted(lacking)


def _read(file: Any, stored: Stored, name: str, target: Any) -> None:
    """Copy one weight into its place."""
    import torch

    if tuple(target.shape) != stored.shape:
        raise ValueError(f"the weight {name} has the shape {list(stored.shape)} instead of {list(target.shape)}")
    dtype, flat = getattr(torch, FLOATS[stored.dtype]), target.view(-1)
    size, room = BITS[stored.dtype] // 8, bytearray(PIECE)
    file.seek(stored.start)
    for at in range(0, flat.numel(), PIECE // size):
        number = min(PIECE // size, flat.numel() - at)
        _fill(file, memoryview(room)[: number * size])
        flat[at : at + number].copy_(torch.frombuffer(room, dtype=dtype, count=number))


def _fill(file: Any, room: memoryview) -> None:
    while len(room):
        read = file.readinto(room)
        if not read:
            raise OSError("the file became shorter while it was read")
        room = room[read:]
