#!/usr/bin/env python3
"""GPT-2 124M's shape from random weights by PyTorch.

    gpt2_step.py make FOLDER                          the model, with a tokenizer of bytes
    gpt2_step.py step FOLDER ROWS LENGTH STEPS THREADS    training steps: float32, AdamW, clipping at 1; one JSON line"""
import json
import os
import sys
import time

import torch
from transformers import AutoModelForCausalLM, GPT2Config, GPT2LMHeadModel

import peer


def make(folder):
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers
    torch.manual_seed(42)
    model = GPT2LMHeadModel(GPT2Config())
    model.save_pretrained(folder)
    vocabulary = {c: i for i, c in enumerate(sorted(pre_tokenizers.ByteLevel.alphabet()))}
    tokenizer = Tokenizer(models.BPE(vocab=vocabulary, merges=[]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens(["<|endoftext|>"])
    tokenizer.save(os.path.join(folder, "tokenizer.json"))
    with open(os.path.join(folder, "tokenizer_config.json"), "w") as f:
        json.dump({"tokenizer_class": "GPT2Tokenizer", "eos_token": "<|endoftext|>", "bos_token": "<|endoftext|>"}, f)
    print("{}")


def step(folder, rows, length, steps, threads):
    torch.set_num_threads(threads)
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
    model.train()
    optimizer = torch.optim.AdamW(model.parameters(), lr=2e-5, weight_decay=0.0, fused=True)
    batch = torch.randint(0, 256, (rows, length), generator=torch.Generator().manual_seed(1))
    seconds = []
    for _ in range(steps):
        begin = time.perf_counter()
        model(input_ids=batch, labels=batch, use_cache=False).loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()
        seconds.append(time.perf_counter() - begin)
    print(json.dumps({"tokens_per_second": rows * length * (steps - 1) / sum(seconds[1:]), "peak_rss_bytes": peer.peak_rss(),
                      "versions": peer.versions()}))


if __name__ == "__main__":
    if sys.argv[1] == "make":
        make(sys.argv[2])
    else:
        step(sys.argv[2], *map(int, sys.argv[3:7]))
