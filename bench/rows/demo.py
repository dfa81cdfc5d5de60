"""The demo's job whole: the same rows, one epoch, the same settings; seconds of training, and the accuracy on the same test rows."""
import os
import subprocess
import tempfile

from harness import HERE

TITLE, UNIT, PEER, TARGET, LESS, RUNS = "the demo's job, one epoch", "s", "PEFT with padding", 7, True, 1


def cases(b):
    data = os.path.join(b.cache, "demo")
    if not os.path.exists(os.path.join(data, "test.jsonl")):
        subprocess.run([os.path.join(HERE, "..", "tools", "demo-data"), data], check=True)
    common = ["--per-device-train-batch-size", "16", "--learning-rate", "1e-3", "--warmup-steps", "10", "--max-length", "512"]

    def ours():
        with tempfile.TemporaryDirectory() as out:
            s = b.kungfu("tune", b.model, "--data", os.path.join(data, "train.jsonl"), "--eval-data", os.path.join(data, "test.jsonl"), "--eval-steps", "0",
                         "--out", os.path.join(out, "run"), "--save-steps", "0", "--threads", str(b.threads), *common)
        return {"value": s["tokens"] / s["tokens_per_second"], "peak_rss_bytes": s["peak_rss_bytes"], "note": f"accuracy {s['acc']:.3f}"}

    def peer():
        got = b.peer("peft_demo.py", b.model, b.cache, os.path.join(data, "train.jsonl"), os.path.join(data, "test.jsonl"), b.threads)
        return {"value": got["seconds"], "peak_rss_bytes": got["peak_rss_bytes"], "note": f"accuracy {got['acc']:.3f}"}
    yield "", ours, peer
