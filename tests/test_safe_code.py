"""What the code never does: pickle, shells, other people's code, loading YAML objects, evaluating text."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
MODULES = [ROOT / "app.py", *sorted((ROOT / "qwenlab").rglob("*.py"))]
NEVER_IMPORTED = {"pickle", "cPickle", "dill", "cloudpickle", "joblib", "shelve", "marshal", "xml.dom", "telnetlib"}
NEVER_CALLED = {"eval", "exec", "compile", "os.system", "os.popen", "torch.load", "yaml.load", "yaml.unsafe_load"}
NEVER_CALLED |= {"subprocess.getoutput", "subprocess.getstatusoutput", "tempfile.mktemp", "__import__"}
NEVER_SET = {"shell": True, "trust_remote_code": True, "allow_pickle": True, "weights_only": False, "verify": False}


@pytest.mark.parametrize("path", MODULES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_module_runs_no_code_of_others_and_opens_no_shell(path: Path) -> None:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            assert not {name.name for name in node.names} & NEVER_IMPORTED
        elif isinstance(node, ast.ImportFrom):
            assert node.module not in NEVER_IMPORTED
        elif isinstance(node, ast.Call):
            called = ast.unparse(node.func)
            safe_yaml = called == "yaml.load" and "Loader" in ast.unparse(node)
            assert called not in NEVER_CALLED or safe_yaml, f"line {node.lineno}: {called}"
            for given in node.keywords:
                value = given.value.value if isinstance(given.value, ast.Constant) else None
                assert given.arg not in NEVER_SET or value is not NEVER_SET[given.arg], f"line {node.lineno}"
            if called.endswith("from_pretrained") and "AutoModel" in called:
                safe = ("use_safetensors=True", "GgufConfig")
                assert any(one in ast.unparse(node) for one in safe), f"line {node.lineno}: weights may be a pickle"
