"""A tiny Qwen2: biases of q, k and v that are not zero, a head of its own."""
import gguf
from transformers import Qwen2Config, Qwen2ForCausalLM

import tiny

GGUF = gguf.MODEL_ARCH.QWEN2


def make(tokenizer):
    cfg = Qwen2Config(
        vocab_size=tiny.VOCAB, hidden_size=32, intermediate_size=64, num_hidden_layers=2, num_attention_heads=4,
        num_key_value_heads=2, max_position_embeddings=128, rms_norm_eps=1e-6,
        rope_parameters={"rope_type": "default", "rope_theta": 1000000.0}, tie_word_embeddings=False,
        bos_token_id=tokenizer.bos_token_id, eos_token_id=tokenizer.eos_token_id, pad_token_id=tokenizer.pad_token_id,
        attn_implementation="sdpa")
    model = tiny.scale_weights(Qwen2ForCausalLM(cfg), 14).eval()
    model.model.embed_tokens.padding_idx = None  # see tiny.make_llama
    return model
