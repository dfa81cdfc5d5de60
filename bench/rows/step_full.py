"""A training step of two documents of 512 tokens, method full."""
from harness import Case, peer_steps, step_rows, train

TITLE, UNIT, PEER, SECONDS = "full fine-tuning, 2 x 512, f32", "tokens/s", "PyTorch", 50


def cases(b):
    rows = step_rows(b)

    def peer():
        got = b.peer("peft_step.py", "full", b.model, b.cache, rows, peer_steps(b), b.threads)
        return {"value": got["tokens_per_second"], "peak_rss_bytes": got["peak_rss_bytes"]}
    yield Case("", lambda: train(b, "full", rows), peer, {"ratio": 2.0, "share": 0.85, "bytes": 3e9})
