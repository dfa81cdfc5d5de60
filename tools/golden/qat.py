"""Golden values of --qat: the tiny Llama, all its weights, computed with as gguf's own quantizers store them, straight-through.

    python tools/golden/qat.py

Latent weights, gradients and AdamW are torch's, in float32: in float64 some numbers would round to another integer.
"""
import json
import pathlib

import gguf
import numpy as np
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

GOLDEN = pathlib.Path(__file__).resolve().parents[2] / "test/golden"
TYPE = gguf.GGMLQuantizationType
STEPS, RATE = 6, 2e-3

class Stored(torch.autograd.Function):
    @staticmethod
    def forward(ctx, w, kind):
        return torch.from_numpy(gguf.quants.dequantize(gguf.quants.quantize(np.ascontiguousarray(w.numpy()), kind), kind).astype(np.float32))

    @staticmethod
    def backward(ctx, g):
        return g, None

def train(kind):
    model = AutoModelForCausalLM.from_pretrained(GOLDEN / "llama", dtype=torch.float32).eval()
    tok, docs = AutoTokenizer.from_pretrained(GOLDEN / "llama"), []
    for line in (GOLDEN / "rows.jsonl").read_text(encoding="utf-8").splitlines():
        row = json.loads(line)
        first = len(tok(row["prompt"], add_special_tokens=False)["input_ids"])
        docs.append((tok(row["prompt"] + row["completion"], add_special_tokens=False)["input_ids"] + [tok.eos_token_id], first))
    latent = {n: p for n, p in model.named_parameters()}
    opt = torch.optim.AdamW([{"params": [p for p in latent.values()], "weight_decay": 0.0}], lr=RATE, betas=(0.9, 0.999), eps=1e-8)
    told = {"loss": [], "grad_norm": []}
    for step in range(STEPS):
        for g in opt.param_groups:
            g["lr"] = RATE * (STEPS - step) / STEPS
        stored = {n: Stored.apply(p, TYPE.Q8_0 if "embed" in n else kind) if p.dim() == 2 else p for n, p in latent.items()}
        total = n = 0
        for ids, first in docs:
            logits = torch.func.functional_call(model, {**stored, "lm_head.weight": stored["model.embed_tokens.weight"]},
                                                (torch.tensor([ids]),)).logits[0, first - 1:-1]
            total = total + torch.nn.functional.cross_entropy(logits, torch.tensor(ids[first:]), reduction="sum")
            n += len(ids) - first
        loss = total / n
        opt.zero_grad()
        loss.backward()
        told["grad_norm"].append(float(torch.nn.utils.clip_grad_norm_(list(latent.values()), 1.0)))
        told["loss"].append(float(loss.detach()))
        opt.step()
    return told

def main():
    torch.set_num_threads(1)
    out = {name: train(kind) for name, kind in (("q4_0", TYPE.Q4_0), ("q8_0", TYPE.Q8_0), ("mxfp4", TYPE.MXFP4))}
    (GOLDEN / "qat.json").write_text(json.dumps({"steps": STEPS, "learning_rate": RATE, **out}, indent=1) + "\n")

main()
