"""Model folders that somebody made to do harm: a clear error before anything is built, and nothing outside is read."""

from __future__ import annotations

import json
import struct
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from small_folder import weights, write_model

from qwenlab.errors import QwenlabError
from qwenlab.models import folder as model_folder
from qwenlab.models.header import read_header


def safetensors(header: bytes | dict[str, Any], data: bytes = b"", length: int | None = None) -> bytes:
    words = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(words) if length is None else length) + words + data


def one(shape: Any = (2,), offsets: Any = (0, 8), dtype: Any = "F32") -> dict[str, Any]:
    return {"a": {"dtype": dtype, "shape": shape, "data_offsets": offsets}}


HOSTILE = {
    "empty": b"",
    "length beyond the file": safetensors(one(), b"\0" * 8, length=2**63),
    "length of all ones": b"\xff" * 100,
    "no JSON": safetensors(b"pickle", b""),
    "no object": safetensors(b"[1]", b""),
    "nested deeply": safetensors(b'{"a":' + b"[" * 200_000 + b"]" * 200_000 + b"}"),
    "tensor beyond the file": safetensors(one((2**40,), (0, 2**42)), b"\0" * 8),
    "shape that overflows": safetensors(one((2**61, 2**61, 4), (0, 8)), b"\0" * 8),
    "a million dimensions": safetensors(one((2**61,) * 1_000_000, (0, 8)), b"\0" * 8),
    "negative size": safetensors(one((-2,), (0, 8)), b"\0" * 8),
    "end before start": safetensors(one((0,), (8, 0)), b"\0" * 8),
    "size that is no number": safetensors(one(("2",), (0, 8)), b"\0" * 8),
    "size that is true": safetensors(one((True, 2), (0, 8)), b"\0" * 8),
    "unknown type": safetensors(one(dtype="PYOBJ"), b"\0" * 8),
    "type that is a list": safetensors(one(dtype=["F32"]), b"\0" * 8),
    "overlapping": safetensors({**one(), "b": one()["a"]}, b"\0" * 8),
    "gap": safetensors(one((2,), (8, 16)), b"\0" * 16),
    "more behind": safetensors(one(), b"\0" * 9),
    "offsets missing": safetensors({"a": {"dtype": "F32", "shape": [2]}}, b"\0" * 8),
    "tensor that is a number": safetensors({"a": 3}),
}


@pytest.mark.parametrize("content", HOSTILE.values(), ids=HOSTILE)
def test_absurd_header_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "x.safetensors").write_bytes(content)
    with pytest.raises(QwenlabError, match="no safetensors file"):
        read_header(tmp_path / "x.safetensors")


@settings(max_examples=300, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(
    header=st.recursive(
        st.none() | st.booleans() | st.integers(-9, 2**70) | st.sampled_from(["F32", "dtype", "BF16"]) | st.floats(),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(st.sampled_from(["a", "b", "dtype", "shape", "data_offsets", "__metadata__"]), inner)
        ),
        max_leaves=20,
    ),
    data=st.binary(max_size=64),
    cut=st.integers(0, 200),
)
@example(header=one((1, 2), (0, 8)), data=b"\0" * 8, cut=200)
def test_any_header_is_read_or_refused(tmp_path: Path, header: Any, data: bytes, cut: int) -> None:
    file = tmp_path / "x.safetensors"
    file.write_bytes(safetensors(json.dumps(header).encode(), data)[:cut])
    try:
        found = read_header(file)
    except QwenlabError:
        return
    assert all(8 <= tensor.start <= tensor.end <= file.stat().st_size for tensor in found.values())


def test_header_agrees_with_the_library(tmp_path: Path) -> None:
    from safetensors import safe_open

    file = write_model(tmp_path / "m") / "model.safetensors"
    found = read_header(file)
    with safe_open(file, "np") as opened:
        assert {name: tensor.shape for name, tensor in found.items()} == {
            name: tuple(opened.get_slice(name).get_shape()) for name in sorted(opened.keys())
        }
    first = found["model.norm.weight"]
    assert file.read_bytes()[first.start : first.end] == weights()["model.norm.weight"].tobytes()


@pytest.mark.parametrize("name", ["../secret.safetensors", "/etc/hostname", "a/../../b", "..", "", "a\0b", "..\\b"])
def test_index_that_leads_out_of_the_folder_is_refused(tmp_path: Path, name: str) -> None:
    folder = write_model(tmp_path / "m")
    (tmp_path / "secret.safetensors").write_bytes((folder / "model.safetensors").read_bytes())
    (folder / model_folder.INDEX).write_text(json.dumps({"weight_map": {"a": name}}))
    with pytest.raises(QwenlabError, match="outside of it"):
        model_folder.weight_files(folder)


@pytest.mark.parametrize("name", ["model.safetensors", "config.json", model_folder.INDEX])
def test_link_that_leads_out_of_the_folder_is_refused(tmp_path: Path, name: str) -> None:
    folder = write_model(tmp_path / "m")
    (folder / name).unlink(missing_ok=True)
    (tmp_path / "secret").write_text("{}")
    (folder / name).symlink_to(tmp_path / "secret")
    with pytest.raises(QwenlabError, match="outside of it"):
        model_folder.check(folder)


@pytest.mark.parametrize("index", ["[]", "{}", '{"weight_map": [1]}', '{"weight_map": {"a": 1}}', "{"])
def test_index_that_is_none_is_refused(tmp_path: Path, index: str) -> None:
    folder = write_model(tmp_path / "m")
    (folder / model_folder.INDEX).write_text(index)
    with pytest.raises(QwenlabError):
        model_folder.weight_files(folder)


@pytest.mark.parametrize(
    "changes",
    [
        {"num_hidden_layers": 1_000_000},
        {"num_hidden_layers": 1000},
        {"num_hidden_layers": 10**30},
        {"num_hidden_layers": -1},
        {"num_hidden_layers": 1.5},
        {"num_hidden_layers": "many"},
        {"hidden_size": 2**40},
        {"hidden_size": 64},
        {"vocab_size": 10**12},
        {"vocab_size": 10_000_000},
        {"num_attention_heads": 0},
        {"head_dim": 10**9},
        {"model_type": ["qwen2"]},
        {"model_type": {"a": 1}},
        {"model_type": 1, "architectures": 1},
    ],
    ids=str,
)
def test_config_that_asks_for_another_model_than_the_weights_is_refused(
    tmp_path: Path, changes: dict[str, Any]
) -> None:
    with pytest.raises(QwenlabError):
        model_folder.check(write_model(tmp_path / "m", **changes))


@pytest.mark.parametrize("content", ["", "[]", "3", "{", "[" * 100_000, "\x00"])
def test_config_that_is_none_is_refused(tmp_path: Path, content: str) -> None:
    folder = write_model(tmp_path / "m")
    (folder / "config.json").write_text(content)
    with pytest.raises(QwenlabError):
        model_folder.check(folder)
