"""`python -m qwenlab.export.prove_loading FOLDER`: does an export load, and does it speak?"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import Any

from qwenlab.errors import QwenlabError

QUESTION = "Hello, who are you?"
MOST_TOKENS = 16


def main() -> int:
    """Load, answer one question greedily, print {"answer", "seconds"} as JSON."""
    folder, start = Path(sys.argv[1]), time.perf_counter()
    try:
        answer = _gguf(folder / "model.gguf") if (folder / "model.gguf").exists() else _transformers(folder)
    except QwenlabError as error:
        sys.stderr.write(f"{error}\n")
        return 2
    if not answer.strip():
        sys.stderr.write("it loads, but says nothing\n")
        return 1
    sys.stdout.write(json.dumps({"answer": answer, "seconds": time.perf_counter() - start}) + "\n")
    return 0


def _gguf(path: Path) -> str:
    from qwenlab.models import llama_cpp

    reply: Any = llama_cpp.start(path, slots=1, context=512).handle_chat_completions(
        {"messages": [{"role": "user", "content": QUESTION}], "max_tokens": MOST_TOKENS, "temperature": 0}
    )
    return str(reply["choices"][0]["message"]["content"])


def _transformers(folder: Path) -> str:
    import torch

    from qwenlab.models import loading
    from qwenlab.models.contestant import Message
    from qwenlab.models.rendering import prompt_ids

    loaded = loading.load(folder)
    ids = torch.tensor([prompt_ids(loaded.tokenizer, [Message(role="user", content=QUESTION)])])
    with torch.inference_mode():
        output = loaded.model.generate(
            input_ids=ids.to(loaded.model.device),
            attention_mask=torch.ones_like(ids),
            max_new_tokens=MOST_TOKENS,
            do_sample=False,
        )
    return str(loaded.tokenizer.decode(output[0, ids.shape[1] :], skip_special_tokens=True))


if __name__ == "__main__":
    sys.exit(main())
