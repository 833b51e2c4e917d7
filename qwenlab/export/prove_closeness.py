"""`python -m qwenlab.export.prove_closeness REFERENCE EXPORT ROWS.json`: how far did quantizing move the next token?

Both models read the same held-out answers; at each of their tokens the two distributions of the next one are compared.
Of each distribution the TOP likeliest tokens are looked at one by one and the rest as one lump: llama.cpp tells no
more at a reasonable price. So the divergence can only be told too small, and in practice by less than its rounding.
"""

from __future__ import annotations

import gc
import json
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from qwenlab.errors import QwenlabError

TOP = 512
MOST_TOKENS = 48
"""Answer tokens of each row that are looked at, spread over the answer."""
LEAST = 1e-9
"""Probability below which the lumped rest of a distribution is rounding."""

Progress = Callable[[float], None]


@dataclass(frozen=True)
class Row:
    """A conversation as token ids, and the positions of its answers' tokens that are looked at."""

    ids: list[int]
    at: list[int]

    @classmethod
    def of(cls, ids: Sequence[int], answers: Sequence[bool], most: int = MOST_TOKENS) -> Row:
        """From which tokens are an answer's; of many, `most` are taken at even distances."""
        known = [at for at, spoken in enumerate(answers) if spoken and at]
        step = max(1, -(-len(known) // most))
        return cls(list(ids), known[::step])


@dataclass(frozen=True)
class Seen:
    """A distribution: ids and log-probabilities (nats) of its likeliest tokens, and that of the token which came.

    What came and is not among the likeliest counts as the last of them: llama.cpp tells no more, and both sides are
    to be measured alike.
    """

    ids: np.ndarray
    logs: np.ndarray
    came: float


def compare(reference: Sequence[Sequence[Seen]], other: Sequence[Sequence[Seen]]) -> dict[str, Any]:
    """Means over all positions of all rows, in nats.

    Returns:
        {"kl": Kullback-Leibler divergence of `other` from `reference`, "nll", "nll_reference": negative log-likelihood
        of what came, "rises": of each row, by how much it rose, "same_next_token": positions where both like the same
        token best, "tokens": positions, "rows"}.
    """
    rows = [list(zip(*row, strict=True)) for row in zip(reference, other, strict=True)]
    pairs = [pair for row in rows for pair in row]
    return {
        "kl": float(np.mean([divergence(left, right) for left, right in pairs])),
        "nll": -float(np.mean([right.came for _, right in pairs])),
        "nll_reference": -float(np.mean([left.came for left, _ in pairs])),
        "rises": [round(float(np.mean([left.came - right.came for left, right in row])), 5) for row in rows],
        "same_next_token": sum(int(left.ids[0] == right.ids[0]) for left, right in pairs),
        "tokens": len(pairs),
        "rows": len(rows),
    }


def divergence(left: Seen, right: Seen) -> float:
    """Kullback-Leibler divergence of `right` from `left`, over the tokens that both name and the lump of all others."""
    _, at, to = np.intersect1d(left.ids, right.ids, return_indices=True)
    p, q = np.exp(left.logs[at]), np.exp(right.logs[to])
    p_rest, q_rest = max(LEAST, 1 - float(p.sum())), max(LEAST, 1 - float(q.sum()))
    named = float((p * (left.logs[at] - right.logs[to])).sum())
    return max(0.0, named + p_rest * float(np.log(p_rest / q_rest)))


def see(folder: Path, rows: Sequence[Row], plain_token: int, progress: Progress) -> list[list[Seen]]:
    """What a model folder or an export thinks of each row, position by position."""
    found: list[list[Seen]] = []
    ask = _gguf(folder / "model.gguf", rows, plain_token) if (folder / "model.gguf").exists() else _torch(folder, rows)
    for number, part in enumerate(ask, 1):
        found.append(part)
        progress(number / len(rows))
    return found


def _torch(folder: Path, rows: Sequence[Row]) -> Iterator[list[Seen]]:
    import torch

    from qwenlab.models import loading

    loaded = loading.load(folder)
    for row in rows:
        ids = torch.tensor([row.ids], device=loaded.model.device)
        before = torch.tensor(row.at, device=loaded.model.device) - 1
        with torch.inference_mode():
            logits = loaded.model(input_ids=ids, logits_to_keep=before, use_cache=False).logits[0].float()
            logs = torch.log_softmax(logits.nan_to_num(), -1)  # what is no number says nothing: all alike
            came = logs.gather(1, ids[0, row.at][:, None])[:, 0].tolist()
            best = logs.topk(min(TOP, logs.shape[1]), -1)
        yield [
            Seen(ids, values, max(one, float(values[-1])))
            for ids, values, one in zip(best.indices.cpu().numpy(), best.values.cpu().numpy(), came, strict=True)
        ]
    del loaded
    gc.collect()  # one model in memory at a time


def _gguf(path: Path, rows: Sequence[Row], plain_token: int) -> Iterator[list[Seen]]:
    from qwenlab.models import llama_cpp

    server = llama_cpp.start(path, slots=1, context=max(len(row.ids) for row in rows) + 8)
    # A token that is half a character or ends the turn would carry no probabilities: let it choose a plain one.
    asked = {"n_probs": TOP, "logit_bias": [[plain_token, 1000]], "temperature": 0, "max_tokens": 1}
    for row in rows:
        part = []
        for at in row.at:
            reply: Any = server.handle_completions({"prompt": row.ids[:at], "cache_prompt": True, **asked})
            listed = reply["choices"][0]["logprobs"]["content"][0]["top_logprobs"]
            ids, logs = np.array([one["id"] for one in listed]), np.array([one["logprob"] for one in listed])
            came = logs[ids == row.ids[at]]
            part.append(Seen(ids, logs, float(came[0]) if len(came) else float(logs[-1])))
        yield part


def main() -> int:
    """Print {"progress"} now and then, and what `compare` finds last."""
    reference, export, path = map(Path, sys.argv[1:4])

    def tell(begin: float) -> Progress:
        return lambda done: _say({"progress": round(begin + done / 2, 4)})

    try:
        from qwenlab.models import loading

        plain_token = loading.load_tokenizer(reference).encode("a", add_special_tokens=False)[0]
        rows = [Row(one["ids"], one["at"]) for one in json.loads(path.read_text(encoding="utf-8"))]
        found = compare(see(reference, rows, plain_token, tell(0.0)), see(export, rows, plain_token, tell(0.5)))
    except QwenlabError as error:
        sys.stderr.write(f"{error}\n")
        return 2
    _say(found)
    return 0


def _say(value: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(value) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
