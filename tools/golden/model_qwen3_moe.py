"""A tiny Qwen3-MoE: norms of query and key heads, three of six narrow experts a row, weights that sum to 1."""
import gguf
from transformers import Qwen3MoeConfig, Qwen3MoeForCausalLM

import mixture
import tiny

GGUF = gguf.MODEL_ARCH.QWEN3MOE
GGUF_READ = False
LORA = ["q_proj", "gate_proj", "up_proj", "down_proj"]
saved, with_modules = mixture.apart, mixture.with_modules
gguf_tensors, gguf_joined = mixture.gguf_tensors, mixture.joined


def make(tokenizer):
    return tiny.make(Qwen3MoeForCausalLM, Qwen3MoeConfig, tokenizer, 32, num_key_value_heads=2, head_dim=16,
                     num_experts=6, num_experts_per_tok=3, moe_intermediate_size=32, norm_topk_prob=True,
                     tie_word_embeddings=True, experts_implementation="eager",
                     rope_parameters={"rope_type": "default", "rope_theta": 1000000.0})


def gguf_config(w, c):
    w.add_expert_count(c.num_experts)
    w.add_expert_used_count(c.num_experts_per_tok)
    w.add_expert_feed_forward_length(c.moe_intermediate_size)
