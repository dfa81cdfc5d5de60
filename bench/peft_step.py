#!/usr/bin/env python3
"""Training steps by PyTorch (and PEFT): two documents of 512 tokens, float32, AdamW, clipping at 1.

    peft_step.py full|lora MODEL.gguf CACHE ROWS.jsonl STEPS THREADS     one JSON line
    peft_step.py rows MODEL.gguf CACHE ROWS.jsonl                        writes the two documents as rows of text

A row becomes exactly 512 tokens with its EOS, so both programs see the same two documents in every step, but for a token
here or there: transformers, reading a GGUF, leaves out the splitting of digits that the model's tokenizer has."""
import json
import sys
import time

import torch

import peer

LENGTH, DOCUMENTS = 512, 2
TEXT = "/usr/share/common-licenses/GPL-3"  # on every Debian machine


def longest(tokenizer, text):
    """The longest beginning of so many tokens that EOS makes it LENGTH."""
    end = min(len(text), 8 * LENGTH)
    while len(ids := tokenizer(text[:end])["input_ids"]) > LENGTH - 1:
        end -= max(1, (len(ids) - LENGTH + 1) // 2)
    while len(tokenizer(text[:end + 1])["input_ids"]) == LENGTH - 1:
        end += 1
    assert len(tokenizer(text[:end])["input_ids"]) == LENGTH - 1
    return text[:end]


def write_rows(tokenizer, path):
    text = open(TEXT).read()
    with open(path, "w") as f:
        for _ in range(DOCUMENTS):
            row = longest(tokenizer, text)
            text = text[len(row):]
            f.write(json.dumps({"text": row}) + "\n")
    print("{}")


def main():
    method, gguf, cache, rows = sys.argv[1:5]
    if method == "rows":
        return write_rows(peer.load(gguf, cache, 1)[1], rows)
    steps, threads = int(sys.argv[5]), int(sys.argv[6])
    model, tokenizer = peer.load(gguf, cache, threads)
    model.train()
    if method == "lora":
        model = peer.with_lora(model)
    params = [p for p in model.parameters() if p.requires_grad]
    lr = 2e-4 if method == "lora" else 2e-5
    optimizer = torch.optim.AdamW(params, lr=lr, weight_decay=0.0, fused=True)
    batch = torch.tensor([tokenizer(json.loads(row)["text"])["input_ids"] + [tokenizer.eos_token_id] for row in open(rows)])
    losses, seconds = [], []
    for _ in range(steps):
        begin = time.perf_counter()
        loss = model(input_ids=batch, labels=batch, use_cache=False).loss
        loss.backward()
        torch.nn.utils.clip_grad_norm_(params, 1.0)
        optimizer.step()
        optimizer.zero_grad()
        losses.append(float(loss.detach()))
        seconds.append(time.perf_counter() - begin)
    rate = LENGTH * DOCUMENTS * (steps - 1) / sum(seconds[1:]) if steps > 1 else None
    print(json.dumps({"tokens_per_second": rate, "peak_rss_bytes": peer.peak_rss(), "losses": losses,
                      "versions": peer.versions()}))


if __name__ == "__main__":
    main()
