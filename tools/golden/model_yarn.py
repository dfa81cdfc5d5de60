"""A tiny Llama with YaRN: positions scaled by a ramp over pairs, cosines and sines scaled too."""
import gguf
from transformers import LlamaConfig, LlamaForCausalLM

import tiny

GGUF = gguf.MODEL_ARCH.LLAMA


def make(tokenizer):
    return tiny.make(LlamaForCausalLM, LlamaConfig, tokenizer, 23, num_key_value_heads=2, head_dim=16,
                     rope_parameters={"rope_type": "yarn", "rope_theta": 10000.0, "factor": 4.0,
                                      "original_max_position_embeddings": 32})


def gguf_config(w, c):
    w.add_rope_scaling_type(gguf.RopeScalingType.YARN)
    w.add_rope_scaling_factor(4.0)
    w.add_rope_scaling_orig_ctx_len(32)


GGUF_READ = False  # it leaves out the scaling
