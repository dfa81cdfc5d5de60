"""A tiny Qwen2-MoE: biases of q, k and v, two of five experts a row by their share of all, one that all rows share."""
import gguf
import numpy as np
from transformers import Qwen2MoeConfig, Qwen2MoeForCausalLM

import mixture
import tiny

GGUF = gguf.MODEL_ARCH.QWEN2MOE
GGUF_READ = False
saved = mixture.apart
gguf_joined = mixture.joined


def make(tokenizer):
    return tiny.make(Qwen2MoeForCausalLM, Qwen2MoeConfig, tokenizer, 33, num_key_value_heads=2, num_experts=5,
                     num_experts_per_tok=2, moe_intermediate_size=32, shared_expert_intermediate_size=64,
                     experts_implementation="eager", rope_parameters={"rope_type": "default", "rope_theta": 1000000.0})


def gguf_tensors(key, x):
    """The converter writes a matrix of one row as a vector."""
    return {key: np.squeeze(x)} if "shared_expert_gate" in key else mixture.gguf_tensors(key, x)


def gguf_back(name, x, c):
    return x[None] if "shared_expert_gate" in name else x


def gguf_config(w, c):
    w.add_expert_count(c.num_experts)
    w.add_expert_used_count(c.num_experts_per_tok)
    w.add_expert_feed_forward_length(c.moe_intermediate_size)
    w.add_expert_shared_feed_forward_length(c.shared_expert_intermediate_size)
