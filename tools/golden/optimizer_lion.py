"""Golden values of optimizer_lion.c: lion-pytorch's Lion; and with cautious decay, by its formula.

    python tools/golden/optimizer_lion.py
"""
import torch
from lion_pytorch import Lion
from optimizers import off, parameters, run, save

SETTINGS = {"learning_rate": 0.003, "weight_decay": 0.5}
BETA1, BETA2, STEPS = 0.9, 0.98, 50


def update(name, w, g, state, t):
    if "o" not in state:
        state["p"] = torch.nn.Parameter(w.clone())
        state["o"] = Lion([state["p"]], lr=SETTINGS["learning_rate"], betas=(BETA1, BETA2), weight_decay=SETTINGS["weight_decay"] if w.dim() > 1 else 0.0)
    state["p"].grad = g.clone()
    state["o"].step()
    return state["p"].detach().clone()


def by_formula(cautious):
    def one(name, w, g, state, t):
        m = state.get("m", torch.zeros_like(w))
        step = (m * BETA1 + g * (1 - BETA1)).sign()
        shrunk = w * (1 - SETTINGS["learning_rate"] * (SETTINGS["weight_decay"] if w.dim() > 1 else 0.0))
        w = (torch.where(step * w >= 0, shrunk, w) if cautious else shrunk) - SETTINGS["learning_rate"] * step
        state["m"] = m * BETA2 + g * (1 - BETA2)
        return w
    return one


params = parameters({"matrix": (23, 17), "embed": (19, 8), "head": (19, 8), "norm": (41,), "scalar": (1,)}, 11)
options = f"lion-beta1={BETA1} lion-beta2={BETA2}"
last, _ = run(params, update, STEPS)
print("the formula beside lion-pytorch:", off(run(params, by_formula(False), STEPS)[0], last))
save("optimizer_lion.safetensors", "lion", "lion-pytorch", params, last, SETTINGS, STEPS, 1e-6, "weights", options=options)
last, _ = run(params, by_formula(True), STEPS)
save("optimizer_lion-cautious.safetensors", "lion", "the formula of Lion with cautious decay", params, last, SETTINGS, STEPS, 1e-6, "weights",
     options=options + " cautious-weight-decay=true")
