"""From a bare Debian 12 with git and make to the end of a first training step, the build included, beside pip's PyTorch, PEFT and TRL. The same model
counts for both. Needs root, and fetches 3 GB for the peer."""
import json
import os
import subprocess

from harness import HERE, Case, Skip, step_rows

TITLE, UNIT, PEER, SECONDS, LESS, RUNS = "bare Debian to the first training step", "", "pip, PyTorch + PEFT + TRL", 240, True, 1


def cases(b):
    if os.geteuid():
        raise Skip("not root")
    rows, got = step_rows(b), {}

    def of(who, what, scale):
        def run():
            if who not in got:
                done = subprocess.run([os.path.join(HERE, "bare-debian"), who, b.model, rows], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
                if done.returncode:
                    raise RuntimeError(f"bench/bare-debian {who}: {done.stderr[-2000:]}")
                got[who] = json.loads(done.stdout)
            return {"value": got[who][what] / scale}
        return run
    for name, what, scale, ratio in (("s", "seconds", 1, 3), ("MB fetched", "fetched_bytes", 1e6, 10), ("MB on the disk", "disk_bytes", 1e6, 10)):
        yield Case(name, of("kungfu", what, scale), of("peer", what, scale), {"ratio": ratio})
