"""What a GGUF file says and refuses, on tiny folders made here: no model, no torch."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import libgguf
import numpy as np
import pytest
from gguf import GGMLQuantizationType as T
from gguf import TokenType
from safetensors.numpy import save_file

from qwenlab.errors import QwenlabError
from qwenlab.export.gguf_file import llama3_factors, write_gguf
from qwenlab.export.gguf_tokens import PRE_TOKENIZERS, pre_tokenizer
from qwenlab.export.gguf_types import gets_more_bits, tensor_type
from qwenlab.export.safetensors_folder import Weights, to_float32

CONFIG = {
    "architectures": ["LlamaForCausalLM"],
    "hidden_size": 64,
    "intermediate_size": 256,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "vocab_size": 12,
    "max_position_embeddings": 128,
    "rms_norm_eps": 1e-5,
    "tie_word_embeddings": True,
    "bos_token_id": 0,
    "eos_token_id": 1,
    "rope_parameters": {"rope_type": "default", "rope_theta": 5000.0},
}
GPT2 = {"type": "ByteLevel", "add_prefix_space": False, "use_regex": True}
TOKENIZER = {
    "model": {"type": "BPE", "vocab": {c: i for i, c in enumerate("abcdefgh")}, "merges": [["a", "b"]]},
    "normalizer": None,
    "pre_tokenizer": GPT2,
    "added_tokens": [
        {"id": 8, "content": "<|im_end|>", "special": True},
        {"id": 9, "content": "<think>", "special": False},
    ],
}


def tensors(config: dict) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(0)
    hidden, inner = config["hidden_size"], config["intermediate_size"]
    kv = hidden * config["num_key_value_heads"] // config["num_attention_heads"]
    made = {"model.embed_tokens.weight": (config["vocab_size"], hidden), "model.norm.weight": (hidden,)}
    for layer in range(config["num_hidden_layers"]):
        parts = {
            "input_layernorm": (hidden,),
            "post_attention_layernorm": (hidden,),
            "self_attn.q_proj": (hidden, hidden),
            "self_attn.k_proj": (kv, hidden),
            "self_attn.v_proj": (kv, hidden),
            "self_attn.o_proj": (hidden, hidden),
            "mlp.gate_proj": (inner, hidden),
            "mlp.up_proj": (inner, hidden),
            "mlp.down_proj": (hidden, inner),
        }
        made |= {f"model.layers.{layer}.{part}.weight": shape for part, shape in parts.items()}
    return {name: rng.standard_normal(shape).astype(np.float32) for name, shape in made.items()}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return make_folder(tmp_path / "tiny", CONFIG, TOKENIZER, tensors(CONFIG))


def make_folder(folder: Path, config: dict, tokenizer: dict, weights: dict[str, np.ndarray]) -> Path:
    folder.mkdir(exist_ok=True)
    (folder / "config.json").write_text(json.dumps(config))
    (folder / "tokenizer.json").write_text(json.dumps(tokenizer))
    (folder / "tokenizer_config.json").write_text(json.dumps({"eos_token": "<|im_end|>"}))
    (folder / "chat_template.jinja").write_text("{{ messages[0].content }}")
    save_file(weights, folder / "model.safetensors")
    return folder


def read(path: Path) -> libgguf.GGUFFile:
    return libgguf.read_gguf_header(path)


def values(path: Path, name: str) -> np.ndarray:
    entry = read(path).get_tensor(name)
    raw = np.frombuffer(read(path).read_tensor_bytes(name), np.uint8)
    width = entry.shape[0]
    if entry.qtype_value == T.F32:
        return raw.view(np.float32).reshape(-1, width)
    return libgguf.dequantize_rows(raw.reshape(-1, libgguf.row_size(entry.qtype_value, width)), entry.qtype_value)


def test_settings_stand_in_the_file(folder: Path, tmp_path: Path) -> None:
    write_gguf(folder, tmp_path / "m.gguf", "Q8_0")
    said = {key: entry.value for key, entry in read(tmp_path / "m.gguf").metadata.items()}
    assert said["general.architecture"] == "llama"
    assert said["general.file_type"] == 7
    assert said["llama.block_count"] == 2
    assert said["llama.attention.head_count_kv"] == 2
    assert said["llama.attention.key_length"] == 16
    assert said["llama.rope.freq_base"] == 5000.0
    assert said["tokenizer.ggml.pre"] == "gpt-2"
    assert said["tokenizer.ggml.eos_token_id"] == 8
    assert said["tokenizer.ggml.add_bos_token"] is False
    assert said["tokenizer.chat_template"] == "{{ messages[0].content }}"


def test_tokens_carry_their_types_and_padding(folder: Path, tmp_path: Path) -> None:
    write_gguf(folder, tmp_path / "m.gguf", "F16")
    said = read(tmp_path / "m.gguf").metadata
    assert list(said["tokenizer.ggml.tokens"].value)[7:] == ["h", "<|im_end|>", "<think>", "[PAD10]", "[PAD11]"]
    assert list(said["tokenizer.ggml.token_type"].value)[7:] == [
        TokenType.NORMAL,
        TokenType.CONTROL,
        TokenType.USER_DEFINED,
        TokenType.UNUSED,
        TokenType.UNUSED,
    ]
    assert list(said["tokenizer.ggml.merges"].value) == ["a b"]


def test_values_survive_but_for_rounding(folder: Path, tmp_path: Path) -> None:
    write_gguf(folder, tmp_path / "m.gguf", "Q8_0")
    want = tensors(CONFIG)
    assert np.array_equal(values(tmp_path / "m.gguf", "output_norm.weight")[0], want["model.norm.weight"])
    got = values(tmp_path / "m.gguf", "blk.1.ffn_down.weight")
    assert np.abs(got - want["model.layers.1.mlp.down_proj.weight"]).max() < 0.02


def test_llama_query_rows_interleave_the_halves_of_each_head(folder: Path, tmp_path: Path) -> None:
    write_gguf(folder, tmp_path / "m.gguf", "Q8_0")
    want = tensors(CONFIG)["model.layers.0.self_attn.q_proj.weight"]
    got = values(tmp_path / "m.gguf", "blk.0.attn_q.weight")
    for row, origin in {0: 0, 1: 8, 2: 1, 15: 15, 16: 16, 17: 24}.items():  # heads of 16 rows
        assert np.abs(got[row] - want[origin]).max() < 0.03


def test_qwen_query_rows_stay(folder: Path, tmp_path: Path) -> None:
    make_folder(folder, CONFIG | {"architectures": ["Qwen2ForCausalLM"]}, TOKENIZER, tensors(CONFIG))
    write_gguf(folder, tmp_path / "m.gguf", "Q8_0")
    want = tensors(CONFIG)["model.layers.0.self_attn.q_proj.weight"]
    assert np.abs(values(tmp_path / "m.gguf", "blk.0.attn_q.weight") - want).max() < 0.03


def test_progress_reaches_one_and_never_falls(folder: Path, tmp_path: Path) -> None:
    seen: list[float] = []
    write_gguf(folder, tmp_path / "m.gguf", "Q4_K_M", lambda name, fraction: seen.append(fraction))
    assert seen == sorted(seen)
    assert seen[-1] == 1.0


def test_an_untied_model_keeps_its_output_matrix(folder: Path, tmp_path: Path) -> None:
    weights = tensors(CONFIG)
    weights["lm_head.weight"] = weights["model.embed_tokens.weight"] * 2
    make_folder(folder, CONFIG | {"tie_word_embeddings": False}, TOKENIZER, weights)
    write_gguf(folder, tmp_path / "m.gguf", "Q8_0")
    assert np.abs(values(tmp_path / "m.gguf", "output.weight") - weights["lm_head.weight"]).max() < 0.06


def test_a_tied_model_has_no_second_output_matrix(folder: Path, tmp_path: Path) -> None:
    make_folder(folder, CONFIG, TOKENIZER, tensors(CONFIG) | {"lm_head.weight": np.ones((12, 64), np.float32)})
    write_gguf(folder, tmp_path / "m.gguf", "Q8_0")
    assert "output.weight" not in {tensor.name for tensor in read(tmp_path / "m.gguf").tensors}


def _without(name: str) -> dict[str, np.ndarray]:
    return {key: value for key, value in tensors(CONFIG).items() if key != name}


@pytest.mark.parametrize(
    ("config", "tokenizer", "weights", "says"),
    [
        pytest.param({"architectures": ["QWenLMHeadModel"]}, {}, {}, "QWenLMHeadModel", id="other architecture"),
        pytest.param({"quantization_config": {}}, {}, {}, "quantized already", id="quantized already"),
        pytest.param({"use_sliding_window": True}, {}, {}, "sliding-window", id="sliding window"),
        pytest.param({"rope_scaling": {"type": "dynamic"}, "rope_parameters": None}, {}, {}, "dynamic", id="rope"),
        pytest.param({}, {"pre_tokenizer": {"type": "Whitespace"}}, {}, "cuts text", id="unknown pre-tokenizer"),
        pytest.param({}, {"normalizer": {"type": "Lowercase"}}, {}, "cuts text", id="normalizer"),
        pytest.param(
            {}, {"added_tokens": [{"id": 12, "content": "x", "special": True}]}, {}, "12 tokens", id="too many tokens"
        ),
        pytest.param({}, {}, {"score.weight": np.ones((2, 64), np.float32)}, "score.weight", id="unknown weight"),
        pytest.param({}, {}, {"model.norm.weight": np.full(64, np.nan, np.float32)}, "undefined", id="not a number"),
        pytest.param({}, {}, {"model.norm.weight": np.ones(64, np.int32)}, "plain float", id="integer weight"),
    ],
)
def test_what_cannot_be_written_is_refused_and_leaves_nothing(
    folder: Path, tmp_path: Path, config: dict, tokenizer: dict, weights: dict, says: str
) -> None:
    make_folder(folder, CONFIG | config, TOKENIZER | tokenizer, tensors(CONFIG) | weights)
    out = tmp_path / "out"
    with pytest.raises(QwenlabError, match=says) as refused:
        write_gguf(folder, out / "m.gguf")
    assert refused.value.remedy
    assert not out.exists() or not list(out.iterdir())


def test_a_missing_weight_is_named(folder: Path, tmp_path: Path) -> None:
    make_folder(folder, CONFIG, TOKENIZER, _without("model.layers.1.mlp.up_proj.weight"))
    with pytest.raises(QwenlabError, match=r"model\.layers\.1\.mlp\.up_proj\.weight"):
        write_gguf(folder, tmp_path / "m.gguf")


def test_weights_cut_short_are_refused(folder: Path, tmp_path: Path) -> None:
    file = folder / "model.safetensors"
    file.write_bytes(file.read_bytes()[:-10])
    with pytest.raises(QwenlabError, match="cut short"):
        write_gguf(folder, tmp_path / "m.gguf")


def test_an_unknown_kind_names_the_nearest(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(QwenlabError, match='Did you mean "Q4_K_M"'):
        write_gguf(folder, tmp_path / "m.gguf", "Q4_K_S")  # type: ignore[arg-type]


def test_a_failed_write_keeps_the_older_file(folder: Path, tmp_path: Path) -> None:
    target = tmp_path / "m.gguf"
    target.write_bytes(b"older")
    make_folder(folder, CONFIG, TOKENIZER, _without("model.norm.weight"))
    with pytest.raises(QwenlabError):
        write_gguf(folder, target)
    assert target.read_bytes() == b"older"
    assert [path.name for path in tmp_path.iterdir() if path.is_file()] == ["m.gguf"]


def test_a_full_disk_is_told_and_the_older_file_stays(folder: Path, small_disk: Path) -> None:
    target = small_disk / "m.gguf"
    target.write_bytes(b"older")
    (small_disk / "filler").write_bytes(bytes(shutil.disk_usage(small_disk).free - 16_384))
    with pytest.raises(QwenlabError, match="the disk has") as refused:
        write_gguf(folder, target, "F16")
    assert "Free some disk space" in refused.value.remedy
    assert target.read_bytes() == b"older"
    assert sorted(path.name for path in small_disk.iterdir()) == ["filler", "m.gguf"]


def test_shards_are_read_together(folder: Path, tmp_path: Path) -> None:
    write_gguf(folder, tmp_path / "one.gguf", "Q8_0")
    weights = tensors(CONFIG)
    halves = {"a.safetensors": list(weights)[:9], "b.safetensors": list(weights)[9:]}
    for file, names in halves.items():
        save_file({name: weights[name] for name in names}, folder / file)
    (folder / "model.safetensors").unlink()
    index = {"weight_map": {name: file for file, names in halves.items() for name in names}}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))
    write_gguf(folder, tmp_path / "two.gguf", "Q8_0")
    for tensor in read(tmp_path / "one.gguf").tensors:
        assert np.array_equal(values(tmp_path / "one.gguf", tensor.name), values(tmp_path / "two.gguf", tensor.name))


def test_bfloat16_is_read_exactly(tmp_path: Path) -> None:
    numbers = np.array([[1.0, -2.5, 0.0, 3.0e38]], np.float32)  # upper halves are exact for the first three
    header = json.dumps({"w": {"dtype": "BF16", "shape": [1, 4], "data_offsets": [0, 8]}}).encode()
    halves = (numbers.view(np.uint32) >> 16).astype("<u2").tobytes()
    (tmp_path / "model.safetensors").write_bytes(len(header).to_bytes(8, "little") + header + halves)
    got = to_float32(Weights(tmp_path).stored("w"))
    assert got[0, :3].tolist() == [1.0, -2.5, 0.0]
    assert got[0, 3] == pytest.approx(3.0e38, rel=0.01)


@pytest.mark.parametrize(
    ("name", "shape", "kind", "layers", "tied", "want"),
    [
        ("blk.0.attn_norm.weight", (64,), "Q4_K_M", 24, True, T.F32),
        ("blk.9.attn_q.weight", (256, 256), "F16", 24, True, T.F16),
        ("blk.9.attn_q.weight", (256, 256), "Q8_0", 24, True, T.Q8_0),
        ("blk.9.attn_q.weight", (256, 256), "Q4_K_M", 24, True, T.Q4_K),
        ("blk.9.attn_q.weight", (256, 256), "Q5_K_M", 24, True, T.Q5_K),
        ("blk.9.attn_q.weight", (896, 896), "Q4_K_M", 24, True, T.Q5_1),
        ("blk.9.attn_q.weight", (896, 896), "Q5_K_M", 24, True, T.Q5_1),
        ("blk.9.attn_q.weight", (40, 40), "Q4_K_M", 24, True, T.F16),
        ("blk.0.attn_v.weight", (128, 256), "Q4_K_M", 24, True, T.Q6_K),
        ("blk.3.attn_v.weight", (128, 256), "Q4_K_M", 24, True, T.Q4_K),
        ("blk.5.ffn_down.weight", (896, 4864), "Q4_K_M", 24, True, T.Q6_K),
        ("blk.0.attn_v.weight", (128, 896), "Q4_K_M", 24, True, T.Q8_0),
        ("blk.0.attn_output.weight", (256, 256), "Q4_K_M", 24, True, T.Q4_K),
        ("token_embd.weight", (9, 256), "Q4_K_M", 24, True, T.Q6_K),
        ("token_embd.weight", (9, 256), "Q4_K_M", 24, False, T.Q4_K),
        ("token_embd.weight", (9, 576), "Q4_K_M", 24, True, T.Q8_0),
        ("output.weight", (9, 256), "Q4_K_M", 24, False, T.Q6_K),
    ],
)
def test_type_of_a_tensor(name: str, shape: tuple[int, ...], kind: str, layers: int, tied: bool, want: T) -> None:
    assert tensor_type(name, shape, kind, layers, tied) is want  # type: ignore[arg-type]


def test_half_of_the_layers_of_qwen_get_more_bits() -> None:
    """Qwen's own q4_k_m file of its 24-layer model holds 12 finer layers; so does this rule."""
    finer = [layer for layer in range(24) if gets_more_bits(layer, 24)]
    assert finer == [0, 1, 2, 5, 8, 11, 14, 17, 20, 21, 22, 23]


