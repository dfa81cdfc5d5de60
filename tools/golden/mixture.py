"""What the makers of mixtures of experts share. transformers keeps the matrices of a layer's experts in two parameters,
gate_up_proj (E, 2F, C) and down_proj (E, C, F); files, here and on hubs, have each expert's three by themselves."""
import copy
import re

import torch

FUSED = re.compile(r"(.*\.layers\.\d+\.)mlp\.(experts\.)(gate_up_proj|down_proj)$")


def apart(key, x, gate="gate_proj", up="up_proj", down="down_proj", block="mlp"):
    """{name in files: numbers} of a value under transformers' name, which may have something before the model's."""
    m = FUSED.match(key)
    if not m:
        return {key.replace(".mlp.", f".{block}."): x}
    at, name = f"{m[1]}{block}.experts", lambda e, what: f"{m[1]}{block}.experts.{e}.{what}.weight"
    if m[3] == "down_proj":
        return {name(e, down): x[e] for e in range(len(x))}
    half = x.shape[1] // 2
    return {name(e, what): x[e][part] for e in range(len(x))
            for what, part in ((gate, slice(0, half)), (up, slice(half, None)))}


def gguf_tensors(key, x):
    """{key whose name gguf-py knows: numbers} of the same value as llama.cpp's converter writes it."""
    m = FUSED.match(key)
    if not m:
        return {key: x}
    at = f"{m[1]}mlp.experts."
    if m[3] == "down_proj":
        return {at + "down_proj.weight": x}
    half = x.shape[1] // 2
    return {at + "gate_proj.weight": x[:, :half], at + "up_proj.weight": x[:, half:]}


def joined(stored):
    """transformers' state dict from one of gguf_tensors' names."""
    out = {k: x for k, x in stored.items() if not re.search(r"mlp\.experts\.\w+_proj\.weight$", k)}
    for k, x in stored.items():
        if k.endswith("mlp.experts.down_proj.weight"):
            out[k[:-len(".weight")]] = x
        elif k.endswith("mlp.experts.gate_proj.weight"):
            up = stored[k.replace("gate_proj", "up_proj")]
            out[k.replace("gate_proj.weight", "gate_up_proj")] = torch.cat([x, up], 1)
    return out


class Apart(torch.nn.Module):
    """The experts of a layer as modules, each its three linears: what a LoRA on separate experts is trained on."""
    def __init__(self, experts, gate, up, down):
        super().__init__()
        self.names, self.act = (gate, up, down), experts.act_fn
        half = experts.gate_up_proj.shape[1] // 2
        for e in range(len(experts.down_proj)):
            one = torch.nn.Module()
            for name, w in ((gate, experts.gate_up_proj[e, :half]), (up, experts.gate_up_proj[e, half:]),
                            (down, experts.down_proj[e])):
                linear = torch.nn.Linear(w.shape[1], w.shape[0], bias=False)
                linear.weight = torch.nn.Parameter(w.detach().clone())
                setattr(one, name, linear)
            self.add_module(str(e), one)

    def forward(self, x, chosen, weights):
        y = torch.zeros_like(x)
        gate, up, down = self.names
        for e in range(len(list(self.children()))):
            row, place = torch.where(chosen == e)
            if not len(row):
                continue
            one, h = getattr(self, str(e)), x[row]
            h = getattr(one, down)(self.act(getattr(one, gate)(h)) * getattr(one, up)(h))
            y = y.index_add(0, row, h * weights[row, place, None])
        return y


def with_modules(model, gate="gate_proj", up="up_proj", down="down_proj"):
    """A copy whose experts are modules; PEFT, which rewrites what is asked for of the fused ones, must not know its kind."""
    m = copy.deepcopy(model)
    m.config.model_type = "apart"
    for layer in m.model.layers:
        if hasattr(layer.mlp, "experts"):
            layer.mlp.experts = Apart(layer.mlp.experts, gate, up, down)
    return m
