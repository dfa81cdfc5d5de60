"""Golden values of adding adapters up: PEFT's add_weighted_adapter on the tiny models, and mergekit's arithmetic.

    python tools/golden/combinations.py

Two adapters of one rank on different modules (test/golden/combined/MODEL/a and b); values/combined.safetensors has, for
each model, combination type and module of a few, the first rows of what is added to its weight. Random ways are not
here: their numbers are ours."""
import os
import sys

import torch
from peft import LoraConfig, get_peft_model
from safetensors.torch import save_file
from transformers import AutoModelForCausalLM

GOLDEN = os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../test/golden")
WEIGHTS, DENSITY, ROWS = [0.7, -0.4], 0.4, 12
TYPES = ["linear", "cat", "svd", "ties", "ties_svd", "magnitude_prune", "magnitude_prune_svd"]
TARGETS = {"llama": (["q_proj", "down_proj", "embed_tokens"], ["q_proj", "v_proj", "embed_tokens"]),
           "gpt2": (["c_attn", "wte"], ["c_attn", "c_fc"])}


def fill(model, name, seed):
    g = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for n, p in model.named_parameters():
            if f".{name}" in n and "lora_" in n:
                p.copy_(torch.randn(p.shape, generator=g) * 0.2)


def added(layer, name):
    """[out][in], or an embedding's [V][C]: the product as files have the weight."""
    with torch.no_grad():
        d = layer.get_delta_weight(name)
    return d.T if getattr(layer, "fan_in_fan_out", False) else d


def make(which):
    base = AutoModelForCausalLM.from_pretrained(os.path.join(GOLDEN, which), dtype=torch.float32)
    a, b = TARGETS[which]
    same = {"r": 4, "task_type": "CAUSAL_LM", "init_lora_weights": True}
    m = get_peft_model(base, LoraConfig(target_modules=a, lora_alpha=8, **same), adapter_name="a")
    m.add_adapter("b", LoraConfig(target_modules=b, lora_alpha=2, use_rslora=True, **same))
    fill(m, "a", 1)
    fill(m, "b", 2)
    for name in "ab":
        m.peft_config[name].base_model_name_or_path = f"../../../{which}"
    folder = os.path.join(GOLDEN, "combined", which)
    m.save_pretrained(folder, selected_adapters=["a", "b"])
    os.remove(os.path.join(folder, "README.md"))
    out = {}
    for kind in TYPES:
        density = {} if kind in ("linear", "cat", "svd") else {"density": DENSITY}
        m.base_model.add_weighted_adapter(["a", "b"], WEIGHTS, kind, combination_type=kind, **density)
        m.peft_config[kind].use_rslora = False
        for n, layer in m.named_modules():
            has = hasattr(layer, "lora_A") and (kind in layer.lora_A or kind in layer.lora_embedding_A)
            if has and ("layers.0" in n or "h.0." in n or "embed" in n or "wte" in n):
                layer.scaling[kind] = 1.0
                out[f"{which}.{kind}.{n.removeprefix('base_model.model.')}"] = added(layer, kind)[:ROWS].contiguous()
    return out


def mergekit():
    """One tensor of three models, by the formulas of mergekit's linear, slerp, task arithmetic and TIES."""
    g = torch.Generator().manual_seed(3)
    base, x, y = (torch.randn(5, 7, generator=g) for _ in range(3))
    w = [0.7, 0.3]
    out = {"models.base": base, "models.x": x, "models.y": y}
    out["models.linear"] = (x * w[0] + y * w[1]) / sum(w)
    deltas = torch.stack([x - base, y - base])
    weights = torch.tensor(w).view(2, 1, 1)
    out["models.task_arithmetic"] = base + (deltas * weights).sum(0)
    kept = []
    for d in deltas:
        k = int(DENSITY * d.numel())
        mask = torch.zeros(d.numel())
        mask[torch.argsort(d.abs().view(-1), descending=True)[:k]] = 1
        kept.append(d * mask.view_as(d))
    mixed = torch.stack(kept) * weights
    sign = (mixed.sum(0) >= 0).float() * 2 - 1
    mask = (mixed.sign() == sign).float()
    divisor = (weights * mask).sum(0)
    divisor[divisor == 0] = 1
    out["models.ties"] = base + (mixed * mask).sum(0) / divisor
    t, dot = 0.3, float((x / x.norm() * (y / y.norm())).sum())
    angle = torch.arccos(torch.tensor(dot, dtype=torch.float64))
    s = torch.sin
    out["models.slerp"] = (s((1 - t) * angle) / s(angle) * x + s(t * angle) / s(angle) * y).float()
    return out


def main():
    values = mergekit()
    for which in TARGETS:
        values.update(make(which))
    save_file({k: v.float().contiguous() for k, v in values.items()}, os.path.join(GOLDEN, "values", "combined.safetensors"))


if __name__ == "__main__":
    sys.exit(main())
