"""`pip install .` gives a program that needs no checkout beside it."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import time
import zipfile
from pathlib import Path

import httpx
import pytest

ROOT = Path(__file__).parent.parent
PARTS = ("pyproject.toml", "README.md", "LICENSE", "requirements.txt", "qwenlab", "data", "eval_suites")
SHOW = """
import json, sys
from qwenlab.conversations.dataset import data_sets
from qwenlab.evals.suite import find_suite, load_suite
from qwenlab.workspace import Workspace
from qwenlab import cli
workspace = Workspace.default()
suite = load_suite(find_suite(workspace, "after-sales-tickets"))
print(workspace.root, len(suite.cases), [path.name for path in data_sets(workspace)], cli.__file__, sep="\\n")
"""


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder into which the wheel was unpacked."""
    source, built = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("built")
    for part in PARTS:  # a copy, because setuptools leaves its build folder in the source
        if (ROOT / part).is_dir():
            shutil.copytree(ROOT / part, source / part, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(ROOT / part, source / part)
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir", str(built), str(source)]
    subprocess.run(command, check=True, capture_output=True, text=True)
    (wheel,) = built.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(built / "site")
    return built / "site"


def test_every_module_and_style_sheet_is_in_the_wheel(installed: Path) -> None:
    kinds = {".py", ".css", ".js", ".svg", ".png"}
    wanted = {path.relative_to(ROOT) for path in (ROOT / "qwenlab").rglob("*") if path.suffix in kinds}
    assert {path for path in wanted if not (installed / path).is_file()} == set()


def test_installed_program_has_what_ships_and_keeps_work_in_the_home_folder(installed: Path, tmp_path: Path) -> None:
    variables = {**os.environ, "PYTHONPATH": str(installed), "HOME": str(tmp_path)}
    variables.pop("QWENLAB_HOME", None)
    command = [sys.executable, "-c", SHOW]
    ended = subprocess.run(command, cwd=tmp_path, env=variables, check=True, capture_output=True, text=True)
    home, cases, names, module = ended.stdout.splitlines()
    assert module.startswith(str(installed))
    assert home == str(tmp_path / "qwenlab")
    assert int(cases) > 100
    assert "after-sales.train.json" in names


def test_installed_program_serves_the_page_with_its_styles(installed: Path, tmp_path: Path) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    variables = {**os.environ, "PYTHONPATH": str(installed), "HOME": str(tmp_path)}
    command = [sys.executable, "-m", "qwenlab", "lab", "--port", str(port), "--workspace", str(tmp_path / "home")]
    with (tmp_path / "log").open("wb") as log:
        server = subprocess.Popen(command, cwd=tmp_path, env=variables, stdout=log, stderr=log)
    try:
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", trust_env=False, timeout=60) as web:
            while server.poll() is None:
                try:
                    page = web.get("/en/config")
                    break
                except httpx.ConnectError:
                    time.sleep(0.3)
            assert server.poll() is None, (tmp_path / "log").read_text()
            assert "#journey" in page.text, "the style sheets are sent along with the page"
            assert web.get("/icons/icon.svg").status_code == 200
    finally:
        server.terminate()
        server.wait(20)


def test_port_that_is_taken_is_one_sentence(tmp_path: Path) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        command = [sys.executable, str(ROOT / "app.py"), "--port", str(other.getsockname()[1])]
        ended = subprocess.run(
            [*command, "--workspace", str(tmp_path)], capture_output=True, text=True, check=False, timeout=60
        )
    assert ended.returncode == 2
    assert "is taken" in ended.stderr
    assert "Traceback" not in ended.stderr
