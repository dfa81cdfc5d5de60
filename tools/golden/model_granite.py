"""A tiny Granite: multipliers of embedding, residual, attention and logits that are not 1."""
import gguf
from transformers import GraniteConfig, GraniteForCausalLM

import tiny

GGUF = gguf.MODEL_ARCH.GRANITE
GGUF_PERMUTED = True
GGUF_READ = False


def make(tokenizer):
    return tiny.make(GraniteForCausalLM, GraniteConfig, tokenizer, 26, num_key_value_heads=2, embedding_multiplier=3.0,
                     residual_multiplier=0.22, attention_multiplier=0.2, logits_scaling=2.0, tie_word_embeddings=True)


def gguf_config(w, c):
    w.add_embedding_scale(c.embedding_multiplier)
    w.add_residual_scale(c.residual_multiplier)
    w.add_attention_scale(c.attention_multiplier)
    w.add_logit_scale(c.logits_scaling)
    w.add_rope_dimension_count(8)
