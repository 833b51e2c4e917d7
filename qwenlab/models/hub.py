"""What a repository on Hugging Face or ModelScope holds: its files, their digests, its licence."""

from __future__ import annotations

import json
import os
import re
import urllib.parse
from dataclasses import dataclass
from typing import Any, Literal, get_args

from qwenlab.errors import QwenlabError
from qwenlab.models import web
from qwenlab.models.pickles import ConsentError

Hub = Literal["huggingface", "modelscope"]
HUBS: tuple[Hub, ...] = get_args(Hub)
TITLES: dict[Hub, str] = {"huggingface": "Hugging Face", "modelscope": "ModelScope"}
REPOSITORY = re.compile(r"[A-Za-z0-9][\w.-]{0,95}/[A-Za-z0-9][\w.-]{0,95}", re.ASCII)
PLAIN_NAME = re.compile(r"[A-Za-z0-9][\w.-]{0,200}", re.ASCII)
"""Files in the top folder only: a name with a slash could lead elsewhere."""
BESIDE = re.compile(
    r"(config|generation_config|tokenizer|tokenizer_config|special_tokens_map|added_tokens|vocab|model\.safetensors\.index"
    r"|pytorch_model\.bin\.index)\.json|merges\.txt|chat_template\.(jinja|json)|qwen\.tiktoken|LICEN[SC]E.*|README\.md"
)
"""What belongs to a model beside its weights; code is never fetched."""
WEIGHTS = re.compile(r"model(-\d+-of-\d+)?\.safetensors")
PICKLES = re.compile(r"pytorch_model(-\d+-of-\d+)?\.bin")
LISTING_BYTES = 8 << 20
"""More than any repository's list of files has."""


@dataclass(frozen=True)
class RemoteFile:
    """One file to fetch.

    Attributes:
        digest: "sha256:HEX", or "git:HEX" (git's digest of a small file); "" where the hub tells none.
    """

    name: str
    url: str
    bytes: int
    digest: str


@dataclass(frozen=True)
class Repository:
    """A model on a hub, as it stands at one revision."""

    hub: Hub
    id: str
    revision: str
    licence: str
    files: tuple[RemoteFile, ...]

    def wanted(self, pickles: bool = False) -> list[RemoteFile]:
        """The files that make a model, small ones first.

        Args:
            pickles: take pickle weights where there are no others.

        Raises:
            ConsentError: when the repository has only pickles, and nobody agreed.
            QwenlabError: when it has no weights.
        """
        weights = [file for file in self.files if WEIGHTS.fullmatch(file.name)]
        old = [file for file in self.files if PICKLES.fullmatch(file.name)]
        if not weights and old and not pickles:
            raise ConsentError(self.id, f"qwenlab models get {self.id} --pickle")
        if not (weights or old) or not any(file.name == "config.json" for file in self.files):
            raise QwenlabError(
                f"{self.id} holds no model that Qwenlab can use: there must be config.json and model*.safetensors.",
                "Choose the repository with the full weights, not its GGUF, GGML or adapter variant.",
                zh=(
                    f"{self.id} 中没有 Qwenlab 可用的模型：须有 config.json 和 model*.safetensors。",
                    "请选择完整权重的仓库，而不是 GGUF、GGML 或适配器版本。",
                ),
            )
        beside = [file for file in self.files if BESIDE.fullmatch(file.name) and "index" not in file.name]
        indexes = [file for file in self.files if file.name.endswith(".index.json")]
        kept = [one for one in indexes if ("safetensors" in one.name) == bool(weights)]
        return [*beside, *kept, *(weights or old)]


def endpoint(hub: Hub) -> str:
    """The address of a hub: HF_ENDPOINT or MODELSCOPE_DOMAIN where they are set."""
    if hub == "huggingface":
        return (os.environ.get("HF_ENDPOINT") or "https://huggingface.co").rstrip("/")
    named = (os.environ.get("MODELSCOPE_DOMAIN") or "www.modelscope.cn").rstrip("/")
    return named if "://" in named else f"https://{named}"


def headers(hub: Hub) -> dict[str, str]:
    """What shows who asks, from HF_TOKEN or MODELSCOPE_API_TOKEN; never printed or stored."""
    token = os.environ.get("HF_TOKEN" if hub == "huggingface" else "MODELSCOPE_API_TOKEN", "").strip()
    return {"Authorization": f"Bearer {token}"} if token else {}


