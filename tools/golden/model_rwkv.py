"""A tiny RWKV-4, by transformers' class; it has no form in GGUF. Its attention is wider than the model."""
import torch
from transformers import RwkvConfig, RwkvForCausalLM

import tiny

GGUF = None


def make(tokenizer):
    cfg = RwkvConfig(vocab_size=tiny.VOCAB, context_length=128, hidden_size=32, attention_hidden_size=40, num_hidden_layers=3,
                     intermediate_size=64, bos_token_id=tokenizer.bos_token_id, eos_token_id=tokenizer.eos_token_id)
    model = tiny.scale_weights(RwkvForCausalLM(cfg), 42).eval()
    with torch.no_grad():
        for name, p in model.named_parameters():
            if "time_mix" in name:  # shares
                p.sub_(1).mul_(2).add_(0.5)
            elif "time_decay" in name or "time_first" in name:
                p.sub_(1).mul_(3)
    return model
