"""Golden values of objective_distill.c: the tiny Llama, all its weights, learns from another of the same vocabulary, in
float64, by the losses of TRL's GKDTrainer (generalized_jsd_loss) and SDFTTrainer (its tail, its divergence, its
teacher's prompt).

    python tools/golden/objective_distill.py
"""
import copy
import json
import pathlib

import exact
import torch
from safetensors.torch import save_file
from transformers import AutoModelForCausalLM, AutoTokenizer
from trl.experimental.gkd import GKDTrainer
from trl.experimental.sdft.loss_utils import add_tail_bucket, compute_divergence

GOLDEN = pathlib.Path(__file__).resolve().parents[2] / "test/golden"
STEPS, DECAY = 10, 0.01
KINDS = {"forward": {"beta": 0.0}, "reverse": {"beta": 1.0},
         "skewed": {"beta": 0.3, "temperature": 2.0, "kd-ratio": 0.4},
         # 17: in every row the teacher's 17th token is well apart from its 18th; its 20th and 21st are not in float32
         "top": {"beta": 0.5, "top-k": 17},
         # SDFT: the teacher is the model at the start, and is shown the answer
         "privileged": {"beta": 0.0, "privileged-context": "completion"},
         "tail-skewed": {"beta": 0.7, "top-k": 5, "add-tail": True, "temperature": 0.5}}


def divergence(student, teacher, o):
    """Of one token each row."""
    t, beta = o.get("temperature", 1.0), o["beta"]
    if "top-k" not in o:
        rows = GKDTrainer.generalized_jsd_loss(student[None], teacher[None], beta=beta, temperature=t, reduction="none")
        return rows[0].sum(-1)
    s, p = torch.log_softmax(student / t, -1), torch.log_softmax(teacher / t, -1)
    top = torch.topk(p, o["top-k"], dim=-1).indices
    s, p = s.gather(-1, top), p.gather(-1, top)
    if o.get("add-tail"):
        s, p = add_tail_bucket(s), add_tail_bucket(p)
    else:
        s, p = s - torch.logsumexp(s, -1, keepdim=True), p - torch.logsumexp(p, -1, keepdim=True)
    return compute_divergence(s, p, beta)


def rate_of(o):
    """Of the top alone most logits have no gradient, and AdamW makes much of the rounding of float32 in what is near 0."""
    return 2e-4 if "top-k" in o and not o.get("add-tail") else 2e-3


def train(model, teacher, docs, o):
    named = [(n, p) for n, p in model.named_parameters() if p.requires_grad]
    groups = [{"params": [p for n, p in named if exact.decays(n, p)], "weight_decay": DECAY},
              {"params": [p for n, p in named if not exact.decays(n, p)], "weight_decay": 0.0}]
    opt = torch.optim.AdamW(groups, lr=rate_of(o), betas=(0.9, 0.999), eps=1e-8)
    ratio, told = o.get("kd-ratio", 1.0), {"loss": [], "grad_norm": []}
    for step in range(STEPS):
        for g in opt.param_groups:
            g["lr"] = rate_of(o) * (STEPS - step) / STEPS
        total = n = 0
        for ids, first, shown in docs:
            s = exact.logits_of(model, ids)[first - 1:-1]
            with torch.no_grad():
                asked = shown if "privileged-context" in o else ids[:first]
                t = exact.logits_of(teacher, asked + ids[first:])[len(asked) - 1:-1]
            own = torch.nn.functional.cross_entropy(s, torch.tensor(ids[first:]), reduction="sum")
            total = total + ratio * divergence(s, t, o).sum() + (1 - ratio) * own
            n += len(ids) - first
        loss = total / n
        opt.zero_grad()
        loss.backward()
        told["grad_norm"].append(float(torch.nn.utils.clip_grad_norm_([p for _, p in named], 1.0)))
        told["loss"].append(float(loss.detach()))
        opt.step()
    return told


def main():
    tok = AutoTokenizer.from_pretrained(GOLDEN / "llama")
    load = lambda name: AutoModelForCausalLM.from_pretrained(GOLDEN / name, dtype=torch.float32).eval()
    model, teacher, docs = load("llama"), load("llama-untied"), []
    for line in (GOLDEN / "rows.jsonl").read_text(encoding="utf-8").splitlines():
        row = json.loads(line)
        first = len(tok(row["prompt"], add_special_tokens=False)["input_ids"])
        ids = tok(row["prompt"] + row["completion"], add_special_tokens=False)["input_ids"] + [tok.eos_token_id]
        docs.append((ids, first, tok(row["prompt"] + "\n\n" + row["completion"], add_special_tokens=False)["input_ids"]))
    with exact.float64():
        for name, o in KINDS.items():
            told = train(copy.deepcopy(model).double(), copy.deepcopy(model if "privileged-context" in o else teacher).double(), docs, o)
            print(name, {k: [round(x, 5) for x in v] for k, v in told.items()})
            options = (f"method=full per-device-train-batch-size=4 max-steps={STEPS} learning-rate={rate_of(o)} weight-decay={DECAY} "
                       "warmup-steps=0 micro-batch-tokens=120 max-length=60 "
                       + ("" if "privileged-context" in o else "teacher=test/golden/llama-untied ") + " ".join(f"{k}={str(v).lower()}" for k, v in o.items()))
            meta = {"objective": "distill", "model": "llama", "rows": "rows.jsonl", "options": options,
                    "reference": f"TRL's divergences in float64, {name}"}
            save_file({k: torch.tensor(v, dtype=torch.float32) for k, v in told.items()},
                      GOLDEN / f"values/objective_distill-{name}.safetensors", meta)


main()
