#!/usr/bin/env python3
"""tokenizer_speed: how fast texts become ids, one thread, beside Hugging Face's tokenizers, in turns of one run.

usage: VENV/bin/python bench/tokenizer_speed.py BUILD TEXTS TOKENIZER.json… [--rounds N]

TEXTS   a folder of texts, searched to the bottom; each line is encoded by itself
Every round measures both, ours inside of the program (tools/tokenize), theirs around encode_batch_fast (which gives no offsets; ours gives them), so that
neither is charged for JSON. Prints MB/s as median (least to most), the ratio of medians, and how many texts have the same ids.
"""
import argparse
import importlib.machinery
import importlib.util
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time

os.environ["TOKENIZERS_PARALLELISM"] = "false"
os.environ["RAYON_NUM_THREADS"] = "1"
sys.dont_write_bytecode = True
HERE = os.path.dirname(os.path.abspath(__file__))
loader = importlib.machinery.SourceFileLoader("check_tokenizer", os.path.join(HERE, "..", "tools", "check-tokenizer"))
common = importlib.util.module_from_spec(importlib.util.spec_from_loader("check_tokenizer", loader))
loader.exec_module(common)


def ours(program, model, data):
    run = subprocess.run([program, model, "plain"], input=data, capture_output=True, check=True)
    said = run.stderr.decode().strip().split("\n")[-1].split()
    return int(said[0]) / float(said[3]) / 1e6, run.stdout


def main():
    p = argparse.ArgumentParser(usage=__doc__)
    p.add_argument("build")
    p.add_argument("texts")
    p.add_argument("tokenizers", nargs="+")
    p.add_argument("--rounds", type=int, default=5)
    o = p.parse_args()
    from tokenizers import Tokenizer
    lines = [x for t in common.read_texts(o.texts) for x in t.split("\n") if x]
    size = sum(len(x.encode()) for x in lines)
    data = "".join(json.dumps(x) + "\n" for x in lines).encode()
    print(f"{len(lines)} lines, {size / 1e6:.1f} MB")
    with tempfile.TemporaryDirectory() as scratch:
        program = common.build_program(o.build, scratch)
        for model in o.tokenizers:
            t = Tokenizer.from_file(model)
            t.no_truncation()
            t.encode_special_tokens = True
            speeds = ([], [])
            for i in range(o.rounds):
                speed, out = ours(program, model, data)
                speeds[0].append(speed)
                begin = time.perf_counter()
                ids = t.encode_batch_fast(lines, add_special_tokens=False)
                speeds[1].append(size / (time.perf_counter() - begin) / 1e6)
            rows = [list(map(int, x.replace("lossy", "").split())) for x in out.decode().split("\n")[:-1]]
            same = sum(a == b.ids for a, b in zip(rows, ids))
            a, b = (statistics.median(x) for x in speeds)
            print(f"{os.path.basename(model)}: {a:.2f} ({min(speeds[0]):.2f} to {max(speeds[0]):.2f}) MB/s, tokenizers {b:.2f} ({min(speeds[1]):.2f} to {max(speeds[1]):.2f}), "
                  f"{a / b:.2f} times; {same} of {len(lines)} texts with the same ids")
            sys.stdout.flush()


if __name__ == "__main__":
    main()
