#!/usr/bin/env python3
"""The demo's own job by a plain PyTorch and PEFT loop with padding: the same rows, one epoch of LoRA r 8 on all linear layers,
alpha 16, batch 16, learning rate 1e-3 with 10 steps of warm-up and linear decay; accuracy by summed log-likelihood.

    peft_demo.py MODEL.gguf CACHE TRAIN.jsonl TEST.jsonl THREADS [SEED [STEPS]]     one JSON line; progress on stderr

With STEPS only so many are made, all but the first of them are timed, and the time of the whole epoch is said from that; nothing is evaluated."""
import json
import random
import sys
import time

import torch

import peer

BATCH, LR, WARMUP = 16, 1e-3, 10


def read(path):
    with open(path) as f:
        return [json.loads(line) for line in f]


def accuracy(model, tokenizer, rows):
    """The question once, its 16 answers as one batch on top of its keys and values."""
    model.eval()
    right = 0
    for r in rows:
        query = tokenizer(r["query"])["input_ids"]
        answers = [tokenizer(r["query"] + " " + c)["input_ids"][len(query):] for c in r["choices"]]
        longest = max(map(len, answers))
        padded = torch.tensor([a + [0] * (longest - len(a)) for a in answers])
        with torch.no_grad():
            out = model(input_ids=torch.tensor([query]), use_cache=True)
            first = torch.log_softmax(out.logits[0, -1], -1)
            score = first[padded[:, 0]].clone()
            if longest > 1:
                cache = out.past_key_values
                cache.batch_repeat_interleave(len(answers))
                rest = torch.log_softmax(model(input_ids=padded[:, :-1], past_key_values=cache).logits, -1)
                for i, a in enumerate(answers):
                    score[i] += sum(rest[i, j, t] for j, t in enumerate(a[1:]))
        right += int(score.argmax()) == r["gold"]
    return right / len(rows)


def documents(tokenizer, rows):
    out = []
    for r in rows:
        query = tokenizer(r["query"])["input_ids"]
        ids = tokenizer(r["query"] + " " + r["choices"][r["gold"]])["input_ids"] + [tokenizer.eos_token_id]
        out.append((ids, [-100] * len(query) + ids[len(query):]))
    return out


def collate(docs):
    n = max(len(i) for i, _ in docs)
    pad = lambda xs, v: torch.tensor([x + [v] * (n - len(x)) for x in xs])
    return {"input_ids": pad([i for i, _ in docs], 0), "labels": pad([l for _, l in docs], -100),
            "attention_mask": pad([[1] * len(i) for i, _ in docs], 0)}


def train(model, docs, batch, rates, after=None, first_timed=0):
    """A step for each rate, over the documents in their order; after(step) follows each update. Losses, and the seconds of the steps from first_timed on."""
    params = [p for p in model.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(params, lr=rates[0], weight_decay=0.0, fused=True)
    model.train()
    losses, begin = [], time.perf_counter()
    for s, rate in enumerate(rates):
        if s == first_timed:
            begin = time.perf_counter()
        for group in optimizer.param_groups:
            group["lr"] = rate
        loss = model(**collate(docs[s * batch:(s + 1) * batch]), use_cache=False).loss
        loss.backward()
        torch.nn.utils.clip_grad_norm_(params, 1.0)
        optimizer.step()
        if after:
            after(s)
        optimizer.zero_grad()
        losses.append(float(loss.detach()))
        print(f"step {s + 1}/{len(rates)} loss {losses[-1]:.4f}", file=sys.stderr)
    return losses, time.perf_counter() - begin


def epoch_rates(docs):
    steps = (len(docs) + BATCH - 1) // BATCH
    return [LR * (s / WARMUP if s < WARMUP else (steps - s) / (steps - WARMUP)) for s in range(steps)]


def main():
    gguf, cache, train_rows, test_rows, threads = sys.argv[1:6]
    seed = int(sys.argv[6]) if len(sys.argv) > 6 else 42
    model, tokenizer = peer.load(gguf, cache, int(threads))
    torch.manual_seed(seed)
    docs, test = documents(tokenizer, read(train_rows)), read(test_rows)
    random.Random(seed).shuffle(docs)
    rates = epoch_rates(docs)
    if len(sys.argv) > 7:
        some = int(sys.argv[7])
        seconds = train(peer.with_lora(model), docs, BATCH, rates[:some], first_timed=1)[1] / (some - 1) * len(rates)
        print(json.dumps({"seconds": seconds, "peak_rss_bytes": peer.peak_rss(), "versions": peer.versions()}))
        return
    begin = time.perf_counter()
    before = accuracy(model, tokenizer, test)
    eval_seconds = time.perf_counter() - begin
    print(f"before: {before:.3f} in {eval_seconds:.0f} s", file=sys.stderr)
    model = peer.with_lora(model)
    losses, seconds = train(model, docs, BATCH, rates)
    tokens = sum(len(i) for i, _ in docs)
    print(json.dumps({
        "acc_before": before, "eval_seconds": eval_seconds, "seconds": seconds, "tokens_per_second": tokens / seconds,
        "acc": accuracy(model, tokenizer, test), "loss_last_30": sum(losses[-30:]) / 30, "n": len(test),
        "peak_rss_bytes": peer.peak_rss(), "versions": peer.versions()}))


if __name__ == "__main__":
    main()
