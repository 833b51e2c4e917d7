"""The house's walls: which way imports point, and what must stay light."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / "qwenlab"
GROUND = {"conversations", "models", "workspace", "accounts", "errors", "files", "jobs", "failures"}
FEATURES = {"training", "evals", "export", "chat"}
MAY_IMPORT = {
    **dict.fromkeys(GROUND, GROUND),
    **{feature: GROUND | {feature} for feature in FEATURES},
    "ui": GROUND | FEATURES | {"ui"},
    "commands": GROUND | FEATURES | {"commands"},
    "cli": GROUND | FEATURES | {"commands", "ui"},
    "__main__": {"cli"},
    "__init__": set(),
}
HEAVY = {
    "torch",
    "transformers",
    "peft",
    "accelerate",
    "xllamacpp",
    "llguidance",
    "gptqmodel",
    "datasets",
    "deepspeed",
    "bitsandbytes",
}
MAY_BE_HEAVY = {"training/trainer.py", "models/packed.py", "chat/forward.py"}
"""Modules that are themselves imported only where they compute."""


def imports(path: Path, top_level_only: bool = False) -> set[str]:
    """Full names of what a module imports."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    nodes = tree.body if top_level_only else list(ast.walk(tree))
    found: set[str] = set()
    for node in nodes:
        if isinstance(node, ast.Import):
            found |= {name.name for name in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            assert not node.level, f"{path} imports relatively"
            found |= {f"{node.module}.{name.name}" for name in node.names}
    return found


MODULES = sorted(PACKAGE.rglob("*.py"))


@pytest.mark.parametrize("path", MODULES, ids=lambda path: path.relative_to(PACKAGE).as_posix())
def test_imports_point_downwards(path: Path) -> None:
    room = path.relative_to(PACKAGE).parts[0].removesuffix(".py")
    used = {name.split(".")[1] for name in imports(path) if name.startswith("qwenlab.")} - {"__version__"}
    assert used <= MAY_IMPORT[room], f"{room} may not import {used - MAY_IMPORT[room]}"


def test_command_line_knows_of_the_page_only_how_to_serve_it() -> None:
    assert {name for name in imports(PACKAGE / "cli.py") if "qwenlab.ui" in name} == {"qwenlab.ui.serving"}


@pytest.mark.parametrize("path", MODULES, ids=lambda path: path.relative_to(PACKAGE).as_posix())
def test_only_the_page_knows_gradio(path: Path) -> None:
    room = path.relative_to(PACKAGE).parts[0]
    if room != "ui":
        assert not {name for name in imports(path) if name.split(".")[0] == "gradio"}


@pytest.mark.parametrize("path", MODULES, ids=lambda path: path.relative_to(PACKAGE).as_posix())
def test_heavy_packages_are_imported_where_they_compute(path: Path) -> None:
    if path.relative_to(PACKAGE).as_posix() not in MAY_BE_HEAVY:
        assert not {name.split(".")[0] for name in imports(path, top_level_only=True)} & HEAVY


def test_tabs_do_not_import_tabs() -> None:
    tabs = {path.stem for path in (PACKAGE / "ui").glob("*_tab.py")}
    for path in (PACKAGE / "ui").glob("*_tab.py"):
        used = {part for name in imports(path) for part in name.split(".")}
        assert not (used & tabs) - {path.stem}


@pytest.mark.parametrize(
    ("module", "forbidden"),
    [
        ("qwenlab", {"torch", "gradio", "transformers", "pandas"}),
        ("qwenlab.cli", {"torch", "gradio", "transformers", "pandas"}),
        ("qwenlab.ui.page", {"torch", "transformers", "peft", "xllamacpp"}),
    ],
)
def test_import_stays_light(module: str, forbidden: set[str]) -> None:
    code = f"import sys, {module}; print(' '.join({forbidden!r} & set(sys.modules)))"
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    assert ended.stdout.strip() == ""


def test_every_module_says_what_it_is_for() -> None:
    silent = [path for path in MODULES if not ast.get_docstring(ast.parse(path.read_text(encoding="utf-8")))]
    assert silent == []
