"""The GGUF file against transformers: llama.cpp must cut the same tokens and compute the same numbers."""

from __future__ import annotations

import json
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from qwenlab.export.gguf_file import write_gguf
from qwenlab.export.safetensors_folder import Weights, to_float32

pytestmark = pytest.mark.model

TEXTS = [
    "Hello world, don't DON'T we'll it's",
    "你好，世界！订单号是 20261123-0087，金额 ¥1,299.50",
    "emoji 😀👍🏽 family 👨‍👩‍👧 é",
    "  two  spaces\n\n\ttabs\r\nCRLF   123456 7890  12 ",
    "<|im_start|>user\nhi<|im_end|>\n",
    "ＦＵＬＬ　ｗｉｄｔｈ ①② Ⅷ ½ привет مرحبا",
    "a1b2c3 x=3.14159; // код",
    "<think>\nhm</think> <tool_call>{}</tool_call>",
    "\u00a0nbsp\u2003em",
]


class Engine:
    """llama.cpp with one model: its tokens, and its log-probabilities after a prompt."""

    def __init__(self, path: Path, adapter: Path | None = None) -> None:
        import xllamacpp

        params = xllamacpp.CommonParams()
        params.model.path = str(path)
        params.n_ctx = 512
        params.warmup = False
        params.fit_params = False
        params.verbosity = 0
        if adapter:
            lora = xllamacpp.CommonAdapterLoraInfo()
            lora.path = str(adapter)
            params.lora_adapters = [lora]
        params.cpuparams.n_threads = params.cpuparams_batch.n_threads = 2
        self.server = xllamacpp.Server(params)

    def tokens(self, text: str) -> list[int]:
        question = json.dumps({"content": text, "add_special": False, "parse_special": True}).encode()
        address = self.server.listening_address + "/tokenize"
        request = urllib.request.Request(address, question, {"Content-Type": "application/json"})
        direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with direct.open(request) as reply:
            return json.load(reply)["tokens"]

    def log_probabilities(self, prompt: list[int], vocab_size: int) -> np.ndarray:
        """float64 [vocab_size] for the token after the prompt."""
        # A token that is half a character, or ends the turn, would carry no probabilities: let it choose "a".
        steered = {"logit_bias": [[self.tokens("a")[0], 1000]], "temperature": 0, "max_tokens": 1}
        asked = {"prompt": prompt, "n_probs": vocab_size, **steered}
        reply: dict[str, Any] = self.server.handle_completions(asked)
        found = np.full(vocab_size, -1e9)
        for entry in reply["choices"][0]["logprobs"]["content"][0]["top_logprobs"]:
            found[entry["id"]] = entry["logprob"]
        return found


def torch_log_probabilities(folder: Path, prompt: list[int]) -> np.ndarray:
    import torch
    from transformers import AutoModelForCausalLM

    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
    with torch.no_grad():
        return torch.log_softmax(model(torch.tensor([prompt])).logits[0, -1].double(), -1).numpy()


def divergence(want: np.ndarray, got: np.ndarray) -> float:
    """Kullback-Leibler divergence of two log-probability vectors, in nats."""
    return float((np.exp(want) * (want - got)).sum())


@pytest.fixture(scope="module")
def prompt(smollm2: Path) -> list[int]:
    from transformers import AutoTokenizer

    chat = [{"role": "user", "content": "Extract JSON with keys name, age from: Alice is 30 years old."}]
    tokenizer = AutoTokenizer.from_pretrained(smollm2)
    text = tokenizer.apply_chat_template(chat, add_generation_prompt=True, tokenize=False)
    return tokenizer(text, add_special_tokens=False)["input_ids"]


@pytest.fixture(scope="module")
def want(smollm2: Path, prompt: list[int]) -> np.ndarray:
    return torch_log_probabilities(smollm2, prompt)


