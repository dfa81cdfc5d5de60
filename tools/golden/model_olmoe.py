"""A tiny OLMoE: norms over whole rows of q and k, three of eight experts a row by their share of all."""
import gguf
from transformers import OlmoeConfig, OlmoeForCausalLM

import mixture
import tiny

GGUF = gguf.MODEL_ARCH.OLMOE
GGUF_READ = False
saved = mixture.apart
gguf_tensors, gguf_joined = mixture.gguf_tensors, mixture.joined


def make(tokenizer):
    return tiny.make(OlmoeForCausalLM, OlmoeConfig, tokenizer, 34, num_key_value_heads=2, intermediate_size=32,
                     num_experts=8, num_experts_per_tok=3, experts_implementation="eager",
                     rope_parameters={"rope_type": "default", "rope_theta": 10000.0})


def gguf_config(w, c):
    w.add_expert_count(c.num_experts)
    w.add_expert_used_count(c.num_experts_per_tok)
