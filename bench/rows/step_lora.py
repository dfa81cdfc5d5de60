"""A training step of two documents of 512 tokens, method lora."""
from harness import step_rows, train

TITLE, UNIT, PEER, TARGET = "LoRA r 8 on all linear layers, 2 x 512, f32", "tokens/s", "PEFT", 2.0


def cases(b):
    rows = step_rows(b)

    def peer():
        got = b.peer("peft_step.py", "lora", b.model, b.cache, rows, 3, b.threads)
        return {"value": got["tokens_per_second"], "peak_rss_bytes": got["peak_rss_bytes"]}
    yield "", lambda: train(b, "lora", rows), peer
