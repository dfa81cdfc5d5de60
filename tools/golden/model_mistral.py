"""A tiny Mistral: every layer sees a window. llama.cpp writes Mistral as llama and has no window for it, so no GGUF."""
from transformers import MistralConfig, MistralForCausalLM

import tiny

GGUF = None


def make(tokenizer):
    return tiny.make(MistralForCausalLM, MistralConfig, tokenizer, 21, num_key_value_heads=2, head_dim=8,
                     sliding_window=24)