def check_id(named: str) -> str:
    """The id of a repository.

    Raises:
        QwenlabError: when it is not of the form owner/name.
    """
    if not REPOSITORY.fullmatch(named) or ".." in named:
        raise QwenlabError(
            f"{named!r} is not the id of a repository.",
            "It has the form owner/name, such as Qwen/Qwen3-0.6B.",
            zh=(f"{named!r} 不是仓库 ID。", "格式为“所有者/名称”，例如 Qwen/Qwen3-0.6B。"),
        )
    return named


def look_up(hub: Hub, named: str, patience: web.Patience = web.PATIENCE) -> Repository:
    """Ask a hub what a repository holds.

    Raises:
        QwenlabError: no network, no such repository, no right to read it, or an answer that makes no sense.
    """
    if os.environ.get("HF_HUB_OFFLINE", "0").lower() in ("1", "true", "yes", "on"):
        raise QwenlabError(
            "HF_HUB_OFFLINE is set, so nothing is fetched from a hub.",
            "Unset it, or use a model that is already here.",
            zh=("已设置 HF_HUB_OFFLINE，因此不会从 Hub 下载。", "请取消该设置，或使用本机已有的模型。"),
        )
    check_id(named)
    try:
        return _huggingface(named, patience) if hub == "huggingface" else _modelscope(named, patience)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise QwenlabError(
            f"{TITLES[hub]} answered about {named} with something that is no list of files.",
            "Try again later, or set HF_ENDPOINT (MODELSCOPE_DOMAIN) to another mirror.",
            zh=(
                f"{TITLES[hub]} 对 {named} 的回答不是文件列表。",
                "请稍后重试，或用 HF_ENDPOINT（MODELSCOPE_DOMAIN）换一个镜像。",
            ),
        ) from error


def _huggingface(named: str, patience: web.Patience) -> Repository:
    root = endpoint("huggingface")
    told = _json(f"{root}/api/models/{named}?blobs=true", "huggingface", named, patience)
    revision = str(told["sha"])
    if not re.fullmatch(r"[0-9a-f]{7,64}", revision):
        raise ValueError("no commit")
    found = []
    for one in told["siblings"]:
        name, large = str(one["rfilename"]), one.get("lfs")
        if PLAIN_NAME.fullmatch(name):
            digest = f"sha256:{large['sha256']}" if large else f"git:{one['blobId']}" if one.get("blobId") else ""
            url = f"{root}/{named}/resolve/{revision}/{urllib.parse.quote(name)}"
            found.append(RemoteFile(name, url, _size(large["size"] if large else one["size"]), digest))
    card = told.get("cardData") or {}
    licence = str(card.get("license_name") or card.get("license") or "")
    return Repository("huggingface", named, revision, licence[:80], tuple(found))


def _modelscope(named: str, patience: web.Patience) -> Repository:
    root = f"{endpoint('modelscope')}/api/v1/models/{named}"
    about = _json(f"{root}?Revision=master", "modelscope", named, patience)["Data"]
    told = _json(f"{root}/repo/files?Revision=master&Recursive=false", "modelscope", named, patience)
    found = []
    for one in told["Data"]["Files"]:
        name = str(one["Path"])
        if one.get("Type") != "tree" and PLAIN_NAME.fullmatch(name):
            digest = f"sha256:{one['Sha256']}" if one.get("Sha256") else ""
            url = f"{root}/repo?Revision=master&FilePath={urllib.parse.quote(name)}"
            found.append(RemoteFile(name, url, _size(one["Size"]), digest))
    return Repository("modelscope", named, "master", str(about.get("License") or "")[:80], tuple(found))


def _size(told: object) -> int:
    size = int(str(told))
    if not 0 <= size < 1 << 50:
        raise ValueError("no size")
    return size


def _json(url: str, hub: Hub, named: str, patience: web.Patience) -> dict[str, Any]:
    with web.open_url(url, headers(hub), named, patience) as answer:
        found = json.loads(answer.read(LISTING_BYTES))
    if not isinstance(found, dict):
        raise ValueError("no object")
    return found
