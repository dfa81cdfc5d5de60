"""Golden values of optimizer_adamw_8bit.c, by bitsandbytes' own map, quantize_blockwise and dequantize_blockwise.

    python tools/golden/optimizer_adamw_8bit.py

bitsandbytes' loops for processors look a float32's code up in steps of 2/65535 and so miss the map's small values; given
float64 it searches the map itself, as its kernels for GPUs do, and that is asked here. The update between reading and
writing the moments is that of its backends/cpu (torch's order). Block size 256 and the 4,096 numbers below which a
parameter keeps f32 are those of its optim/optimizer.py (0.50). Embeddings keep f32, as transformers' Trainer asks for.
What its own optimizer for processors makes of the same gradients, and f32, are printed beside.
"""
import math

import bitsandbytes
import torch
from bitsandbytes import functional as F
from optimizers import off, parameters, run, save

SETTINGS = {"learning_rate": 0.003, "weight_decay": 0.1}
BETA1, BETA2, EPSILON = 0.9, 0.98, 1e-8
STEPS, BLOCK, MIN_8BIT_SIZE = 20, 256, 4096
MAPS = {"m": F.create_dynamic_map(signed=True), "v": F.create_dynamic_map(signed=False)}


def in_f32(name, w):
    return w.numel() < MIN_8BIT_SIZE or name.startswith("embed")


def read(state, k, like):
    if k not in state:
        return torch.zeros_like(like)
    if state[k].dtype == torch.float32:
        return state[k]
    return torch.ops.bitsandbytes.dequantize_blockwise(state[k], state[f"{k}_absmax"], MAPS[k], BLOCK, torch.float32)


def write(state, k, x, f32):
    if f32:
        state[k] = x
    else:
        state[k], state[f"{k}_absmax"] = torch.ops.bitsandbytes.quantize_blockwise(x.double(), MAPS[k], BLOCK)


def update(name, w, g, state, t, all_f32=False):
    s = SETTINGS
    m, v = read(state, "m", w), read(state, "v", w)
    m = m * BETA1 + g * (1 - BETA1)
    v = v * BETA2 + (1 - BETA2) * g * g
    denominator = v.sqrt() / math.sqrt(1 - BETA2 ** t) + EPSILON
    if w.dim() > 1:
        w = w * (1 - s["learning_rate"] * s["weight_decay"])
    w = w - s["learning_rate"] / (1 - BETA1 ** t) * m / denominator
    f32 = all_f32 or in_f32(name, w)
    write(state, "m", m, f32)
    write(state, "v", v, f32)
    return w


def optimizer(name, w, g, state, t):
    """bitsandbytes.optim.AdamW8bit as it is on a processor."""
    if "o" not in state:
        s = SETTINGS
        state["p"] = torch.nn.Parameter(w.clone())
        state["o"] = bitsandbytes.optim.AdamW8bit([state["p"]], lr=s["learning_rate"], betas=(BETA1, BETA2), eps=EPSILON,
                                                  weight_decay=s["weight_decay"] if w.dim() > 1 else 0.0,
                                                  min_8bit_size=1 << 60 if in_f32(name, w) else MIN_8BIT_SIZE)
    state["p"].grad = g.clone()
    state["o"].step()
    return state["p"].detach().clone()


params = parameters({"matrix": (67, 71), "embed": (67, 71), "small": (23, 17)}, 8)
for name, (w, a, b) in params.items():  # blocks whose numbers are of many sizes, some 0, one block all 0
    size = 10 ** torch.empty(w.shape).uniform_(-1.5, 0, generator=torch.Generator().manual_seed(9))
    size.view(-1)[::37] = 0
    if w.numel() > 1024:
        size.view(-1)[512:768] = 0
    params[name] = (w, a * size, b * size)
last, first = run(params, update, STEPS)
print("beside f32:", off(run(params, lambda *x: update(*x, all_f32=True), STEPS)[0], last, params))
theirs = {}
for name, (w, a, b) in params.items():
    state = {}
    for t in range(1, STEPS + 1):
        w = optimizer(name, w, a + t * b, state, t)
    theirs[name] = w
print("beside AdamW8bit of a processor:", off(theirs, last, params))
save("optimizer_adamw_8bit.safetensors", "adamw_8bit", "bitsandbytes' map and blocks", params, last, SETTINGS, STEPS, 1e-3, "update", first=first,
     options=f"adam-beta1={BETA1} adam-beta2={BETA2} adam-epsilon={EPSILON}")
