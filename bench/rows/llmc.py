"""llm.c's training of GPT-2 124M on the processor, 4 x 64 as its program has it, from the random weights of the row pretrain_gpt2.
LLMC=DIR: llm.c, with train_gpt2 built in it; nothing is written there."""
import os
import re
import statistics
import subprocess

from harness import Case, Skip, train

from rows.pretrain_gpt2 import prepare

TITLE, UNIT, PEER, SECONDS = "pretraining step in GPT-2 124M's shape, 4 x 64, f32", "tokens/s", "llm.c", 25
STEPS = 4                               # of llm.c, after one to warm up


def cases(b):
    folder = os.environ.get("LLMC")
    if not folder:
        raise Skip("LLMC=DIR is not set")
    program = os.path.join(os.path.abspath(folder), "train_gpt2")
    model, rows = prepare(b)
    files = os.path.join(b.cache, "gpt2-llmc")
    if not os.path.exists(files):
        b.peer("gpt2_step.py", "llmc", model, files + ".new")
        os.rename(files + ".new", files)

    def peer():
        """Its program trains 40 steps and writes text in between; the first STEPS tell enough."""
        p = subprocess.Popen(["stdbuf", "-oL", program], cwd=files, stdout=subprocess.PIPE, text=True, env={**os.environ, "OMP_NUM_THREADS": str(b.threads)})
        ms = []
        for line in p.stdout:
            ms += [float(x) for x in re.findall(r"took ([0-9.]+) ms", line)]
            if len(ms) > STEPS:
                break
        p.kill()
        p.wait()
        return {"value": 4 * 64 / statistics.median(ms[1:]) * 1e3}
    yield Case("", lambda: train(b, "full", rows, "--packing", model=model, batch=4, length=64), peer)
