"""Endpoints on an export, asked by OpenAI's own client."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from qwenlab.cli import main
from qwenlab.commands.serve import ENGINES
from qwenlab.export import card, package
from qwenlab.export.gguf_file import write_gguf

MESSAGES: Any = [{"role": "user", "content": "Name a colour and a number as JSON."}]
SCHEMA = {
    "type": "object",
    "required": ["colour", "number"],
    "properties": {"colour": {"enum": ["red", "blue"]}, "number": {"type": "integer", "minimum": 0, "maximum": 9}},
    "additionalProperties": False,
}


def an_export(kind: str, smollm2: Path, folder: Path) -> Path:
    def make(staging: Path) -> None:
        if kind == "gguf":
            write_gguf(smollm2, staging / "model.gguf", "Q8_0", lambda *_: None)
            return
        for name in ("config.json", "generation_config.json", "model.safetensors"):
            (staging / name).symlink_to(smollm2 / name)
        package.carry_tokenizer(smollm2, staging)

    package.build(folder / kind, kind, {"base": "SmolLM2-135M-Instruct"}, make, lambda _: {})
    return folder / kind


@pytest.fixture(scope="module", params=["gguf", "merged"])
def served(
    request: pytest.FixtureRequest, smollm2: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[str, Path, str]]:
    """(kind, export, base URL) of an endpoint that answers."""
    openai = pytest.importorskip("openai")
    folder = an_export(request.param, smollm2, tmp_path_factory.mktemp("served"))
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "qwenlab", "serve", str(folder), "--port", str(port), "--engine", "transformers"]
    server = subprocess.Popen(command, start_new_session=True)
    url = f"http://127.0.0.1:{port}/v1"
    client = openai.OpenAI(base_url=url, api_key="none", max_retries=0)
    while server.poll() is None:
        try:
            client.models.list()
            break
        except openai.OpenAIError:
            time.sleep(0.2)
    assert server.poll() is None, "the server ended"
    yield request.param, folder, url
    os.killpg(server.pid, signal.SIGTERM)
    server.wait()


def name_of(client: Any, folder: Path) -> str:
    """What the server calls the model; one that lists none goes by the folder's name."""
    return next((one.id for one in client.models.list()), folder.name)


@pytest.mark.model
def test_openai_client_gets_the_same_answer_whole_and_in_pieces(served: tuple[str, Path, str]) -> None:
    from openai import OpenAI

    client = OpenAI(base_url=served[2], api_key="none")
    model = name_of(client, served[1])
    asked: Any = {"model": model, "messages": MESSAGES, "temperature": 0, "max_tokens": 16}
    whole = client.chat.completions.create(**asked).choices[0].message.content
    pieces = client.chat.completions.create(**asked, stream=True)
    streamed = "".join(piece.choices[0].delta.content or "" for piece in pieces if piece.choices)
    assert whole
    assert streamed == whole
    assert model == served[1].name, "and not its whole path"


@pytest.mark.model
def test_answer_is_forced_into_a_schema_where_the_server_can(served: tuple[str, Path, str]) -> None:
    from openai import OpenAI

    kind, folder, url = served
    if kind == "merged":
        pytest.skip("transformers serve has no schemas")
    client = OpenAI(base_url=url, api_key="none")
    form: Any = {"type": "json_schema", "json_schema": {"name": "pair", "schema": SCHEMA, "strict": True}}
    reply = client.chat.completions.create(
        model=name_of(client, folder), messages=MESSAGES, temperature=0, max_tokens=64, response_format=form
    )
    value = json.loads(reply.choices[0].message.content or "")
    assert value["colour"] in ("red", "blue")
    assert value["number"] in range(10)


@pytest.mark.model
def test_client_in_the_package_asks_and_checks(served: tuple[str, Path, str]) -> None:
    _, folder, url = served
    request = {"messages": MESSAGES, "temperature": 0, "max_tokens": 8}
    card.write_client(folder, {"request": request, "json": False, "expected": "certainly not this"})
    ask = [sys.executable, str(folder / card.CLIENT), url]
    ended = subprocess.run(ask, capture_output=True, text=True, check=False)
    assert ended.returncode == 1, ended.stderr
    said = ended.stdout.partition("\nexpected: ")[0]
    card.write_client(folder, {"request": request, "json": False, "expected": said.strip()})
    assert subprocess.run(ask, capture_output=True, check=False).returncode == 0


@pytest.mark.model
def test_page_of_another_site_may_not_read_the_answers(served: tuple[str, Path, str]) -> None:
    asked = urllib.request.Request(served[2] + "/models", headers={"Origin": "http://evil.example"})
    with urllib.request.urlopen(asked) as reply:
        assert reply.headers.get("Access-Control-Allow-Origin", "") not in ("*", "http://evil.example")


def test_engine_that_is_missing_says_how_to_get_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert ENGINES[0] == "vllm"
    folder = tmp_path / "export"
    folder.mkdir()
    (folder / package.MANIFEST).write_text('{"kind": "merged"}')
    assert main(["serve", str(folder), "--engine", "vllm"]) == 2
    assert "pip install vllm" in capsys.readouterr().err


@pytest.mark.skipif(os.name == "nt", reason="Windows ends processes without asking them")
def test_server_ends_with_the_command_that_started_it(tmp_path: Path) -> None:
    engine = tmp_path / "packages" / "vllm" / "entrypoints" / "cli"
    engine.mkdir(parents=True)
    (engine / "main.py").write_text("import os, time\nprint(os.getpid(), flush=True)\ntime.sleep(600)\n")
    folder = tmp_path / "export"
    folder.mkdir()
    (folder / package.MANIFEST).write_text('{"kind": "merged"}')
    paths = os.pathsep.join([str(engine.parents[2]), str(Path(__file__).parents[2])])
    command = [sys.executable, "-m", "qwenlab", "serve", str(folder)]
    serving = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env={**os.environ, "PYTHONPATH": paths})
    assert serving.stdout is not None
    server = psutil.Process(next(int(line) for line in serving.stdout if line.strip().isdecimal()))
    serving.terminate()
    assert serving.wait(30) == 0
    assert not server.is_running()
