"""A tiny Qwen3: norms of query and key heads, heads wider than the width's share, a head that is the embedding."""
import gguf
from transformers import Qwen3Config, Qwen3ForCausalLM

import tiny

GGUF = gguf.MODEL_ARCH.QWEN3


def make(tokenizer):
    cfg = Qwen3Config(
        vocab_size=tiny.VOCAB, hidden_size=32, intermediate_size=64, num_hidden_layers=2, num_attention_heads=4,
        num_key_value_heads=2, head_dim=16, max_position_embeddings=128, rms_norm_eps=1e-6,
        rope_parameters={"rope_type": "default", "rope_theta": 1000000.0}, tie_word_embeddings=True,
        bos_token_id=tokenizer.bos_token_id, eos_token_id=tokenizer.eos_token_id, pad_token_id=tokenizer.pad_token_id,
        attn_implementation="sdpa")
    model = tiny.scale_weights(Qwen3ForCausalLM(cfg), 15).eval()
    model.model.embed_tokens.padding_idx = None  # see tiny.make_llama
    return model
