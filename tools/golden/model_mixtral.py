"""A tiny Mixtral: two of five experts a row."""
import gguf
from transformers import MixtralConfig, MixtralForCausalLM

import mixture
import tiny

GGUF = gguf.MODEL_ARCH.LLAMA
GGUF_PERMUTED = True
GGUF_READ = False
NAMES = dict(gate="w1", up="w3", down="w2")
LORA = ["q_proj", "w1", "w2", "w3"]


def make(tokenizer):
    return tiny.make(MixtralForCausalLM, MixtralConfig, tokenizer, 31, num_key_value_heads=2, head_dim=8,
                     num_local_experts=5, num_experts_per_tok=2, experts_implementation="eager")


def saved(key, x):
    return mixture.apart(key, x, block="block_sparse_moe", **NAMES)


def with_modules(model):
    return mixture.with_modules(model, **NAMES)


gguf_tensors, gguf_joined = mixture.gguf_tensors, mixture.joined


def gguf_config(w, c):
    w.add_expert_count(c.num_local_experts)
    w.add_expert_used_count(c.num_experts_per_tok)
