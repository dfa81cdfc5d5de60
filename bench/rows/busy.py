"""The LoRA step while another process keeps one of the processors busy, as on a laptop that is used: ours and the peer's in
the same state. Of two processors a fair share is three quarters of what both give."""
import contextlib
import os
import subprocess
import sys

from harness import Case, peer_steps, step_rows, train

TITLE, UNIT, PEER, SECONDS = "LoRA step beside one busy core", "tokens/s", "PEFT", 80
LOOP = "import os, sys\nos.sched_setaffinity(0, {int(sys.argv[1])})\nwhile os.getppid() != 1: pass\n"


@contextlib.contextmanager
def busy():
    loop = subprocess.Popen([sys.executable, "-c", LOOP, str(max(os.sched_getaffinity(0)))])
    try:
        yield
    finally:
        loop.kill()
        loop.wait()


def cases(b):
    rows = step_rows(b)

    def ours(compute):
        with busy():
            return train(b, "lora", rows, "--compute", compute)

    def peer():
        with busy():
            got = b.peer("peft_step.py", "lora", b.model, b.cache, rows, peer_steps(b), b.threads)
        return {"value": got["tokens_per_second"], "peak_rss_bytes": got["peak_rss_bytes"]}
    yield Case("f32", lambda: ours("f32"), peer, {"ratio": 2.2})
    yield Case("int8", lambda: ours("int8"), None, {})
