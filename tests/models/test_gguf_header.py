"""GGUF files that are none, or were made to do harm: refused before any library believes them."""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np
import pytest
from gguf import GGUFWriter
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from qwenlab.errors import QwenlabError
from qwenlab.models import gguf_header
from qwenlab.models.convert import gguf_to_folder


def write_gguf(file: Path) -> bytes:
    writer = GGUFWriter(file, "llama")
    writer.add_block_count(1)
    writer.add_token_list(["a", "b", "模型"])
    writer.add_token_scores([0.5, 0.5, 0.5])
    writer.add_array("nested", [[1, 2], [3]])
    writer.add_tensor("token_embd.weight", np.ones((4, 32), np.float32))
    writer.add_tensor("output_norm.weight", np.ones(32, np.float16))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return file.read_bytes()


def text(words: bytes, length: int | None = None) -> bytes:
    return struct.pack("<Q", len(words) if length is None else length) + words


def header(body: bytes = b"", keys: int = 0, tensors: int = 0, version: int = 3, magic: bytes = b"GGUF") -> bytes:
    return magic + struct.pack("<IQQ", version, tensors, keys) + body


def tensor(shape: tuple[int, ...], kind: int = 0, offset: int = 0, dimensions: int | None = None) -> bytes:
    sizes = struct.pack(f"<I{len(shape)}Q", len(shape) if dimensions is None else dimensions, *shape)
    return text(b"x") + sizes + struct.pack("<IQ", kind, offset)


HOSTILE = {
    "empty": b"",
    "another magic": header(magic=b"GGML"),
    "a version of tomorrow": header(version=99),
    "2^60 keys": header(keys=1 << 60),
    "2^60 tensors": header(tensors=1 << 60),
    "keys that are not there": header(keys=3),
    "a name beyond the end": header(text(b"a", 1 << 62), keys=1),
    "a long name": header(text(b"a" * 5000) + b"\0" * 8, keys=1),
    "a text beyond the end": header(text(b"a") + struct.pack("<IQ", 8, 1 << 62), keys=1),
    "a list beyond the end": header(text(b"a") + struct.pack("<IIQ", 9, 4, 1 << 62), keys=1),
    "a list of many texts": header(text(b"a") + struct.pack("<IIQ", 9, 8, 1 << 62), keys=1),
    "lists in lists": header(text(b"a") + struct.pack("<I", 9) + struct.pack("<IQ", 9, 1) * 100_000, keys=1),
    "an unknown kind": header(text(b"a") + struct.pack("<IQ", 77, 0), keys=1),
    "a million layers": header(text(b"llama.block_count") + struct.pack("<II", 4, 10**6), keys=1),
    "no alignment": header(text(b"general.alignment") + struct.pack("<II", 4, 0), keys=1),
    "a tensor beyond the end": header(tensor((1 << 40,)), tensors=1),
    "a tensor far behind": header(tensor((1,), offset=1 << 62), tensors=1),
    "sizes that overflow": header(tensor((1 << 62, 1 << 62, 1 << 62)), tensors=1),
    "many dimensions": header(tensor((1,), dimensions=1 << 31), tensors=1),
    "an unknown type": header(tensor((1,), kind=9999), tensors=1),
}


def test_file_of_the_official_writer_is_let_through(tmp_path: Path) -> None:
    write_gguf(tmp_path / "x.gguf")
    gguf_header.check(tmp_path / "x.gguf")


@pytest.mark.timeout(60)
@pytest.mark.parametrize("content", HOSTILE.values(), ids=HOSTILE)
def test_absurd_header_is_refused_also_where_it_would_be_converted(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "x.gguf").write_bytes(content)
    with pytest.raises(QwenlabError, match="no GGUF file"):
        gguf_to_folder(tmp_path / "x.gguf", tmp_path / "new")
    assert not (tmp_path / "new").exists()


def test_every_cut_is_noticed(tmp_path: Path) -> None:
    content = write_gguf(tmp_path / "x.gguf")
    for length in range(len(content) - 64):
        (tmp_path / "x.gguf").write_bytes(content[:length])
        with pytest.raises(QwenlabError, match="no GGUF file"):
            gguf_header.check(tmp_path / "x.gguf")


@settings(max_examples=500, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(changes=st.lists(st.tuples(st.integers(0, 700), st.integers(0, 255)), max_size=8), cut=st.integers(0, 2000))
@example(changes=[(8, 255), (15, 255)], cut=2000)
def test_any_change_of_a_file_is_let_through_or_refused(
    tmp_path: Path, changes: list[tuple[int, int]], cut: int
) -> None:
    file = tmp_path / "x.gguf"
    content = bytearray(write_gguf(file))
    for place, value in changes:
        if place < len(content):
            content[place] = value
    file.write_bytes(content[:cut])
    try:
        gguf_header.check(file)
    except QwenlabError:
        return


@settings(max_examples=300, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(body=st.binary(max_size=200), keys=st.integers(0, 5), tensors=st.integers(0, 5))
def test_any_bytes_behind_the_counts_are_let_through_or_refused(
    tmp_path: Path, body: bytes, keys: int, tensors: int
) -> None:
    (tmp_path / "x.gguf").write_bytes(header(body, keys, tensors))
    try:
        gguf_header.check(tmp_path / "x.gguf")
    except QwenlabError:
        return
