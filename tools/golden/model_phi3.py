"""A tiny Phi-3 (Phi-4-mini): q, k, v in one matrix, gate and up in another, a part of each head turned, longrope."""
import gguf
from transformers import Phi3Config, Phi3ForCausalLM

import tiny

GGUF = gguf.MODEL_ARCH.PHI3
GGUF_READ = False
SHORT, LONG = [1.0, 1.1, 1.3], [1.5, 2.5, 7.0]


def make(tokenizer):
    return tiny.make(Phi3ForCausalLM, Phi3Config, tokenizer, 29, num_key_value_heads=2, max_position_embeddings=512,
                     original_max_position_embeddings=128, partial_rotary_factor=0.75,
                     rope_parameters={"rope_type": "longrope", "rope_theta": 10000.0, "short_factor": SHORT,
                                      "long_factor": LONG, "partial_rotary_factor": 0.75})


def gguf_config(w, c):
    w.add_rope_dimension_count(6)
    w.add_rope_scaling_orig_ctx_len(128)
    w.add_rope_scaling_attn_factors((1 + 2 / 7) ** 0.5)  # log 4 / log 128


def gguf_only(c):
    return {"rope_factors_short.weight": SHORT, "rope_factors_long.weight": LONG}
