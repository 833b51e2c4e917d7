"""What usually mends a quantized model that failed its check: other numbers of bits, more calibration."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

MORE_ROWS = 4
"""Times as many conversations to calibrate on."""
SMALL_GROUP = 32
"""Weights that share a scale in the finest GPTQ that every server reads."""


@dataclass(frozen=True)
class Remedy:
    """One thing to try.

    Attributes:
        key: tells it from the others.
        form, bits, rows, group: of the quantization to run instead; rows are conversations to calibrate on, group the
            number of weights that share a scale; 0 for the usual.
        words: what it is and what it costs, in English and Chinese.
    """

    key: str
    form: str
    bits: int
    rows: int
    words: tuple[str, str]
    group: int = 0

    @property
    def flags(self) -> list[str]:
        """As `qwenlab quantize` takes it."""
        found = ["--format", self.form, "--bits", str(self.bits)]
        found += ["--rows", str(self.rows)] if self.rows else []
        return found + (["--group-size", str(self.group)] if self.group else [])


def remedies(manifest: Mapping[str, Any]) -> list[Remedy]:
    """What to try instead of the quantization that a manifest tells of, the smallest result first."""
    kind, bits = str(manifest.get("kind", "")), manifest.get("bits")
    rows = int(manifest.get("calibration_rows") or 0)
    found = []
    if kind in ("gguf", "gptq") and bits in (4, 5) and rows:
        words = (
            f"Calibrate on up to {rows * MORE_ROWS} conversations instead of {rows}: the same size, takes longer",
            f"用最多 {rows * MORE_ROWS} 段对话校准（现在是 {rows} 段）：大小不变，耗时更长",
        )
        found.append(Remedy("rows", kind, int(bits), rows * MORE_ROWS, words))
    group = int(manifest.get("group_size") or 0)
    if kind == "gptq" and group > SMALL_GROUP:
        words = (
            f"Groups of {SMALL_GROUP} weights instead of {group}: nearer, a little larger",
            f"每 {SMALL_GROUP} 个权重一组（现在是 {group} 个）：更接近，略大",
        )
        found.append(Remedy("group", kind, int(bits or 4), 0, words, SMALL_GROUP))
    if kind == "gguf" and bits == 4:
        words = ("Q5_K_M: 5 bits instead of 4, about a sixth larger", "Q5_K_M：5 位代替 4 位，约大六分之一")
        found.append(Remedy("5", kind, 5, 0, words))
    if kind in ("gguf", "gptq") and bits in (4, 5):
        words = ("8 bits: hardly a loss, less than twice the size", "8 位：几乎没有损失，不到两倍大小")
        found.append(Remedy("8", kind, 8, 0, words))
    return found
