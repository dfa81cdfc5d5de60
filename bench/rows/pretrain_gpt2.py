"""Pretraining: a model in GPT-2 124M's shape from random weights, every weight trained, 4 rows of 256 tokens."""
import json
import os

from harness import Case, peer_steps, train

TITLE, UNIT, PEER, SECONDS = "pretraining step in GPT-2 124M's shape, 4 x 256, f32", "tokens/s", "PyTorch", 45


def prepare(b):
    """The model and a text of bytes."""
    folder, rows = os.path.join(b.cache, "gpt2-random"), os.path.join(b.cache, "gpt2-rows.jsonl")
    if not os.path.exists(os.path.join(folder, "config.json")):
        b.peer("gpt2_step.py", "make", folder)
    if not os.path.exists(rows):
        with open("/usr/share/common-licenses/GPL-3") as text, open(rows, "w") as f:
            f.write(json.dumps({"text": text.read()[:8192]}) + "\n")
    return folder, rows


def cases(b):
    folder, rows = prepare(b)

    def peer():
        got = b.peer("gpt2_step.py", "step", folder, 4, 256, peer_steps(b), b.threads)
        return {"value": got["tokens_per_second"], "peak_rss_bytes": got["peak_rss_bytes"]}
    yield Case("", lambda: train(b, "full", rows, "--packing", model=folder, batch=4, length=256), peer, {"ratio": 2.0})
