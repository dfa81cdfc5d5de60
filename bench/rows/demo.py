"""The demo's job whole: the same rows, one epoch, the same settings; seconds of training, and the accuracy on the same test rows. --quick: of the same
steps only the first ones, for the time of a step; accuracy is not asked then."""
import os
import tempfile

from harness import Case, demo_data

TITLE, UNIT, PEER, SECONDS, QUICK_SECONDS, LESS, RUNS = "the demo's job, one epoch", "s", "PEFT with padding", 900, 60, True, 1
STEPS, OUR_STEPS, PEER_STEPS = 100, 21, 6  # of the epoch; of --quick


def cases(b):
    data = demo_data(b)
    train, test = (os.path.join(data, f) for f in ("train.jsonl", "test.jsonl"))
    common = ["--per-device-train-batch-size", "16", "--learning-rate", "1e-3", "--warmup-steps", "10", "--max-length", "512", "--threads", str(b.threads)]

    def ours():
        asked = ["--max-steps", str(OUR_STEPS)] if b.quick else ["--eval-data", test, "--eval-steps", "0", "--no-eval-on-start"]
        with tempfile.TemporaryDirectory() as out:
            s = b.kungfu("tune", b.model, "--data", train, "--out", os.path.join(out, "run"), "--save-steps", "0", *common, *asked)
        seconds = s["tokens"] / s["tokens_per_second"] / s["steps"] * STEPS
        note = "from its first steps" if b.quick else f"accuracy {s['acc']:.3f}"
        return {"value": seconds, "peak_rss_bytes": s["peak_rss_bytes"], "note": note}

    def peer():
        got = b.peer("peft_demo.py", b.model, b.cache, train, test, b.threads, 42, *([PEER_STEPS] if b.quick else []))
        note = "from its first steps" if b.quick else f"accuracy {got['acc']:.3f}"
        return {"value": got["seconds"], "peak_rss_bytes": got["peak_rss_bytes"], "note": note}
    yield Case("", ours, peer, {"ratio": 12})
