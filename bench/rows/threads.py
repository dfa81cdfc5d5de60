"""All threads beside one of our own."""
from harness import Skip, step_rows, train

TITLE, UNIT, PEER, TARGET = "several threads over one", "tokens/s", "kungfu with 1 thread", 1.85


def cases(b):
    rows = step_rows(b)
    if b.threads < 2:
        raise Skip("THREADS is 1")
    for method in ("lora", "full"):
        yield f"training, {method}", lambda m=method: train(b, m, rows), lambda m=method: train(b, m, rows, threads=1)

    def prefill(threads):
        s = b.kungfu("bench", b.model, "--prefill", "512", "--threads", str(threads))
        return {"value": s["prefill_tokens_per_second"]}
    yield "prompt of 512", lambda: prefill(b.threads), lambda: prefill(1)
