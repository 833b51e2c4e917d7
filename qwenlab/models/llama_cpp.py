"""llama.cpp in this process (package xllamacpp): found, started with sober settings, listening on 127.0.0.1 only."""

from __future__ import annotations

import ctypes
import importlib
import importlib.util
import os
from pathlib import Path
from typing import Any

from qwenlab.errors import QwenlabError
from qwenlab.models import gguf_header


def module() -> Any:
    """The module xllamacpp, which needs the OpenMP runtime that slim Linux systems lack.

    Raises:
        QwenlabError: when it cannot be loaded.
    """
    # Threads that wait must sleep: spinning ones starve each other as soon as anything else runs (a factor of
    # 2 to 7 was seen on two cores). OpenMP reads this once, when it is first loaded.
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")
    try:
        return importlib.import_module("xllamacpp")
    except ImportError as missing:
        torch = importlib.util.find_spec("torch")
        for folder in (torch.submodule_search_locations if torch else None) or []:
            for runtime in Path(folder, "lib").glob("libgomp*.so*"):  # torch brings its own copy
                ctypes.CDLL(str(runtime), mode=ctypes.RTLD_GLOBAL)
                return importlib.import_module("xllamacpp")
        raise QwenlabError(
            f"llama.cpp cannot start: {missing}.",
            "Run `make env` again; on Debian or Ubuntu install libgomp1.",
            zh=(f"无法启动 llama.cpp：{missing}。", "请重新运行 `make env`；在 Debian 或 Ubuntu 上安装 libgomp1。"),
        ) from missing


def start(
    path: Path,
    slots: int,
    context: int,
    port: int = 0,
    key: str = "",
    threads: int | None = None,
    adapter: Path | None = None,
) -> Any:
    """Load a GGUF file into a llama.cpp server.

    Args:
        slots: requests that decode together.
        context: tokens per slot, prompt and reply.
        port: 0 takes a free one; `listening_address` of the result says which.
        key: what every HTTP request must bring; "" for none.
        threads: the number of physical cores when None.
        adapter: a GGUF file with a LoRA adapter to put on it.

    Raises:
        QwenlabError: when a file is broken, llama.cpp cannot load one, or the port is taken.
    """
    import psutil

    gguf_header.check(path)
    parameters = module().CommonParams()
    parameters.model.path = str(path)
    parameters.model_alias = {path.parent.name or path.stem}  # else whoever asks is told the whole path
    parameters.hostnames = ["127.0.0.1"]
    parameters.port = port
    parameters.cors_origins, parameters.cors_credentials = "", False  # by default any web page may read the answers
    parameters.n_parallel, parameters.n_ctx = slots, context * slots
    count = threads or psutil.cpu_count(logical=False) or 1
    parameters.cpuparams.n_threads = parameters.cpuparams_batch.n_threads = count
    parameters.cache_ram_mib = 0  # by default it may keep 8 GB of old prompts
    parameters.fit_params = False
    parameters.warmup = False
    parameters.verbosity = 0
    parameters.prefill_assistant = False
    parameters.ui = False
    parameters.endpoint_slots = False
    if key:
        parameters.api_keys = [key]
    if adapter:
        lora = module().CommonAdapterLoraInfo()
        lora.path, lora.scale = str(adapter), 1.0
        parameters.lora_adapters = [lora]
    try:
        return module().Server(parameters)
    except RuntimeError as error:
        raise QwenlabError(
            f"llama.cpp cannot load {path}.",
            "The file may be cut short or too big, or the port taken.",
            zh=(f"llama.cpp 无法加载 {path}。", "文件可能不完整或太大，或端口已被占用。"),
        ) from error
