"""A tiny Gemma 2: soft caps, four norms, windows in every second layer, GeGLU, a scaled embedding."""
import gguf
import torch
from transformers import Gemma2Config, Gemma2ForCausalLM

import tiny

GGUF = gguf.MODEL_ARCH.GEMMA2
GGUF_READ = False


def make(tokenizer):
    model = tiny.make(Gemma2ForCausalLM, Gemma2Config, tokenizer, 27, num_key_value_heads=2, head_dim=16,
                      query_pre_attn_scalar=12, sliding_window=20, attn_logit_softcapping=5.0,
                      final_logit_softcapping=8.0)
    with torch.no_grad():
        for name, p in model.named_parameters():
            if is_norm(name):
                p.sub_(1)  # what is computed with is 1 + this
    return model


def gguf_config(w, c):
    w.add_attn_logit_softcapping(c.attn_logit_softcapping)
    w.add_final_logit_softcapping(c.final_logit_softcapping)
    w.add_sliding_window(c.sliding_window)


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
