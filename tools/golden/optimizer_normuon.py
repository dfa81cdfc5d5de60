"""Golden values of optimizer_muon.c with --normuon, and of cautious decay of it and of AdamW: formulas in float64, of
arXiv 2510.05491 (NorMuon: algorithm 1, and the scaling of its authors' program) and 2510.12402 (cautious weight decay).

    python tools/golden/optimizer_normuon.py

float32 is printed beside. The orthogonalization is torch.optim.Muon's but for bfloat16.
"""
import math

import torch
from optimizers import off, parameters, run, save

SETTINGS = {"learning_rate": 0.02, "weight_decay": 0.1}
BETA1, BETA2, EPSILON = 0.9, 0.98, 1e-8
STEPS, MOMENTUM, NORMUON_BETA2 = 50, 0.95, 0.9


def orthogonal(g):
    a, b, c = 3.4445, -4.7750, 2.0315
    x = g.T if g.size(0) > g.size(1) else g
    x = x / x.norm().clamp(min=1e-7)
    for _ in range(5):
        s = x @ x.T
        x = a * x + (b * s + c * s @ s) @ x
    return x.T if g.size(0) > g.size(1) else x


def decayed(w, u, cautious):
    shrunk = w * (1 - SETTINGS["learning_rate"] * (SETTINGS["weight_decay"] if w.dim() > 1 else 0.0))
    return torch.where(u * w >= 0, shrunk, w) if cautious else shrunk


def adamw(w, g, state, t, cautious):
    state["m"] = m = state.get("m", torch.zeros_like(w)).lerp(g, 1 - BETA1)
    state["v"] = v = BETA2 * state.get("v", torch.zeros_like(w)) + (1 - BETA2) * g * g
    u = m / (1 - BETA1 ** t) / (v.sqrt() / math.sqrt(1 - BETA2 ** t) + EPSILON)
    return decayed(w, u, cautious) - SETTINGS["learning_rate"] * u


def muon(w, g, state, rule, cautious, normuon):
    rows, columns = w.shape
    state["m"] = m = state.get("m", torch.zeros_like(w)).lerp(g, 1 - MOMENTUM)
    o = orthogonal(g.lerp(m, MOMENTUM))
    scale = math.sqrt(max(1, rows / columns)) if rule == "original" else 0.2 * math.sqrt(max(rows, columns))
    if normuon:
        before = o.norm()
        state["s"] = s = NORMUON_BETA2 * state.get("s", torch.zeros_like(w[:, :1])) + (1 - NORMUON_BETA2) * (o * o).mean(1, keepdim=True)
        o = o / (s.sqrt() + 1e-10)
        scale = scale * before / (o.norm() + 1e-10) if rule == "original" else 0.2 * math.sqrt(rows * columns) / o.norm()
    return decayed(w, o, cautious) - SETTINGS["learning_rate"] * scale * o


def update(dtype, rule, cautious, normuon):
    def one(name, w, g, state, t):
        w, g = w.to(dtype), g.to(dtype)
        if w.dim() == 2 and rule and not name.startswith(("embed", "head")):
            return muon(w, g, state, rule, cautious, normuon)
        return adamw(w, g, state, t, cautious)
    return one


params = parameters({"tall": (40, 24), "wide": (24, 41), "square": (32, 32), "row": (1, 20), "column": (19, 1), "lora_A": (8, 50), "lora_B": (50, 8),
                     "embed": (31, 8), "norm": (41,)}, 14)
adam = f"adam-beta1={BETA1} adam-beta2={BETA2} adam-epsilon={EPSILON}"
few = {n: params[n] for n in ("wide", "lora_B", "embed", "norm")}
for file, row, ps, rule, cautious, normuon, tolerance in (("muon-normuon-original", "muon", params, "original", False, True, 1e-5),
                                                         ("muon-normuon-match", "muon", few, "match_rms_adamw", False, True, 1e-5),
                                                         ("muon-cautious", "muon", few, "original", True, False, 1e-5),
                                                         ("adamw-cautious", "adamw", few, None, True, False, 1e-6)):
    last, _ = run(ps, update(torch.float64, rule, cautious, normuon), STEPS)
    print(file, "float32 beside float64:", off(run(ps, update(torch.float32, rule, cautious, normuon), STEPS)[0], last))
    words = adam + (f" muon-scale={rule}" if rule else "") + (f" normuon=true normuon-beta2={NORMUON_BETA2}" if normuon else "") + (
        " cautious-weight-decay=true" if cautious else "")
    save(f"optimizer_{file}.safetensors", row, f"the formula, {file}", ps, {n: x.float() for n, x in last.items()}, SETTINGS, STEPS, tolerance, "weights", options=words)
