"""Fuzzing of the readers that meet a stranger's model: each input is read, or refused with a QwenlabError.

Not part of `make test`; run for one reader and a number of seconds (needs `pip install atheris`):

    python tests/fuzz_readers.py header 600

Seeds are small files made here; what libFuzzer finds beside them goes into a folder of its own and is forgotten.
"""

from __future__ import annotations

import base64
import io
import json
import random
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import atheris

with atheris.instrument_imports(include=["qwenlab.models", "qwenlab.training.needs", "qwenlab.training.estimate"]):
    from qwenlab.models import (
        adapter_base,
        adapters,
        folder,
        gguf_header,
        listing,
        pickles,
        qwen1,
        qwen1_tokenizer,
        template_limits,
    )
    from qwenlab.models.header import read_header
    from qwenlab.training.needs import needs

from small_folder import CONFIG, weights, write_model

from qwenlab.errors import QwenlabError
from qwenlab.training.estimate import Machine

MACHINE = Machine.here()


ODD: list[Any] = [None, True, -1, 0, 2**31, 2**70, 1e308, float("nan"), "", "a", "../a", "\0", "\ud800", [], {}, [[[]]]]
"""What is put in the place of a value."""


class Reader:
    """One reader of ours: where its input lies, what reads it, and inputs to begin with.

    Attributes:
        text: how bytes become JSON to change and back, where that is what is read.
    """

    def __init__(
        self,
        file: Path,
        read: Callable[[], Any],
        seeds: list[bytes],
        refused: tuple[type[BaseException], ...] = (QwenlabError,),
        text: tuple[Callable[[bytes], bytes], Callable[[bytes], bytes]] | None = None,
    ) -> None:
        self.file, self.read, self.seeds, self.refused, self.text = file, read, seeds, refused, text

    def try_out(self, content: bytes) -> None:
        """Read one input; anything but a refusal is a find."""
        self.file.write_bytes(content)
        with suppress(*self.refused):
            self.read()

    def change(self, content: bytes, longest: int, seed: int) -> bytes:
        """Another input made of this one: mostly as JSON where that is what is read, otherwise as bytes."""
        dice = random.Random(seed)
        if self.text is None or dice.random() < 0.3:
            return atheris.Mutate(content, longest)
        try:
            told = json.loads(self.text[0](content))
            for _ in range(dice.randint(1, 3)):
                told = _changed(told, dice)
            return self.text[1](json.dumps(told).encode())[:longest]
        except (ValueError, RecursionError):
            return atheris.Mutate(content, longest)


def _changed(told: Any, dice: random.Random) -> Any:
    """The value with one place in it removed, exchanged for an odd one, or for another of its own."""
    places = list(_places(told))
    if not places:
        return dice.choice([told, *ODD])
    inside, key = dice.choice(places)
    other, at = dice.choice(places)
    what = dice.random()
    if what < 0.15:
        del inside[key]
    elif what < 0.7:
        inside[key] = dice.choice(ODD)
    else:
        inside[key] = json.loads(json.dumps(other[at]))
    return told


def _places(told: Any) -> Iterator[tuple[Any, Any]]:
    """Every place in lists and objects, as what it lies in and its key."""
    inner = told.items() if isinstance(told, dict) else enumerate(told) if isinstance(told, list) else ()
    for key, value in inner:
        yield told, key
        yield from _places(value)


JSON = (bytes, bytes)


def header(place: Path) -> Reader:
    """The header of a safetensors file."""
    write_model(place)
    file = place / "model.safetensors"
    small = json.dumps({"a": {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}}).encode()
    seeds = [len(small).to_bytes(8, "little") + small + bytes(8), file.read_bytes()]
    return Reader(file, lambda: read_header(file), seeds, text=(_unwrapped, _wrapped))


def _unwrapped(content: bytes) -> bytes:
    return content[8 : 8 + int.from_bytes(content[:8], "little")]


def _wrapped(words: bytes) -> bytes:
    return len(words).to_bytes(8, "little") + words + bytes(8)


def gguf(place: Path) -> Reader:
    """The header of a GGUF file; what it lets through is then read by the library that believes it."""
    from gguf import GGUFReader, GGUFWriter

    file = place / "x.gguf"
    writer = GGUFWriter(file, "llama")
    writer.add_block_count(1)
    writer.add_token_list(["a", "b"])
    writer.add_token_scores([0.5, 0.5])
    writer.add_tensor("token_embd.weight", weights()["model.embed_tokens.weight"])
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()

    def read() -> None:
        gguf_header.check(file)
        with suppress(Exception):  # what it cannot read is told by `gguf_to_folder`; here time and memory count
            GGUFReader(file)

    return Reader(file, read, [file.read_bytes()])


def ranks(place: Path) -> Reader:
    """The rank file of a Qwen 1, and the merges that follow from it."""
    single = [base64.b64encode(bytes([one])).decode() for one in range(256)]
    more = [base64.b64encode(word).decode() for word in (b"th", b"the", b" the", "你".encode(), "你好".encode())]
    words = [*single, *more]
    seed = "\n".join(f"{word} {rank}" for rank, word in enumerate(words)).encode()
    file = place / qwen1_tokenizer.RANKS

    def read() -> None:
        found = qwen1_tokenizer.read_ranks(file)
        qwen1_tokenizer.write(found, place, 512)

    return Reader(file, read, [seed, seed.replace(b"\n", b"\r\n")])


