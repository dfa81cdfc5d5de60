"""Tiny models with a head that classifies, as transformers' own …ForSequenceClassification save them, and their golden
values: of the rows of classes.jsonl the outputs, the gradient of the sum of the losses, and ten steps of training.

    python tools/golden/classifiers.py [NAME …]

NAME-classes/ is the folder, values/classifier_NAME.safetensors has logits and gradients (test_classifier),
values/objective_classification_NAME.safetensors the steps (test_objectives). Run tools/golden/objective_classification.py
before: it writes classes.jsonl.
"""
import json
import pathlib
import shutil
import sys

import exact
import torch
from safetensors.torch import save_file
from transformers import AutoModelForSequenceClassification, AutoTokenizer

GOLDEN = pathlib.Path(__file__).resolve().parents[2] / "test/golden"
MODELS = {"llama": {}, "gpt2": {}, "bert": {}, "roberta": {}, "distilbert": {}, "modernbert": {"classifier_pooling": "mean"}}
NO_DROPOUT = {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0, "classifier_dropout": 0.0, "dropout": 0.0,
              "attention_dropout": 0.0, "seq_classif_dropout": 0.0}
STEPS, RATE, DECAY = 10, 2e-3, 0.01
ROWS = [json.loads(line) for line in open(GOLDEN / "classes.jsonl", encoding="utf-8")]
NAMES = sorted({r["label"] for r in ROWS})
WANTED = torch.tensor([NAMES.index(r["label"]) for r in ROWS])
PAIRS = [("The plan is a promise.", "It is.", "statement"), ("Which section has games?", "No step takes more memory than was planned.", "question"),
         ("Say it!", "Now.", "order"), ("What is naïve?", "Which one?", "question")]
