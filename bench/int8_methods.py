#!/usr/bin/env python3
"""Whether int8 learns as f32 does, method after method: the evaluation loss of pairs of runs that differ in --compute alone, over seeds.

    bench/int8_methods.py PROGRAM MODEL.gguf DATA OUT.csv [--steps N] [--batch N] [--questions N] [--seeds N] [METHOD …]

DATA is what tools/demo-data makes, METHOD the words behind --method, all without one. A method passes where the mean of its seeds' losses in int8 is at
most 0.5 % above that in f32. A line a method is added to OUT.csv; what is there is not done again. THREADS=2 is how many each run gets."""
import argparse
import csv
import json
import os
import subprocess
import sys
import tempfile

TOKENS = "11931,5817,2139,9961,42"  # " admin", " database", " sound", " Section", ":"
METHODS = ["lora", "lora --use-dora", "lora --init-lora-weights pissa_niter_4", "adalora", "loha", "lokr", "shira", "vera", "miss", "hira", "ia3", "ln_tuning",
           "prompt_tuning", "prefix_tuning", "p_tuning", f"trainable_tokens --token-indices {TOKENS}", "bottleneck --adapter-config double_seq_bn",
           "bottleneck --adapter-config seq_bn", "bottleneck --adapter-config par_bn"]
LIMIT = 0.005


def part(data, name, n, out):
    """n rows from all through the file."""
    with open(os.path.join(data, name + ".jsonl"), encoding="utf-8") as f:
        lines = f.read().splitlines()
    path = os.path.join(out, name + ".jsonl")
    with open(path, "w", encoding="utf-8") as f:
        f.writelines(lines[i * len(lines) // n] + "\n" for i in range(n))
    return path


def loss(a, rows, method, compute, seed, out):
    words = [a.program, "tune", a.model, "--data", rows[0], "--eval-data", rows[1], "--out", os.path.join(out, "run"), "--overwrite", "--method", *method.split(),
             "--compute", compute, "--seed", str(seed), "--max-steps", str(a.steps), "--per-device-train-batch-size", str(a.batch), "--max-length", "512",
             "--save-steps", "0", "--no-forgetting", "--threads", os.environ.get("THREADS", "2"), "--ledger", "off", "--gas", "off", "--json", "--quiet"]
    done = subprocess.run(words, stdout=subprocess.PIPE, check=True, text=True)
    s = [json.loads(line) for line in done.stdout.splitlines()]
    if s[-1]["compute"] != compute:
        raise RuntimeError(f"{method}: it computed in {s[-1]['compute']}")
    return next(m["eval_loss"] for m in reversed(s) if m.get("eval_loss") is not None)


def main():
    p = argparse.ArgumentParser(usage=__doc__.split("\n")[2].strip(), description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name in ("program", "model", "data", "csv"):
        p.add_argument(name)
    for name, usual in (("--steps", 20), ("--batch", 4), ("--questions", 100), ("--seeds", 3)):
        p.add_argument(name, type=int, default=usual)
    p.add_argument("methods", nargs="*")
    a = p.parse_intermixed_args()
    seeds = range(1, a.seeds + 1)
    known = set()
    if os.path.exists(a.csv):
        with open(a.csv, encoding="utf-8", newline="") as f:
            known = {r["method"] for r in csv.DictReader(f)}
    with open(a.csv, "a", encoding="utf-8", newline="") as f, tempfile.TemporaryDirectory() as out:
        table = csv.writer(f, lineterminator="\n")
        if not known and not f.tell():
            table.writerow(["method", "steps", "batch", "questions", *(f"{c}_seed{s}" for c in ("f32", "int8") for s in seeds), "difference", "passes"])
        rows = part(a.data, "train", a.steps * a.batch, out), part(a.data, "test", a.questions, out)
        for m in (m for m in a.methods or METHODS if m not in known):
            losses = {c: [loss(a, rows, m, c, s, out) for s in seeds] for c in ("f32", "int8")}
            difference = sum(losses["int8"]) / sum(losses["f32"]) - 1
            table.writerow([m, a.steps, a.batch, a.questions, *(f"{x:.4f}" for c in losses.values() for x in c), f"{100 * difference:+.3f} %",
                            "yes" if difference <= LIMIT else "no"])
            f.flush()
            print(f"{m}: {100 * difference:+.3f} %", file=sys.stderr)


if __name__ == "__main__":
    main()
