"""A tiny SmolLM3: every second layer without rotary positions in the folder; GGUF's are every fourth."""
import gguf
from transformers import SmolLM3Config, SmolLM3ForCausalLM

import tiny

GGUF = gguf.MODEL_ARCH.SMOLLM3
GGUF_PERMUTED = True
GGUF_READ = False


def make(tokenizer):
    return tiny.make(SmolLM3ForCausalLM, SmolLM3Config, tokenizer, 24, num_hidden_layers=4, num_key_value_heads=2,
                     tie_word_embeddings=True, rope_parameters={"rope_type": "default", "rope_theta": 2000000.0})


def gguf_config(w, c):
    w.add_rope_dimension_count(8)
