"""llm.c's training of GPT-2 124M on the processor, 4 x 64 as its program has it. LLMC=DIR: llm.c with train_gpt2 built and its weights there."""
import os
import re
import statistics
import subprocess

from harness import Case, Skip, train

from rows.pretrain_gpt2 import prepare

TITLE, UNIT, PEER, SECONDS = "pretraining step in GPT-2 124M's shape, 4 x 64, f32", "tokens/s", "llm.c", 1


def cases(b):
    folder = os.environ.get("LLMC")
    if not folder:
        raise Skip("LLMC=DIR is not set")
    model, rows = prepare(b)

    def peer():
        out = subprocess.run(["./train_gpt2"], cwd=folder, capture_output=True, text=True, env={**os.environ, "OMP_NUM_THREADS": str(b.threads)}, check=True).stdout
        ms = [float(x) for x in re.findall(r"took ([0-9.]+) ms", out)][1:]
        return {"value": 4 * 64 / statistics.median(ms) * 1e3}
    yield Case("", lambda: train(b, "full", rows, "--packing", model=model, batch=4, length=64), peer)
