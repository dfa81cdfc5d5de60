"""A tiny ModernBERT: four layers, of which the first and the last see all, the others a window of 8; its GGUF is the model
without its head."""
import gguf
from transformers import ModernBertConfig, ModernBertForMaskedLM

import tiny

GGUF = gguf.MODEL_ARCH.MODERN_BERT
GGUF_READ = False


def make(tokenizer):
    return tiny.make(ModernBertForMaskedLM, ModernBertConfig, tokenizer, 63, attn_implementation="sdpa", num_hidden_layers=4,
                     local_attention=8, cls_token_id=1, sep_token_id=2)


def gguf_config(w, c):
    w.add_layer_norm_eps(c.norm_eps)
    w.add_causal_attention(False)
    w.add_pooling_type(gguf.PoolingType.MEAN)
    w.add_sliding_window(c.local_attention)
    w.add_sliding_window_pattern(3)
    w.add_rope_freq_base(c.rope_parameters["full_attention"]["rope_theta"])
    w.add_rope_scaling_type(gguf.RopeScalingType.NONE)
