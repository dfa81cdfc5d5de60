"""Golden values of objective_mlm.c: the tiny BERT, all of it trained on tokens that are hidden, in float64, by
transformers' BertForMaskedLM. Which tokens are hidden is drawn as data/masking.h says, by base/rng.c's random words.

    python tools/golden/objective_mlm.py
"""
import json
import pathlib

import exact
import philox
import torch
from safetensors.torch import save_file
from transformers import AutoTokenizer, BertForMaskedLM

GOLDEN = pathlib.Path(__file__).resolve().parents[2] / "test/golden"
STEPS, RATE, DECAY, SEED, SHARE = 10, 2e-3, 0.01, 42, 0.3
ROWS = ["Which section has games?", "The plan is a promise.", "Say it!", "No step takes more memory than was planned.",
        "What is naïve about café?", "1,024 rows in 2026 🙂"]


def hide(ids, special, mask, vocabulary, step, place):
    """Ids with some hidden, and what those were (-100: not hidden)."""
    left = sum(i not in special for i in ids)
    wanted = min(max(int(SHARE * left + 0.5), 1), left)
    out, labels = list(ids), [-100] * len(ids)
    for at, i in enumerate(ids):
        if i in special or not wanted:
            continue
        w = philox.units(SEED, philox.MASK, step, place, at)
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


if __name__ == "__main__":
    main()
