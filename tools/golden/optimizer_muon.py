"""Golden values of optimizer_muon.c: torch.optim.Muon with its Newton-Schulz in float32, and AdamW for the rest.

    python tools/golden/optimizer_muon.py

torch orthogonalizes in bfloat16; how far that is from float32 is printed beside, and float64 too.
"""
import torch
from optimizers import off, parameters, run, save
from torch.optim import _muon

SETTINGS = {"learning_rate": 0.02, "weight_decay": 0.1}
BETA1, BETA2, EPSILON = 0.9, 0.98, 1e-8
STEPS, MOMENTUM, ADAMW_RATE = 50, 0.95, 0.001
in_bfloat16 = _muon._zeropower_via_newtonschulz


def newton_schulz(dtype):
    def orthogonal(g, coefficients, steps, eps):
        a, b, c = coefficients
        x = g.to(dtype)
        x = x.T if g.size(0) > g.size(1) else x
        x = x / x.norm().clamp(min=eps)
        for _ in range(steps):
            s = x @ x.T
            x = a * x + (b * s + c * s @ s) @ x
        return (x.T if g.size(0) > g.size(1) else x).to(g.dtype)
    return orthogonal


def update(rule):
    def one(name, w, g, state, t):
        s = SETTINGS
        if "p" not in state:
            state["p"] = p = torch.nn.Parameter(w.clone())
            if w.dim() == 2 and not name.startswith(("embed", "head")):
                state["o"] = torch.optim.Muon([p], lr=s["learning_rate"], weight_decay=s["weight_decay"], momentum=MOMENTUM, adjust_lr_fn=rule)
            else:
                state["o"] = torch.optim.AdamW([p], lr=ADAMW_RATE, betas=(BETA1, BETA2), eps=EPSILON,
                                               weight_decay=s["weight_decay"] if w.dim() > 1 else 0.0, foreach=False)
        state["p"].grad = g.clone()
        state["o"].step()
        return state["p"].detach().clone()
    return one


params = parameters({"tall": (40, 24), "wide": (24, 41), "square": (32, 32), "row": (1, 20), "column": (19, 1), "lora_A": (8, 50), "lora_B": (50, 8),
                     "embed": (31, 8), "head": (31, 8), "norm": (41,)}, 5)
for rule in ("original", "match_rms_adamw"):
    last = {}
    for how, f in (("float32", newton_schulz(torch.float32)), ("float64", newton_schulz(torch.float64)), ("bfloat16", in_bfloat16)):
        _muon._zeropower_via_newtonschulz = f
        last[how], _ = run(params, update(rule), STEPS)
        print(rule, how, "beside float32:", off(last[how], last["float32"]))
    save(f"optimizer_muon-{rule}.safetensors", "muon", f"torch.optim.Muon in float32, {rule}", params, last["float32"], SETTINGS, STEPS, 1e-5, "weights",
         options=f"adam-beta1={BETA1} adam-beta2={BETA2} adam-epsilon={EPSILON} muon-scale={rule} muon-adamw-learning-rate={ADAMW_RATE}")
