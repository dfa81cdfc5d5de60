"""A tiny StableLM 2: LayerNorm with biases, biases of q, k and v, a quarter of each head turned."""
import gguf
from transformers import StableLmConfig, StableLmForCausalLM

import tiny

GGUF = gguf.MODEL_ARCH.STABLELM
GGUF_READ = False


def make(tokenizer):
    return tiny.make(StableLmForCausalLM, StableLmConfig, tokenizer, 31, num_attention_heads=2, num_key_value_heads=2,
                     use_qkv_bias=True, partial_rotary_factor=0.25)


def gguf_config(w, c):
    w.add_rope_dimension_count(4)
    w.add_parallel_residual(False)
    w.add_layer_norm_eps(c.layer_norm_eps)
