"""A training step of two documents of 512 tokens, method full."""
from harness import step_rows, train

TITLE, UNIT, PEER, TARGET = "full fine-tuning, 2 x 512, f32", "tokens/s", "PyTorch", 1.8


def cases(b):
    rows = step_rows(b)

    def peer():
        got = b.peer("peft_step.py", "full", b.model, b.cache, rows, 3, b.threads)
        return {"value": got["tokens_per_second"], "peak_rss_bytes": got["peak_rss_bytes"]}
    yield "", lambda: train(b, "full", rows), peer
