"""All threads beside one of our own."""
from harness import Case, Skip, step_rows, train

TITLE, UNIT, PEER, SECONDS = "several threads over one", "tokens/s", "kungfu with 1 thread", 70


def cases(b):
    rows = step_rows(b)
    if b.threads < 2:
        raise Skip("THREADS is 1")
    wants = {"ratio": 1.85}
    for method in ("lora", "full"):
        yield Case(f"training, {method}, f32", lambda m=method: train(b, m, rows, "--compute", "f32"),
                   lambda m=method: train(b, m, rows, "--compute", "f32", threads=1), wants)

    def prefill(threads, compute):
        s = b.kungfu("bench", b.model, "--prefill", "512", "--compute", compute, "--threads", str(threads))
        return {"value": s["prefill_tokens_per_second"]}
    for compute in ("f32", "int8"):
        yield Case(f"prompt of 512, {compute}", lambda c=compute: prefill(b.threads, c), lambda c=compute: prefill(1, c), wants)
