"""Golden values of trainer_penalty.c and trainer_kl.c: L2-SP, EWC, rates by layer, replay and KL to the base, of the tiny Llama, all its weights,
in float64.

    python tools/golden/remedies.py

The files have the form of objective_dpo.py's; test_objectives reads them.
"""
import copy
import json
import pathlib

import exact
import torch
from safetensors.torch import save_file
from transformers import AutoModelForCausalLM, AutoTokenizer

GOLDEN = pathlib.Path(__file__).resolve().parents[2] / "test/golden"
STEPS, RATE, DECAY = 6, 2e-3, 0.01


def documents(tok, name):
    """(ids, number of prompt tokens); completions end with EOS."""
    out = []
    for line in (GOLDEN / name).read_text(encoding="utf-8").splitlines():
        row = json.loads(line)
        p = tok(row["prompt"], add_special_tokens=False)["input_ids"]
        out.append((tok(row["prompt"] + row.get("completion", row.get("chosen", "")), add_special_tokens=False)["input_ids"]
                    + [tok.eos_token_id], len(p)))
    return out


def logprob(model, doc):
    ids, n = doc
    return exact.token_logprobs(model, ids)[n:].sum()


def log_softmax(model, ids):
    return torch.log_softmax(model(torch.tensor([ids])).logits[0].double(), -1)


def kl_to_base(model, base, docs):
    """Mean over the prompts' tokens of KL(base || tuned), each token given those before it."""
    total, count = 0, 0
    for ids, n in docs:
        with torch.no_grad():
            p = log_softmax(base, ids)[:n - 1]
        total = total + (p.exp() * (p - log_softmax(model, ids)[:n - 1])).sum()
        count += n - 1
    return total / count


def fisher(model, docs, named):
    total = {n: torch.zeros_like(p) for n, p in named}
    for doc in docs:
        grads = torch.autograd.grad(logprob(model, doc), [p for _, p in named])
        for (n, _), g in zip(named, grads):
            total[n] += g ** 2 / len(docs)
    return total


def depth(name, layers):
    part = name.split(".")
    return int(part[part.index("layers") + 1]) + 1 if "layers" in part else 0 if "embed" in name else layers + 1


def train(model, docs, retain, l2, ewc, by_layer, kl):
    named = [(n, p) for n, p in model.named_parameters() if p.requires_grad]
    base = copy.deepcopy(model) if kl else None
    start = {n: p.detach().clone() for n, p in named}
    weight = {n: torch.full_like(p, l2) for n, p in named}
    if ewc:
        for n, f in fisher(model, retain, named).items():
            weight[n] += ewc * f
    layers = model.config.num_hidden_layers
    groups = [{"params": [p], "weight_decay": DECAY if exact.decays(n, p) else 0.0, "by": by_layer ** (layers + 1 - depth(n, layers))}
              for n, p in named]
    opt = torch.optim.AdamW(groups, lr=RATE, betas=(0.9, 0.999), eps=1e-8)
    count = sum(len(ids) - n for ids, n in docs)
    told = {"loss": [], "grad_norm": []}
    for step in range(STEPS):
        for g in opt.param_groups:
            g["lr"] = RATE * g["by"] * (STEPS - step) / STEPS
        loss = -sum(logprob(model, d) for d in docs) / count
        loss = loss + sum((weight[n] * (p - start[n]) ** 2).sum() for n, p in named) / 2
        if kl:
            told.setdefault("kl_to_base", []).append(float(k := kl_to_base(model, base, docs)))
            loss = loss + kl * k
        opt.zero_grad()
        loss.backward()
        told["loss"].append(float(loss))
        told["grad_norm"].append(float(torch.nn.utils.clip_grad_norm_([p for _, p in named], 1.0)))
        opt.step()
    return told


tok = AutoTokenizer.from_pretrained(GOLDEN / "llama")
docs = documents(tok, "rows.jsonl")
for name, l2, ewc, by_layer, replay, kl in (("l2_sp", 2.0, 0, 1, 0, 0), ("ewc", 0.1, 5.0, 1, 0, 0), ("layers", 0, 0, 0.6, 0, 0),
                                            ("replay", 0, 0, 1, 3, 0), ("kl", 0, 0, 1, 0, 3.0)):
    model = AutoModelForCausalLM.from_pretrained(GOLDEN / "llama", dtype=torch.float32).eval().double()
    with exact.float64():
        told = train(model, docs + docs[:replay], docs[:3], l2, ewc, by_layer, kl)
    print(name, told)
    if ewc:
        (GOLDEN / "retain.jsonl").write_text("".join(l + "\n" for l in (GOLDEN / "rows.jsonl").read_text(encoding="utf-8").splitlines()[:3]),
                                             encoding="utf-8")
    options = (f"method=full per-device-train-batch-size={len(docs) + replay} max-steps={STEPS} learning-rate={RATE} weight-decay={DECAY} "
               f"warmup-steps=0 micro-batch-tokens=120 max-length=60 l2-sp={l2} ewc={ewc} layer-lr-decay={by_layer}"
               + (" retain=test/golden/retain.jsonl" if ewc else "")
               + (f" kl-to-base={kl}" if kl else "")
               + (f" replay=test/golden/retain.jsonl replay-ratio={replay / (len(docs) + replay)}" if replay else ""))
    meta = {"objective": "sft", "model": "llama", "rows": "rows.jsonl", "options": options, "reference": f"torch in float64, {name}"}
    save_file({k: torch.tensor(v, dtype=torch.float32) for k, v in told.items()}, GOLDEN / f"values/objective_sft-{name}.safetensors", meta)
