"""A tiny Qwen3-MoE of which three of four layers are dense (mlp_only_layers, decoder_sparse_step), in a folder as transformers 5
writes it with save_original_format off: the experts of a layer in two tensors."""
import functools

from transformers import Qwen3MoeConfig, Qwen3MoeForCausalLM

import mixture
import tiny

GGUF = None  # no word for dense layers
saved = mixture.apart


def make(tokenizer):
    m = tiny.make(Qwen3MoeForCausalLM, Qwen3MoeConfig, tokenizer, 41, hidden_size=24, intermediate_size=40, num_hidden_layers=4,
                  num_key_value_heads=2, head_dim=8, num_experts=4, num_experts_per_tok=2, moe_intermediate_size=16,
                  norm_topk_prob=False, mlp_only_layers=[1], decoder_sparse_step=2, tie_word_embeddings=True,
                  experts_implementation="eager", rope_parameters={"rope_type": "default", "rope_theta": 1000000.0})
    m.save_pretrained = functools.partial(m.save_pretrained, save_original_format=False)
    return m
