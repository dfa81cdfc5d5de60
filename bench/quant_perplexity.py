#!/usr/bin/env python3
"""Perplexity of a model as kungfu quantizes it and as llama.cpp does, from the same file of F32.

    quant_perplexity.py KUNGFU MODEL TEXT [TYPE …]        MODEL: what kungfu converts; types as llama-quantize has them

A line a type: both perplexities by `kungfu score` (windows of 512 tokens, arithmetic in f32), their bytes, and how many numbers of
their tensors are other bits. Ends with 1 where kungfu's is worse by more than a thousandth. needs llama_cpp, gguf."""
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


def perplexity(program, path, text):
    return kungfu(program, "score", path, text, "--window", "512", "--compute", "f32")["perplexity"]


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
    program, model, text, *types = sys.argv[1:]
    c.llama_log_set(silent, None)
    worse = False
    with tempfile.TemporaryDirectory() as tmp:
        source = f"{tmp}/source.gguf"
        kungfu(program, "convert", model, "--out", source, "--dtype", "f32")
        print(f"{'type':8} {'kungfu':>10} {'llama.cpp':>10} {'bytes':>12}  other bytes")
        print(f"{'f32':8} {perplexity(program, source, text):10.4f} {'':10} {os.path.getsize(source):12}", flush=True)
        for name in types or TYPES:
            a, b = f"{tmp}/a.gguf", f"{tmp}/b.gguf"
            subprocess.run([program, "quantize", source, "--to", name, "--out", a, "--quiet", "--ledger", "off"], check=True,
                           stdout=subprocess.DEVNULL)
            theirs(source, b, name)
            x, y = perplexity(program, a, text), perplexity(program, b, text)
            differ, all_of = other_bits(a, b)
            worse |= x > y * 1.001
            print(f"{name:8} {x:10.4f} {y:10.4f} {os.path.getsize(a):12}  {differ} of {all_of}", flush=True)
            os.remove(a), os.remove(b)
    return worse


sys.exit(main())
