"""What models need to chat, train and be quantized, against what was measured."""

from __future__ import annotations

import pytest
from model_shapes import QWEN, SMOLLM2

from qwenlab.models.family import QWEN25
from qwenlab.training.estimate import Machine
from qwenlab.training.needs import KINDS, needs

LARGE = Machine(10**12)


@pytest.mark.parametrize(
    ("config", "chat", "quantize"), [(SMOLLM2, 0.69e9, 0.81e9), (QWEN, 1.49e9, 1.48e9)], ids=["smollm2", "qwen"]
)
def test_measured_processes_are_met_within_a_quarter_and_not_promised_less(
    config: dict[str, object], chat: float, quantize: float
) -> None:
    found = needs(config, LARGE)
    assert chat <= found["chat"].bytes <= 1.25 * chat
    assert quantize <= 1.05 * found["quantize"].bytes <= 1.25 * quantize


def test_larger_models_need_more_of_everything_and_a_small_machine_holds_fewer() -> None:
    sizes = [needs(shape, LARGE) for shape in QWEN25.values()]
    for smaller, larger in zip(sizes, sizes[1:], strict=False):
        assert all(smaller[kind].bytes < larger[kind].bytes for kind in KINDS)
    assert all(need.fits for need in sizes[-1].values())
    fits = [needs(shape, Machine(16 * 10**9))["lora"].fits for shape in QWEN25.values()]
    assert fits == [True, True, True, False]


def test_qlora_needs_less_than_lora_where_weights_weigh() -> None:
    found = needs(QWEN25["7B"], LARGE)
    assert found["qlora"].bytes < 0.7 * found["lora"].bytes


def test_float32_machine_needs_twice_the_weights() -> None:
    two, four = (needs(QWEN25["7B"], Machine(10**12, number_bytes=size))["chat"].bytes for size in (2, 4))
    assert four == pytest.approx(2 * two, rel=0.05)


def test_nothing_is_said_of_a_model_nobody_knows() -> None:
    assert needs({}, LARGE) == {}
