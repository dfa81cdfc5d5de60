"""A tiny BERT with its head of masked tokens; its GGUF is the model without that head."""
import gguf
from transformers import BertConfig, BertForMaskedLM

import tiny

GGUF = gguf.MODEL_ARCH.BERT
GGUF_READ = False


def make(tokenizer):
    tokenizer.mask_token = "<|endoftext|>"
    return tiny.make(BertForMaskedLM, BertConfig, tokenizer, 60, attn_implementation="sdpa", hidden_dropout_prob=0.0,
                     attention_probs_dropout_prob=0.0)


def gguf_config(w, c):
    w.add_layer_norm_eps(c.layer_norm_eps)
    w.add_causal_attention(False)
    w.add_pooling_type(gguf.PoolingType.MEAN)
    w.add_token_type_count(c.type_vocab_size)
