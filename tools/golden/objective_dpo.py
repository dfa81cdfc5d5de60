"""Golden values of objective_dpo.c: DPO of the tiny Llama, all its weights, in float64, and TRL's DPOTrainer beside it.

    python tools/golden/objective_dpo.py

The file that test_objectives reads says in its metadata whose it is, the model, the rows and the options; a tensor is what is
told of each step under its name.
"""
import copy
import json
import pathlib
import tempfile

import exact
import torch
from datasets import Dataset
from safetensors.torch import save_file
from transformers import AutoModelForCausalLM, AutoTokenizer
from trl import DPOConfig, DPOTrainer

GOLDEN = pathlib.Path(__file__).resolve().parents[2] / "test/golden"
STEPS, RATE, DECAY = 6, 2e-3, 0.01
PAIRS = [
    ("Which section has games?", " games", " a longer answer"),
    ("Which section has games?", " the plan is a promise", " games"),
    ("Is the plan a promise?", " It is: no step takes more memory.", " It is not."),
    ("How many rows in 2026?", " 1,024 rows", " 1,024 rows, or 7"),
    ("What is naïve about café?", " Nothing at all 🙂", " All of it"),
    ("Say it:", " mail", " net"),
]


def documents(tok):
    """(ids, number of prompt tokens) of chosen and rejected of each pair; the completions end with EOS."""
    out = []
    for prompt, *completions in PAIRS:
        p = tok(prompt, add_special_tokens=False)["input_ids"]
        both = [tok(prompt + c, add_special_tokens=False)["input_ids"] for c in completions]
        assert all(b[:len(p)] == p for b in both), prompt
        out.append([(b + [tok.eos_token_id], len(p)) for b in both])
    return out


def loss_of(kind, delta, mean_delta, beta, smoothing):
    f = torch.nn.functional
    if kind == "sigmoid":
        return -(1 - smoothing) * f.logsigmoid(beta * delta) - smoothing * f.logsigmoid(-beta * delta)
    if kind == "hinge":
        return torch.relu(1 - beta * delta)
    return (mean_delta - 1 / (2 * beta)) ** 2


def train(model, docs, kind, beta, smoothing):
    sums = lambda m: torch.stack([torch.stack([exact.token_logprobs(m, ids)[n:].sum() for ids, n in pair]) for pair in docs])
    count = torch.tensor([[len(ids) - n for ids, n in pair] for pair in docs])
    reference = sums(model).detach()
    named = [(n, p) for n, p in model.named_parameters() if p.requires_grad]
    groups = [{"params": [p for n, p in named if exact.decays(n, p)], "weight_decay": DECAY},
              {"params": [p for n, p in named if not exact.decays(n, p)], "weight_decay": 0.0}]
    opt = torch.optim.AdamW(groups, lr=RATE, betas=(0.9, 0.999), eps=1e-8)
    told = {}
    for step in range(STEPS):
        for g in opt.param_groups:
            g["lr"] = RATE * (STEPS - step) / STEPS
        policy = sums(model)
        ratio = policy - reference
        mean = ratio / count
        loss = loss_of(kind, ratio[:, 0] - ratio[:, 1], mean[:, 0] - mean[:, 1], beta, smoothing).mean()
        opt.zero_grad()
        loss.backward()
        norm = torch.nn.utils.clip_grad_norm_([p for _, p in named], 1.0)
        opt.step()
        rewards = beta * ratio.detach()
        now = {"loss": loss, "grad_norm": norm, "rewards/chosen": rewards[:, 0].mean(), "rewards/rejected": rewards[:, 1].mean(),
               "rewards/accuracies": (rewards[:, 0] > rewards[:, 1]).double().mean(),
               "rewards/margins": (rewards[:, 0] - rewards[:, 1]).mean(), "logps/chosen": policy[:, 0].mean(),
               "logps/rejected": policy[:, 1].mean()}
        for k, v in now.items():
            told.setdefault(k, []).append(float(v))
    return told


def trl(model, tok, kind, beta, smoothing):
    """What TRL logs of each step, in float32."""
    rows = Dataset.from_list([{"prompt": p, "chosen": c, "rejected": r} for p, c, r in PAIRS])
    with tempfile.TemporaryDirectory() as tmp:
        args = DPOConfig(output_dir=tmp, max_steps=STEPS, per_device_train_batch_size=len(PAIRS), learning_rate=RATE, weight_decay=DECAY,
                         max_grad_norm=1.0, lr_scheduler_type="linear", logging_steps=1, save_strategy="no",
                         report_to=[], use_cpu=True, optim="adamw_torch", disable_tqdm=True, dataloader_pin_memory=False, beta=beta,
                         loss_type=[kind], label_smoothing=smoothing, bf16=False, gradient_checkpointing=False, max_length=None)
        t = DPOTrainer(model=copy.deepcopy(model), ref_model=copy.deepcopy(model), args=args, train_dataset=rows, processing_class=tok)
        t.train()
        return [h for h in t.state.log_history if "loss" in h]


tok = AutoTokenizer.from_pretrained(GOLDEN / "llama")
model = AutoModelForCausalLM.from_pretrained(GOLDEN / "llama", dtype=torch.float32).eval()
docs = documents(tok)
with open(GOLDEN / "pairs.jsonl", "w", encoding="utf-8") as f:
    for p, c, r in PAIRS:
        f.write(json.dumps({"prompt": p, "chosen": c, "rejected": r}, ensure_ascii=False) + "\n")
for name, kind, beta, smoothing in (("sigmoid", "sigmoid", 0.1, 0.0), ("smoothed", "sigmoid", 0.5, 0.2), ("hinge", "hinge", 0.1, 0.0), ("ipo", "ipo", 0.1, 0.0)):
    with exact.float64():
        told = train(copy.deepcopy(model).double(), docs, kind, beta, smoothing)
    # TRL's sigmoid takes no label smoothing: Mitchell's cDPO is OpenRLHF's
    logged = trl(model, tok, kind, beta, smoothing) if not smoothing else None
    for k, v in told.items():
        off = max(abs(a - h[k]) / max(1, abs(a)) for a, h in zip(v, logged)) if logged else 0
        print(name, k, [round(x, 4) for x in v], "TRL off by", off)
        assert off < 2e-4, k  # TRL rounds what it logs
    options = (f"method=full per-device-train-batch-size={len(PAIRS)} max-steps={STEPS} learning-rate={RATE} weight-decay={DECAY} "
               f"warmup-steps=0 micro-batch-tokens=120 max-length=60 loss-type={kind} beta={beta} label-smoothing={smoothing}")
    meta = {"objective": "dpo", "model": "llama", "rows": "pairs.jsonl", "options": options,
            "reference": f"torch in float64, {kind}, beta {beta}, label smoothing {smoothing}"}
    save_file({k: torch.tensor(v, dtype=torch.float32) for k, v in told.items()}, GOLDEN / f"values/objective_dpo-{name}.safetensors", meta)
