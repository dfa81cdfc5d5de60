"""Golden values of optimizer_adafactor.c: transformers' Adafactor with an external rate, in float32.

    python tools/golden/optimizer_adafactor.py

The same in float64 is printed beside: so far apart are two orders of the same sums.
"""
import torch
from optimizers import off, parameters, run, save
from transformers.optimization import Adafactor

SETTINGS = {"learning_rate": 0.01, "weight_decay": 0.1}
STEPS = 50


def update(dtype, options):
    def one(name, w, g, state, t):
        if "o" not in state:
            state["p"] = torch.nn.Parameter(w.clone().to(dtype))
            state["o"] = Adafactor([state["p"]], lr=SETTINGS["learning_rate"], weight_decay=SETTINGS["weight_decay"] if w.dim() > 1 else 0.0,
                                   relative_step=False, **options)
        state["p"].grad = g.to(dtype)
        state["o"].step()
        return state["p"].detach().clone()
    return one


params = parameters({"wide": (23, 37), "tall": (31, 12), "embed": (19, 8), "head": (19, 8), "row": (1, 20), "column": (19, 1), "norm": (41,), "scalar": (1,)}, 12)
for file, options, words in (("", {"scale_parameter": False}, ""),
                             ("-scaled", {"scale_parameter": True, "clip_threshold": 0.7, "decay_rate": -0.6, "beta1": 0.9},
                              "adafactor-scale-parameter=true adafactor-clip-threshold=0.7 adafactor-decay-rate=-0.6 adafactor-beta1=0.9")):
    last, _ = run(params, update(torch.float32, options), STEPS)
    print("float64 beside float32:", off(run(params, update(torch.float64, options), STEPS)[0], last))
    save(f"optimizer_adafactor{file}.safetensors", "adafactor", "transformers' Adafactor" + (", scaled and with a first moment" if words else ""), params, last,
         SETTINGS, STEPS, 1e-6, "weights", options=words)
