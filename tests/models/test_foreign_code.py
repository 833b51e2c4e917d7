"""Code that came with a model is never run, whatever its files ask for."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from qwenlab.errors import QwenlabError
from qwenlab.models import loading

pytestmark = pytest.mark.model

CODE = "from pathlib import Path\nPath(__file__).with_name('was run').touch()\nclass X: pass\n"


@pytest.fixture
def copy(smollm2: Path, tmp_path: Path) -> Path:
    return shutil.copytree(smollm2, tmp_path / "copy")


def ask_for_code(folder: Path) -> None:
    for name, classes in (
        ("config.json", {"AutoConfig": "evil.X", "AutoModelForCausalLM": "evil.X"}),
        ("tokenizer_config.json", {"AutoTokenizer": ["evil.X", "evil.X"]}),
    ):
        told = json.loads((folder / name).read_text())
        (folder / name).write_text(json.dumps({**told, "auto_map": classes}))
    (folder / "evil.py").write_text(CODE)
    (folder / "modeling_llama.py").write_text(CODE)


def test_model_that_brings_code_is_loaded_without_it(copy: Path) -> None:
    ask_for_code(copy)
    loaded = loading.load(copy)
    assert type(loaded.model).__module__ == "transformers.models.llama.modeling_llama"
    assert not list(copy.glob("was run"))


@pytest.mark.parametrize("content", ["", "{}", '{"model": 3}', "[" * 100_000, "\x00\xff"])
def test_broken_tokenizer_is_a_sentence(copy: Path, content: str) -> None:
    (copy / "tokenizer.json").write_text(content)
    with pytest.raises(QwenlabError, match="tokenizer"):
        loading.load_tokenizer(copy)
