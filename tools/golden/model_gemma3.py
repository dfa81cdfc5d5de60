"""A tiny Gemma 3 (text): windows but in every sixth layer, where positions turn otherwise; norms of query and key heads."""
import gguf
import torch
from transformers import Gemma3ForCausalLM, Gemma3TextConfig

import tiny

GGUF = gguf.MODEL_ARCH.GEMMA3
GGUF_READ = False


def make(tokenizer):
    model = tiny.make(Gemma3ForCausalLM, Gemma3TextConfig, tokenizer, 44, num_hidden_layers=6,
                      num_attention_heads=2, num_key_value_heads=1, head_dim=16,
                      query_pre_attn_scalar=12, sliding_window=20,
                      rope_parameters={"full_attention": {"rope_type": "linear", "factor": 8.0, "rope_theta": 1000000.0},
                                       "sliding_attention": {"rope_type": "default", "rope_theta": 10000.0}})
    with torch.no_grad():
        for name, p in model.named_parameters():
            if is_norm(name):
                p.sub_(1)  # what is computed with is 1 + this
    return model


def gguf_config(w, c):
    w.add_sliding_window(c.sliding_window)
    w.add_rope_freq_base(1000000.0)
    w.add_rope_scaling_type(gguf.RopeScalingType.LINEAR)
    w.add_rope_scaling_factor(8.0)


def is_norm(name):
    return name.endswith("norm.weight")


def gguf_from(name, x, c):
    return x + 1 if is_norm(name) else x


def gguf_back(name, x, c):
    return x - 1 if is_norm(name) else x


def gguf_change(model):
    """llama.cpp takes 1/sqrt of the head's size, whatever query_pre_attn_scalar was."""
    for layer in model.model.layers:
        layer.self_attn.scaling = model.config.head_dim ** -0.5