def config(place: Path) -> Reader:
    """config.json of a model folder: its check, its row of the list, and the memory it is said to need."""
    write_model(place)
    file = place / "config.json"

    def read() -> None:
        listing._own(place)
        needs(folder.check(place), MACHINE)

    return Reader(file, read, [file.read_bytes(), json.dumps({**CONFIG, "model_type": "qwen"}).encode()], text=JSON)


def index(place: Path) -> Reader:
    """The index of weight files."""
    write_model(place)
    file = place / folder.INDEX
    seed = json.dumps({"metadata": {"total_size": 8}, "weight_map": dict.fromkeys(weights(), "model.safetensors")})
    return Reader(file, lambda: folder.check(place), [seed.encode(), b'{"weight_map": {"a": "../a"}}'], text=JSON)


def original(place: Path) -> Reader:
    """config.json of a Qwen 1 in its original format."""
    import qwen1_original

    qwen1_original.write_checkpoint(place)
    file = place / "config.json"
    return Reader(file, lambda: qwen1.look(place), [file.read_bytes()], text=JSON)


def pickle(place: Path) -> Reader:
    """Weights in a pickle, read with `weights_only`."""
    import torch

    seeds = []
    for zipped in (True, False):
        out = io.BytesIO()
        torch.save({"a": torch.ones(2, 2), "b": torch.ones(1)}, out, _use_new_zipfile_serialization=zipped)
        seeds.append(out.getvalue())
    file = place / "pytorch_model.bin"
    return Reader(file, lambda: pickles.read(file), seeds)


def adapter(place: Path) -> Reader:
    """The description of an adapter."""
    from safetensors.numpy import save_file

    base = write_model(place / "base")
    path = place / "lora"
    path.mkdir()
    pair = {"lora_A.weight": weights()["model.layers.0.mlp.up_proj.weight"][:2]}
    save_file(
        {f"base_model.model.model.layers.0.mlp.up_proj.{name}": one for name, one in pair.items()},
        path / "adapter_model.safetensors",
    )
    seed = {"peft_type": "LORA", "task_type": "CAUSAL_LM", "base_model_name_or_path": "Qwen/Qwen2.5-0.5B-Instruct"}
    more = {"r": 2, "lora_alpha": 4, "bias": "none", "target_modules": ["up_proj"], "modules_to_save": None}
    file = path / adapter_base.CONFIG

    def read() -> None:
        adapters.check(path, base)
        adapters.check_shared(path)

    return Reader(file, read, [json.dumps({**seed, **more}).encode()], text=JSON)


def template(place: Path) -> Reader:
    """A chat template; whatever jinja raises is told as the template's refusal."""
    messages = [{"role": "user", "content": "hi"}, {"role": "assistant", "content": "hello"}]
    file = place / "chat_template.jinja"
    chatml = (
        "{% for m in messages %}{{ '<|im_start|>' + m['role'] + '\n' + m['content'] + '<|im_end|>\n' }}{% endfor %}"
        "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
    )
    more = "{% set ns = namespace(n=0) %}{% for i in range(3) %}{% set ns.n = ns.n * 9 %}{% endfor %}{{ ns.n|tojson }}"
    method = "{{ 'a'.join(['b', 'c'])|center(20) ~ '%5d' % 3 ~ ('x' * 3)|replace('x', 'yy') }}"

    def read() -> None:
        template_limits.render(file.read_text("utf-8", "replace"), messages=messages, add_generation_prompt=True)

    return Reader(file, read, [one.encode() for one in (chatml, more, method)], (Exception,))


def tokenizer(place: Path) -> Reader:
    """tokenizer.json, read by the library for it, whose panics are no ordinary exceptions."""
    from qwenlab.models import loading

    single = {bytes([one]): one for one in range(256)}
    write_model(place)
    qwen1_tokenizer.write({**single, b"th": 256, b"the": 257}, place, 512)
    file = place / "tokenizer.json"
    return Reader(file, lambda: loading.load_tokenizer(place)("the words"), [file.read_bytes()], text=JSON)


ALL = (header, gguf, ranks, config, index, original, pickle, adapter, template, tokenizer)
READERS = {one.__name__: one for one in ALL}


def main() -> None:
    """Fuzz one reader."""
    name, seconds = sys.argv[1], sys.argv[2]
    with tempfile.TemporaryDirectory() as root:
        place, corpus = Path(root) / "place", Path(root) / "corpus"
        place.mkdir()
        corpus.mkdir()
        reader = READERS[name](place)
        for number, seed in enumerate(reader.seeds):
            (corpus / str(number)).write_bytes(seed)
        limits = ["-timeout=20", "-rss_limit_mb=3000", "-max_len=20000", f"-artifact_prefix={name}-"]
        command = [sys.argv[0], str(corpus), f"-max_total_time={seconds}", *limits]
        atheris.Setup(command, reader.try_out, custom_mutator=reader.change)
        atheris.Fuzz()


if __name__ == "__main__":
    main()