@pytest.fixture(scope="module")
def full(smollm2: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    path = tmp_path_factory.mktemp("gguf") / "f16.gguf"
    write_gguf(smollm2, path, "F16")
    yield Engine(path)
    path.unlink()


@pytest.mark.parametrize("text", TEXTS)
def test_tokens_equal_those_of_transformers(smollm2: Path, full: Engine, text: str) -> None:
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(smollm2)
    assert full.tokens(text) == tokenizer(text, add_special_tokens=False)["input_ids"]


def test_f16_computes_what_transformers_computes(full: Engine, prompt: list[int], want: np.ndarray) -> None:
    got = full.log_probabilities(prompt, len(want))
    likely = np.argsort(want)[-20:]
    assert np.abs(want[likely] - got[likely]).max() < 0.05
    assert abs(divergence(want, got)) < 0.002


@pytest.mark.parametrize(
    ("kind", "most_nats", "most_mb"), [("Q8_0", 0.03, 150), ("Q5_K_M", 0.5, 115), ("Q4_K_M", 0.3, 112)]
)
def test_quantized_kinds_stay_near(  # the source was in 4 bits (Q4_1) once, and Q5_1's levels lie between its own
    smollm2: Path, tmp_path: Path, prompt: list[int], want: np.ndarray, kind: Any, most_nats: float, most_mb: float
) -> None:
    path = tmp_path / "m.gguf"
    write_gguf(smollm2, path, kind)
    assert path.stat().st_size < most_mb * 1e6
    assert divergence(want, Engine(path).log_probabilities(prompt, len(want))) < most_nats


LLAMA3 = {
    "rope_type": "llama3",
    "rope_theta": 10000.0,
    "factor": 8.0,
    "low_freq_factor": 1.0,
    "high_freq_factor": 4.0,
    "original_max_position_embeddings": 32,
}


@pytest.mark.parametrize(
    ("family", "settings"),
    [
        pytest.param("Llama", {"tie_word_embeddings": False}, id="llama untied"),
        pytest.param("Llama", {"rope_parameters": LLAMA3}, id="llama 3 rotary scaling"),
        pytest.param("Llama", {"attention_bias": True}, id="llama with biases"),
        pytest.param("Qwen2", {}, id="qwen2"),
        pytest.param("Qwen3", {"head_dim": 32}, id="qwen3 with its own head size"),
    ],
)
def test_random_models_compute_what_transformers_computes(tmp_path: Path, family: str, settings: dict) -> None:
    import torch
    import transformers

    config = getattr(transformers, f"{family}Config")(
        **{
            "vocab_size": 300,
            "hidden_size": 64,
            "intermediate_size": 96,
            "num_hidden_layers": 3,
            "num_attention_heads": 4,
            "num_key_value_heads": 2,
            "max_position_embeddings": 256,
            "tie_word_embeddings": True,
            "bos_token_id": 257,
            "eos_token_id": 258,
            "pad_token_id": 258,
            "initializer_range": 0.3,
        }
        | settings
    )
    torch.manual_seed(0)
    model = getattr(transformers, f"{family}ForCausalLM")(config)
    for name, weight in model.named_parameters():  # biases and norms start as constants, which would hide a mix-up
        if weight.ndim == 1:
            torch.nn.init.normal_(weight, mean=0.0 if "bias" in name else 1.0, std=0.2)
    model.save_pretrained(tmp_path / "model")
    byte_tokenizer().save_pretrained(tmp_path / "model")
    write_gguf(tmp_path / "model", tmp_path / "m.gguf", "F16")
    prompt = [(7 * i * i + 3) % 256 for i in range(60)]
    want = torch_log_probabilities(tmp_path / "model", prompt)
    got = Engine(tmp_path / "m.gguf").log_probabilities(prompt, 300)
    likely = np.argsort(want)[-50:]
    assert np.abs(want - got)[likely].max() < 0.15


@pytest.mark.parametrize("kind", ["Q8_0", "Q5_K_M", "Q4_K_M"])
def test_widths_that_no_block_divides_are_kept_in_16_bits(tmp_path: Path, kind: Any) -> None:
    import torch
    from transformers import Qwen2Config, Qwen2ForCausalLM

    sizes = {"hidden_size": 40, "intermediate_size": 72, "num_attention_heads": 4, "num_key_value_heads": 2}
    ends = {"bos_token_id": 257, "eos_token_id": 258, "pad_token_id": 258}
    torch.manual_seed(0)
    model = Qwen2ForCausalLM(Qwen2Config(**sizes, **ends, vocab_size=300, num_hidden_layers=8, initializer_range=0.3))
    model.save_pretrained(tmp_path / "model")
    byte_tokenizer().save_pretrained(tmp_path / "model")
    write_gguf(tmp_path / "model", tmp_path / "m.gguf", kind)
    prompt = [(7 * i * i + 3) % 256 for i in range(60)]
    want = torch_log_probabilities(tmp_path / "model", prompt)
    got = Engine(tmp_path / "m.gguf").log_probabilities(prompt, 300)
    assert divergence(want, got) < 0.01


def byte_tokenizer() -> Any:
    """256 byte tokens, one merge (llama.cpp wants some) and two special tokens."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    vocab = {letter: i for i, letter in enumerate([*alphabet, "ab"])}
    tokenizer = Tokenizer(models.BPE(vocab, [("a", "b")]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, bos_token="<s>", eos_token="</s>")


def test_rounding_spares_the_columns_that_matter(tmp_path: Path, smollm2: Path) -> None:
    """Of one weight, the error that reaches the outputs is smaller with the measured importance than without."""
    import gguf
    import libgguf

    from qwenlab.export import importance

    asked, answered = "My kettle T3802 is broken.", "Send it back."
    texts = [f"<|im_start|>user\n{asked}<|im_end|>\n<|im_start|>assistant\n{answered}<|im_end|>\n"] * 4
    known = importance.measure(smollm2, texts)
    name = "model.layers.3.mlp.down_proj.weight"
    weight = to_float32(Weights(smollm2).stored(name))
    assert known[name].shape == (weight.shape[1],)
    kind = gguf.GGMLQuantizationType.Q4_K

    def error(matters: np.ndarray | None) -> float:
        made = libgguf.dequantize_rows(libgguf.quantize_rows(weight, kind, matters), kind, weight.shape[1])
        return float((((made.reshape(weight.shape) - weight) ** 2) * known[name]).sum())

    assert error(known[name]) < 0.9 * error(None)
