#!/usr/bin/env python3
"""GPT-2 124M's shape from random weights by PyTorch.

    gpt2_step.py make FOLDER                          the model, with a tokenizer of bytes
    gpt2_step.py step FOLDER ROWS LENGTH STEPS THREADS    training steps: float32, AdamW, clipping at 1; one JSON line
    gpt2_step.py llmc FOLDER OUT                      the same weights, and bytes to train on, as files that llm.c's program opens in OUT"""
import json
import os
import sys
import time

import numpy
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


LLMC_BLOCK = ["ln_1.weight", "ln_1.bias", "attn.c_attn.weight", "attn.c_attn.bias", "attn.c_proj.weight", "attn.c_proj.bias", "ln_2.weight", "ln_2.bias",
              "mlp.c_fc.weight", "mlp.c_fc.bias", "mlp.c_proj.weight", "mlp.c_proj.bias"]


def header(magic, version, *rest):
    """256 integers, as all of llm.c's files begin."""
    out = numpy.zeros(256, numpy.int32)
    out[:2 + len(rest)] = magic, version, *rest
    return out.tobytes()


def llmc(folder, out):
    model = GPT2LMHeadModel.from_pretrained(folder, dtype=torch.float32)
    c, weights = model.config, model.transformer.state_dict()
    padded = -(-c.vocab_size // 128) * 128
    os.makedirs(out, exist_ok=True)
    with open(os.path.join(out, "gpt2_124M.bin"), "wb") as f:
        f.write(header(20240326, 3, c.n_positions, c.vocab_size, c.n_layer, c.n_head, c.n_embd, padded))
        f.write(torch.nn.functional.pad(weights["wte.weight"], (0, 0, 0, padded - c.vocab_size)).numpy().tobytes())
        f.write(weights["wpe.weight"].numpy().tobytes())
        for name in LLMC_BLOCK:
            for i in range(c.n_layer):
                w = weights[f"h.{i}.{name}"]
                f.write((w.T.contiguous() if w.dim() == 2 else w).numpy().tobytes())  # transformers keeps [in][out]
        f.write(weights["ln_f.weight"].numpy().tobytes() + weights["ln_f.bias"].numpy().tobytes())
    tokens = torch.randint(0, 256, (1 << 16,), generator=torch.Generator().manual_seed(1)).numpy().astype(numpy.uint16)
    os.makedirs(os.path.join(out, "dev/data/tinyshakespeare"), exist_ok=True)
    for part in ("train", "val"):
        with open(os.path.join(out, f"dev/data/tinyshakespeare/tiny_shakespeare_{part}.bin"), "wb") as f:
            f.write(header(20240520, 1, tokens.size) + tokens.tobytes())
    print("{}")


if __name__ == "__main__":
    if sys.argv[1] == "make":
        make(sys.argv[2])
    elif sys.argv[1] == "llmc":
        llmc(*sys.argv[2:4])
    else:
        step(sys.argv[2], *map(int, sys.argv[3:7]))
