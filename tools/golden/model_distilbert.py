"""A tiny DistilBERT; no GGUF of its own."""
from transformers import DistilBertConfig, DistilBertForMaskedLM

import tiny

GGUF = None


def make(tokenizer):
    return tiny.make(DistilBertForMaskedLM, DistilBertConfig, tokenizer, 62, attn_implementation="sdpa", dim=32, n_layers=2,
                     n_heads=4, hidden_dim=64, intermediate_size=None,
                     dropout=0.0, attention_dropout=0.0)
