"""Golden values of adapter_ia3.c: PEFT's (IA)3 on the tiny Llama, with a head that is scaled too, and on the tiny GPT-2.

    python tools/golden/adapter_ia3.py

The vectors are not decayed (transformers' Trainer would draw them to 0, a model without these modules).
"""
import copy
import os
import sys

GOLDEN = os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../test/golden")
sys.argv = [sys.argv[0], GOLDEN]
import exact
import make_golden as golden
import tiny
import torch
from peft import IA3Config, get_peft_model
from transformers import AutoModelForCausalLM

RATE = 1e-2
exact.decays = lambda name, p: False


def ia3(model, **options):
    m = get_peft_model(copy.deepcopy(model), IA3Config(task_type="CAUSAL_LM", **options))
    g = torch.Generator().manual_seed(7)
    with torch.no_grad():
        for n, p in m.named_parameters():
            if "ia3_l" in n:
                p.copy_(1 + 0.3 * torch.randn(p.shape, generator=g))
            elif p.requires_grad:
                p.add_(torch.randn(p.shape, generator=g) * 0.05)
    return m.eval()


def main():
    docs, learn = tiny.make_documents()
    cases = [
        ("llama-ia3", "llama", {}),
        ("llama-ia3-more", "llama-untied", dict(target_modules=["q_proj", "o_proj", "up_proj", "gate_proj", "lm_head"],
                                                feedforward_modules=["o_proj", "up_proj", "lm_head"], modules_to_save=["norm"])),
        ("gpt2-ia3", "gpt2", dict(fan_in_fan_out=True)),
    ]
    for name, model_name, options in cases:
        model = AutoModelForCausalLM.from_pretrained(f"{GOLDEN}/{model_name}", dtype=torch.float32).eval()
        model.name_or_path = None
        for module in model.modules():
            if isinstance(module, torch.nn.Embedding):
                module.padding_idx = None
        m = ia3(model, **options)
        golden.save_adapter(m, f"{GOLDEN}/{name}")
        golden.check_reload(model, f"{GOLDEN}/{name}", m, docs)
        values = golden.forward_values(m, docs[:6], 9)
        values.update(golden.gradient_values(m, docs[:6], learn[:6]))
        values.update(golden.train_values(m, golden.batches_of(docs, learn), RATE, 0.01, True))
        golden.save(name, values, model=model_name, adapter=name, learning_rate=str(RATE))
    golden.readable()


main()
