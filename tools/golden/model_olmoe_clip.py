"""A tiny OLMoE whose q, k and v are clipped, as often as not."""
from transformers import OlmoeConfig, OlmoeForCausalLM

import mixture
import tiny

GGUF = None  # no word for the clip
saved = mixture.apart


def make(tokenizer):
    return tiny.make(OlmoeForCausalLM, OlmoeConfig, tokenizer, 42, hidden_size=24, num_hidden_layers=1, num_key_value_heads=2,
                     intermediate_size=16, num_experts=4, num_experts_per_tok=2, clip_qkv=0.7, norm_topk_prob=True,
                     experts_implementation="eager", rope_parameters={"rope_type": "default", "rope_theta": 10000.0})
