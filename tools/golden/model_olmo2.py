"""A tiny OLMo 2: norms after each half and over whole rows of q and k."""
import gguf
from transformers import Olmo2Config, Olmo2ForCausalLM

import tiny

GGUF = gguf.MODEL_ARCH.OLMO2
GGUF_READ = False


def make(tokenizer):
    return tiny.make(Olmo2ForCausalLM, Olmo2Config, tokenizer, 25, num_key_value_heads=2,
                     rope_parameters={"rope_type": "default", "rope_theta": 500000.0})
