"""Golden values of objective_classification.c and objective_regression.c: the tiny Llama with a head that classifies, or
says a number, all of it trained, in float64, by transformers' LlamaForSequenceClassification; and transformers' Trainer
beside it.

    python tools/golden/objective_classification.py

The head begins as 0. The file that test_objectives reads says in its metadata whose it is, the model, the rows and the options.
"""
import json
import pathlib
import tempfile

import exact
import torch
from datasets import Dataset
from safetensors.torch import save_file
from transformers import AutoTokenizer, DataCollatorWithPadding, LlamaForSequenceClassification, Trainer, TrainingArguments

GOLDEN = pathlib.Path(__file__).resolve().parents[2] / "test/golden"
STEPS, RATE, DECAY = 10, 2e-3, 0.01
ROWS = [("Which section has games?", "question"), ("The plan is a promise.", "statement"), ("Say it!", "order"),
        ("Is the plan a promise?", "question"), ("No step takes more memory than was planned.", "statement"),
        ("Which section has games", "order"), ("What is naïve about café?", "question"), ("1,024 rows in 2026 🙂", "statement")]
NAMES = sorted({label for _, label in ROWS})
SCORES = [2, 0.5, -1, 1.25, 0, -1.5, 2.5, 3]
KINDS = {"classification": ("classes.jsonl", [label for _, label in ROWS], [NAMES.index(label) for _, label in ROWS], len(NAMES)),
         "regression": ("scores.jsonl", SCORES, [float(x) for x in SCORES], 1)}


def load(outputs):
    m = LlamaForSequenceClassification.from_pretrained(GOLDEN / "llama", dtype=torch.float32, num_labels=outputs).eval()
    torch.nn.init.zeros_(m.score.weight)
    m.config.pad_token_id = None
    return m


def train(model, docs, kind, wanted):
    named = list(model.named_parameters())
    opt = torch.optim.AdamW([{"params": [p for n, p in named if exact.decays(n, p)], "weight_decay": DECAY},
                             {"params": [p for n, p in named if not exact.decays(n, p)], "weight_decay": 0.0}],
                            lr=RATE, betas=(0.9, 0.999), eps=1e-8)
    told = {}
    wanted = torch.tensor(wanted)
    for step in range(STEPS):
        for g in opt.param_groups:
            g["lr"] = RATE * (STEPS - step) / STEPS
        z = torch.cat([model(input_ids=torch.tensor([ids])).logits for ids in docs])
        if kind == "regression":
            loss, measured = torch.nn.functional.mse_loss(z[:, 0], wanted.double()), {"mae": (z[:, 0] - wanted).abs().mean()}
        else:
            loss, measured = torch.nn.functional.cross_entropy(z, wanted), {"accuracy": (z.argmax(-1) == wanted).double().mean()}
        opt.zero_grad()
        loss.backward()
        norm = torch.nn.utils.clip_grad_norm_([p for _, p in named], 1.0)
        opt.step()
        for k, v in ({"loss": loss, "grad_norm": norm} | measured).items():
            told.setdefault(k, []).append(float(v))
    return told


def trainer(tok, docs, wanted, outputs):
    """What transformers' Trainer logs of each step, in float32."""
    model = load(outputs)
    tok.pad_token = tok.pad_token or tok.eos_token
    model.config.pad_token_id = tok.pad_token_id
    rows = Dataset.from_list([{"input_ids": ids, "labels": y} for ids, y in zip(docs, wanted)])
    with tempfile.TemporaryDirectory() as tmp:
        args = TrainingArguments(output_dir=tmp, max_steps=STEPS, per_device_train_batch_size=len(ROWS), learning_rate=RATE,
                                 weight_decay=DECAY, max_grad_norm=1.0, lr_scheduler_type="linear", logging_steps=1, save_strategy="no",
                                 report_to=[], use_cpu=True, optim="adamw_torch", disable_tqdm=True, dataloader_pin_memory=False)
        t = Trainer(model=model, args=args, train_dataset=rows, data_collator=DataCollatorWithPadding(tok))
        t.train()
        return [h for h in t.state.log_history if "loss" in h]


tok = AutoTokenizer.from_pretrained(GOLDEN / "llama")
docs = [tok(text)["input_ids"] for text, _ in ROWS]
options = (f"method=full per-device-train-batch-size={len(ROWS)} max-steps={STEPS} learning-rate={RATE} weight-decay={DECAY} "
           f"warmup-steps=0 micro-batch-tokens=120 max-length=60")
for kind, (file, labels, wanted, outputs) in KINDS.items():
    with open(GOLDEN / file, "w", encoding="utf-8") as f:
        for (text, _), label in zip(ROWS, labels):
            f.write(json.dumps({"text": text, "label": label}, ensure_ascii=False) + "\n")
    with exact.float64():
        told = train(load(outputs).double(), docs, kind, wanted)
    logged = trainer(tok, docs, wanted, outputs)
    for k, v in told.items():
        off = max(abs(a - h.get(k, a)) / max(1, abs(a)) for a, h in zip(v, logged))
        print(kind, k, [round(x, 5) for x in v], "Trainer off by", off)
        assert off < 2e-4, k
    meta = {"objective": kind, "model": "llama", "rows": file, "options": options,
            "reference": "transformers' LlamaForSequenceClassification in float64"}
    save_file({k: torch.tensor(v, dtype=torch.float32) for k, v in told.items()}, GOLDEN / f"values/objective_{kind}.safetensors", meta)
