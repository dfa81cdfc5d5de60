#!/usr/bin/env python3
"""Perplexity of a model as kungfu quantizes it and as llama.cpp does, from the same file of F32.

    quant_perplexity.py KUNGFU MODEL TEXT [TYPE …] [--window N]    MODEL: what kungfu converts; types as llama-quantize has them

A line a type: both perplexities by `kungfu score` (windows of 512 tokens if nothing is said, arithmetic in f32), their bytes, and how many bytes of
their tensors differ; where none does, one file is scored for both. Ends with 1 where kungfu's is worse by more than a thousandth. needs llama_cpp, gguf."""
import argparse
import json
import os
import subprocess
import sys
import tempfile

import gguf
import llama_cpp as c

TYPES = ["q8_0", "q6_k", "q5_k_m", "q4_k_m", "q3_k_m", "q5_0", "q4_1", "q4_0", "iq4_nl"]
silent = c.llama_log_callback(lambda *_: None)


def kungfu(program, *args):
    out = subprocess.run([program, *args, "--quiet", "--json", "--ledger", "off"], check=True, capture_output=True, text=True).stdout
    return json.loads(out.strip().splitlines()[-1])


def perplexity(o, path):
    return kungfu(o.program, "score", path, o.text, "--window", str(o.window), "--compute", "f32")["perplexity"]


def theirs(source, out, name):
    p = c.llama_model_quantize_default_params()
    p.ftype = getattr(c, "LLAMA_FTYPE_MOSTLY_" + name.upper())
    if c.llama_model_quantize(source.encode(), out.encode(), p):
        sys.exit(f"{out}: llama.cpp cannot make it")


def other_bits(a, b):
    x, y = ({t.name: t for t in gguf.GGUFReader(path).tensors} for path in (a, b))
    assert x.keys() == y.keys() and all(x[k].tensor_type == y[k].tensor_type for k in x), "other tensors or types"
    return sum(int((x[k].data != y[k].data).sum()) for k in x), sum(x[k].data.size for k in x)


def main():
    p = argparse.ArgumentParser()
    p.add_argument("program")
    p.add_argument("model")
    p.add_argument("text")
    p.add_argument("types", nargs="*")
    p.add_argument("--window", type=int, default=512)
    o, worse = p.parse_args(), False
    c.llama_log_set(silent, None)
    with tempfile.TemporaryDirectory() as tmp:
        source, a, b = f"{tmp}/source.gguf", f"{tmp}/a.gguf", f"{tmp}/b.gguf"
        kungfu(o.program, "convert", o.model, "--out", source, "--dtype", "f32")
        print(f"{'type':8} {'kungfu':>10} {'llama.cpp':>10} {'bytes':>12}  other bytes")
        print(f"{'f32':8} {perplexity(o, source):10.4f} {'':10} {os.path.getsize(source):12}", flush=True)
        for name in o.types or TYPES:
            subprocess.run([o.program, "quantize", source, "--to", name, "--out", a, "--quiet", "--ledger", "off"], check=True,
                           stdout=subprocess.DEVNULL)
            theirs(source, b, name)
            differ, all_of = other_bits(a, b)
            x = perplexity(o, a)
            y = perplexity(o, b) if differ else x
            worse |= x > y * 1.001
            print(f"{name:8} {x:10.4f} {y:10.4f} {os.path.getsize(a):12}  {differ} of {all_of}", flush=True)
            os.remove(a), os.remove(b)
    return worse


sys.exit(main())
