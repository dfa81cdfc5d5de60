"""A tiny Llama 3: scaled rotary positions, which GGUF says as a tensor of divisors."""
import gguf
import numpy as np
from transformers import LlamaConfig, LlamaForCausalLM
from transformers.modeling_rope_utils import ROPE_INIT_FUNCTIONS

import tiny

GGUF = gguf.MODEL_ARCH.LLAMA
ROPE = {"rope_type": "llama3", "rope_theta": 500000.0, "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
        "original_max_position_embeddings": 8192}


def make(tokenizer):
    return tiny.make(LlamaForCausalLM, LlamaConfig, tokenizer, 22, num_key_value_heads=2, head_dim=16,
                     rope_parameters=dict(ROPE), tie_word_embeddings=True)


def gguf_only(c):
    scaled, _ = ROPE_INIT_FUNCTIONS["llama3"](c)
    plain = 1.0 / ROPE["rope_theta"] ** (np.arange(0, c.head_dim, 2) / c.head_dim)
    return {"rope_freqs.weight": plain / scaled.numpy()}
