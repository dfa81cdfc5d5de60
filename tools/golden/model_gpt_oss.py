"""A tiny gpt-oss: sinks, every other layer with a window, YaRN, biases everywhere, two of five experts a row with a clamped
gate whose limits are reached."""
import re

import gguf
import torch
from transformers import GptOssConfig, GptOssForCausalLM

import tiny

GGUF = gguf.MODEL_ARCH.GPT_OSS
GGUF_READ = False
FUSED = re.compile(r"(.*mlp\.experts\.)(gate_up_proj|down_proj)(_bias)?$")


def make(tokenizer):
    return tiny.make(GptOssForCausalLM, GptOssConfig, tokenizer, 35, num_key_value_heads=2, head_dim=16,
                     intermediate_size=64, num_local_experts=5, num_experts_per_tok=2, sliding_window=8,
                     swiglu_limit=1.5, experts_implementation="eager", attn_implementation="eager",
                     rope_parameters={"rope_type": "yarn", "rope_theta": 150000.0, "factor": 4.0, "beta_fast": 32.0,
                                      "beta_slow": 1.0, "truncate": False, "original_max_position_embeddings": 32})


def parts(key, x):
    """{name without its ending: numbers}: gate and up apart, matrices of experts [out][in]."""
    m = FUSED.match(key)
    if not m:
        return None
    names = ("gate_proj", "up_proj") if m[2] == "gate_up_proj" else ("down_proj",)
    each = [x[..., i::len(names)] for i in range(len(names))]
    return {(m[1], n, bool(m[3])): y if m[3] else y.swapaxes(-1, -2) for n, y in zip(names, each)}


def saved(key, x):
    found = parts(key, x)
    if not found:
        return {key: x}
    out = {}
    for (at, name, bias), y in found.items():
        if bias:
            out[f"{at}{name}_bias"] = y.reshape(-1).copy()
        else:
            out |= {f"{at}{e}.{name}.weight": y[e].copy() for e in range(len(y))}
    return out


def gguf_tensors(key, x):
    found = parts(key, x)
    if not found:
        return {key + ".weight" if key.endswith("sinks") else key: x}
    return {f"{at}{name}.{'bias' if bias else 'weight'}": y for (at, name, bias), y in found.items()}


def gguf_joined(stored):
    out = {}
    for k, x in stored.items():
        m = re.match(r"(.*mlp\.experts\.)(gate|up|down)_proj\.(weight|bias)$", k)
        if k.endswith("sinks.weight"):
            out[k[:-len(".weight")]] = x
        elif not m:
            out[k] = x
        elif m[2] != "up":
            y = x if m[2] == "down" else torch.stack([x, stored[k.replace("gate_proj", "up_proj")]],
                                                     2 if m[3] == "weight" else -1)
            if m[2] == "gate":  # [E][F][2][C] or [E][F][2]
                y = y.reshape(y.shape[0], -1, *y.shape[3:])
            name = f"{m[1]}{'gate_up' if m[2] == 'gate' else 'down'}_proj"
            out[name + ("_bias" if m[3] == "bias" else "")] = y if m[3] == "bias" else y.swapaxes(1, 2).contiguous()
    return out


def gguf_config(w, c):
    w.add_expert_count(c.num_local_experts)
    w.add_expert_used_count(c.num_experts_per_tok)
    w.add_expert_feed_forward_length(c.intermediate_size)
    w.add_sliding_window(c.sliding_window)
    rope = c.rope_parameters
    w.add_rope_scaling_type(gguf.RopeScalingType.YARN)
    w.add_rope_scaling_factor(rope["factor"])
    w.add_rope_scaling_orig_ctx_len(rope["original_max_position_embeddings"])


def gguf_change(model):
    """What GGUF's facts cannot say: another limit than 7."""
    model.config.swiglu_limit = 7.0
    for layer in model.model.layers:
        layer.mlp.experts.limit = 7.0
