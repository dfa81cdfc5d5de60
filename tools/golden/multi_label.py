"""Golden values of several labels a text: ten steps of the tiny Llama's LlamaForSequenceClassification in float64 with
problem_type multi_label_classification, all of it trained, whose head begins as 0.

    python tools/golden/multi_label.py
"""
import json
import pathlib

import exact
import torch
from safetensors.torch import save_file
from transformers import AutoTokenizer, LlamaForSequenceClassification

GOLDEN = pathlib.Path(__file__).resolve().parents[2] / "test/golden"
STEPS, RATE, DECAY = 10, 2e-3, 0.01
ROWS = [("Which section has games?", ["question", "game"]), ("The plan is a promise.", ["statement"]), ("Say it!", []),
        ("Is the plan a promise?", ["question"]), ("No step takes more memory than was planned.", ["statement", "game", "question"]),
        ("What is naïve about café?", ["question"])]
NAMES = sorted({n for _, names in ROWS for n in names})

tok = AutoTokenizer.from_pretrained(GOLDEN / "llama")
docs = [tok(text)["input_ids"] for text, _ in ROWS]
wanted = torch.tensor([[float(n in names) for n in NAMES] for _, names in ROWS], dtype=torch.float64)
with open(GOLDEN / "labels.jsonl", "w", encoding="utf-8") as f:
    for text, names in ROWS:
        f.write(json.dumps({"text": text, "labels": names}, ensure_ascii=False) + "\n")
told = {}
with exact.float64():
    m = LlamaForSequenceClassification.from_pretrained(GOLDEN / "llama", dtype=torch.float32, num_labels=len(NAMES),
                                                       problem_type="multi_label_classification").eval().double()
    torch.nn.init.zeros_(m.score.weight)
    m.config.pad_token_id = None
    named = list(m.named_parameters())
    opt = torch.optim.AdamW([{"params": [p for n, p in named if exact.decays(n, p)], "weight_decay": DECAY},
                             {"params": [p for n, p in named if not exact.decays(n, p)], "weight_decay": 0.0}],
                            lr=RATE, betas=(0.9, 0.999), eps=1e-8)
    for step in range(STEPS):
        for g in opt.param_groups:
            g["lr"] = RATE * (STEPS - step) / STEPS
        out = [m(input_ids=torch.tensor([ids]), labels=y[None]) for ids, y in zip(docs, wanted)]
        loss, z = sum(o.loss for o in out) / len(out), torch.cat([o.logits for o in out])
        opt.zero_grad()
        loss.backward()
        norm = torch.nn.utils.clip_grad_norm_([p for _, p in named], 1.0)
        opt.step()
        accuracy = ((z > 0) == (wanted > 0)).all(-1).double().mean()
        for k, v in {"loss": loss, "grad_norm": norm, "accuracy": accuracy}.items():
            told.setdefault(k, []).append(float(v))
print(told)
meta = {"objective": "classification", "model": "llama", "rows": "labels.jsonl",
        "options": f"method=full per-device-train-batch-size={len(ROWS)} max-steps={STEPS} learning-rate={RATE} weight-decay={DECAY} "
                   f"warmup-steps=0 micro-batch-tokens=120 max-length=60",
        "reference": "transformers' LlamaForSequenceClassification of several labels in float64"}
save_file({k: torch.tensor(v, dtype=torch.float32) for k, v in told.items()}, GOLDEN / "values/objective_multi_label.safetensors", meta)