# what stands around a text and between two (no padding token, whose rows PyTorch does not train), of which the second has type 1 in a BERT
PROCESSORS = {
    "bert": {"type": "TemplateProcessing",
             "single": [{"SpecialToken": {"id": "<|begin|>", "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}}, {"SpecialToken": {"id": "<|endoftext|>", "type_id": 0}}],
             "pair": [{"SpecialToken": {"id": "<|begin|>", "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}}, {"SpecialToken": {"id": "<|endoftext|>", "type_id": 0}},
                      {"Sequence": {"id": "B", "type_id": 1}}, {"SpecialToken": {"id": "<|endoftext|>", "type_id": 1}}],
             "special_tokens": {"<|begin|>": {"id": "<|begin|>", "ids": [1], "tokens": ["<|begin|>"]}, "<|endoftext|>": {"id": "<|endoftext|>", "ids": [0], "tokens": ["<|endoftext|>"]}}},
    "roberta": {"type": "RobertaProcessing", "sep": ["<|end|>", 2], "cls": ["<|endoftext|>", 0], "trim_offsets": True, "add_prefix_space": False},
}


def rate_of(name):
    """AdamW makes whole steps of gradients that are float32's rounding: where that shows within ten, steps are smaller."""
    return {"modernbert": 5e-4}.get(name, RATE)


def options_of(name):
    return (f"method=full per-device-train-batch-size={len(ROWS)} max-steps={STEPS} learning-rate={rate_of(name)} weight-decay={DECAY} "
            f"warmup-steps=0 micro-batch-tokens=120 max-length=60")


def make(name, out):
    """The base model with another head, saved."""
    torch.manual_seed(20 + len(name))
    m = AutoModelForSequenceClassification.from_pretrained(
        GOLDEN / name, dtype=torch.float32, num_labels=len(NAMES), id2label=dict(enumerate(NAMES)),
        label2id={n: i for i, n in enumerate(NAMES)}, problem_type="single_label_classification", **MODELS[name])
    if name in ("llama", "gpt2"):
        m.config.pad_token_id = None
    with torch.no_grad():
        for n, p in m.named_parameters():
            if any(w in n for w in ("score", "classifier", "pooler")):
                p.copy_(0.4 * torch.randn_like(p))
    m.save_pretrained(out)
    for f in (GOLDEN / name).iterdir():
        if f.name.startswith(("tokenizer", "special")):
            shutil.copy(f, out)
    if name in PROCESSORS:
        j = json.load(open(out / "tokenizer.json", encoding="utf-8"))
        j["post_processor"] = PROCESSORS[name]
        json.dump(j, open(out / "tokenizer.json", "w", encoding="utf-8"), ensure_ascii=False)


def load(out):
    return AutoModelForSequenceClassification.from_pretrained(out, dtype=torch.float32, attn_implementation="eager").eval()


def outputs(m, docs):
    return torch.cat([m(input_ids=torch.tensor([ids])).logits for ids in docs])


def paired(m, tok):
    """Outputs and gradients of the pairs."""
    rows = [tok(a, b, return_token_type_ids="Bert" in type(m).__name__) for a, b, _ in PAIRS]
    z = torch.cat([m(**{k: torch.tensor([v]) for k, v in r.items()}).logits for r in rows])
    m.zero_grad()
    torch.nn.functional.cross_entropy(z, torch.tensor([NAMES.index(label) for _, _, label in PAIRS]), reduction="sum").backward()
    return {"logits": z.detach()} | {f"grad.{n}": p.grad for n, p in m.named_parameters() if p.grad is not None}


def train(m, docs, rate):
    named = list(m.named_parameters())
    opt = torch.optim.AdamW([{"params": [p for n, p in named if exact.decays(n, p)], "weight_decay": DECAY},
                             {"params": [p for n, p in named if not exact.decays(n, p)], "weight_decay": 0.0}],
                            lr=rate, betas=(0.9, 0.999), eps=1e-8)
    told = {}
    for step in range(STEPS):
        for g in opt.param_groups:
            g["lr"] = rate * (STEPS - step) / STEPS
        z = outputs(m, docs)
        loss = torch.nn.functional.cross_entropy(z, WANTED)
        opt.zero_grad()
        loss.backward()
        norm = torch.nn.utils.clip_grad_norm_([p for _, p in named if p.grad is not None], 1.0)
        opt.step()
        for k, v in {"loss": loss, "grad_norm": norm, "accuracy": (z.argmax(-1) == WANTED).double().mean()}.items():
            told.setdefault(k, []).append(float(v))
    return told


for name in sys.argv[1:] or MODELS:
    out = GOLDEN / f"{name}-classes"
    make(name, out)
    tok = AutoTokenizer.from_pretrained(out)
    docs = [tok(r["text"])["input_ids"] for r in ROWS]
    plain = outputs(load(out), docs)
    with exact.float64():
        m = load(out).double()
        z = outputs(m, docs)
        torch.nn.functional.cross_entropy(z, WANTED, reduction="sum").backward()
        values = {"logits": z.detach()} | {f"grad.{n}": p.grad for n, p in m.named_parameters() if p.grad is not None}
        told = train(load(out).double(), docs, rate_of(name))
    if name in PROCESSORS:
        with open(GOLDEN / "class_pairs.jsonl", "w", encoding="utf-8") as f:
            for a, b, label in PAIRS:
                f.write(json.dumps({"sentence1": a, "sentence2": b, "label": label}, ensure_ascii=False) + "\n")
        with exact.float64():
            save_file({k: v.float().contiguous() for k, v in paired(load(out).double(), tok).items()},
                      GOLDEN / f"values/classifier_{name}_pairs.safetensors",
                      {"model": out.name, "rows": "class_pairs.jsonl", "reference": f"transformers' {type(m).__name__} in float64"})
    off = float((plain - z).abs().max() / z.abs().max())
    print(name, "float32 off by", off, [round(x, 5) for x in told["loss"]])
    assert off < 1e-5
    who = f"transformers' {type(m).__name__} in float64"
    save_file({k: v.float().contiguous() for k, v in values.items()}, GOLDEN / f"values/classifier_{name}.safetensors",
              {"model": out.name, "rows": "classes.jsonl", "reference": who})
    save_file({k: torch.tensor(v, dtype=torch.float32) for k, v in told.items()},
              GOLDEN / f"values/objective_classification_{name}.safetensors",
              {"objective": "classification", "model": out.name, "rows": "classes.jsonl", "options": options_of(name), "reference": who})
