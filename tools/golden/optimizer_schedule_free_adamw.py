"""Golden values of optimizer_schedule_free_adamw.c: schedulefree's AdamWScheduleFree, with its warm-up: the weights that
gradients are taken at after the steps, and what it evaluates (shown.NAME).

    python tools/golden/optimizer_schedule_free_adamw.py
"""
import torch
from optimizers import off, parameters, run, save
from schedulefree import AdamWScheduleFree

SETTINGS = {"learning_rate": 0.02, "weight_decay": 0.1, "warmup": 5}
BETA1, BETA2, EPSILON, STEPS = 0.9, 0.98, 1e-8, 50
shown = {}


def update(dtype):
    def one(name, w, g, state, t):
        if "o" not in state:
            state["p"] = torch.nn.Parameter(w.clone().to(dtype))
            state["o"] = AdamWScheduleFree([state["p"]], lr=SETTINGS["learning_rate"], betas=(BETA1, BETA2), eps=EPSILON, warmup_steps=SETTINGS["warmup"],
                                           weight_decay=SETTINGS["weight_decay"] if w.dim() > 1 else 0.0, foreach=False)
            state["o"].train()
        state["p"].grad = g.to(dtype)
        state["o"].step()
        y = state["p"].detach().clone()
        if t == STEPS:
            state["o"].eval()
            shown[name] = state["p"].detach().clone()
        return y
    return one


params = parameters({"matrix": (23, 17), "embed": (19, 8), "head": (19, 8), "norm": (41,), "scalar": (1,)}, 13)
exact, _ = run(params, update(torch.float64), STEPS)
last, _ = run(params, update(torch.float32), STEPS)
print("float64 beside float32:", off(exact, last))
save("optimizer_schedule_free_adamw.safetensors", "schedule_free_adamw", "schedulefree's AdamWScheduleFree", params, last, SETTINGS, STEPS, 1e-6, "weights",
     options=f"schedule-free-beta1={BETA1} adam-beta2={BETA2} adam-epsilon={EPSILON}", shown=shown)
