"""A training step of two documents of 512 tokens, method lora; and in micro-batches of one document, for its memory."""
from harness import Case, peer_steps, step_rows, train

TITLE, UNIT, PEER, SECONDS = "LoRA r 8 on all linear layers, 2 x 512", "tokens/s", "PEFT", 50


def cases(b):
    rows = step_rows(b)

    def peer():
        got = b.peer("peft_step.py", "lora", b.model, b.cache, rows, peer_steps(b), b.threads)
        return {"value": got["tokens_per_second"], "peak_rss_bytes": got["peak_rss_bytes"]}
    yield Case("f32", lambda: train(b, "lora", rows, "--compute", "f32"), peer, {"ratio": 2.2, "share": 0.85})
    yield Case("f32, micro-batches of 512", lambda: train(b, "lora", rows, "--compute", "f32", "--micro-batch-tokens", "512"), None, {"bytes": 0.7e9})
