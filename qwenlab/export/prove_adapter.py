"""`python -m qwenlab.export.prove_adapter BASE FOLDER`: do base and adapter speak, by PEFT and by llama.cpp?"""

from __future__ import annotations

import gc
import json
import sys
import tempfile
from pathlib import Path
from typing import Any

from qwenlab.errors import QwenlabError
from qwenlab.export.adapter_folder import GGUF
from qwenlab.export.gguf_file import write_gguf
from qwenlab.export.prove_loading import MOST_TOKENS, QUESTION
from qwenlab.models import llama_cpp, loading
from qwenlab.models.contestant import Message
from qwenlab.models.rendering import prompt_ids


def by_peft(base: Path, adapter: Path) -> str:
    """What base and adapter say to a greeting."""
    import torch

    loaded = loading.load(base)
    loaded.attach(adapter, shared=False)
    ids = torch.tensor([prompt_ids(loaded.tokenizer, [Message(role="user", content=QUESTION)])])
    ids = ids.to(loaded.plain.device)
    with torch.inference_mode():
        said = loaded.model.generate(
            input_ids=ids, attention_mask=torch.ones_like(ids), max_new_tokens=MOST_TOKENS, do_sample=False
        )
    answer = str(loaded.tokenizer.decode(said[0, ids.shape[1] :], skip_special_tokens=True))
    del loaded
    gc.collect()
    return answer


def by_llama_cpp(base: Path, adapter: Path) -> str:
    """The same by llama.cpp, on a 16-bit GGUF file of the base that is made for this and removed."""
    with tempfile.TemporaryDirectory(dir=adapter.parent, prefix=".base.") as folder:
        write_gguf(base, Path(folder) / "base.gguf", "F16")
        server = llama_cpp.start(Path(folder) / "base.gguf", slots=1, context=512, adapter=adapter)
        asked = {"messages": [{"role": "user", "content": QUESTION}], "max_tokens": MOST_TOKENS, "temperature": 0}
        reply: Any = server.handle_chat_completions(asked)
        return str(reply["choices"][0]["message"]["content"])


def main() -> int:
    """Print {"answer"} and, where the adapter is there as GGUF, {"gguf_answer"} as JSON."""
    base, folder = map(Path, sys.argv[1:3])
    try:
        found = {"answer": by_peft(base, folder)}
        if (folder / GGUF).exists():
            found["gguf_answer"] = by_llama_cpp(base, folder / GGUF)
    except QwenlabError as error:
        sys.stderr.write(f"{error}\n")
        return 2
    if not all(answer.strip() for answer in found.values()):
        sys.stderr.write("it loads, but says nothing\n")
        return 1
    sys.stdout.write(json.dumps(found) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
