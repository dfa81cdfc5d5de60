#!/usr/bin/env python3
"""kungfu beside llama.cpp on one file of each family, of about 100 M random numbers: a prompt of 512 tokens, then 64 single ones.

    family_speed.py KUNGFU [--threads N] [--turns N] [FAMILY …]     all families, all processors, three turns where nothing is said

Each family's shape is made by transformers, converted by kungfu, stored as Q8_0. Both programs run in
turns on the same file, and the medians are compared: a line a family, tokens a second and kungfu's multiple. Ends with
1 where a prompt is below 1.3 or decoding below 1. needs transformers, llama_cpp; figures are of a machine that does nothing else."""
import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer, CONFIG_MAPPING

HERE = os.path.dirname(os.path.abspath(__file__))
GOLDEN = f"{HERE}/../test/golden"
WIDE = dict(hidden_size=768, intermediate_size=2048, num_hidden_layers=12, num_attention_heads=12, num_key_value_heads=4,
            max_position_embeddings=2048, vocab_size=301)
FAMILIES = {
    "llama": WIDE,
    "qwen3": WIDE | dict(head_dim=64),
    "gemma3_text": WIDE | dict(head_dim=64, query_pre_attn_scalar=64, sliding_window=512),
    "phi3": WIDE,
    "olmo2": WIDE,
    "gpt_neox": dict(WIDE, num_key_value_heads=None),
    "mixtral": WIDE | dict(hidden_size=512, intermediate_size=1024, num_hidden_layers=8, num_attention_heads=8, num_key_value_heads=4,
                           num_local_experts=8, num_experts_per_tok=2),
}


def make(family, folder):
    """The golden tokenizer's vocabulary, so that the matrices of the blocks are what is measured."""
    torch.manual_seed(1)
    tokenizer = AutoTokenizer.from_pretrained(f"{GOLDEN}/llama")
    options = {k: v for k, v in FAMILIES[family].items() if v is not None}
    ids = dict(bos_token_id=tokenizer.bos_token_id, eos_token_id=tokenizer.eos_token_id, pad_token_id=tokenizer.pad_token_id)
    model = AutoModelForCausalLM.from_config(CONFIG_MAPPING[family](**options, **ids), dtype=torch.float32)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return sum(p.numel() for p in model.parameters())


def ours(program, path, what, n, threads):
    out = subprocess.run([program, "bench", path, f"--{what}", str(n), "--threads", str(threads), "--json", "--quiet", "--ledger", "off"],
                         check=True, capture_output=True, text=True).stdout
    return json.loads(out.strip().splitlines()[-1])[f"{what}_tokens_per_second"]


def theirs(path, what, n, threads):
    out = subprocess.run([sys.executable, f"{HERE}/llama_speed.py", what, path, str(threads), str(n), "3"], check=True,
                         capture_output=True, text=True).stdout
    return json.loads(out.strip().splitlines()[-1])["value"]


def compare(program, path, what, n, threads, turns):
    pairs = [(ours(program, path, what, n, threads), theirs(path, what, n, threads)) for _ in range(turns)]
    return (statistics.median(x) for x in zip(*pairs))


def main():
    p = argparse.ArgumentParser()
    p.add_argument("program")
    p.add_argument("families", nargs="*")
    p.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    p.add_argument("--turns", type=int, default=3)
    o, slow = p.parse_args(), False
    for family in o.families or FAMILIES:
        with tempfile.TemporaryDirectory() as tmp:
            size = make(family, f"{tmp}/folder")
            subprocess.run([o.program, "convert", f"{tmp}/folder", "--out", f"{tmp}/m.gguf", "--dtype", "q8_0", "--quiet", "--ledger",
                            "off"], check=True, stdout=subprocess.DEVNULL)
            line = f"{family:12} {size / 1e6:5.0f} M"
            for what, n, least in (("prefill", 512, 1.3), ("decode", 64, 1.0)):
                a, b = compare(o.program, f"{tmp}/m.gguf", what, n, o.threads, o.turns)
                slow |= a < least * b
                line += f"   {what} {a:7.0f} {b:7.0f} {a / b:5.2f}x"
            print(line, flush=True)
    return slow


sys.exit(main())
