"""Golden values of adapter_trainable_tokens.c: PEFT's trainable tokens on the tiny Llama and the tiny GPT-2, whose heads
are their embeddings, on a model with a head of its own that is named too, and beside a LoRA. The tokens ascend, since
save_adapter sorts the lists of a config.

    python tools/golden/adapter_trainable_tokens.py
"""
import copy
import os
import sys

GOLDEN = os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../test/golden")
sys.argv = [sys.argv[0], GOLDEN]
import make_golden as golden
import tiny
import torch
from peft import LoraConfig, TrainableTokensConfig, get_peft_model
from transformers import AutoModelForCausalLM

RATE = 1e-2


def trainable_tokens(model, **options):
    kind = LoraConfig if "r" in options else TrainableTokensConfig
    m = get_peft_model(copy.deepcopy(model), kind(task_type="CAUSAL_LM", **options))
    g = torch.Generator().manual_seed(7)
    with torch.no_grad():
        for n, p in m.named_parameters():
            if p.requires_grad:
                p.add_(torch.randn(p.shape, generator=g) * 0.3)
    return m.eval()


def main():
    docs, learn = tiny.make_documents()
    often = sorted({t for d in docs for t in d}, key=lambda t: -sum(d.count(t) for d in docs))
    cases = [
        ("llama-tokens", "llama", dict(token_indices=sorted([often[0], 300, often[3], often[7]]))),
        ("llama-untied-tokens", "llama-untied", dict(token_indices=sorted(often[2:4]), target_modules=["embed_tokens", "lm_head"])),
        ("llama-lora-tokens", "llama", dict(r=3, target_modules=["q_proj", "down_proj"], trainable_token_indices=sorted(often[1:4]))),
        ("gpt2-tokens", "gpt2", dict(token_indices=sorted([often[1], often[4], 7]))),
    ]
    for name, model_name, options in cases:
        model = AutoModelForCausalLM.from_pretrained(f"{GOLDEN}/{model_name}", dtype=torch.float32).eval()
        model.name_or_path = None
        for module in model.modules():
            if isinstance(module, torch.nn.Embedding):
                module.padding_idx = None
        m = trainable_tokens(model, **options)
        golden.save_adapter(m, f"{GOLDEN}/{name}")
        golden.check_reload(model, f"{GOLDEN}/{name}", m, docs)
        values = golden.forward_values(m, docs[:6], 9)
        values.update(golden.gradient_values(m, docs[:6], learn[:6]))
        rate = RATE / 5 if "r" in options else RATE
        values.update(golden.train_values(m, golden.batches_of(docs, learn), rate, 0.01, True))
        golden.save(name, values, model=model_name, adapter=name, learning_rate=str(rate))
    golden.readable()


main()
