"""Golden values of objective_mlm.c: the tiny BERT, all of it trained on tokens that are hidden, in float64, by
transformers' BertForMaskedLM. Which tokens are hidden is drawn as data/masking.h says, by Philox4x32-10 (Salmon et al.
2011) as base/rng.c keys it.

    python tools/golden/objective_mlm.py
"""
import json
import pathlib

import exact
import torch
from safetensors.torch import save_file
from transformers import AutoTokenizer, BertForMaskedLM

GOLDEN = pathlib.Path(__file__).resolve().parents[2] / "test/golden"
STEPS, RATE, DECAY, SEED, SHARE, PURPOSE = 10, 2e-3, 0.01, 42, 0.3, 7
ROWS = ["Which section has games?", "The plan is a promise.", "Say it!", "No step takes more memory than was planned.",
        "What is naïve about café?", "1,024 rows in 2026 🙂"]
W32, W64 = 2**32 - 1, 2**64 - 1


def mix(x):
    x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9 & W64
    x = (x ^ x >> 27) * 0x94d049bb133111eb & W64
    return x ^ x >> 31


def words(seed, a, b, c):
    key = seed ^ mix(PURPOSE)
    k0, k1 = key & W32, key >> 32
    x = [a & W32, a >> 32, b, c]
    for _ in range(10):
        p0, p1 = 0xD2511F53 * x[0], 0xCD9E8D57 * x[2]
        x = [(p1 >> 32) ^ x[1] ^ k0, p1 & W32, (p0 >> 32) ^ x[3] ^ k1, p0 & W32]
        k0, k1 = (k0 + 0x9E3779B9) & W32, (k1 + 0xBB67AE85) & W32
    return [w / 2**32 for w in x]


def hide(ids, special, mask, vocabulary, step, place):
    """Ids with some hidden, and what those were (-100: not hidden)."""
    left = sum(i not in special for i in ids)
    wanted = min(max(int(SHARE * left + 0.5), 1), left)
    out, labels = list(ids), [-100] * len(ids)
    for at, i in enumerate(ids):
        if i in special or not wanted:
            continue
        w = words(SEED, step, place, at)
        chosen, left = w[0] * left < wanted, left - 1
        if not chosen:
            continue
        wanted -= 1
        labels[at] = i
        out[at] = mask if w[1] < 0.8 else int(w[2] * vocabulary) if w[1] < 0.9 else i
    return out, labels


def main():
    tok = AutoTokenizer.from_pretrained(GOLDEN / "bert")
    docs = [tok(text, add_special_tokens=False)["input_ids"] for text in ROWS]
    with open(GOLDEN / "texts.jsonl", "w", encoding="utf-8") as f:
        for text in ROWS:
            f.write(json.dumps({"text": text}, ensure_ascii=False) + "\n")
    with exact.float64():
        model = BertForMaskedLM.from_pretrained(GOLDEN / "bert", dtype=torch.float32).eval().double()
        named = list(model.named_parameters())
        opt = torch.optim.AdamW([{"params": [p for n, p in named if exact.decays(n, p)], "weight_decay": DECAY},
                                 {"params": [p for n, p in named if not exact.decays(n, p)], "weight_decay": 0.0}],
                                lr=RATE, betas=(0.9, 0.999), eps=1e-8)
        told = {"loss": [], "grad_norm": []}
        for step in range(STEPS):
            for g in opt.param_groups:
                g["lr"] = RATE * (STEPS - step) / STEPS
            total = n = 0
            for place, ids in enumerate(docs):
                hidden, labels = hide(ids, set(tok.all_special_ids), tok.mask_token_id, model.config.vocab_size, step + 1, place)
                logits = model(input_ids=torch.tensor([hidden])).logits[0]
                total = total + torch.nn.functional.cross_entropy(logits, torch.tensor(labels), reduction="sum")
                n += sum(x >= 0 for x in labels)
            loss = total / n
            opt.zero_grad()
            loss.backward()
            norm = torch.nn.utils.clip_grad_norm_([p for _, p in named], 1.0)
            opt.step()
            told["loss"].append(float(loss))
            told["grad_norm"].append(float(norm))
    print({k: [round(x, 5) for x in v] for k, v in told.items()})
    options = (f"method=full per-device-train-batch-size={len(ROWS)} max-steps={STEPS} learning-rate={RATE} weight-decay={DECAY} "
               f"warmup-steps=0 micro-batch-tokens=120 max-length=60 seed={SEED} mlm-probability={SHARE}")
    meta = {"objective": "mlm", "model": "bert", "rows": "texts.jsonl", "options": options,
            "reference": "transformers' BertForMaskedLM in float64"}
    save_file({k: torch.tensor(v, dtype=torch.float32) for k, v in told.items()}, GOLDEN / "values/objective_mlm.safetensors", meta)


main()