def _bytes_after(*steps: dict) -> dict:
    return {"type": "Sequence", "pretokenizers": [*steps, GPT2 | {"use_regex": False}]}


def _split(regex: str, **other: object) -> dict:
    return {"type": "Split", "pattern": {"Regex": regex}, "behavior": "Isolated", "invert": False, **other}


_QWEN, _LLAMA3 = (steps[0].removeprefix("split ") for steps in list(PRE_TOKENIZERS)[:2])


@pytest.mark.parametrize(
    ("rule", "want"),
    [
        pytest.param(GPT2, "gpt-2", id="gpt2"),
        pytest.param(_bytes_after(_split(_QWEN)), "qwen2", id="qwen2"),
        pytest.param(_bytes_after(_split(_LLAMA3)), "llama-bpe", id="llama 3"),
        pytest.param(
            {"type": "Sequence", "pretokenizers": [{"type": "Digits", "individual_digits": True}, GPT2]},
            "smollm",
            id="smollm2",
        ),
        pytest.param(_bytes_after(_split(_QWEN, invert=True)), None, id="inverted split"),
        pytest.param(_bytes_after(_split(_QWEN + "x")), None, id="other regex"),
        pytest.param(GPT2 | {"add_prefix_space": True}, None, id="prefix space"),
        pytest.param(
            {"type": "Sequence", "pretokenizers": [{"type": "Digits", "individual_digits": False}, GPT2]},
            None,
            id="digits in groups",
        ),
        pytest.param(None, None, id="none"),
    ],
)
def test_pre_tokenizer_is_recognized_or_refused(rule: dict | None, want: str | None) -> None:
    tokenizer = TOKENIZER | {"pre_tokenizer": rule}
    if want is None:
        with pytest.raises(QwenlabError, match="cuts text"):
            pre_tokenizer(tokenizer, Path("m"))
    else:
        assert pre_tokenizer(tokenizer, Path("m")) == want


def test_llama3_factors_slow_only_low_frequencies() -> None:
    rope = {
        "rope_theta": 500000.0,
        "factor": 8.0,
        "low_freq_factor": 1.0,
        "high_freq_factor": 4.0,
        "original_max_position_embeddings": 8192,
    }
    factors = llama3_factors(rope, 128)
    assert factors.shape == (64,)
    assert factors[0] == 1.0
    assert factors[-1] == pytest.approx(8.0)
    assert (np.diff(factors) >= 0).all()
