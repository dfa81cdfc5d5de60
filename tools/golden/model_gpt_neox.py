"""A tiny GPT-NeoX (Pythia): both halves of a block read the same row; a quarter of each head turns. Hugging Face has q, k
and v head by head in one matrix, GGUF one after the other."""
import gguf
import numpy as np
from transformers import GPTNeoXConfig, GPTNeoXForCausalLM

import tiny

GGUF = gguf.MODEL_ARCH.GPTNEOX
GGUF_READ = False
SAVED_AS = {"grad.lm_head.weight": "grad.embed_out.weight"}


def make(tokenizer):
    return tiny.make(GPTNeoXForCausalLM, GPTNeoXConfig, tokenizer, 30, num_attention_heads=2, rotary_pct=0.25,
                     tie_word_embeddings=False)


def gguf_config(w, c):
    w.add_rope_dimension_count(4)
    w.add_parallel_residual(True)
    w.add_layer_norm_eps(c.layer_norm_eps)


def gguf_from(name, x, c):
    if "query_key_value" not in name:
        return x
    return np.swapaxes(x.reshape(c.num_attention_heads, 3, -1, *x.shape[1:]), 0, 1).reshape(x.shape)


def gguf_back(name, x, c):
    if "query_key_value" not in name:
        return x
    return np.swapaxes(x.reshape(3, c.num_attention_heads, -1, *x.shape[1:]), 0, 1).reshape(x.shape)
